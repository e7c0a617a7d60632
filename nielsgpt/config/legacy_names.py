"""Configs of the founding documents, translated: old names, old shapes, and the recipe they meant.

`{"model", "train"}` is document 002's shape, `{"model_cfg", "train_cfg"}` document 000's. Both mean
a LayerNorm model with rotary positions on bytes, trained with AdamW, warm-up and cosine in fp32.
"""

from typing import Any

from nielsgpt.config.section import PHASES

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
SOURCES = {"wiki": "wikitext", "fineweb": "fineweb_edu"}
MIXES = ("mix_pretrain", "mix_sft")
SHAPES = {("model", "train"): 256, ("model_cfg", "train_cfg"): 384}  # and its context length
MODEL = {"variant": "gpt_rope", "n_layer": 6, "n_head": 4, "n_embd": 384}
OPTIMIZER = {"optimizer": "adamw", "beta1": 0.9, "beta2": 0.95, "schedule": "warmup_cosine"}
PRETRAINING = {
    "max_steps": 20_000,
    "learning_rate": 3e-4,
    "min_learning_rate": 3e-5,
    "warmup_steps": 200,
    "weight_decay": 0.1,
    "grad_clip": 1.0,
    "eval_every": 200,
    "eval_batches": 100,
    "checkpoint_every": 1000,
    "log_every": 50,
}
BATCH = {"train": 32, "train_cfg": 16, "training": 16}  # rows at once, where a config does not say
ACCUMULATION = "the rows at once times accum_steps are batch_size now"
RECIPE = "the model and the rest of the recipe are its document's: AdamW, warm-up and cosine"


def translate(tree: Tree) -> tuple[Tree, list[str]]:
    """The tree under today's names, and a note on each old name or shape that it held."""
    notes: list[str] = []
    renamed = _rename(tree, notes)
    shape = next((shape for shape in SHAPES if _has_shape(renamed, shape)), None)
    if shape is not None:
        renamed = _reshape(renamed, shape, notes)
    elif isinstance(training := renamed.get("training"), dict):
        for phase in filter(lambda phase: isinstance(phase, dict), training.values()):
            _move_up(renamed, phase, notes)
            if notes:
                _multiply_batch(phase, BATCH["training"])
    _move_vocabulary(renamed, notes)
    return renamed, list(dict.fromkeys(notes))


def _rename(tree: Tree, notes: list[str]) -> Tree:
    renamed: Tree = {}
    for key, value in tree.items():
        name = NAMES.get(key, key)
        if name != key:
            notes.append(ACCUMULATION if key == "accum_steps" else f"{key} is called {name} now")
        if name in MIXES and isinstance(value, dict):
            notes += [f"source {old} is {new} now" for old, new in SOURCES.items() if old in value]
            renamed[name] = {SOURCES.get(source, source): share for source, share in value.items()}
        else:
            renamed[name] = _rename(value, notes) if isinstance(value, dict) else value
    return renamed


def _has_shape(tree: Tree, shape: tuple[str, str]) -> bool:
    given = [tree[key] for key in shape if key in tree]
    return bool(set(tree) & {*shape} - {"model"}) and all(isinstance(v, dict) for v in given)


def _reshape(old: Tree, shape: tuple[str, str], notes: list[str]) -> Tree:
    """The old sections in today's tree, over the recipe of their document.

    The numbers are those of the phases whose mix the config names; else those of pretraining.
    """
    model, train = (dict(old.get(key, {})) for key in shape)
    named = [phase for phase in PHASES if f"mix_{phase}" in train]
    if not named:
        named = ["sft"] if "allow_missing_idx" in train else ["pretrain"]
    notes.append(f"{{{', '.join(shape)}}} is {{model, training, ...}} now; {RECIPE}")
    tree: Tree = {
        "model": {**MODEL, "context_length": SHAPES[shape], **model},
        "tokenizer": {"kind": "byte"},
        "device": {"precision": "fp32"},
    }
    _move_up(tree, train, notes)
    if "seed" in train:
        tree["seed"] = train.pop("seed")
    for mix in set(MIXES) & set(train):
        _put(tree, "data", mix, train.pop(mix))
    if shape == ("model", "train") or "micro_batch_size" in train:
        train.setdefault("batch_size", train.get("micro_batch_size", BATCH["train"]))
    _multiply_batch(train, BATCH[shape[1]])
    numbers = {"pretrain": PRETRAINING, "sft": {}}
    tree["training"] = {
        phase: {**OPTIMIZER, **numbers[phase], **(train if phase in named else {})}
        for phase in PHASES
    }
    if "wikitext" in tree.get("data", {}).get("mix_pretrain", {}):
        tree["training"]["pretrain"].setdefault("best_metric", "wikitext")
    for key, value in old.items():
        if key not in shape:
            both = isinstance(value, dict) and isinstance(tree.get(key), dict)
            tree[key] = {**tree[key], **value} if both else value
    return tree


def _move_up(tree: Tree, phase: Tree, notes: list[str]) -> None:
    """Move what a phase's section held, and is set for the whole model today."""
    for key in ("streams_cache_dir", "cache_dir"):
        if key in phase:
            _put(tree, "data", "cache_dir", phase.pop(key))
            notes.append(f"{key} is data.cache_dir now")
    if phase.pop("allow_missing_idx", None) is not None:
        notes.append("allow_missing_idx is not needed, for the indexes are always built")
    if isinstance(phase.get("betas"), list) and len(phase["betas"]) == 2:
        phase["beta1"], phase["beta2"] = phase.pop("betas")
        notes.append("betas are beta1 and beta2 now")
    if {"amp", "amp_dtype"} & set(phase):
        chosen = phase.pop("amp_dtype", "fp16")
        _put(tree, "device", "precision", chosen if phase.pop("amp", True) else "fp32")
        notes.append("amp and amp_dtype are device.precision now")


def _put(tree: Tree, section: str, key: str, value: Any) -> None:
    held = tree.get(section, {})
    tree[section] = {**(held if isinstance(held, dict) else {}), key: value}


def _move_vocabulary(tree: Tree, notes: list[str]) -> None:
    model = tree.get("model")
    if isinstance(model, dict) and "vocab_size" in model:
        size = model.pop("vocab_size")
        given = tree.get("tokenizer")
        given = given if isinstance(given, dict) else {}
        if given == {"kind": "byte"} and size != 256:
            given = {"kind": "sentencepiece"}
        told = {"kind": "byte"} if size == 256 else {"vocab_size": size}
        tree["tokenizer"] = {**told, **given}
        notes.append("model.vocab_size is tokenizer.vocab_size now")


def _multiply_batch(phase: Tree, usual: int) -> None:
    """batch_size = rows at once x grad_accum_steps, which is derived today."""
    accumulation = phase.get("grad_accum_steps")
    rows = phase.get("micro_batch_size", phase.get("batch_size", usual))
    if isinstance(accumulation, int) and isinstance(rows, int):
        phase |= {"micro_batch_size": rows, "batch_size": rows * phase.pop("grad_accum_steps")}
    elif "batch_size" in phase:
        phase.setdefault("micro_batch_size", rows)
