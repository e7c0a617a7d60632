"""The tokenizer as a stage: what text it is trained on, and what its report is drawn from.

It sees the training side of each source alone, by the same rule as the caches: a document that is
held out from the model is held out from its tokenizer. Of a source that is larger than its share
it sees a sample of the whole. Once a model is begun its tokenizer stays, because its weights mean
nothing with another.
"""

import glob
import logging
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nielsgpt.checkpoint.contents import RunMetadata
from nielsgpt.config.settings import PHASES, Phase, Settings
from nielsgpt.conversation import Conversation, Document
from nielsgpt.data.cache import build
from nielsgpt.data.catalog import Source, find_source, find_sources
from nielsgpt.data.sources import files
from nielsgpt.data.tokenize import find_place
from nielsgpt.errors import DataError, TokenizerError, best_effort
from nielsgpt.report import tokenizer_report
from nielsgpt.report.tokenizer_report import TokenizerReport
from nielsgpt.system.atomic_files import fingerprint, write_json, write_sealed
from nielsgpt.system.folder_lock import lock
from nielsgpt.system.workspace import Workspace, set_aside
from nielsgpt.tokenizers import registry
from nielsgpt.tokenizers.base import Tokenizer
from nielsgpt.training import staleness

log = logging.getLogger("nielsgpt")
Side = Literal["train", "val"]
UNTRAINED = ("byte",)
REPORTED = 2_000_000  # bytes or characters of a source in a report
PIECE = 4000  # characters that are taken or left together, of a text too large to take whole
PARTS: dict[Phase, float] = {"pretrain": 0.9, "sft": 0.1}


@dataclass(frozen=True)
class Share:
    """A source and how much of its text is taken: characters, or UTF-8 bytes."""

    name: str
    source: Source
    most: float
    in_bytes: bool = False

    def size(self, text: str) -> int:
        """The text's part of `most`."""
        return len(text.encode()) if self.in_bytes else len(text)


def is_given(workspace: Workspace) -> bool:
    """Whether the tokenizer comes from a model: the one of this name, or the one it starts from."""
    return bool(staleness.begun(workspace)) or _lender(workspace) is not None


def train(workspace: Workspace) -> Tokenizer:
    """The tokenizer of the model, where it has one; else one trained on the mixes, unless the one
    on disk was made from just these."""
    if is_given(workspace):
        return _given(workspace)
    asked = workspace.settings.tokenizer
    shares = _shares(workspace)
    made_from = _trained_on(workspace.settings, shares)
    meta = registry.read_meta(workspace.tokenizer)
    if meta is not None and made_from in (meta.get("made_from"), meta.get("kept_for")):
        log.info("tokenizer: up to date (%s ids in %s)", meta["vocab_size"], workspace.tokenizer)
        return registry.load(workspace.tokenizer)
    why = "its settings or its text changed" if meta else "none yet"
    log.info("tokenizer: training (%s)", why)
    counts: dict[str, dict[str, int]] = {}
    with lock(workspace.tokenizer):
        made = registry.train(asked, _count_characters(shares, workspace.settings, counts))
        known: registry.Provenance = {
            "made_from": made_from,
            "settings": asked.model_dump(mode="json"),
            "trained_on": counts,
        }
        registry.save(made, workspace.tokenizer, known)
    log.info("tokenizer: %s ids in %s", made.vocab_size, workspace.tokenizer)
    return made


def keep(workspace: Workspace) -> None:
    """Let the tokenizer on disk stay for the text and settings of now, whoever needs it then."""
    meta = registry.read_meta(workspace.tokenizer)
    if meta is not None:
        kept_for = _trained_on(workspace.settings, _shares(workspace))
        write_sealed(workspace.tokenizer / registry.META_FILE, {**meta, "kept_for": kept_for})


def check_unused(workspace: Workspace) -> None:
    """Raise TokenizerError where the settings and the text make another tokenizer, and a model was
    trained with the one that is there."""
    meta = registry.read_meta(workspace.tokenizer)
    if meta is None or not staleness.begun(workspace):
        return
    if meta.get("made_from") != _trained_on(workspace.settings, _shares(workspace)):
        raise TokenizerError(
            f"the model {workspace.settings.name} was trained with the tokenizer in "
            f"{workspace.tokenizer}, and another one would break it; choose another name with "
            "--set name=NAME, or train everything again with "
            "'nielsgpt pipeline --rebuild tokenizer'"
        )


