"""Settings of the two phases of training."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from nielsgpt.config.section import Count, Fraction, PathText, Section


class PhaseSettings(Section):
    """Settings of one training phase."""

    max_steps: Annotated[int, Field(ge=0)] = Field(17_000, description="total optimizer steps")
    minutes: Annotated[float, Field(gt=0.0)] | None = Field(
        None, description="time budget in minutes instead of max_steps"
    )
    init_from: PathText | None = Field(
        None,
        description="checkpoint to load the initial weights from; null: random, or for SFT "
        "pretraining's best.pt",
    )
    init_strict: bool = Field(
        True, description="refuse weights of another shape; false: load matching tensors"
    )
    batch_size: Count = Field(64, description="rows per optimizer step")
    micro_batch_size: Annotated[int, Field(ge=0)] = Field(
        0, description="rows computed at once; divides batch_size, same result; 0: the fastest"
    )
    optimizer: Literal["adamw", "muon"] = Field(
        "muon", description="adamw, or muon for the matrices of the blocks and adamw for the rest"
    )
    learning_rate: Annotated[float, Field(gt=0.0)] = Field(
        3e-4, description="peak learning rate of AdamW"
    )
    muon_learning_rate: Annotated[float, Field(gt=0.0)] = Field(
        0.02, description="peak learning rate of Muon"
    )
    min_learning_rate: Annotated[float, Field(ge=0.0)] = Field(
        3e-5, description="final learning rate of AdamW; Muon decays by the same factor"
    )
    schedule: Literal["warmup_cosine", "trapezoid", "constant"] = Field(
        "trapezoid", description="learning-rate schedule; all start with a linear warm-up"
    )
    warmup_steps: Annotated[int, Field(ge=0)] = Field(340, description="steps of linear warm-up")
    cooldown_fraction: Annotated[float, Field(ge=0.0, le=1.0)] = Field(
        0.5, description="trapezoid: share of the steps after warm-up spent in the cooldown"
    )
    weight_decay: Annotated[float, Field(ge=0.0)] = Field(
        0.1, description="weight decay, on matrices only"
    )
    cautious_weight_decay: bool = Field(
        False, description="decay only weights that the update also moves towards zero"
    )
    beta1: Fraction = Field(0.9, description="beta1 of AdamW")
    beta2: Fraction = Field(0.95, description="beta2 of AdamW")
    eps: Annotated[float, Field(gt=0.0)] = Field(1e-8, description="epsilon of AdamW")
    grad_clip: Annotated[float, Field(ge=0.0)] = Field(
        1.0, description="clip the global gradient norm to this; 0 is off"
    )
    label_smoothing: Fraction = Field(0.0, description="label smoothing, in training only")
    ema_decay: Fraction = Field(
        0.0,
        description="decay of an EMA of the weights, which is evaluated and used in chat; 0 is off",
    )
    early_stopping_patience: Annotated[int, Field(ge=0)] = Field(
        0, description="stop after this many evaluations without improvement; 0 is off"
    )
    early_stopping_min_delta: Annotated[float, Field(ge=0.0)] = Field(
        0.0, description="nats per token that count as an improvement"
    )
    outlier_sigmas: Annotated[float, Field(ge=0.0)] = Field(
        8.0,
        description="skip a step with loss or gradient this far above recent ones; 0 is off",
    )
    rollback_after: Count = Field(
        3,
        description="skipped steps in a row before a rollback at half the learning rate",
    )
    activation_checkpointing: bool = Field(
        False, description="recompute activations in the backward pass: less memory, slower"
    )
    eval_every: Count = Field(200, description="steps between evaluations")
    eval_batches: Count = Field(50, description="maximum batches per source and evaluation")
    log_every: Count = Field(10, description="steps between rows of metrics.csv")
    checkpoint_every: Count = Field(1000, description="steps between checkpoints")
    keep_checkpoints: Annotated[int, Field(ge=2)] = Field(
        2, description="number of checkpoints to keep"
    )
    trackers: list[Literal["tensorboard", "wandb"]] = Field(
        [], description="log metrics to these too; each is an optional package"
    )
    sample_prompts: list[str] = Field(
        ["Once upon a time", "The keeper"], description="prompts to continue at every evaluation"
    )
    sample_tokens: Count = Field(40, description="maximum tokens per sample")
    best_metric: str = Field(
        "mix",
        description="validation loss that best.pt minimizes: mix (weighted by share) or a source",
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
    """The two training phases; they have the same settings."""

    pretrain: PhaseSettings = PhaseSettings()
    sft: PhaseSettings = SFT_DEFAULTS
    report: bool = Field(True, description="write report.html and plots at the end of a phase")
    sft_share: Fraction = Field(0.2, description="share of the time of `pipeline --hours` for SFT")
