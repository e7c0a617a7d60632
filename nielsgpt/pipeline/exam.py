"""The exam as a stage: score the model on questions with known answers and keep the scores."""

import logging

from nielsgpt.checkpoint import checkpoint_file, load_model
from nielsgpt.checkpoint.exam_report import (
    EXAM_FILE,
    FINAL_FILE,
    ExamReport,
    ExamScores,
    SectionScore,
    WrongAnswer,
    read_report,
)
from nielsgpt.checkpoint.select import chat_weights
from nielsgpt.config.settings import PHASES, GenerationSettings, Settings
from nielsgpt.conversation import Conversation, prompt
from nielsgpt.data.catalog import fingerprint_primer, primer_persona
from nielsgpt.data.primer import exam_items, handwritten
from nielsgpt.data.primer.persona import Persona
from nielsgpt.errors import best_effort
from nielsgpt.export.trained import find_pretraining
from nielsgpt.inference.generate import GeneratedIds, generate_all
from nielsgpt.model.gpt import GPT
from nielsgpt.pipeline import own_text_exam
from nielsgpt.report import page
from nielsgpt.system.atomic_files import fingerprint, write_sealed
from nielsgpt.system.workspace import Workspace
from nielsgpt.tokenizers.base import Tokenizer

log = logging.getLogger("nielsgpt")
LONGEST_REPLY = 128
# What only a model that was taught a persona can answer.
PERSONA_SECTIONS = ("refusals", "unknowables", "dialogues", *handwritten.SECTIONS)


def run_exam(workspace: Workspace, final: bool = False) -> ExamReport:
    """The scores of the model's best weights, from checkpoints/<name>/exam.json if up to date.

    A reply has ended when the model itself closed it within 128 tokens. `final` asks the
    handwritten questions that are kept for a final figure instead of the others, and keeps its
    scores in exam_final.json. A model trained without a persona is not asked about one; one that
    was trained on documents is also examined on these (own_text_exam.py).
    """
    file = workspace.checkpoints / (FINAL_FILE if final else EXAM_FILE)
    path = chat_weights(workspace)
    settings = workspace.settings
    metadata = checkpoint_file.read_metadata(path)
    weights = metadata.weights_sha256 if metadata is not None else None
    speaker = primer_persona(settings, workspace.root)
    drawn = settings.exam.model_dump(), settings.generation.model_dump(), settings.seed
    asked = _questions(speaker, settings, final)
    caches = own_text_exam.identify_caches(workspace)
    inputs = fingerprint(weights, fingerprint_primer(speaker), *drawn, repr(asked), caches)
    before = read_report(file)
    if before is not None and before.get("inputs") == inputs:
        log.info("exam: up to date")
        return before
    state, model, codec = load_model.load_model(path)
    facts = state["facts"]
    start = find_pretraining(workspace.checkpoints / "pretrain", facts["origin"].get("start"))
    pretrained = facts if facts["phase"] == "pretrain" else start or {"origin": {}}
    marks = _marks(model, codec, workspace, asked)
    own = own_text_exam.examine_sources(workspace, model, codec, pretrained["origin"])
    report: ExamReport = {
        "inputs": inputs,
        "weights_sha256": weights,
        "checkpoint": str(path),
        "step": state["step"],
        **marks,
        "sections": [*marks["sections"], *own["sections"]],
        "verbatim": own["verbatim"],
    }
    write_sealed(file, report)
    folder = workspace.runs / state["facts"]["run_id"]
    if settings.training.report and folder.exists() and not final:
        with best_effort("the report"):
            log.info("exam: added to the report %s", page.write(folder, report))
    return report


def _questions(speaker: Persona, settings: Settings, final: bool) -> list[exam_items.Item]:
    """The questions on what the primer taught this model; none if it was not trained on it."""
    if not any("primer" in settings.mix(phase) for phase in PHASES):
        return []
    count = settings.exam.items_per_section
    asked = handwritten.items(speaker, final, most=2 * count)
    asked += exam_items.items(speaker, settings.seed, count)
    if "primer" not in settings.mix("sft"):
        asked = [item for item in asked if item.section not in PERSONA_SECTIONS]
    return asked


def _marks(
    model: GPT,
    tokenizer: Tokenizer,
    workspace: Workspace,
    items: list[exam_items.Item],
) -> ExamScores:
    settings = workspace.settings
    log.info("exam: %d questions", len(items))
    greedy = settings.generation.model_copy(
        update={"temperature": 0.0, "max_new_tokens": LONGEST_REPLY}
    )
    conversations = [item.conversation for item in items]
    replies = [tokenizer.decode(c.ids) for c in ask(model, tokenizer, conversations, greedy)]
    wrong: list[WrongAnswer] = [
        {
            "section": item.section,
            "question": item.conversation.messages[-1].content,
            "reply": reply,
        }
        for item, reply in zip(items, replies, strict=True)
        if not exam_items.correct(item, reply)
    ]
    sections: list[SectionScore] = [
        {
            "section": score.section,
            "right": score.right,
            "total": score.total,
            "interval": [score.low, score.high],
            "chance": score.chance,
        }
        for score in exam_items.grade(items, replies)
    ]
    spread = conversations[:: max(1, 2 * len(conversations) // settings.exam.replies)]
    half = spread[: settings.exam.replies // 2]
    sampled = settings.generation.model_copy(update={"max_new_tokens": LONGEST_REPLY})
    ended = [
        completion.finish_reason == "stop"
        for how in (greedy, sampled)
        for completion in ask(model, tokenizer, half, how)
    ]
    return {"sections": sections, "ended": sum(ended), "replies": len(ended), "wrong": wrong}


def ask(
    model: GPT, tokenizer: Tokenizer, asked: list[Conversation], generation: GenerationSettings
) -> list[GeneratedIds]:
    """The model's reply to each conversation, as a chat would give it."""
    specials = tokenizer.specials
    return generate_all(
        model,
        [prompt(conversation, tokenizer.encode, tokenizer.specials) for conversation in asked],
        generation,
        stop_ids=[specials.end],
        banned_ids=specials.roles,
    )
