"""Unicode scripts: which script a character belongs to, and sample sentences in each."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

CODE = '''\
def largest(values: list[int]) -> int:
    """The largest of the values, or 0 if there are none."""
    best = 0
    for index, value in enumerate(values):
        if value > best and index != len(values):
            best = value  # keep it
    return best

<p class="note">{{ user.name }}</p>
SELECT name, count(*) FROM boats WHERE length >= 12 GROUP BY name;
'''


@dataclass(frozen=True)
class Script:
    """The code points of a script, as (first, last) ranges, and a sample text."""

    ranges: tuple[tuple[int, int], ...]
    sample: str


SCRIPTS = {
    "Latin": Script(
        ((0x41, 0x5A), (0x61, 0x7A), (0xC0, 0x24F), (0x1E00, 0x1EFF)),
        "The boat came back before the storm, and nobody asked why. Das Mädchen fand über Nacht "
        "einen Schlüssel. L'été dernier, la mer était froide. Mañana lloverá en las islas.",
    ),
    "Greek": Script(
        ((0x370, 0x3FF), (0x1F00, 0x1FFF)),
        "Το καράβι γύρισε πριν από την καταιγίδα και κανείς δεν ρώτησε γιατί. "  # noqa: RUF001
        "Ο φάρος ανάβει κάθε βράδυ.",  # noqa: RUF001
    ),
    "Cyrillic": Script(
        ((0x400, 0x52F),),
        "Лодка вернулась перед бурей, и никто не спросил почему. Маяк загорается каждый вечер.",
    ),
    "Arabic": Script(
        ((0x600, 0x6FF), (0x750, 0x77F)),
        "عاد القارب قبل العاصفة ولم يسأل أحد عن السبب. تضيء المنارة كل مساء.",
    ),
    "Devanagari": Script(
        ((0x900, 0x97F),),
        "नाव तूफान से पहले लौट आई और किसी ने कारण नहीं पूछा। दीपस्तंभ हर शाम जलता है।",
    ),
    "CJK": Script(
        ((0x3040, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xAC00, 0xD7AF), (0xF900, 0xFAFF)),
        "船在暴风雨之前回来了,没有人问为什么。"
        "灯台は毎晩明かりをともす。배는 폭풍이 오기 전에 돌아왔다.",
    ),
    "emoji": Script(((0x2600, 0x27BF), (0x1F300, 0x1FAFF)), "🌊⛵😀 👍🏽 👩‍🔧 🇵🇪 ❤️ 🎉🎉 🐟"),
    "digits": Script(
        ((0x30, 0x39),), "1 24 365 1969 2026 3.14159 1,048,576 007 10:45 +51 999 123 4567 86.4 0.5"
    ),
    "code": Script((), CODE),
}
OTHER = len(SCRIPTS)


@cache
def _range_table() -> tuple[NDArray[np.int64], NDArray[np.int8]]:
    """The code points at which a range starts or ends, and the script from there on."""
    spans = [
        (first, last + 1, number)
        for number, script in enumerate(SCRIPTS.values())
        for first, last in script.ranges
    ]
    script_from = {0: OTHER}
    for first, end, number in sorted(spans):
        script_from[first] = number
        script_from[end] = OTHER
    return np.array(list(script_from), np.int64), np.array(list(script_from.values()), np.int8)


def classify_bytes(text: str) -> NDArray[np.int8]:
    """(bytes of the text,) the index into SCRIPTS of each UTF-8 byte.

    Spaces and punctuation belong to the letter that follows, as in a tokenizer's pieces; they are
    OTHER if no letter of these scripts follows.
    """
    points = np.frombuffer(text.encode("utf-32-le"), "<u4")
    starts, scripts = _range_table()
    script = scripts[np.searchsorted(starts, points, side="right") - 1]
    next_letter = np.where(script == OTHER, len(points), np.arange(len(points)))
    next_letter = np.minimum.accumulate(next_letter[::-1])[::-1]
    script = np.append(script, np.int8(OTHER))[next_letter]
    widths = 1 + np.searchsorted([0x80, 0x800, 0x10000], points, side="right")
    return np.asarray(np.repeat(script, widths))
