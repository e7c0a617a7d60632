"""Pictures as SVG text, drawn by hand: the same bytes for the same numbers, on bare Python."""

from collections.abc import Sequence
from html import escape

INK, PALE, BLUE = "#24292f", "#d0d7de", "#0969da"
POINTS = 13
Point = tuple[float, float]


def picture(width: float, height: float, parts: Sequence[str]) -> str:
    """The parts on a white sheet, as the text of a file."""
    size = f'width="{_n(width)}" height="{_n(height)}" viewBox="0 0 {_n(width)} {_n(height)}"'
    font = f'font-family="Helvetica, Arial, sans-serif" font-size="{POINTS}" fill="{INK}"'
    sheet = '<rect width="100%" height="100%" rx="6" fill="#ffffff"/>'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} {font}>'
    return "\n".join((head, sheet, *parts, "</svg>")) + "\n"


def text(
    at: Point, words: str, anchor: str = "middle", size: float = POINTS, color: str = INK
) -> str:
    """Words on a point, rimmed so that they can be read on a line; anchor start, middle or end."""
    rim = 'stroke="#ffffff" stroke-width="3" paint-order="stroke"'
    look = f'text-anchor="{anchor}" font-size="{_n(size)}" fill="{color}" {rim}'
    return f'<text x="{_n(at[0])}" y="{_n(at[1])}" {look}>{escape(words)}</text>'


def box(
    at: Point, width: float, height: float, fill: str, edge: str = "none", round_by: float = 0.0
) -> str:
    """A rectangle with its upper left corner at a point."""
    look = f'rx="{_n(round_by)}" fill="{fill}" stroke="{edge}"'
    place = f'x="{_n(at[0])}" y="{_n(at[1])}" width="{_n(width)}" height="{_n(height)}"'
    return f"<rect {place} {look}/>"


def line(points: Sequence[Point], color: str = INK, width: float = 1.0, dashes: str = "") -> str:
    """A line through the points."""
    way = " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
    look = f'fill="none" stroke="{color}" stroke-width="{_n(width)}" stroke-linejoin="round"'
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<polyline points="{way}" {look}{dashed}/>'


def arrow(start: Point, end: Point, color: str = INK) -> str:
    """A line with a head at its end."""
    (x, y), (dx, dy) = end, (end[0] - start[0], end[1] - start[1])
    length = (dx * dx + dy * dy) ** 0.5
    along, across = (8 * dx / length, 8 * dy / length), (-4 * dy / length, 4 * dx / length)
    corners = [
        (x - along[0] + side * across[0], y - along[1] + side * across[1]) for side in (1, -1)
    ]
    tip = " ".join(f"{_n(a)},{_n(b)}" for a, b in (end, *corners))
    return line([start, end], color) + f'<polygon points="{tip}" fill="{color}"/>'


def shade(share: float) -> str:
    """White at 0, blue at 1."""
    low, high = (255, 255, 255), (9, 105, 218)
    mixed = (round(a + (b - a) * share) for a, b in zip(low, high, strict=True))
    return "#" + "".join(f"{part:02x}" for part in mixed)


def _n(number: float) -> str:
    return f"{round(number, 1) + 0.0:.1f}".removesuffix(".0")
