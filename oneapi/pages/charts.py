"""Geometry of charts: numbers in, places and words out. Templates draw; nothing here knows about SVG attributes or pages."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from oneapi.models.usage import Sum
from oneapi.pages import texts

OTHER = 6
SHOWN = 5


@dataclass(frozen=True)
class Part:
    hue: int
    y: float
    height: float


@dataclass(frozen=True)
class Bar:
    left: float
    room: float
    x: float
    width: float
    parts: list[Part]
    tip: str
    y: float = 0
    height: float = 0
    below: float = 0  # what failed, from the axis up


@dataclass(frozen=True)
class Chart:
    bars: list[Bar]
    ticks: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    start: int = 0
    end: int = 0


def ceiling(value: float) -> float:
    """The next round number: what the axis ends at."""
    if value <= 0:
        return 1.0
    power = 10 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10) if step * power >= value * 0.999)


def line(values: Sequence[float]) -> dict[str, str]:
    """Points of a sparkline in a box of 100 by 30."""
    values = list(values) or [0]
    values = values * 2 if len(values) == 1 else values
    top = max(values) or 1
    points = [f"{100 * i / (len(values) - 1):.1f},{28 - 24 * v / top:.1f}" for i, v in enumerate(values)]
    return {"line": " ".join(points), "area": " ".join([*points, "100,30", "0,30"])}


def buckets(start: int, end: int, step: int, offset: int) -> list[int]:
    first = (start + offset) - (start + offset) % step - offset
    return list(range(first, end, step))


def ranking(sums: Sequence[Sum], metric: Callable[[Sum], int]) -> list[tuple[str, Sum, int]]:
    """(name, sums, hue) of the models that matter most, the rest as one: a model keeps its hue within a page."""
    by_name: dict[str, list[Sum]] = {}
    for s in sums:
        by_name.setdefault(s.model, []).append(s)
    ordered = sorted((total(of, of[0].key, name) for name, of in by_name.items()), key=metric, reverse=True)
    return [(s.model, s, i + 1 if i < SHOWN else OTHER) for i, s in enumerate(ordered)]


def total(sums: Sequence[Sum], key: int = 0, model: str = "") -> Sum:
    """All of them as one. A column at a time: there are thousands, and making as many sums between takes ten times as long."""
    return Sum(
        key,
        model,
        sum([s.requests for s in sums]),
        sum([s.quota for s in sums]),
        sum([s.prompt for s in sums]),
        sum([s.completion for s in sums]),
        sum([s.elapsed for s in sums]),
        sum([s.errors for s in sums]),
    )


def stacked(
    sums: Sequence[Sum],
    starts: Sequence[int],
    metric: Callable[[Sum], int],
    *,
    words: Callable[[float], str],
    other: str,
    pattern: str,
    unit: float = 1,
    ranked: Sequence[tuple[str, Sum, int]] = (),
) -> Chart:
    """Stacked bars per bucket and model. The axis is round in `unit`s: quota that is shown as money is round in dollars.

    `ranked` is their ranking where the caller has it.
    """
    hues = {name: hue for name, _, hue in ranked or ranking(sums, metric)}
    names = [name for name, hue in hues.items() if hue != OTHER] + ([other] if OTHER in hues.values() else [])
    cells = [[0.0] * len(names) for _ in starts]
    at = {start: i for i, start in enumerate(starts)}
    place = {name: hue - 1 if hue != OTHER else len(names) - 1 for name, hue in hues.items()}
    for s in sums:
        if s.key in at:
            cells[at[s.key]][place[s.model]] += metric(s)
    top = ceiling(max((sum(row) for row in cells), default=0) / unit) * unit
    room = 1000 / max(1, len(starts))
    bars, rows = [], []
    for i, (start, row) in enumerate(zip(starts, cells, strict=True)):
        when, whole = texts.clock(start, pattern), words(sum(row))
        said = [[names[k], words(v), k + 1 if names[k] != other else OTHER] for k, v in enumerate(row) if v]
        tip = texts.attributes({"title": when, "total": whole, "rows": said})
        left, wide = round(i * room + room * 0.14, 2), round(room * 0.72, 2)
        bars.append(Bar(round(i * room, 2), round(room, 2), left, wide, _parts(row, top, names, other), tip))
        rows.append({"when": when, "cells": [words(v) for v in row], "total": whole})
    every = max(1, math.ceil(len(starts) / 7))
    labels = [texts.clock(s, pattern) if i % every == every // 2 else "" for i, s in enumerate(starts)]
    ticks = [words(top * n / 4).removesuffix(".00") if names or not n else "" for n in (4, 3, 2, 1, 0)]
    return Chart(bars, ticks, labels, names, rows)


def _parts(row: Sequence[float], top: float, names: Sequence[str], other: str) -> list[Part]:
    parts, y = [], 100.0
    for k, value in enumerate(row):
        height = 100 * value / top
        y -= height
        if value:
            parts.append(Part(k + 1 if names[k] != other else OTHER, round(y, 2), round(height, 2)))
    return parts


def histogram(
    served: dict[int, int], failed: dict[int, int], starts: Sequence[int], step: int, *, words: tuple[str, str], pattern: str
) -> Chart:
    """One bar per bucket: what failed at its foot, never too low to be seen, and what was served above it."""
    top = max((served.get(start, 0) + failed.get(start, 0) for start in {*served, *failed}), default=0) or 1
    room = 1000 / max(1, len(starts))
    bars = []
    for i, start in enumerate(starts):
        counts = served.get(start, 0), failed.get(start, 0)
        below = round(max(3, 96 * counts[1] / top), 2) if counts[1] else 0
        height = round(96 * counts[0] / top, 2)
        rows = [[word, texts.number(n), hue] for word, n, hue in zip(words, counts, (1, "-bad"), strict=True)]
        bars.append(
            Bar(
                round(i * room, 2),
                round(room, 2),
                round(i * room + room * 0.12, 2),
                round(room * 0.76, 2),
                [],
                texts.attributes({"title": texts.clock(start, pattern), "total": "", "rows": rows}),
                round(100 - below - height, 2),
                height,
                below,
            )
        )
    labels = [texts.clock(starts[round(k * (len(starts) - 1) / 4)], pattern) for k in range(5)] if starts else []
    return Chart(bars, labels=labels, start=starts[0] if starts else 0, end=starts[-1] + step if starts else 0)


def percentile(ordered: Sequence[int], share: float) -> int | None:
    """The value that a share of these, in order, do not exceed."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else None
