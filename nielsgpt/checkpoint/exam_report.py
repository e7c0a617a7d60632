"""The exam's report: the content of checkpoints/<name>/exam.json, read back, shown as text."""

from pathlib import Path
from typing import NotRequired, TypedDict

from nielsgpt.system.atomic_files import read_json

EXAM_FILE, FINAL_FILE = "exam.json", "exam_final.json"
NEVER_KNOWING = 'always saying "I don\'t know" scores 100 % here: read it with the known facts'
NOTHING = "nothing to examine: the model was trained on no persona, and no cached text is here"


class SectionScore(TypedDict):
    """One section: right answers of all, the 95 % interval of their share, and chance."""

    section: str
    right: int
    total: int
    interval: list[float]
    chance: float


class WrongAnswer(TypedDict):
    """A question and the reply that was not right."""

    section: str
    question: str
    reply: str


class Verbatim(TypedDict):
    """The passages of a source that the model continues word for word for this many tokens: their
    number and that of all, on the training side and on the validation side."""

    source: str
    tokens: int
    train: list[int]
    val: list[int]


class ExamScores(TypedDict):
    """The scores by section, and the replies; `ended` counts those that the model closed itself."""

    sections: list[SectionScore]
    ended: int
    replies: int
    wrong: list[WrongAnswer]


class ExamReport(ExamScores):
    """The scores of exactly these weights; `inputs` is a fingerprint of all that decides them."""

    inputs: str
    weights_sha256: str | None
    checkpoint: str
    step: int
    verbatim: NotRequired[list[Verbatim]]


def read_report(path: Path) -> ExamReport | None:
    """The report in a file; None if there is none. Raises DataError where it is damaged."""
    report: ExamReport | None = read_json(path)
    return report if isinstance(report, dict) else None


def list_verbatim(exam: ExamReport) -> list[str]:
    """A line for each source of an exam: the passages that the model repeats word for word."""
    return [
        f"repeated word for word ({row['source']}, {row['tokens']} tokens): "
        f"{row['train'][0]} of {row['train'][1]} training passages, "
        f"{row['val'][0]} of {row['val'][1]} validation passages"
        for row in exam.get("verbatim", ())
    ]


def format_table(report: ExamReport) -> str:
    """The scores as lines of text."""
    if not report["sections"]:
        return NOTHING
    width = max(18, *(len(row["section"]) for row in report["sections"]))
    lines = [f"{'':{width}}  {'right':>9}  {'score':>6}  {'95 % interval':>15}  {'chance':>6}"]
    for row in report["sections"]:
        low, high = row["interval"]
        count = f"{row['right']}/{row['total']}"
        score = row["right"] / row["total"]
        interval = f"{low:.1%} - {high:.1%}"
        lines.append(
            f"{row['section']:{width}}  {count:>9}  {score:>6.1%}  {interval:>15}  "
            f"{row['chance']:>6.1%}"
        )
    if any(row["section"] == "far questions" for row in report["sections"]):
        lines.append(f"far questions: {NEVER_KNOWING}")
    lines += list_verbatim(report)
    if report["replies"]:
        ended = f"{report['ended']} of {report['replies']}"
        lines.append(f"replies that the model ended itself: {ended}")
    return "\n".join(lines)


def format_wrong_answers(report: ExamReport, most: int) -> str:
    """The first wrong answers, to look at."""
    rows = report["wrong"][:most]
    return "\n".join(f"{r['section']}: {r['question']} -> {r['reply']}" for r in rows)
