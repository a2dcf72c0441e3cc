"""Lines, bars and numbers as HTML and SVG."""

import html
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

COLOURS = ("#7eb26d", "#eab839", "#6ed0e0", "#ef843c", "#e24d42", "#1f78c1", "#ba43a9", "#705da0", "#508642", "#cca300")
EVEN = (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10)
LEFT, TOP, RIGHT, BOTTOM = 58, 28, 12, 62
MOST_BARS = 8


@dataclass(frozen=True)
class Line:
    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Frame:
    """A chart's place, its time and what its values are."""

    width: int
    height: int
    start: float
    end: float
    step: float
    unit: str
    highest: float

    def x(self, at: float) -> float:
        return LEFT + (at - self.start) / (self.end - self.start) * (self.width - LEFT - RIGHT)

    def y(self, value: float) -> float:
        bottom = self.height - BOTTOM
        return bottom - value / self.highest * (bottom - TOP)


def in_unit(value: float, unit: str) -> str:
    match unit:
        case "percentunit":
            return f"{value * 100:.3g} %"
        case "s":
            return next(
                (f"{value / size:.3g} {name}" for size, name in ((3600, "h"), (60, "min"), (1, "s")) if value >= size),
                f"{value * 1000:.3g} ms",
            )
        case "reqps":
            return f"{value:.3g}/s"
        case "celsius":
            return f"{value:.3g} °C"
        case _:
            return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def even(most: float) -> float:
    """The next number above that has four even parts."""
    if most <= 0:
        return 1.0
    size = 10 ** math.floor(math.log10(most))
    return float(next(size * part for part in EVEN if size * part >= most))


def stacked(lines: Sequence[Line]) -> list[Line]:
    """Each upon those before it."""
    reached: dict[float, float] = {}
    found = []
    for line in lines:
        for at, value in line.points:
            reached[at] = reached.get(at, 0.0) + value
        found.append(Line(line.name, [(at, reached[at]) for at, _ in line.points]))
    return found


def chart(lines: Sequence[Line], frame: Frame, *, filled: bool) -> str:
    # What lies on top is drawn first, so that what is below it is seen.
    numbered = [*enumerate(lines)]
    parts = [*_grid(frame)]
    for number, line in reversed(numbered) if filled else numbered:
        parts += _drawn(line, COLOURS[number % len(COLOURS)], frame, filled=filled)
    size = f'width="{frame.width}" height="{frame.height}"'
    return f'<svg {size}>{"".join(parts)}</svg><div class="legend">{_legend(lines)}</div>'


def _grid(frame: Frame) -> Iterator[str]:
    for quarter in range(5):
        value = frame.highest * quarter / 4
        y = frame.y(value)
        yield f'<line x1="{LEFT}" x2="{frame.width - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#2b2e35"/>'
        yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}">{in_unit(value, frame.unit)}</text>'


def _drawn(line: Line, colour: str, frame: Frame, *, filled: bool) -> Iterator[str]:
    for run in _unbroken(line.points, 3 * frame.step):
        path = " ".join(f"{frame.x(at):.1f},{frame.y(value):.1f}" for at, value in run)
        if filled:
            ends = " ".join(f"{frame.x(at):.1f},{frame.y(0):.1f}" for at in (run[-1][0], run[0][0]))
            yield f'<polygon points="{path} {ends}" fill="#181b1f"/>'
            yield f'<polygon points="{path} {ends}" fill="{colour}" fill-opacity=".3"/>'
        yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.4"/>'


def _unbroken(points: Sequence[tuple[float, float]], longest: float) -> list[list[tuple[float, float]]]:
    runs: list[list[tuple[float, float]]] = []
    for point in points:
        if runs and point[0] - runs[-1][-1][0] <= longest:
            runs[-1].append(point)
        else:
            runs.append([point])
    return runs


def _legend(lines: Sequence[Line]) -> str:
    return "".join(
        f'<span><i style="background:{COLOURS[number % len(COLOURS)]}"></i>{html.escape(line.name)}</span> '
        for number, line in enumerate(lines)
        if line.name
    )


def bars(lines: Sequence[Line], unit: str) -> str:
    values = sorted(((line.points[-1][1], line.name) for line in lines), reverse=True)[:MOST_BARS]
    highest = values[0][0] or 1
    return "".join(
        f'<div class="bar"><label>{html.escape(name)}</label>'
        f'<i style="width:{40 * value / highest:.1f}%"></i> {in_unit(value, unit)}</div>'
        for value, name in values
    )
