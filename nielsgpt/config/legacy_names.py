"""The founding documents' names for settings, which are translated."""

from typing import Any

Tree = dict[str, Any]

NAMES = {
    "V": "vocab_size",
    "T": "context_length",
    "C": "n_embd",
    "L": "n_layer",
    "H": "n_head",
    "B": "batch_size",
    "micro_B": "micro_batch_size",
    "accum_steps": "grad_accum_steps",
    "total_steps": "max_steps",
    "base_lr": "learning_rate",
    "min_lr": "min_learning_rate",
    "eval_steps": "eval_batches",
    "ckpt_every": "checkpoint_every",
    "p_train": "mix_pretrain",
}
SHAPES = ({"model", "train"}, {"model_cfg", "train_cfg"})


def translate(tree: Tree) -> tuple[Tree, list[str]]:
    """The tree under today's names, and one warning for each old name or shape that it held."""
    notes: list[str] = []
    renamed = _reshape(_rename(tree, notes), notes)
    return renamed, notes


def _rename(tree: Tree, notes: list[str]) -> Tree:
    renamed: Tree = {}
    for key, value in tree.items():
        name = NAMES.get(key, key)
        if name != key:
            notes.append(f"{key} is called {name} now")
        keep = key in ("mix_pretrain", "mix_sft", "p_train") or not isinstance(value, dict)
        renamed[name] = value if keep else _rename(value, notes)
    return renamed


def _reshape(tree: Tree, notes: list[str]) -> Tree:
    shape = next((shape for shape in SHAPES if set(tree) & shape - {"model"}), None)
    if shape is not None and set(tree) <= shape and all(isinstance(v, dict) for v in tree.values()):
        notes.append(f"{{{', '.join(sorted(shape))}}} is {{model, training, ...}} now")
        old_model, old_train = (dict(tree.get(key, {})) for key in sorted(shape))
        tree = {"model": old_model, "training": {"pretrain": old_train}}
        mix = old_train.pop("mix_pretrain", None)
        if mix is not None:
            tree["data"] = {"mix_pretrain": mix}
        if "seed" in old_train:
            tree["seed"] = old_train.pop("seed")
    _move_vocabulary(tree, notes)
    training = tree.get("training")
    if notes and isinstance(training, dict):
        for phase in training.values():
            _settle_batch(phase)
    return tree


def _move_vocabulary(tree: Tree, notes: list[str]) -> None:
    model = tree.get("model")
    if isinstance(model, dict) and "vocab_size" in model:
        size = model.pop("vocab_size")
        given = tree.get("tokenizer")
        told = {"kind": "byte"} if size == 256 else {"vocab_size": size}
        tree["tokenizer"] = {**told, **given} if isinstance(given, dict) else told
        notes.append("model.vocab_size is tokenizer.vocab_size now")


def _settle_batch(phase: Any) -> None:
    """batch_size = micro_batch_size x grad_accum_steps, which is derived today."""
    if not isinstance(phase, dict):
        return
    accumulation = phase.pop("grad_accum_steps", None)
    if accumulation is not None and "micro_batch_size" in phase:
        phase["batch_size"] = phase["micro_batch_size"] * accumulation
    elif "batch_size" in phase and "micro_batch_size" not in phase:
        phase["micro_batch_size"] = phase["batch_size"]
