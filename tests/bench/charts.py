"""Small charts as SVG, in the reader's light or dark colours: lines, bars, dots on a scale of tens. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

#: Named ones keep their colour from chart to chart; the rest take what is left, in order.
_COLOURS = ("#2f6fd0", "#d2620d", "#1b8a5a", "#8352c9", "#b8336a", "#6b7280")
_DARK = ("#7fb0ff", "#ffa75c", "#5ed3a0", "#c3a3ff", "#ff8dbb", "#a9b1bd")
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#1f2328}.t{font-weight:600;font-size:14px}.m{fill:#59636e}"
    ".g{stroke:#d1d9e0}.b{fill:#fff}"
    + "".join(
        f".f{n}{{fill:{c}}}.l{n}{{stroke:{c};fill:none;stroke-width:2}}" for n, c in enumerate(_COLOURS)
    )
    + "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.m{fill:#9aa4af}.g{stroke:#3d444d}.b{fill:#0d1117}"
    + "".join(f".f{n}{{fill:{c}}}.l{n}{{stroke:{c}}}" for n, c in enumerate(_DARK))
    + "}"
)
_ROW, _HEAD, _PLOT = 22, 62, 190


@dataclass(frozen=True, slots=True)
class Chart:
    """Series over places: `values[series][i]` belongs to `places[i]`; None is left out.

    tens  whether the scale goes by times ten
    """

    title: str
    places: Sequence[str]
    values: Mapping[str, Sequence[float | None]]
    tens: bool = False

    def scale(self) -> tuple[float, float, Sequence[float]]:
        """The least and the greatest value that it shows, and where lines are drawn."""
        found = [value for each in self.values.values() for value in each if value is not None and value > 0]
        least, most = min(found, default=1.0), max(found, default=1.0)
        if self.tens:
            low, high = math.floor(math.log10(least)), math.ceil(math.log10(most))
            high += high == low
            return 10.0**low, 10.0**high, [10.0**power for power in range(low, high + 1)]
        step = 10.0 ** math.floor(math.log10(most))
        step = next(each for each in (step / 5, step / 2, step, step * 2) if most / each <= 5)
        marks = [step * number for number in range(math.ceil(most / step) + 1)]
        return 0.0, marks[-1], marks

    def share(self, value: float) -> float:
        """Where on the scale it is, 0 … 1."""
        low, high, _ = self.scale()
        if self.tens:
            return (math.log10(max(value, low)) - math.log10(low)) / (math.log10(high) - math.log10(low))
        return (value - low) / (high - low)


def lines(charts: Sequence[Chart]) -> str:
    """Charts side by side, a line for each series."""
    names = list(dict.fromkeys(name for chart in charts for name in chart.values))
    width, parts = 290, [*_legend(names)]
    for number, chart in enumerate(charts):
        left, right = number * width + 46, (number + 1) * width - 14
        bottom = _HEAD + _PLOT
        parts.append(_text(left - 36, _HEAD - 16, chart.title, "t"))
        for mark in chart.scale()[2]:
            y = bottom - chart.share(mark) * _PLOT
            parts += [_rule(left, y, right, y), _text(left - 6, y + 4, shown(mark), "m", "end")]
        step = (right - left) / max(len(chart.places), 1)
        xs = [left + step * (place + 0.5) for place in range(len(chart.places))]
        parts += [
            _text(x, bottom + 18, place, "m", "middle") for x, place in zip(xs, chart.places, strict=True)
        ]
        for name, values in chart.values.items():
            known = [(x, value) for x, value in zip(xs, values, strict=True) if value is not None]
            points = [(x, bottom - chart.share(value) * _PLOT) for x, value in known]
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            parts.append(f'<polyline class="l{_colour(names, name)}" points="{path}"/>')
            for (x, y), (_, value) in zip(points, known, strict=True):
                tip = f"<title>{escape(name)}: {shown(value)}</title>"
                parts.append(
                    f'<circle class="f{_colour(names, name)}" cx="{x:.1f}" cy="{y:.1f}" r="4">{tip}</circle>'
                )
    return _svg(width * len(charts), _HEAD + _PLOT + 32, parts)


def bars(chart: Chart) -> str:
    """A bar for each place, in the colour of the series that has a value there."""
    names, width, left = list(chart.values), 820, _margin(chart.places)
    parts = [_text(10, 20, chart.title, "t"), *_legend(names, 40)]
    for row, place in enumerate(chart.places):
        y = _HEAD + row * _ROW
        parts.append(_text(left - 8, y + 14, place, anchor="end"))
        for name in names:
            value = chart.values[name][row]
            if value is not None:
                length = chart.share(value) * (width - left - 80)
                parts.append(
                    f'<rect class="f{_colour(names, name)}" x="{left}" y="{y + 2}" '
                    f'width="{length:.1f}" height="{_ROW - 6}" rx="2"/>'
                )
                parts.append(_text(left + length + 6, y + 14, shown(value), "m"))
    return _svg(width, _HEAD + len(chart.places) * _ROW + 10, parts)


def dots(chart: Chart) -> str:
    """A row for each place, a dot on it for each series."""
    names, width, left = list(chart.values), 820, _margin(chart.places)
    bottom = _HEAD + len(chart.places) * _ROW
    parts = [_text(10, 20, chart.title, "t"), *_legend(names, 40)]
    room = width - left - 40
    for mark in chart.scale()[2]:
        x = left + chart.share(mark) * room
        parts += [_rule(x, _HEAD, x, bottom), _text(x, bottom + 16, shown(mark), "m", "middle")]
    for row, place in enumerate(chart.places):
        y = _HEAD + row * _ROW + _ROW / 2
        parts += [_text(left - 14, y + 4, place, anchor="end"), _rule(left, y, width - 40, y)]
        for name in names:
            value = chart.values[name][row]
            if value is not None:
                tip = f"<title>{escape(name)}: {shown(value)}</title>"
                x = left + chart.share(value) * room
                parts.append(
                    f'<circle class="f{_colour(names, name)}" cx="{x:.1f}" cy="{y}" r="5">{tip}</circle>'
                )
    return _svg(width, bottom + 28, parts)


def shown(value: float) -> str:
    """A figure as short as it can be told: 0.15, 2.4, 18, 950, 83 k."""
    if value >= 10_000:
        return f"{value / 1000:,.0f} k"
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.2g}"


def _margin(places: Sequence[str]) -> int:
    return 28 + 7 * max(map(len, places), default=0)


def _legend(names: Sequence[str], y: float = 20) -> Iterator[str]:
    x = 10.0
    for number, name in enumerate(names):
        yield f'<rect class="f{number % len(_COLOURS)}" x="{x:.0f}" y="{y - 10}" width="11" height="11" rx="2"/>'
        yield _text(x + 16, y, name)
        x += 34 + 6.8 * len(name)


def _colour(names: Sequence[str], name: str) -> int:
    return names.index(name) % len(_COLOURS)


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="g" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _svg(width: float, height: float, parts: Sequence[str]) -> str:
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size}>'
    ground = f'<rect class="b" width="{width}" height="{height}" rx="6"/>'
    return "\n".join([head, f"<style>{_STYLE}</style>", ground, *parts, "</svg>", ""])
