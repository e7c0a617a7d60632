"""Small datasets in the files, folders and columns of the real ones on the Hub."""

import io
import json
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Files = dict[str, bytes]
WORDS = ("lamp", "boat", "rope", "gull", "coin", "reef", "stair", "storm")


def parquet(rows: list[dict[str, Any]], row_group_size: int = 100) -> bytes:
    """The rows as one parquet file."""
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), file, row_group_size=row_group_size)
    return file.getvalue()


def card(configs: dict[str, dict[str, str]]) -> bytes:
    """A README.md whose head says which files are which split of which configuration."""
    lines = ["---", "configs:"]
    for config, splits in configs.items():
        lines += [f"- config_name: {config}", "  data_files:"]
        for split, path in splits.items():
            lines += [f"  - split: {split}", f"    path: {path}"]
    return "\n".join([*lines, "---", "# small", ""]).encode()


def story(number: int, length: int = 30) -> str:
    """A text that no other number has."""
    words = (WORDS[(number * 7 + place * (number + 3)) % len(WORDS)] for place in range(length))
    return f"Story {number}: the " + " ".join(words) + "."


def wikitext(articles: int = 30) -> Files:
    """Lines of articles; a blank line before and after each heading; two configurations."""

    def lines(first: int, count: int) -> list[dict[str, Any]]:
        found = [""]
        for number in range(first, first + count):
            found += [f" = Title {number} = \n", "", f" {story(number)} \n", f" More {number}. \n"]
            found += ["", f" = = Part of {number} = = \n", "", f" {story(number + 999)} \n", ""]
        return [{"text": line} for line in found]

    configs = ("wikitext-103-raw-v1", "wikitext-2-raw-v1")
    names = {"train": "train-*", "validation": "validation-*", "test": "test-*"}
    files = {"README.md": card({c: {s: f"{c}/{n}" for s, n in names.items()} for c in configs})}
    for config in configs:
        half = articles // 2
        files |= {
            f"{config}/train-00000-of-00002.parquet": parquet(lines(0, half)),
            f"{config}/train-00001-of-00002.parquet": parquet(lines(half, articles - half)),
            f"{config}/validation-00000-of-00001.parquet": parquet(lines(5000, 4)),
            f"{config}/test-00000-of-00001.parquet": parquet(lines(6000, 4)),
        }
    return files


def tinystories(stories: int = 60) -> Files:
    """Two splits in data/, and beside them the plain files that nobody asked for."""
    rows = [{"text": story(number)} for number in range(stories + 8)]
    return {
        "README.md": card(
            {"default": {"train": "data/train-*", "validation": "data/validation-*"}}
        ),
        "TinyStories-train.txt": b"never read\n",
        "data/train-00000-of-00001-2d5a1467fff1081b.parquet": parquet(rows[:stories]),
        "data/validation-00000-of-00001-869c898b519ad725.parquet": parquet(rows[stories:]),
    }


def fineweb_edu(pages: int = 120, files: int = 2) -> Files:
    """One split, in files of many row groups."""
    dump = "CC-MAIN-2024-10"
    rows = [
        {
            "text": story(number),
            "id": f"<urn:uuid:{number}>",
            "dump": dump,
            "url": f"https://example.org/{number}",
            "file_path": "s3://commoncrawl/crawl-data",
            "language": "en",
            "language_score": 0.98,
            "token_count": 40,
            "score": 3.1,
            "int_score": 3,
        }
        for number in range(pages)
    ]
    found = {"README.md": card({dump: {"train": f"data/{dump}/*"}})}
    for index in range(files):
        name = f"data/{dump}/train-{index:05d}-of-{files:05d}.parquet"
        found[name] = parquet(rows[index::files], row_group_size=10)
    return found


def gutenberg(books: int = 12) -> Files:
    """Three splits in folders of their own."""
    splits = ("train", "validation", "test")
    found = {"README.md": card({"default": {split: f"data/{split}/*" for split in splits}})}
    for index, split in enumerate(splits):
        rows = [{"id": n, "text": story(10_000 * index + n, 200)} for n in range(books)]
        found[f"data/{split}/{split}-00000.parquet"] = parquet(rows)
    return found


def dolly(rows: int = 40) -> Files:
    """JSON lines, and no word on configurations."""
    lines = [
        {
            "instruction": f"What is a {WORDS[n % 8]} for, number {n}?",
            "context": f"There are {n} of them." if n % 2 else "",
            "response": f"For work {n}.",
            "category": "closed_qa" if n % 2 else "open_qa",
        }
        for n in range(rows)
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    return {
        "README.md": b"---\nlicense: cc-by-sa-3.0\n---\n",
        "databricks-dolly-15k.jsonl": text.encode(),
    }


def message(
    name: str, parent: str | None, role: str, text: str, lang: str = "en", tree: str = "t"
) -> dict[str, Any]:
    """A row of oasst1."""
    return {
        "message_id": name,
        "parent_id": parent,
        "user_id": "u",
        "created_date": datetime(2023, 2, 5).isoformat(),
        "text": text,
        "role": role,
        "lang": lang,
        "review_count": 3,
        "review_result": True,
        "deleted": False,
        "rank": None if role == "prompter" else 0,
        "synthetic": False,
        "model_name": None,
        "detoxify": {"toxicity": 0.0004, "insult": 0.0002},
        "message_tree_id": tree,
        "tree_state": "ready_for_export",
        "emojis": {"name": ["+1"], "count": [1]},
        "labels": {"name": ["quality"], "value": [0.75], "count": [3]},
    }


def oasst1(trees: int = 30) -> Files:
    """Trees of a question, two answers, and a second question below the first of them."""
    rows = []
    for n in range(trees):
        tree, lang = f"t{n}", "de" if n % 5 == 4 else "en"
        rows += [
            message(tree, None, "prompter", f"Where is {story(n, 5)}", lang, tree),
            message(f"{tree}a", tree, "assistant", f"Here, {n}.", lang, tree),
            message(f"{tree}b", tree, "assistant", f"There, {n}.", lang, tree),
            message(f"{tree}ap", f"{tree}a", "prompter", "And then?", lang, tree),
            message(f"{tree}apa", f"{tree}ap", "assistant", f"Then {n + 1}.", lang, tree),
        ]
    cut = 5 * (trees - 4)
    return {
        "README.md": card(
            {"default": {"train": "data/train-*", "validation": "data/validation-*"}}
        ),
        "2023-04-12_oasst_all.messages.jsonl.gz": b"never read",
        "data/train-00000-of-00001-b42a775f407cee45.parquet": parquet(rows[:cut]),
        "data/validation-00000-of-00001-134b8fd0c89408b6.parquet": parquet(rows[cut:]),
    }


DATASETS = {
    "Salesforce/wikitext": wikitext,
    "HuggingFaceFW/fineweb-edu": fineweb_edu,
    "nikolina-p/gutenberg_clean_en_splits": gutenberg,
    "roneneldan/TinyStories": tinystories,
    "databricks/databricks-dolly-15k": dolly,
    "OpenAssistant/oasst1": oasst1,
}
