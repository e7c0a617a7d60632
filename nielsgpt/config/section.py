"""The base class of every section of the settings."""

import os.path
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Phase = Literal["pretrain", "sft"]
PHASES: tuple[Phase, ...] = get_args(Phase)
Share = Annotated[float, Field(gt=0.0, le=1.0)]
Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
Count = Annotated[int, Field(ge=1)]
PathText = Annotated[str, AfterValidator(os.path.expanduser)]
Seconds = Annotated[float, Field(gt=0.0)]


class Section(BaseModel):
    """A frozen group of knobs that refuses names it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
