"""Settings of the two phases of training."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from nielsgpt.config.section import Count, Fraction, PathText, Section


class PhaseSettings(Section):
    """One phase of training: how long, how fast, how often it is examined and saved."""

    max_steps: Annotated[int, Field(ge=0)] = Field(17_000, description="optimizer steps in all")
    minutes: Annotated[float, Field(gt=0.0)] | None = Field(
        None, description="a time budget instead of max_steps; steps are planned from the speed"
    )
    init_from: PathText | None = Field(
        None,
        description="a checkpoint to take the starting weights from; else seeded, or for SFT "
        "pretraining's best",
    )
    init_strict: bool = Field(
        True, description="refuse starting weights of another shape; false: take what fits"
    )
    batch_size: Count = Field(64, description="rows per step: mathematics")
    micro_batch_size: Annotated[int, Field(ge=0)] = Field(
        0, description="rows at once: hardware; divides batch_size; 0: measured"
    )
    optimizer: Literal["adamw", "muon"] = Field(
        "muon", description="adamw, or muon for the blocks' matrices and adamw for the rest"
    )
    learning_rate: Annotated[float, Field(gt=0.0)] = Field(3e-4, description="AdamW's peak")
    muon_learning_rate: Annotated[float, Field(gt=0.0)] = Field(0.02, description="Muon's peak")
    min_learning_rate: Annotated[float, Field(ge=0.0)] = Field(
        3e-5, description="where the decay ends; Muon's ends at the same share of its peak"
    )
    schedule: Literal["warmup_cosine", "trapezoid", "constant"] = Field(
        "trapezoid", description="the learning rate's way; each warms up from 0"
    )
    warmup_steps: Annotated[int, Field(ge=0)] = Field(340, description="linear rise to the peak")
    cooldown_fraction: Annotated[float, Field(ge=0.0, le=1.0)] = Field(
        0.5, description="trapezoid: share of the steps after the warm-up that fall to the minimum"
    )
    weight_decay: Annotated[float, Field(ge=0.0)] = Field(0.1, description="on matrices only")
    cautious_weight_decay: bool = Field(
        False, description="decay only those weights that the update moves towards zero too"
    )
    beta1: Fraction = Field(0.9, description="AdamW")
    beta2: Fraction = Field(0.95, description="AdamW")
    eps: Annotated[float, Field(gt=0.0)] = Field(1e-8, description="AdamW")
    grad_clip: Annotated[float, Field(ge=0.0)] = Field(1.0, description="global norm; 0 is off")
    label_smoothing: Fraction = Field(
        0.0, description="share of the target spread over the vocabulary; in training only"
    )
    ema_decay: Fraction = Field(
        0.0, description="of a running mean of the weights, which is then what is kept; 0 is off"
    )
    early_stopping_patience: Annotated[int, Field(ge=0)] = Field(
        0, description="end after this many evaluations without a better one; 0 is off"
    )
    early_stopping_min_delta: Annotated[float, Field(ge=0.0)] = Field(
        0.0, description="nats per token that count as better"
    )
    outlier_sigmas: Annotated[float, Field(ge=0.0)] = Field(
        8.0, description="skip a step whose loss or gradient lies so far above the usual; 0 is off"
    )
    rollback_after: Count = Field(
        3, description="skipped steps in a row that lead back to the last state, at half the rate"
    )
    activation_checkpointing: bool = Field(False, description="recompute blocks: less memory")
    eval_every: Count = Field(200, description="steps between evaluations")
    eval_batches: Count = Field(50, description="at most this many batches of each source")
    log_every: Count = Field(10, description="steps between rows of metrics.csv")
    checkpoint_every: Count = Field(1000, description="steps between saved states")
    keep_checkpoints: Annotated[int, Field(ge=2)] = Field(2, description="step files that stay")
    trackers: list[Literal["tensorboard", "wandb"]] = Field(
        [], description="where the metrics go besides metrics.csv; each is an extra to install"
    )
    sample_prompts: list[str] = Field(
        ["Once upon a time", "The keeper"], description="continued at every evaluation"
    )
    sample_tokens: Count = Field(40, description="longest continuation of a sample prompt")
    best_metric: str = Field(
        "mix", description="what best.pt minimises: mix (shares of the mix) or one source's name"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.micro_batch_size and self.batch_size % self.micro_batch_size:
            raise ValueError(
                f"batch_size {self.batch_size} is not a multiple of "
                f"micro_batch_size {self.micro_batch_size}"
            )
        if self.min_learning_rate > self.learning_rate:
            raise ValueError(
                f"min_learning_rate {self.min_learning_rate:g} is above "
                f"learning_rate {self.learning_rate:g}"
            )
        return self


SFT_DEFAULTS = PhaseSettings(
    max_steps=6000,
    learning_rate=1e-4,
    muon_learning_rate=0.0018,
    min_learning_rate=1e-5,
    warmup_steps=120,
    weight_decay=0.05,
    sample_prompts=["Who are you?", "What is the capital of France?", "Where do I live?"],
)


class TrainingSettings(Section):
    """The two phases; they differ in numbers alone."""

    pretrain: PhaseSettings = PhaseSettings()
    sft: PhaseSettings = SFT_DEFAULTS
    report: bool = Field(True, description="write report.html and plots when a phase ends")
    sft_share: Fraction = Field(0.2, description="of the time that `pipeline --hours` trains")
