"""The exam's report: the content of checkpoints/<name>/exam.json, read back, shown as text."""

from pathlib import Path
from typing import TypedDict

from nielsgpt.system.atomic_files import read_json

EXAM_FILE, FINAL_FILE = "exam.json", "exam_final.json"
NEVER_KNOWING = 'always saying "I don\'t know" scores 100 % here: read it with the known facts'


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


def read_report(path: Path) -> ExamReport | None:
    """The report in a file; None if there is none. Raises DataError where it is damaged."""
    report: ExamReport | None = read_json(path)
    return report if isinstance(report, dict) else None


def format_table(report: ExamReport) -> str:
    """The scores as lines of text."""
    lines = [f"{'':18}  {'right':>9}  {'score':>6}  {'95 % interval':>15}  {'chance':>6}"]
    for row in report["sections"]:
        low, high = row["interval"]
        count = f"{row['right']}/{row['total']}"
        score = row["right"] / row["total"]
        interval = f"{low:.1%} - {high:.1%}"
        lines.append(
            f"{row['section']:18}  {count:>9}  {score:>6.1%}  {interval:>15}  {row['chance']:>6.1%}"
        )
    if any(row["section"] == "far questions" for row in report["sections"]):
        lines.append(f"far questions: {NEVER_KNOWING}")
    lines.append(f"replies that the model ended itself: {report['ended']} of {report['replies']}")
    return "\n".join(lines)


def format_wrong_answers(report: ExamReport, most: int) -> str:
    """The first wrong answers, to look at."""
    rows = report["wrong"][:most]
    return "\n".join(f"{r['section']}: {r['question']} -> {r['reply']}" for r in rows)