def _shares(workspace: Workspace) -> list[Share]:
    return [] if workspace.settings.tokenizer.kind in UNTRAINED else training_shares(workspace)


def _lender(workspace: Workspace) -> Path | None:
    """The file that a phase is told to start from, and must fit."""
    for phase in PHASES:
        phase_settings = workspace.settings.phase(phase)
        path = workspace.root / (phase_settings.init_from or "")
        if phase_settings.init_strict and path.is_file():
            return path
    return None


def _given(workspace: Workspace) -> Tokenizer:
    """The tokenizer that a model was trained with: on disk already, or else from its checkpoint."""
    metadata = next(iter(staleness.begun(workspace).values()), None)
    meta = registry.read_meta(workspace.tokenizer)
    here = meta["fingerprint"] if meta else None
    if metadata is None or here != metadata.shape["tokenizer"]:
        _take(workspace, metadata, here)
    made = registry.load(workspace.tokenizer)
    if changed := "; ".join(staleness.tokenizer_changes(workspace)):
        log.warning(
            "tokenizer: kept, because a model was trained with it; changed since: %s; "
            "'nielsgpt pipeline --rebuild tokenizer' trains everything again",
            changed,
        )
    else:
        log.info("tokenizer: up to date (%s ids in %s)", made.vocab_size, workspace.tokenizer)
    return made


def _take(workspace: Workspace, metadata: RunMetadata | None, here: str | None) -> None:
    """Write the tokenizer of the model's own newest state, or else of the file that it starts from,
    where that one is not; the present one is set aside."""
    from nielsgpt.checkpoint import checkpoint_file, load_model

    folder = workspace.checkpoints / metadata.phase if metadata else None
    newest = checkpoint_file.load_newest(folder) if folder else None
    path = newest[1] if newest else _lender(workspace)
    if path is None:
        raise TokenizerError(
            f"the tokenizer of {workspace.settings.name} is not in {workspace.tokenizer}, and no "
            "intact checkpoint contains it; train everything again with "
            "'nielsgpt pipeline --rebuild tokenizer'"
        )
    made = load_model.unpack_tokenizer(checkpoint_file.load(path, "tokenizer"))
    if made.fingerprint == here:
        return
    with lock(workspace.tokenizer):
        if here is not None:
            log.info("tokenizer: the previous one is kept in %s", set_aside(workspace.tokenizer))
        registry.save(made, workspace.tokenizer, {"made_from": None, "trained_on": {}})
    log.info("tokenizer: that of %s", path)


def report(
    workspace: Workspace, paths: list[Path], hub: dict[str, int]
) -> tuple[TokenizerReport, Path]:
    """Measure the tokenizer and write report.json and report.png beside it; with the folder.

    On these files and this many validation bytes of these sources of the Hub; where none
    is named, on the validation side of the mixes.
    """
    tokenizer, settings = registry.load(workspace.tokenizer), workspace.settings
    found = {str(path): texts(from_files([path], settings), settings) for path in paths}
    chosen = [from_hub(workspace, name, most, in_bytes=True) for name, most in hub.items()]
    if not paths and not hub:
        chosen = mix_texts(workspace, REPORTED)
    found |= {share.name: texts(share, settings, "val") for share in chosen}
    measured = tokenizer_report.measure(tokenizer, found, settings.model)
    write_json(workspace.tokenizer / "report.json", measured)
    with best_effort("the plot"):
        tokenizer_report.draw(measured, workspace.tokenizer / "report.png")
    return measured, workspace.tokenizer


def training_shares(workspace: Workspace) -> list[Share]:
    """The text the tokenizer is trained on: the mixes, and what its settings add to them."""
    asked = workspace.settings.tokenizer
    found = mix_texts(workspace, asked.training_characters)
    if asked.input_globs:
        found.append(_glob(workspace))
    if asked.include_wikitext:
        found.append(from_hub(workspace, "wikitext", asked.training_characters))
    if asked.fineweb_bytes:
        found.append(from_hub(workspace, "fineweb_edu", asked.fineweb_bytes, in_bytes=True))
    return found


