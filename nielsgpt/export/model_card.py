"""The model card: what was measured, and what only the owner can say left to the owner."""

from nielsgpt import __version__
from nielsgpt.export.tensors import family_of
from nielsgpt.export.trained import Facts, TrainedModel
from nielsgpt.format import markdown_table
from nielsgpt.model.gpt import parameter_count

FORMLESS = "Its tokenizer has no form outside of nielsgpt; the weights take ids."
UNCHOSEN = (
    "Not chosen yet: that is the owner's to say, and so is what the licences of the data ask for."
)


def text(
    trained: TrainedModel, dtype: str, opens: bool, place: str = ".", licence: str | None = None
) -> str:
    """README.md of the export; `opens`: Transformers opens its tokenizer too.

    `place` is its folder, or its owner/name on the Hub; `licence` the Hub's name of the one that
    the owner chose.
    """
    parts = [
        _head(licence),
        f"# {trained.name}\n\n{_what(trained, dtype)}",
        _use(place) if opens else FORMLESS,
        "" if place == "." else _again(place),
        "## Measured\n\n" + markdown_table(("", ""), _measured(trained)),
        _marks(trained.marks),
        "## Made from\n\n" + markdown_table(("", ""), _sources(trained)),
        f"## Licence\n\n{licence or UNCHOSEN}\n",
    ]
    return "\n\n".join(part for part in parts if part)


def _head(licence: str | None) -> str:
    open_yet = "# license: choose one, see https://hf.co/docs/hub/repositories-licenses"
    return (
        "---\n"
        f"{open_yet if licence is None else f'license: {licence}'}\n"
        "library_name: transformers\n"
        "pipeline_tag: text-generation\n"
        "tags:\n- nielsgpt\n"
        "---"
    )


def _what(trained: TrainedModel, dtype: str) -> str:
    shape = trained.model.shape
    return (
        f"A chat model trained from scratch with nielsgpt {__version__}: variant {shape.variant}, "
        f"here as `{family_of(trained.model).architecture}` in {dtype}. {shape.n_layer} blocks, "
        f"width {shape.n_embd}, {shape.n_head} heads, context {shape.context_length}, "
        f"{trained.model.vocab_size} ids."
    )


def _again(repository: str) -> str:
    return (
        f"`nielsgpt hub download {repository}` makes it a checkpoint of nielsgpt again, with the "
        "same weights bit for bit."
    )


def _use(place: str) -> str:
    return (
        "```python\n"
        "from transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        f'model = AutoModelForCausalLM.from_pretrained("{place}")\n'
        f'tokenizer = AutoTokenizer.from_pretrained("{place}")\n'
        'asked = [{"role": "user", "content": "Who are you?"}]\n'
        "ids = tokenizer.apply_chat_template(\n"
        '    asked, add_generation_prompt=True, return_tensors="pt", return_dict=True\n'
        ")\n"
        'reply = model.generate(**ids)[0, ids["input_ids"].shape[1] :]\n'
        "print(tokenizer.decode(reply, skip_special_tokens=True))\n"
        "```\n\n"
        "Text in a message never becomes a special token. Text that is tokenized without the chat "
        "template does, unless `split_special_tokens=True` is passed."
    )


def _measured(trained: TrainedModel) -> list[tuple[str, str]]:
    phases = [facts for facts in (trained.before, trained.facts) if facts is not None]
    rows = [("parameters", f"{parameter_count(trained.model):,}")]
    for facts in phases:
        rows.append((f"tokens seen in {facts['phase']}", f"{_tokens(facts):,}"))
    for facts in phases:
        rows += [
            (
                f"bits per byte on held-out {name}, after {facts['phase']}",
                f"{e['bits_per_byte']:.4f}",
            )
            for name, e in sorted(facts.get("evaluations", {}).items())
        ]
    return rows


def _tokens(facts: Facts) -> int:
    if "tokens_seen" in facts:
        return int(facts["tokens_seen"])
    return int(facts["step"] * facts["numbers"]["batch_size"] * facts["shape"]["context_length"])


def _marks(marks: Facts | None) -> str:
    if marks is None:
        return ""
    rows = [
        [
            row["section"],
            f"{row['right']}/{row['total']}",
            f"{row['interval'][0]:.1%} - {row['interval'][1]:.1%}",
            f"{row['chance']:.1%}",
        ]
        for row in marks["sections"]
    ]
    table = markdown_table(("section", "right", "95 % interval", "chance"), rows)
    ended = f"{marks['ended']} of {marks['replies']} replies were ended by the model itself."
    return "\n".join(["## Exam", "", table, "", ended])


def _sources(trained: TrainedModel) -> list[tuple[str, str]]:
    rows = []
    for facts in (trained.before, trained.facts):
        mix = {} if facts is None else facts["numbers"]["mix"]
        for name, share in sorted(mix.items()):
            made = facts["origin"].get(name, "?") if facts else "?"
            rows.append((f"{name} ({facts and facts['phase']}, {share:.0%})", f"`{made}`"))
    return [
        *rows,
        ("settings", f"`{trained.settings}`"),
        ("tokenizer", f"{trained.tokenizer.kind}, `{trained.tokenizer.fingerprint}`"),
        ("weights, sha256", f"`{trained.facts['weights_sha256']}`"),
        ("run", f"`{trained.facts.get('run_id', '?')}`, step {trained.facts['step']:,}"),
    ]
