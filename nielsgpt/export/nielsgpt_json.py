"""nielsgpt.json: what makes an exported folder a checkpoint of nielsgpt again.

The weights are those of model.safetensors, float32, and come back bit for bit: their sha256 is
held against the one that is told here. Of the facts only those are written that name no file of
the machine that trained. No field of it is ever run, and every field is checked when it is read.
"""

import base64
import binascii
import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nielsgpt import __version__
from nielsgpt.checkpoint import checkpoint_file, load_model
from nielsgpt.config.settings import ModelSettings, Phase, Settings
from nielsgpt.errors import DataError, first_line
from nielsgpt.export.hf_folder import WEIGHTS
from nielsgpt.export.import_weights import weights
from nielsgpt.export.trained import TrainedModel
from nielsgpt.system.workspace import unseal, write_sealed
from nielsgpt.tokenizers import registry
from nielsgpt.tokenizers.base import Tokenizer

OWN_FILE = "nielsgpt.json"
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Plain = int | float | str | bool | None
Whole = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, allow_inf_nan=False)


class PhaseNumbers(_Part):
    """What a phase's training is told by."""

    batch_size: Whole
    mix: dict[str, float]


class CheckpointFacts(_Part):
    """What a checkpoint says of itself, as far as it is sent."""

    name: Name
    phase: Phase
    step: Whole
    shape: dict[str, Plain]
    numbers: PhaseNumbers
    origin: dict[str, str | None]
    evaluations: dict[str, dict[str, float]] = {}
    seed: Whole = 0
    max_steps: Whole = 0
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
    facts: CheckpointFacts


def write(trained: TrainedModel, folder: Path) -> None:
    """Write it beside an export in float32."""
    files = trained.tokenizer.files().items()
    told = NielsgptJson(
        format=1,
        model=trained.model.shape,
        tokenizer=TokenizerFiles(
            kind=trained.tokenizer.kind,
            files={name: base64.b64encode(content).decode() for name, content in files},
        ),
        facts=CheckpointFacts.model_validate(trained.facts),
    )
    write_sealed(folder / OWN_FILE, {"nielsgpt": __version__, **told.model_dump(mode="json")})


def state(folder: Path) -> checkpoint_file.State:
    """The checkpoint of a folder that holds the file. Raises DataError where it is not whole."""
    told = (folder / OWN_FILE).read_bytes()
    try:
        own = NielsgptJson.model_validate_json(told)
        unseal(json.loads(told))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "all of it"
        raise DataError(f"{OWN_FILE} is not as nielsgpt writes it ({where}: {first['msg']})") from (
            None
        )
    except ValueError as error:
        raise DataError(f"{OWN_FILE} is damaged ({error})") from None
    tokenizer = _tokenizer(own.tokenizer)
    found = weights(folder / WEIGHTS, own.model, tokenizer.vocab_size)
    if checkpoint_file.weights_sha256(found) != own.facts.weights_sha256:
        raise DataError(f"{WEIGHTS} holds other weights than {OWN_FILE} names")
    settings = Settings(name=own.facts.name, model=own.model)
    return {
        "step": own.facts.step,
        "weights": found,
        "average": None,
        "tokenizer": load_model.pack_tokenizer(tokenizer),
        "settings": settings.model_dump(mode="json"),
        "facts": own.facts.model_dump(mode="json"),
    }


def save(folder: Path, path: Path) -> None:
    """Write the checkpoint of such a folder. Raises as `state` and checkpoint.save do."""
    checkpoint_file.save(path, state(folder))


def _tokenizer(codec: TokenizerFiles) -> Tokenizer:
    try:
        files = {
            name: base64.b64decode(content, validate=True) for name, content in codec.files.items()
        }
        return registry.restore(codec.kind, files)
    except binascii.Error:
        raise DataError(f"{OWN_FILE} holds a tokenizer that is no base64") from None
    except Exception as error:  # a foreign file fails in as many ways as there are files
        reason = first_line(error)[:100]
        raise DataError(f"{OWN_FILE} holds a tokenizer that cannot be opened ({reason})") from None
