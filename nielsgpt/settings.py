"""Every knob with its default, type and one line of meaning: one frozen tree, one model's life."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Phase = Literal["pretrain", "sft"]
Share = Annotated[float, Field(gt=0.0, le=1.0)]
Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A frozen group of knobs that refuses names it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class TokenizerSettings(Section):
    """How text becomes ids."""

    kind: Literal["byte", "sentencepiece"] = Field(
        "sentencepiece", description="byte: one id per UTF-8 byte; sentencepiece: trained pieces"
    )
    vocab_size: Annotated[int, Field(ge=260, le=1_000_000)] = Field(
        8192, description="number of ids, the four special tokens included (byte: always 260)"
    )
    algorithm: Literal["bpe", "unigram"] = Field(
        "bpe", description="SentencePiece model; bpe exports whole, unigram does not"
    )
    training_characters: Count = Field(
        20_000_000, description="how many characters of the mixes the tokenizer is trained on"
    )


class PrimerSettings(Section):
    """How much nielsgpt invents from its own facts."""

    characters: Count = Field(8_000_000, description="characters of stories and almanac prose")
    dialogues: Count = Field(30_000, description="number of dialogues")


class TextSettings(Section):
    """Your own text for pretraining."""

    path: str = Field("data/raw/text", description="a .txt or .md file, or a folder of them")
    split_by: Literal["auto", "file", "chunk"] = Field(
        "auto", description="what goes to validation whole: files (auto: from 20 files on), chunks"
    )
    chunk_characters: Count = Field(
        4000, description="a chunk is whole paragraphs of about this many characters"
    )


class ChatSettings(Section):
    """Your own conversations for SFT."""

    path: str = Field("data/raw/chat.jsonl", description="a .jsonl file, or a folder of them")


class DataSettings(Section):
    """Which text, in which shares, cached where."""

    mix_pretrain: dict[str, Share] = Field(
        {"primer": 1.0}, description="share of each source in pretraining; the shares add up to 1"
    )
    mix_sft: dict[str, Share] = Field(
        {"primer": 1.0}, description="share of each source in SFT; the shares add up to 1"
    )
    val_fraction: Annotated[float, Field(gt=0.0, le=0.5)] = Field(
        0.02, description="share of each source's documents held out, chosen by hash of the text"
    )
    shard_bytes: Annotated[int, Field(ge=4096)] = Field(
        128 * 2**20, description="a cached stream is cut into files of at most this many bytes"
    )
    on_special_literal: Literal["fail", "escape"] = Field(
        "fail", description="what to do with text that spells a special token, in pretraining"
    )
    on_special_literal_sft: Literal["fail", "escape", "drop"] = Field(
        "fail", description="the same for conversations; drop leaves the conversation out"
    )
    cache_dir: str | None = Field(None, description="folder of the caches; none: data/cache/<name>")
    primer: PrimerSettings = PrimerSettings()
    text: TextSettings = TextSettings()
    chat: ChatSettings = ChatSettings()

    @model_validator(mode="after")
    def _shares_add_up(self) -> Self:
        for name in ("mix_pretrain", "mix_sft"):
            total = sum(getattr(self, name).values())
            if abs(total - 1.0) > 1e-6:
                raise ValueError(f"the shares of {name} add up to {total:g}, not to 1")
        return self


class ModelSettings(Section):
    """The shape of the network."""

    variant: Literal["gpt", "gpt_fast", "gpt_rope", "gpt_plus", "gpt_qk"] = Field(
        "gpt_qk", description="a row of the table in docs/architecture.md"
    )
    n_layer: Count = Field(8, description="number of blocks")
    n_head: Count = Field(6, description="attention heads per block")
    n_embd: Count = Field(384, description="width")
    context_length: Annotated[int, Field(ge=8)] = Field(512, description="tokens the model sees")
    d_ff: Count | None = Field(
        None, description="inner width of the MLP; none: 4 n_embd, for SwiGLU 8/3 n_embd up to 64"
    )
    dropout: Fraction = Field(0.0, description="on embeddings, attention and both branches")
    rope_theta: Annotated[float, Field(gt=1.0)] = Field(10_000.0, description="base of rotary")
    tied: bool = Field(True, description="the head shares the token embedding's weights")
    attention: Literal["auto", "plain", "fused"] = Field(
        "auto", description="plain operations or scaled_dot_product_attention; same meaning"
    )

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.n_embd % self.n_head:
            raise ValueError(f"n_embd {self.n_embd} is not a multiple of n_head {self.n_head}")
        if (self.n_embd // self.n_head) % 2:
            raise ValueError(
                f"the head width {self.n_embd // self.n_head} is odd; rotary needs even"
            )
        return self


class PhaseSettings(Section):
    """One phase of training: how long, how fast, how often it is examined and saved."""

    max_steps: Annotated[int, Field(ge=0)] = Field(17_000, description="optimizer steps in all")
    minutes: Annotated[float, Field(gt=0.0)] | None = Field(
        None, description="a time budget instead of max_steps; steps are planned from the speed"
    )
    init_from: str | None = Field(
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
        "adamw", description="adamw, or muon for the blocks' matrices and adamw for the rest"
    )
    learning_rate: Annotated[float, Field(gt=0.0)] = Field(3e-4, description="AdamW's peak")
    muon_learning_rate: Annotated[float, Field(gt=0.0)] = Field(0.02, description="Muon's peak")
    min_learning_rate: Annotated[float, Field(ge=0.0)] = Field(
        3e-5, description="where the decay ends; Muon's ends at the same share of its peak"
    )
    schedule: Literal["warmup_cosine", "trapezoid", "constant"] = Field(
        "warmup_cosine", description="the learning rate's way; each warms up from 0"
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


class GenerationSettings(Section):
    """How the next token is drawn."""

    max_new_tokens: Count = Field(256, description="longest reply")
    temperature: Annotated[float, Field(ge=0.0)] = Field(0.7, description="0 is greedy")
    top_k: Annotated[int, Field(ge=0)] = Field(50, description="keep the k likeliest; 0 is off")
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        1.0, description="keep the smallest set with this mass; 1 is off"
    )
    min_p: Fraction = Field(0.0, description="drop below this share of the likeliest; 0 is off")
    repetition_penalty: Annotated[float, Field(gt=0.0)] = Field(
        1.0, description="divides positive and multiplies negative logits of seen ids; 1 is off"
    )
    repetition_window: Annotated[int, Field(ge=0)] = Field(
        0, description="how many last ids the penalty sees; 0 is all"
    )
    stop_strings: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (), description="text that ends a reply, not shown"
    )
    seed: Annotated[int, Field(ge=0)] = Field(42, description="seeds the sampler, on the CPU")


class ExamSettings(Section):
    """The questions whose answers the project knows."""

    items_per_section: Count = Field(100, description="questions drawn for each section")
    replies: Count = Field(
        200, description="replies checked for an end token, half of them sampled"
    )


class DeviceSettings(Section):
    """Where and how precisely to compute."""

    device: Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")] = Field(
        "auto", description="auto|cpu|mps|cuda[:n]; auto takes cuda, then mps, then cpu"
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto", description="of the products; weights stay float32. auto: measured"
    )
    compile: Literal["auto", "on", "off"] = Field(
        "auto", description="torch.compile; auto: on where it works and gains"
    )
    threads: Annotated[int, Field(ge=0)] = Field(0, description="CPU threads; 0: measured")
    parallel: Literal["exact", "ddp", "fsdp"] = Field(
        "exact", description="how several processes share a step; exact: same bits as one"
    )
    measure: bool = Field(
        True, description="time what is left open on this machine, once; false: choose by rule"
    )


class Settings(Section):
    """One model's whole life."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")] = Field(
        "overnight", description="names the folders of the tokenizer, caches and checkpoints"
    )
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(42, description="of everything random")
    tokenizer: TokenizerSettings = TokenizerSettings()
    data: DataSettings = DataSettings()
    model: ModelSettings = ModelSettings()
    training: TrainingSettings = TrainingSettings()
    generation: GenerationSettings = GenerationSettings()
    exam: ExamSettings = ExamSettings()
    device: DeviceSettings = DeviceSettings()

    def phase(self, phase: Phase) -> PhaseSettings:
        """The training numbers of one phase."""
        return self.training.pretrain if phase == "pretrain" else self.training.sft

    def mix(self, phase: Phase) -> dict[str, float]:
        """The shares of one phase's sources."""
        return self.data.mix_pretrain if phase == "pretrain" else self.data.mix_sft