def mix_texts(workspace: Workspace, total: int) -> list[Share]:
    """Each source of both mixes by its share of this many characters, PARTS of them of each mix.

    Where the primer is all there is to pretrain on, half of each: its dialogues are in its words.
    Without SFT, all of the one mix.
    """
    settings, parts = workspace.settings, PARTS
    if set(settings.data.mix_pretrain) == {"primer"} or len(settings.phases) == 1:
        parts = dict.fromkeys(settings.phases, 1 / len(settings.phases))
    return [
        Share(f"{phase}/{name}", source, total * settings.mix(phase)[name] * parts[phase])
        for phase in settings.phases
        for name, source in find_sources(settings, phase, workspace.root).items()
    ]


def from_hub(workspace: Workspace, name: str, most: float, in_bytes: bool = False) -> Share:
    """This much of a pretraining source, whether or not the mix has it."""
    return Share(
        name, find_source(workspace.settings, "pretrain", name, workspace.root), most, in_bytes
    )


def from_files(paths: list[Path], settings: Settings) -> Share:
    """The whole text of these files. Raises DataError naming one that is not there."""
    kinds = files.TEXT_SUFFIXES
    found = [file for path in paths for file in files.find_files(path, kinds, "--text-file")]
    walk = Source(
        "files", files.stat_files(found), lambda: files.read_documents(found, settings.data.text)
    )
    return Share("input_globs", walk, math.inf)


def texts(share: Share, settings: Settings, side: Side | None = None) -> Iterator[str]:
    """The share's text, of one side alone where it is named: all of it where it fits, else pieces
    that are spread evenly over the source; of one that comes in mixed order, its beginning."""

    def split_sides() -> Iterator[str]:
        for item in share.source.walk():
            held_out = side is not None and _is_held_out(item, share.source, settings)
            if side is None or held_out == (side == "val"):
                yield item.text

    if share.source.is_shuffled or math.isinf(share.most):
        yield from _spread(split_sides(), share, 1.0)
        return
    total = sum(share.size(text) for text in split_sides())
    if total <= share.most:
        yield from split_sides()
    else:
        pieces = (piece for text in split_sides() for piece in files.cut_chunks([text], PIECE))
        yield from _spread(pieces, share, share.most / total)


def _spread(pieces: Iterable[str], share: Share, rate: float) -> Iterator[str]:
    """As many of the pieces as the share takes, at the rate, as evenly as may be."""
    passed = taken = 0
    for piece in pieces:
        passed += share.size(piece)
        if taken < rate * passed:
            yield piece
            taken += share.size(piece)
        if taken >= share.most:
            return


def _is_held_out(item: Document | Conversation, source: Source, settings: Settings) -> bool:
    """Whether the caches put it on the validation side."""
    data, key = settings.data, item.text
    if isinstance(item, Document) and data.on_special_literal == "escape":
        key = build.guard_special_tokens(key, item.name, "escape") or ""
    share = build.val_share(data.val_fraction, source.train_tokens, source.val_tokens)
    return find_place(item, key, settings.seed) <= share


def _count_characters(
    shares: list[Share], settings: Settings, counts: dict[str, dict[str, int]]
) -> Iterator[str]:
    """The training text of all shares; `counts` says afterwards how much there was of each."""
    for share in shares:
        count = counts[share.name] = {"documents": 0, "characters": 0}
        for text in texts(share, settings, "train"):
            count["documents"] += 1
            count["characters"] += len(text)
            yield text


def _glob(workspace: Workspace) -> Share:
    """The files of all patterns, each once. Raises DataError naming a pattern without a file."""
    found: set[Path] = set()
    for pattern in workspace.settings.tokenizer.input_globs:
        matched = glob.glob(pattern, root_dir=workspace.root, recursive=True)
        paths = {workspace.root / name for name in matched if (workspace.root / name).is_file()}
        if not paths:
            raise DataError(
                f"tokenizer.input_globs {pattern!r} matches no file in {workspace.root.resolve()}; "
                "correct the pattern, or leave it out"
            )
        found |= paths
    return from_files(sorted(found), workspace.settings)


def _trained_on(settings: Settings, shares: list[Share]) -> str:
    if not shares:
        return fingerprint(settings.tokenizer.kind)
    data = settings.data
    held_out = settings.seed, data.val_fraction, data.on_special_literal
    inputs = [[s.name, str(s.most), s.in_bytes, s.source.inputs] for s in shares]
    return fingerprint(settings.tokenizer.model_dump(), held_out, inputs)
