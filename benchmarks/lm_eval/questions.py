"""The exam's questions as multiple choice, for lm-evaluation-harness: JSON lines.

    python benchmarks/lm_eval/questions.py runs/questions.jsonl

Of each question on facts or arithmetic: the answer among four, the rivals of the exam drawn with
a seed. The wordings are the exam's, which no training text holds.
"""

import json
import random
import sys
from pathlib import Path

from nielsgpt.data.primer import exam_items
from nielsgpt.data.primer.persona import load_persona
from nielsgpt.system.atomic_files import write_text

SECTIONS = ("known facts", "prose-only facts", "arithmetic")
CHOICES = 4  # or fewer, where there are no more rivals


def main() -> None:
    """Write the questions to the named file."""
    known = load_persona("personas/niels.json")
    lines = []
    for item in exam_items.items(known, seed=42, per_section=100):
        if item.section in SECTIONS:
            rng = random.Random(item.conversation.messages[-1].content)
            choices = [
                item.answers[0],
                *rng.sample(item.rivals, min(CHOICES - 1, len(item.rivals))),
            ]
            rng.shuffle(choices)
            row = {
                "section": item.section,
                "question": item.conversation.messages[-1].content,
                "choices": [f"{choice[0].upper()}{choice[1:]}." for choice in choices],
                "answer": choices.index(item.answers[0]),
            }
            lines.append(json.dumps(row))
    write_text(Path(sys.argv[1]), "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
