"""A trained model sent to the Hub: an export in a folder, and one commit of what is new of it."""

import re
from dataclasses import dataclass
from pathlib import Path

from nielsgpt.data.sources.hub_errors import LOGIN
from nielsgpt.errors import DataError
from nielsgpt.export import gguf_file, hf_folder, hub_repository, model_card, nielsgpt_json
from nielsgpt.export.hub_repository_errors import convert_hub_errors
from nielsgpt.export.trained import TrainedModel
from nielsgpt.system.workspace import write_text

LICENCE = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}")
PRECISION = "float32"  # what comes back bit for bit
MESSAGE = "A model of nielsgpt"


@dataclass(frozen=True)
class Upload:
    """What an upload did: files sent, files that were there with the same bytes, and others."""

    url: str
    created: bool
    private: bool
    sent: tuple[str, ...]
    same: tuple[str, ...]
    others: tuple[str, ...]


def check(repository: str, licence: str | None) -> None:
    """Raise DataError for a name that the Hub would not take, or a licence that is none."""
    hub_repository.check_name(repository)
    if licence is not None and not LICENCE.fullmatch(licence):
        raise DataError(
            f"--license {licence!r} is not a name of a license; write one of the Hub's, such as mit"
        )


def pack(
    trained: TrainedModel, repository: str, out: Path, gguf: str | None, licence: str | None
) -> list[Path]:
    """Write all that is sent to the new folder `out`, and nothing else; returns the files by name.

    Raises as the exports do.
    """
    hf_folder.write(trained, out, PRECISION, force=False)
    if gguf is not None:
        gguf_file.write(trained, out / f"{trained.name}-{gguf}.gguf", gguf, force=False)
    nielsgpt_json.write(trained, out)
    opens = (out / "tokenizer.json").is_file()
    told_there = model_card.text(trained, PRECISION, opens, repository, licence)
    write_text(out / "README.md", told_there)
    return sorted(out.iterdir())


def send(repository: str, files: list[Path], public: bool) -> Upload:
    """Commit the files to the repository, which is made where there is none.

    What is there with the same hash is not sent again. Raises DataError where there is no token,
    where the Hub refuses, and where a private model would go to a public place.
    """
    from huggingface_hub import CommitOperationAdd, HfApi, get_token

    if get_token() is None:
        raise DataError(f"{repository}: there is no token to write with; {LOGIN}")
    before = hub_repository.find(repository)
    if before is not None and not before.private and not public:
        raise DataError(
            f"{repository}: is there and public; say --public to send to it, or name another"
        )
    known = {entry.name: entry for entry in before.entries} if before else {}
    same = [path for path in files if path.name in known and known[path.name].is_same(path)]
    new = [path for path in files if path not in same]
    api = HfApi()
    with convert_hub_errors(repository, files[0].parent):
        if before is None:
            api.create_repo(repository, private=not public)
        if new:
            operations = [CommitOperationAdd(path.name, path) for path in new]
            api.create_commit(repository, operations, commit_message=MESSAGE)
    ours = {path.name for path in files}
    return Upload(
        f"{api.endpoint}/{repository}",
        before is None,
        before.private if before else not public,
        tuple(path.name for path in new),
        tuple(path.name for path in same),
        tuple(sorted(set(known) - ours - {".gitattributes"})),
    )
