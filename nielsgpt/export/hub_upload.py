"""Upload of a model to the Hub: an export, and one commit with its new or changed files."""

import re
from dataclasses import dataclass
from pathlib import Path

from nielsgpt.data.sources.hub_errors import LOGIN
from nielsgpt.errors import DataError
from nielsgpt.export import gguf_file, hf_folder, hub_repository, model_card, nielsgpt_json
from nielsgpt.export.hub_repository import convert_hub_errors
from nielsgpt.export.trained import TrainedModel
from nielsgpt.system.atomic_files import write_text

LICENSE_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}")
DTYPE = "float32"  # restored bit for bit
COMMIT_MESSAGE = "A model of nielsgpt"


@dataclass(frozen=True)
class Upload:
    """The result of an upload: files sent, unchanged files, and other files of the repository."""

    url: str
    created: bool
    private: bool
    sent: tuple[str, ...]
    unchanged: tuple[str, ...]
    others: tuple[str, ...]


def check_names(repository: str, license_name: str | None) -> None:
    """Raise DataError for an invalid name of a repository or a license."""
    hub_repository.check_name(repository)
    if license_name is not None and not LICENSE_NAME.fullmatch(license_name):
        raise DataError(
            f"--license {license_name!r} is not a valid license name; write one of the Hub's, "
            "such as mit"
        )


def write_files(
    trained: TrainedModel, repository: str, out: Path, gguf: str | None, license_name: str | None
) -> list[Path]:
    """Write exactly the files to upload into the new folder `out`; returns them sorted by name.

    Raises like the exports.
    """
    hf_folder.write(trained, out, DTYPE, force=False)
    if gguf is not None:
        gguf_file.write(trained, out / f"{trained.name}-{gguf}.gguf", gguf, force=False)
    nielsgpt_json.write(trained, out)
    has_tokenizer = (out / "tokenizer.json").is_file()
    card = model_card.build_card(trained, DTYPE, has_tokenizer, repository, license_name)
    write_text(out / "README.md", card)
    return sorted(out.iterdir())


def upload(repository: str, files: list[Path], public: bool) -> Upload:
    """Commit the files to the repository, which is created if it does not exist.

    Files with an unchanged hash are not sent again. Raises DataError without a token, if the Hub
    refuses, or if the repository is public and `public` is false.
    """
    from huggingface_hub import CommitOperationAdd, HfApi, get_token

    if get_token() is None:
        raise DataError(f"{repository}: there is no token; {LOGIN}")
    existing = hub_repository.find_repository(repository)
    if existing is not None and not existing.private and not public:
        raise DataError(
            f"{repository}: exists and is public; upload to it with --public, or name another"
        )
    remote = {entry.name: entry for entry in existing.entries} if existing else {}
    unchanged = [path for path in files if path.name in remote and remote[path.name].is_same(path)]
    changed = [path for path in files if path not in unchanged]
    api = HfApi()
    with convert_hub_errors(repository, files[0].parent):
        if existing is None:
            api.create_repo(repository, private=not public)
        if changed:
            operations = [CommitOperationAdd(path.name, path) for path in changed]
            api.create_commit(repository, operations, commit_message=COMMIT_MESSAGE)
    return Upload(
        f"{api.endpoint}/{repository}",
        existing is None,
        existing.private if existing else not public,
        tuple(path.name for path in changed),
        tuple(path.name for path in unchanged),
        tuple(sorted(set(remote) - {path.name for path in files} - {".gitattributes"})),
    )
