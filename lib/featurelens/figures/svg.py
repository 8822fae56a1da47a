"""Small figures written as SVG by hand: they follow their page's light or dark colours, and need no script.

Colours are classes of the page's style sheet; every figure has a title and a description for those who
cannot see it.
"""

import html
import math
from typing import NamedTuple

WIDTH = 680
LEFT, RIGHT, TOP, BOTTOM = 52, 16, 14, 44  # room around the plot
MOST_TICKS = 7


class Axis(NamedTuple):
    """A scale from values to pixels."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Pixel of a value, with one decimal."""
        low, high, at = (
            (math.log(v) for v in (self.low, self.high, value)) if self.log else (*self[:2], value)
        )
        return round(self.start + (self.end - self.start) * (at - low) / (high - low), 1)

    def ticks(self) -> list[float]:
        """Round numbers inside."""
        if self.log:
            tens = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            values = [step * 10.0**ten for ten in tens for step in (1, 2, 5)]
        else:
            rough = (self.high - self.low) / MOST_TICKS
            ten = 10.0 ** math.floor(math.log10(rough))
            step = next(step * ten for step in (1, 2, 5, 10) if step * ten >= rough)
            values = [n * step for n in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]
        return [value for value in values if self.low <= value <= self.high]


def across(low: float, high: float, log: bool = False) -> Axis:
    """The x axis."""
    return Axis(low, high, LEFT, WIDTH - RIGHT, log)


def upwards(low: float, high: float, height: int) -> Axis:
    """The y axis of a figure of ``height`` pixels."""
    return Axis(low, high, height - BOTTOM, TOP)


def figure(key: str, title: str, description: str, height: int, body: list[str]) -> str:
    """A complete SVG; ``title`` states what it shows, ``description`` says what is where."""
    named = f'<title id="{key}-title">{text(title)}</title><desc id="{key}-desc">{text(description)}</desc>'
    opening = f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="{key}-title {key}-desc">'
    return f"{opening}{named}{''.join(body)}</svg>"


def axes(x: Axis, y: Axis, below: str, beside: str) -> list[str]:
    """Grid lines, numbers and names of both axes."""
    bottom, parts = y.start, []
    for value in y.ticks():
        parts.append(line("grid", x.start, y(value), x.end, y(value)))
        parts.append(word(x.start - 6, y(value) + 4, f"{value:g}", "end"))
    for value in x.ticks():
        parts.append(line("tick", x(value), bottom, x(value), bottom + 4))
        parts.append(word(x(value), bottom + 17, f"{value:g}", "middle"))
    parts.append(line("axis", x.start, bottom, x.end, bottom))
    parts.append(word((x.start + x.end) / 2, bottom + 36, below, "middle"))
    middle = (y.start + y.end) / 2
    turned = f'transform="rotate(-90 13 {middle:g})"'
    return [*parts, f'<text x="13" y="{middle:g}" text-anchor="middle" {turned}>{text(beside)}</text>']


def line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    """A line of one class."""
    return f'<line class="{kind}" x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}"/>'


def word(x: float, y: float, words: str, anchor: str = "start", kind: str = "") -> str:
    """Text at a place."""
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{x:g}" y="{y:g}" text-anchor="{anchor}">{text(words)}</text>'


def mark(shape: str, kind: str, x: float, y: float, words: str) -> str:
    """A mark of one shape (circle, square, triangle, diamond); ``words`` appear on pointing at it."""
    corners = {
        "square": "-4.5,-4.5 4.5,-4.5 4.5,4.5 -4.5,4.5",
        "triangle": "0,-5.5 5,4 -5,4",
        "diamond": "0,-10 8,0 0,10 -8,0",
    }
    place = f'class="{kind}" transform="translate({x:g} {y:g})"'
    inside = f"<title>{text(words)}</title>"
    if shape == "circle":
        return f'<circle {place} r="5">{inside}</circle>'
    return f'<polygon {place} points="{corners[shape]}">{inside}</polygon>'


def text(words: str) -> str:
    """Safe inside a page."""
    return html.escape(words, quote=True)
