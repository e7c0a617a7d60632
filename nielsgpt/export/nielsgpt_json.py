"""nielsgpt.json: the file with which an exported folder becomes a checkpoint of nielsgpt again.

The weights are those of model.safetensors in float32 and are restored bit for bit: their sha256 is
checked against the one in this file. Of the metadata, only fields that name no file of the training
machine are written. No field is ever executed, and every field is validated on reading.
"""

import base64
import binascii
import json
from pathlib import Path
from typing import Annotated, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nielsgpt import __version__
from nielsgpt.checkpoint import checkpoint_file, load_model
from nielsgpt.checkpoint.contents import Facts, State
from nielsgpt.config.settings import ModelSettings, Phase, Settings
from nielsgpt.errors import DataError, first_line
from nielsgpt.export.hf_folder import WEIGHTS
from nielsgpt.export.tensors import read_weights
from nielsgpt.export.trained import TrainedModel
from nielsgpt.system.atomic_files import unseal, write_sealed
from nielsgpt.tokenizers import registry
from nielsgpt.tokenizers.base import Tokenizer

OWN_FILE = "nielsgpt.json"
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Plain = int | float | str | bool | None
Count = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, allow_inf_nan=False)


class PhaseMetadata(_Part):
    """The batch size and mix of a phase."""

    batch_size: Count
    mix: dict[str, float]


class CheckpointMetadata(_Part):
    """The part of a checkpoint's metadata that may be published."""

    name: Name
    phase: Phase
    step: Count
    shape: dict[str, Plain]
    numbers: PhaseMetadata
    origin: dict[str, str | None]
    evaluations: dict[str, dict[str, float]] = {}
    seed: Count = 0
    max_steps: Count = 0
    run_id: Name = "unknown"
    weights_sha256: str


class TokenizerFiles(_Part):
    """A tokenizer's kind, and its files in base64."""

    kind: str
    files: dict[str, str]


class NielsgptJson(_Part):
    """The content of the file."""

    format: Literal[1]
    model: ModelSettings
    tokenizer: TokenizerFiles
    facts: CheckpointMetadata


def write(trained: TrainedModel, folder: Path) -> None:
    """Write nielsgpt.json into a float32 export."""
    files = trained.tokenizer.files().items()
    content = NielsgptJson(
        format=1,
        model=trained.model.shape,
        tokenizer=TokenizerFiles(
            kind=trained.tokenizer.kind,
            files={name: base64.b64encode(data).decode() for name, data in files},
        ),
        facts=CheckpointMetadata.model_validate(trained.metadata),
    )
    write_sealed(folder / OWN_FILE, {"nielsgpt": __version__, **content.model_dump(mode="json")})


def read_checkpoint(folder: Path) -> State:
    """The checkpoint of a folder with nielsgpt.json. Raises DataError if it is damaged."""
    text = (folder / OWN_FILE).read_bytes()
    try:
        content = NielsgptJson.model_validate_json(text)
        unseal(json.loads(text))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the whole file"
        raise DataError(f"{OWN_FILE} is not valid ({field}: {first['msg']})") from None
    except ValueError as error:
        raise DataError(f"{OWN_FILE} is damaged ({error})") from None
    tokenizer = _restore_tokenizer(content.tokenizer)
    weights = read_weights(folder / WEIGHTS, content.model, tokenizer.vocab_size)
    if checkpoint_file.weights_sha256(weights) != content.facts.weights_sha256:
        raise DataError(f"{WEIGHTS} does not have the weights that {OWN_FILE} records")
    settings = Settings(name=content.facts.name, model=content.model)
    return {
        "step": content.facts.step,
        "weights": weights,
        "average": None,
        "tokenizer": load_model.pack_tokenizer(tokenizer),
        "settings": settings.model_dump(mode="json"),
        "facts": cast(Facts, content.facts.model_dump(mode="json")),
    }


def save_checkpoint(folder: Path, path: Path) -> None:
    """Write the checkpoint of such a folder. Raises like `read_checkpoint` and the save itself."""
    checkpoint_file.save(path, read_checkpoint(folder))


def _restore_tokenizer(tokenizer: TokenizerFiles) -> Tokenizer:
    try:
        files = {
            name: base64.b64decode(data, validate=True) for name, data in tokenizer.files.items()
        }
        return registry.restore(tokenizer.kind, files)
    except binascii.Error:
        raise DataError(f"{OWN_FILE} has a tokenizer that is not base64") from None
    except Exception as error:  # damaged files fail in many ways
        reason = first_line(error)[:100]
        raise DataError(f"{OWN_FILE} has a tokenizer that cannot be opened ({reason})") from None
