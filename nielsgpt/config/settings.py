"""Every knob with its default, type and one line of meaning: one frozen tree, one model's life."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from nielsgpt.config.data_settings import DataSettings, TokenizerSettings
from nielsgpt.config.section import PHASES, Count, Fraction, Phase, Seconds, Section
from nielsgpt.config.training_settings import PhaseSettings, TrainingSettings

__all__ = [
    "PHASES",
    "DataSettings",
    "DeviceSettings",
    "ExamSettings",
    "GenerationSettings",
    "ModelSettings",
    "Phase",
    "PhaseSettings",
    "ServeSettings",
    "Settings",
    "TokenizerSettings",
    "TrainingSettings",
    "VariantName",
]
VariantName = Literal["gpt", "gpt_fast", "gpt_rope", "gpt_plus", "gpt_qk"]


class ModelSettings(Section):
    """The shape of the network."""

    variant: VariantName = Field("gpt_qk", description="a row of the table in docs/architecture.md")
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
        "auto", description="torch.compile; auto: in training, where it gains; on: in chats too"
    )
    threads: Annotated[int, Field(ge=0)] = Field(0, description="CPU threads; 0: measured")
    weights: Literal["auto", "float32", "bfloat16", "int8"] = Field(
        "auto", description="of a model that chats or serves; auto: the fastest here, measured"
    )
    parallel: Literal["exact", "ddp", "fsdp"] = Field(
        "exact", description="how several processes share a step; exact: same bits as one"
    )
    measure: bool = Field(
        True, description="time what is left open on this machine, once; false: choose by rule"
    )


class ServeSettings(Section):
    """The server of `nielsgpt serve`: where it listens and what it bears."""

    host: str = Field("127.0.0.1", description="address to listen at; another needs a key")
    port: Annotated[int, Field(ge=0, lt=2**16)] = Field(8000, description="0 takes any free one")
    streams: Count = Field(64, description="replies generated at the same time")
    waiting: Annotated[int, Field(ge=0)] = Field(
        64, description="requests that wait for their turn; more are told to come back"
    )
    body_bytes: Count = Field(1_048_576, description="longest body of a request")
    origins: tuple[str, ...] = Field((), description="other sites whose pages may call")
    hosts: tuple[str, ...] = Field((), description="further names that it may be called by")
    header_s: Seconds = Field(10.0, description="seconds for the headers of a request")
    body_s: Seconds = Field(30.0, description="seconds for the body of a request")
    stall_s: Seconds = Field(30.0, description="seconds that a reader may take nothing")


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
    serve: ServeSettings = ServeSettings()

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The phases that have something to train on: SFT may have no mix."""
        return tuple(phase for phase in PHASES if self.mix(phase))

    def phase(self, phase: Phase) -> PhaseSettings:
        """The training numbers of one phase."""
        return self.training.pretrain if phase == "pretrain" else self.training.sft

    def mix(self, phase: Phase) -> dict[str, float]:
        """The shares of one phase's sources."""
        return self.data.mix_pretrain if phase == "pretrain" else self.data.mix_sft
