"""Settings of each source of text and conversations."""

from typing import Annotated, Literal

from pydantic import Field

from nielsgpt.config.section import Count, PathText, Section, Share


class PrimerSettings(Section):
    """How much nielsgpt invents from a persona's facts."""

    persona: Annotated[PathText, Field(min_length=1)] = Field(
        "personas/niels.json", description="the file that says who the model is and what it knows"
    )
    characters: Count = Field(8_000_000, description="characters of stories and almanac prose")
    dialogues: Count = Field(30_000, description="number of dialogues")


class TextSettings(Section):
    """Your own text for pretraining."""

    path: PathText = Field("data/raw/text", description="a .txt or .md file, or a folder of them")
    split_by: Literal["auto", "file", "chunk"] = Field(
        "auto", description="what goes to validation whole: files (auto: from 20 files on), chunks"
    )
    chunk_characters: Count = Field(
        4000, description="a chunk is whole paragraphs of about this many characters"
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

    path: PathText = Field(description="where it lies, or is downloaded to")
    url: str = Field(description="where it is downloaded from when it is not there")


class AncientSettings(Section):
    """Ancient texts of Project Gutenberg, through Gutendex, and a mix of them by share of words."""

    path: PathText = Field(
        "data/raw/ancients", description="folder of the books and of manifest.csv"
    )
    url: str = Field("https://gutendex.com/books", description="the catalogue")
    author_year_end: int = Field(500, description="latest year in which an author died")
    languages: str = Field("en", description="languages of the books, separated by commas")
    delay_seconds: Annotated[float, Field(ge=0.0)] = Field(0.3, description="between requests")
    ancient_share: Share = Field(0.4, description="their share of the words of ancient_mix")
    mixed_with: Literal["tinystories", "text", "primer"] = Field(
        "tinystories", description="what ancient_mix holds besides"
    )
    target_total_words: Annotated[int, Field(ge=0)] = Field(
        0,
        description="words of ancient_mix; ancients repeat where they are short; 0: what is there",
    )


class HubSettings(Section):
    """A dataset of the Hugging Face Hub."""

    dataset: str = Field(description="owner/name")
    config: str | None = Field(None, description="configuration of the dataset; none: its only one")
    revision: str | None = Field(
        None, description="commit of the dataset; none: the newest, which the cache then names"
    )
    streaming: bool = Field(False, description="read it over the network, without a copy on disk")
    shuffle_buffer: Annotated[int, Field(ge=0)] = Field(
        0, description="rows among which a stream is shuffled; 0: in the dataset's order"
    )
    train_tokens: Annotated[int, Field(ge=0)] = Field(
        0, description="stop after about this many tokens for training; 0: everything"
    )
    val_tokens: Annotated[int, Field(ge=0)] = Field(
        0, description="and about this many for validation, in place of data.val_fraction"
    )


class DollySettings(HubSettings):
    """Instructions and answers written by people."""

    dataset: str = Field("databricks/databricks-dolly-15k", description="owner/name")
    revision: str | None = Field(
        "bdd27f4d94b9c1f951818a7da7fd7aeea5dbff1a", description="commit of the dataset"
    )
    include_system: bool = Field(False, description="open each with a plain system message")


class OasstSettings(HubSettings):
    """Conversations as trees of messages; every way from root to leaf is one."""

    dataset: str = Field("OpenAssistant/oasst1", description="owner/name")
    revision: str | None = Field(
        "fdf72ae0827c1cda404aff25b6603abec9e3399b", description="commit of the dataset"
    )
    english_only: bool = Field(True, description="leave out messages in other languages")
    max_messages: Count = Field(32, description="a longer conversation ends there")
