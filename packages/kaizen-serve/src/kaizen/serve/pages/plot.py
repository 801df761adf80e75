"""Draw effects with their intervals as SVG. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from markupsafe import Markup


class Point(NamedTuple):
    """An effect as it was known after so many runs; shares from -1 to 1."""

    runs: int
    gain: float
    low: float
    high: float


_BAR_WIDTH, _BAR_HEIGHT = 120, 16
_WIDTH, _HEIGHT = 640, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 12, 34


def interval_bar(gain: float, low: float, high: float, verdict: str = "open") -> Markup:
    """Return a line from `low` to `high` with a dot at `gain`, on a scale from -100 to +100 points."""

    def x(value: float) -> float:
        return round(4 + (_clipped(value) + 1) / 2 * (_BAR_WIDTH - 8), 1)

    sign = {"helps": "good", "harms": "bad"}.get(verdict, "open")
    label = f"{100 * gain:+.0f} points, between {100 * low:+.0f} and {100 * high:+.0f}"
    return Markup(
        '<svg class="interval {sign}" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img" '
        'aria-label="{label}"><line class="scale" x1="4" x2="{end}" y1="8" y2="8"/>'
        '<line class="zero" x1="{zero}" x2="{zero}" y1="2" y2="14"/>'
        '<line class="range" x1="{low}" x2="{high}" y1="8" y2="8"/>'
        '<circle class="gain" cx="{gain}" cy="8" r="3.5"/></svg>'
    ).format(
        sign=sign,
        w=_BAR_WIDTH,
        h=_BAR_HEIGHT,
        end=_BAR_WIDTH - 4,
        zero=x(0),
        low=x(low),
        high=x(high),
        gain=x(gain),
        label=label,
    )


def effect_plot(points: Sequence[Point], label: str) -> Markup:
    """Return the effect over the runs with the band of its interval; empty without points."""
    if not points:
        return Markup("")
    most = max(point.runs for point in points)

    def x(runs: int) -> float:
        return round(_LEFT + runs / most * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(value: float) -> float:
        return round(_TOP + (1 - _clipped(value)) / 2 * (_HEIGHT - _TOP - _BOTTOM), 1)

    upper = [f"{x(point.runs)},{y(point.high)}" for point in points]
    lower = [f"{x(point.runs)},{y(point.low)}" for point in reversed(points)]
    parts = [_grid(y), _axis(x, most)]
    parts.append(Markup('<polygon class="band" points="{}"/>').format(" ".join([*upper, *lower])))
    gains = " ".join(f"{x(point.runs)},{y(point.gain)}" for point in points)
    parts.append(Markup('<polyline class="gain" points="{}"/>').format(gains))
    for point in points:
        parts.append(
            Markup('<circle class="gain" cx="{}" cy="{}" r="3"/>').format(x(point.runs), y(point.gain))
        )
    return Markup('<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        _WIDTH, _HEIGHT, label, Markup("").join(parts)
    )


def _grid(y: Callable[[float], float]) -> Markup:
    return Markup("").join(
        Markup(
            '<line class="{}" x1="{}" x2="{}" y1="{}" y2="{}"/><text class="tick" x="{}" y="{}">{}</text>'
        ).format(
            "zero" if value == 0 else "grid",
            _LEFT,
            _WIDTH - _RIGHT,
            y(value),
            y(value),
            _LEFT - 8,
            y(value) + 4,
            f"{100 * value:+.0f}" if value else "0",
        )
        for value in (1.0, 0.5, 0.0, -0.5, -1.0)
    )


def _axis(x: Callable[[int], float], most: int) -> Markup:
    marks = sorted({most, most // 2})
    return Markup("").join(
        Markup('<text class="tick {}" x="{}" y="{}">{}</text>').format(
            "last" if runs == most else "middle", x(runs), _HEIGHT - 14, f"{runs:,} runs"
        )
        for runs in marks
        if runs
    )


def _clipped(value: float) -> float:
    return max(-1.0, min(1.0, value))
