"""Every setting with its default, type and meaning, as one frozen tree."""

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

    variant: VariantName = Field(
        "gpt_qk", description="architecture; see the table in docs/architecture.md"
    )
    n_layer: Count = Field(8, description="number of blocks")
    n_head: Count = Field(6, description="attention heads per block; divides n_embd")
    n_embd: Count = Field(384, description="embedding width")
    context_length: Annotated[int, Field(ge=8)] = Field(
        512, description="maximum tokens in the context"
    )
    d_ff: Count | None = Field(
        None, description="MLP width; null: 4 n_embd, for SwiGLU 8/3 n_embd rounded up to 64"
    )
    dropout: Fraction = Field(
        0.0, description="dropout on embeddings, attention and residual branches"
    )
    rope_theta: Annotated[float, Field(gt=1.0)] = Field(
        10_000.0, description="base of the rotary position embedding"
    )
    tied: bool = Field(True, description="share the weights of the token embedding and lm_head")
    attention: Literal["auto", "plain", "fused"] = Field(
        "auto", description="plain or fused (scaled_dot_product_attention); auto: the faster one"
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
    """How the next token is sampled."""

    max_new_tokens: Count = Field(256, description="maximum tokens per reply")
    temperature: Annotated[float, Field(ge=0.0)] = Field(
        0.7, description="sampling temperature; 0 is greedy"
    )
    top_k: Annotated[int, Field(ge=0)] = Field(
        50, description="sample from the k most likely tokens; 0 is off"
    )
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        1.0, description="sample from the smallest set with this probability; 1 is off"
    )
    min_p: Fraction = Field(
        0.0, description="drop tokens below this share of the top probability; 0 is off"
    )
    repetition_penalty: Annotated[float, Field(gt=0.0)] = Field(
        1.0, description="above 1 makes repeated tokens less likely; 1 is off"
    )
    repetition_window: Annotated[int, Field(ge=0)] = Field(
        0, description="number of recent tokens that the penalty covers; 0 is all"
    )
    stop_strings: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (), description="texts that end a reply; not part of it"
    )
    seed: Annotated[int, Field(ge=0)] = Field(42, description="random seed for sampling")


class ExamSettings(Section):
    """The exam: questions with known answers."""

    items_per_section: Count = Field(
        100, description="questions per section, twice as many by hand"
    )
    replies: Count = Field(
        200,
        description="replies checked for an end token; half of them sampled, half greedy",
    )


class DeviceSettings(Section):
    """Where and how precisely to compute."""

    device: Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")] = Field(
        "auto", description="auto|cpu|mps|cuda[:n]; auto takes cuda, then mps, then cpu"
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto", description="precision of matrix products; weights stay float32; auto: the fastest"
    )
    compile: Literal["auto", "on", "off"] = Field(
        "auto",
        description="torch.compile; auto: in training, if faster; on: also in chat and serve",
    )
    threads: Annotated[int, Field(ge=0)] = Field(
        0, description="CPU threads; 0: the fastest number"
    )
    weights: Literal["auto", "float32", "bfloat16", "int8"] = Field(
        "auto", description="weight format in chat, sample and serve; auto: the fastest"
    )
    parallel: Literal["exact", "ddp", "fsdp"] = Field(
        "exact", description="how processes divide a step; exact: the same bits as one process"
    )
    measure: bool = Field(
        True, description="autotune everything on auto once per machine; false: choose by rule"
    )


class ServeSettings(Section):
    """The server: its address and limits."""

    host: str = Field("127.0.0.1", description="address to listen on; others need an API key")
    port: Annotated[int, Field(ge=0, lt=2**16)] = Field(
        8000, description="port to listen on; 0 takes any free one"
    )
    streams: Count = Field(64, description="replies generated at the same time")
    waiting: Annotated[int, Field(ge=0)] = Field(
        64, description="requests waiting in the queue; further ones get 429"
    )
    body_bytes: Count = Field(1_048_576, description="maximum size of a request body in bytes")
    origins: tuple[str, ...] = Field(
        (), description="origins of other sites that may call the API (CORS)"
    )
    hosts: tuple[str, ...] = Field((), description="additional allowed host names")
    header_s: Seconds = Field(10.0, description="time limit for request headers in seconds")
    body_s: Seconds = Field(30.0, description="time limit for the request body in seconds")
    stall_s: Seconds = Field(
        30.0, description="seconds until a client that stops reading is disconnected"
    )


class Settings(Section):
    """All settings of one model."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")] = Field(
        "overnight", description="name of the model and of its folders"
    )
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(42, description="random seed")
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
        """The training settings of one phase."""
        return self.training.pretrain if phase == "pretrain" else self.training.sft

    def mix(self, phase: Phase) -> dict[str, float]:
        """The shares of one phase's sources."""
        return self.data.mix_pretrain if phase == "pretrain" else self.data.mix_sft
