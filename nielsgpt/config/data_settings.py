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
        description="one id per byte, character or frequent word; byte-level BPE; trained pieces",
    )
    vocab_size: Annotated[int, Field(ge=260, le=1_000_000)] = Field(
        8192, description="number of ids with the four special tokens (byte: 260; char: at most)"
    )
    algorithm: Literal["bpe", "unigram"] = Field(
        "bpe", description="SentencePiece model; bpe exports whole, unigram does not"
    )
    training_characters: Count = Field(
        20_000_000, description="how many characters of the mixes the tokenizer is trained on"
    )
    input_globs: list[PathText] = Field([], description="further files whose text it is trained on")
    include_wikitext: bool = Field(False, description="train it on WikiText too, whatever the mix")
    fineweb_bytes: Annotated[int, Field(ge=0)] = Field(
        0, description="train it on this many bytes of FineWeb-Edu too, whatever the mix"
    )


class CleaningSettings(Section):
    """Cleaning of the text of every pretraining source before it is tokenized."""

    sanitize: Literal["none", "ascii", "basic"] = Field(
        "none", description="ascii: without accents and other scripts; basic: common marks alone"
    )
    lowercase: bool = Field(False, description="fold to lower case")
    collapse_whitespace: bool = Field(False, description="one space, at most one blank line")


class DataSettings(Section):
    """Which text, in which shares, cached where."""

    mix_pretrain: dict[str, Share] = Field(
        {"primer": 1.0}, description="share of each source in pretraining; the shares add up to 1"
    )
    mix_sft: dict[str, Share] = Field(
        {"primer": 1.0},
        description="share of each source in SFT; the shares add up to 1. {}: pretraining alone",
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
    cache_dir: PathText | None = Field(
        None, description="folder of the caches; none: data/cache/<name>"
    )
    workers: Annotated[int, Field(ge=0)] = Field(
        0, description="processes that tokenize; 0: one a core; the bytes are the same"
    )
    optional: list[str] = Field(
        ["roam"], description="sources that are left out, with a line, where they are missing"
    )
    document_tokens: Literal["end", "both", "none"] = Field(
        "end", description="put the end token after each document, on both sides, or nowhere"
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
