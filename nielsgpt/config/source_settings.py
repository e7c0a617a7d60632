"""Settings of each source of text and conversations."""

from typing import Annotated, Literal

from pydantic import Field

from nielsgpt.config.section import Count, PathText, Section, Share


class PrimerSettings(Section):
    """Text and dialogues generated from a persona's facts."""

    persona: Annotated[PathText, Field(min_length=1)] = Field(
        "personas/niels.json",
        description="persona file: name, character and facts (docs/persona.md)",
    )
    characters: Count = Field(8_000_000, description="characters of generated prose")
    dialogues: Count = Field(30_000, description="number of generated dialogues")


class TextSettings(Section):
    """Your own text for pretraining."""

    path: PathText = Field("data/raw/text", description="a .txt or .md file, or a folder of them")
    split_by: Literal["auto", "file", "chunk"] = Field(
        "auto",
        description="unit of the validation split: file or chunk; auto: file from 20 files on",
    )
    chunk_characters: Count = Field(
        4000, description="characters per chunk, rounded to whole paragraphs"
    )


class ChatSettings(Section):
    """Your own conversations for SFT."""

    path: PathText = Field(
        "data/raw/chat.jsonl", description="a .jsonl or .json file, or a folder of them"
    )


class RoamSettings(Section):
    """Your own notes."""

    path: PathText = Field("data/.roam-data", description="a folder of .md files, at any depth")


class LinesSettings(Section):
    """A small text that is downloaded once, or your own copy of it."""

    path: PathText = Field(description="path of the file; downloaded if missing")
    url: str = Field(description="address to download it from")


class AncientSettings(Section):
    """Ancient texts of Project Gutenberg, through Gutendex, and a mix of them by share of words."""

    path: PathText = Field("data/raw/ancients", description="folder of the downloaded books")
    url: str = Field("https://gutendex.com/books", description="address of the catalog")
    author_year_end: int = Field(500, description="latest year of death of an author")
    languages: str = Field("en", description="languages of the books, separated by commas")
    delay_seconds: Annotated[float, Field(ge=0.0)] = Field(
        0.3, description="seconds between requests"
    )
    ancient_share: Share = Field(0.4, description="share of ancient texts in ancient_mix, by words")
    mixed_with: Literal["tinystories", "text", "primer"] = Field(
        "tinystories", description="the other source of ancient_mix"
    )
    target_total_words: Annotated[int, Field(ge=0)] = Field(
        0,
        description="words of ancient_mix; ancients repeat if too short; 0: as many as there are",
    )


class HubSettings(Section):
    """A dataset of the Hugging Face Hub."""

    dataset: str = Field(description="dataset on the Hub, as owner/name")
    config: str | None = Field(None, description="configuration of the dataset; null: its only one")
    revision: str | None = Field(
        None, description="commit, tag or branch of the dataset; null: the newest"
    )
    streaming: bool = Field(False, description="stream over the network without a copy on disk")
    shuffle_buffer: Annotated[int, Field(ge=0)] = Field(
        0, description="shuffle buffer of a stream in rows; 0: no shuffling"
    )
    train_tokens: Annotated[int, Field(ge=0)] = Field(
        0, description="training tokens to take; 0: all"
    )
    val_tokens: Annotated[int, Field(ge=0)] = Field(
        0, description="validation tokens to take; 0: by data.val_fraction"
    )


class DollySettings(HubSettings):
    """Instructions and answers written by people."""

    dataset: str = Field(
        "databricks/databricks-dolly-15k", description="dataset on the Hub, as owner/name"
    )
    revision: str | None = Field(
        "bdd27f4d94b9c1f951818a7da7fd7aeea5dbff1a",
        description="commit, tag or branch of the dataset",
    )
    include_system: bool = Field(False, description="start each conversation with a system message")


class OasstSettings(HubSettings):
    """Trees of messages; every path from root to leaf is a conversation."""

    dataset: str = Field("OpenAssistant/oasst1", description="dataset on the Hub, as owner/name")
    revision: str | None = Field(
        "fdf72ae0827c1cda404aff25b6603abec9e3399b",
        description="commit, tag or branch of the dataset",
    )
    english_only: bool = Field(True, description="skip messages in other languages")
    max_messages: Count = Field(32, description="maximum messages per conversation")
