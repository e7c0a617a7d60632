"""Settings of the tokenizer, the mixes of sources and their caches."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from nielsgpt.config.section import Count, PathText, Section, Share
from nielsgpt.config.source_settings import (
    AncientSettings,
    ChatSettings,
    DollySettings,
    HubSettings,
    LinesSettings,
    OasstSettings,
    PrimerSettings,
    RoamSettings,
    TextSettings,
)


class TokenizerSettings(Section):
    """How text becomes ids."""

    kind: Literal["byte", "char", "word", "bpe", "sentencepiece"] = Field(
        "sentencepiece",
        description="kind of tokenizer; see docs/tokenizers.md",
    )
    vocab_size: Annotated[int, Field(ge=260, le=1_000_000)] = Field(
        8192,
        description="vocabulary size, special tokens included (byte: always 260; char: at most)",
    )
    algorithm: Literal["bpe", "unigram"] = Field(
        "bpe", description="SentencePiece model; unigram cannot be exported to GGUF"
    )
    training_characters: Count = Field(
        20_000_000, description="characters of the mixes to train the tokenizer on"
    )
    input_globs: list[PathText] = Field(
        [], description="more files to train the tokenizer on, as glob patterns"
    )
    include_wikitext: bool = Field(False, description="train the tokenizer on WikiText too")
    fineweb_bytes: Annotated[int, Field(ge=0)] = Field(
        0, description="train the tokenizer on this many bytes of FineWeb-Edu too"
    )


class CleaningSettings(Section):
    """Cleaning of the text of every pretraining source before it is tokenized."""

    sanitize: Literal["none", "ascii", "basic"] = Field(
        "none",
        description="ascii: drop accents and other scripts; basic: also rare punctuation",
    )
    lowercase: bool = Field(False, description="convert to lower case")
    collapse_whitespace: bool = Field(
        False, description="collapse runs of spaces and of blank lines"
    )


class DataSettings(Section):
    """The sources of data, their shares and their caches."""

    mix_pretrain: dict[str, Share] = Field(
        {"primer": 1.0}, description="share of each source in pretraining; sums to 1"
    )
    mix_sft: dict[str, Share] = Field(
        {"primer": 1.0},
        description="share of each source in SFT; sums to 1. {}: pretraining alone",
    )
    val_fraction: Annotated[float, Field(gt=0.0, le=0.5)] = Field(
        0.02, description="share of each source's documents held out for validation"
    )
    shard_bytes: Annotated[int, Field(ge=4096)] = Field(
        128 * 2**20, description="maximum size of a cache file in bytes"
    )
    on_special_literal: Literal["fail", "escape"] = Field(
        "fail", description="pretraining text that spells a special token: stop, or escape it"
    )
    on_special_literal_sft: Literal["fail", "escape", "drop"] = Field(
        "fail", description="the same for conversations; drop: skip the conversation"
    )
    cache_dir: PathText | None = Field(
        None, description="folder of the caches; null: data/cache/<name>"
    )
    workers: Annotated[int, Field(ge=0)] = Field(
        0, description="processes for tokenizing; 0: one per core"
    )
    optional: list[str] = Field(
        ["roam"], description="sources to skip with a warning if they are missing"
    )
    document_tokens: Literal["end", "both", "none"] = Field(
        "end", description="where to put the end token: after each document, on both sides, nowhere"
    )
    cleaning: CleaningSettings = CleaningSettings()
    primer: PrimerSettings = PrimerSettings()
    text: TextSettings = TextSettings()
    chat: ChatSettings = ChatSettings()
    roam: RoamSettings = RoamSettings()
    names: LinesSettings = LinesSettings(
        path="data/raw/names.txt",
        url="https://raw.githubusercontent.com/karpathy/makemore/master/names.txt",
    )
    alice: LinesSettings = LinesSettings(
        path="data/raw/alice.txt", url="https://www.gutenberg.org/files/11/11-0.txt"
    )
    ancients: AncientSettings = AncientSettings()
    wikitext: HubSettings = HubSettings(
        dataset="Salesforce/wikitext",
        config="wikitext-103-raw-v1",
        revision="b08601e04326c79dfdd32d625aee71d232d685c3",
    )
    fineweb_edu: HubSettings = HubSettings(
        dataset="HuggingFaceFW/fineweb-edu",
        config="CC-MAIN-2024-10",
        revision="87f09149ef4734204d70ed1d046ddc9ca3f2b8f9",
        streaming=True,
        shuffle_buffer=10_000,
        train_tokens=200_000_000,
        val_tokens=5_000_000,
    )
    gutenberg: HubSettings = HubSettings(
        dataset="nikolina-p/gutenberg_clean_en_splits",
        streaming=True,
        shuffle_buffer=10_000,
        train_tokens=200_000_000,
        val_tokens=5_000_000,
    )
    tinystories: HubSettings = HubSettings(
        dataset="roneneldan/TinyStories", revision="f54c09fd23315a6f9c86f9dc80f725de7d8f9c64"
    )
    dolly: DollySettings = DollySettings()
    oasst1: OasstSettings = OasstSettings()

    @model_validator(mode="after")
    def _shares_add_up(self) -> Self:
        for name in ("mix_pretrain", "mix_sft"):
            mix = getattr(self, name)
            total = sum(mix.values())
            if abs(total - 1.0) > 1e-6 and (mix or name == "mix_pretrain"):
                raise ValueError(f"the shares of {name} add up to {total:g}, not to 1")
        return self
