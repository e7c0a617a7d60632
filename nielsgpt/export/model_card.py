"""The model card: what was measured; the license is left to the owner."""

from nielsgpt import __version__
from nielsgpt.checkpoint.contents import Facts
from nielsgpt.checkpoint.exam_report import ExamReport, list_verbatim
from nielsgpt.export.tensors import find_family
from nielsgpt.export.trained import TrainedModel
from nielsgpt.format import markdown_table
from nielsgpt.model.gpt import parameter_count

NO_TOKENIZER = "No other library supports its tokenizer; the weights take ids."
NO_LICENSE = (
    "Not chosen yet. The owner decides, and also checks what the licenses of the data require."
)


def build_card(
    trained: TrainedModel,
    dtype: str,
    has_tokenizer: bool,
    location: str = ".",
    license_name: str | None = None,
) -> str:
    """README.md of the export. `has_tokenizer`: Transformers opens its tokenizer too.

    `location` is the folder, or owner/name on the Hub; `license_name` is the Hub's.
    """
    parts = [
        _build_front_matter(license_name),
        f"# {trained.name}\n\n{_describe(trained, dtype)}",
        _explain_use(location) if has_tokenizer else NO_TOKENIZER,
        "" if location == "." else _explain_download(location),
        "## Measured\n\n" + markdown_table(("", ""), _list_figures(trained)),
        _build_exam(trained.exam),
        "## Trained from\n\n" + markdown_table(("", ""), _list_sources(trained)),
        f"## License\n\n{license_name or NO_LICENSE}\n",
    ]
    return "\n\n".join(part for part in parts if part)


def _build_front_matter(license_name: str | None) -> str:
    no_license = "# license: choose one, see https://hf.co/docs/hub/repositories-licenses"
    return (
        "---\n"
        f"{no_license if license_name is None else f'license: {license_name}'}\n"
        "library_name: transformers\n"
        "pipeline_tag: text-generation\n"
        "tags:\n- nielsgpt\n"
        "---"
    )


def _describe(trained: TrainedModel, dtype: str) -> str:
    shape = trained.model.shape
    return (
        f"A chat model trained from scratch with nielsgpt {__version__}: variant {shape.variant}, "
        f"here as `{find_family(trained.model).architecture}` in {dtype}. {shape.n_layer} blocks, "
        f"width {shape.n_embd}, {shape.n_head} heads, context {shape.context_length}, "
        f"{trained.model.vocab_size} ids."
    )


def _explain_download(repository: str) -> str:
    return (
        f"`nielsgpt hub download {repository}` restores the checkpoint of nielsgpt, with the same "
        "weights bit for bit."
    )


def _explain_use(location: str) -> str:
    return (
        "```python\n"
        "from transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        f'model = AutoModelForCausalLM.from_pretrained("{location}")\n'
        f'tokenizer = AutoTokenizer.from_pretrained("{location}")\n'
        'messages = [{"role": "user", "content": "Who are you?"}]\n'
        "ids = tokenizer.apply_chat_template(\n"
        '    messages, add_generation_prompt=True, return_tensors="pt", return_dict=True\n'
        ")\n"
        'reply = model.generate(**ids)[0, ids["input_ids"].shape[1] :]\n'
        "print(tokenizer.decode(reply, skip_special_tokens=True))\n"
        "```\n\n"
        "Text in a message never becomes a special token. Text that is tokenized without the chat "
        "template does, unless `split_special_tokens=True` is passed."
    )


def _list_figures(trained: TrainedModel) -> list[tuple[str, str]]:
    phases = [one for one in (trained.pretraining, trained.metadata) if one is not None]
    rows = [("parameters", f"{parameter_count(trained.model):,}")]
    for metadata in phases:
        rows.append((f"tokens seen in {metadata['phase']}", f"{_count_tokens(metadata):,}"))
    for metadata in phases:
        rows += [
            (
                f"bits per byte on held-out {name}, after {metadata['phase']}",
                f"{evaluation['bits_per_byte']:.4f}",
            )
            for name, evaluation in sorted(metadata.get("evaluations", {}).items())
        ]
    return rows


def _count_tokens(metadata: Facts) -> int:
    if "tokens_seen" in metadata:
        return int(metadata["tokens_seen"])
    batch_size, shape = metadata["numbers"]["batch_size"], metadata["shape"]
    return int(metadata["step"] * batch_size * shape["context_length"])


def _build_exam(exam: ExamReport | None) -> str:
    if exam is None:
        return ""
    rows = [
        [
            row["section"],
            f"{row['right']}/{row['total']}",
            f"{row['interval'][0]:.1%} - {row['interval'][1]:.1%}",
            f"{row['chance']:.1%}",
        ]
        for row in exam["sections"]
    ]
    table = markdown_table(("section", "right", "95 % interval", "chance"), rows)
    lines = [f"- {line}" for line in list_verbatim(exam)]
    if exam["replies"]:
        lines.append(f"- The model ended {exam['ended']} of {exam['replies']} replies by itself.")
    return "\n".join(["## Exam", "", table, "", *lines])


def _list_sources(trained: TrainedModel) -> list[tuple[str, str]]:
    rows = []
    for metadata in (trained.pretraining, trained.metadata):
        if metadata is None:
            continue
        for name, share in sorted(metadata["numbers"]["mix"].items()):
            origin = metadata["origin"].get(name, "?")
            rows.append((f"{name} ({metadata['phase']}, {share:.0%})", f"`{origin}`"))
    return [
        *rows,
        ("settings", f"`{trained.settings}`"),
        ("tokenizer", f"{trained.tokenizer.kind}, `{trained.tokenizer.fingerprint}`"),
        ("weights, sha256", f"`{trained.metadata['weights_sha256']}`"),
        ("run", f"`{trained.metadata.get('run_id', '?')}`, step {trained.metadata['step']:,}"),
    ]
