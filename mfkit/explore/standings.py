"""The pictures of the explorer that are plots of scores: a part among all, and what a change does.

Blue and orange are kinds of parts, black is the model, green the one that it is compared with, and
purple is what has been changed.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mfkit import escape
from mfkit.explore.pane import few, legend, pane
from mfkit.explore.sheets import DPI, HIGHEST, SMALL, WIDTH
from mfkit.palette import PALETTE

__all__ = ["Curve", "Plane", "Standing", "messages", "places", "standings"]

KINDS = ("sound", "defective")
BOXES = [(left, 0.17, 0.25, 0.74) for left in (0.075, 0.405, 0.735)]
HIGH = 3.5  # inches
MARK = 0.014  # half of the edge of a place to click, as a share of the width


class Plane(NamedTuple):
    """All samples by two scores.

    Attributes:
        names: of the two axes.
        scores: (2, N).
        limits: of the two axes.
    """

    names: tuple[str, str]
    scores: np.ndarray
    limits: tuple[tuple[float, float], tuple[float, float]]


class Curve(NamedTuple):
    """A ROC curve: name with AUROC, scores (N,), colour of the palette, line style."""

    name: str
    scores: np.ndarray
    colour: str
    line: str


def standings(
    plane: Plane, curves: Sequence[Curve], labels: np.ndarray, sample: int, threshold: float
) -> Figure:
    """Sample scores of the set, the same by a second score, and ROC curves.

    Arguments:
        plane: first the score that the threshold belongs to.
        curves: the first has the point of the threshold.
        labels: (N,) of bool, True for defective.
        sample: the chosen one.
        threshold: of the first score.
    """
    figure = Figure(figsize=(WIDTH, HIGH), dpi=DPI)
    (name, other), (values, _), (limits, _) = plane
    bins = np.linspace(*limits, 31)
    groups = list(zip(KINDS, (~labels, labels), strict=True))
    counts = [np.histogram(values[chosen], bins)[0] for _, chosen in groups]
    most = int(np.max(counts)) + 1
    ends = few(limits)
    ax = pane(figure, BOXES[0], limits, (0, most), ends, [(most - 1, most - 1)], name, "samples")
    for (kind, _), heights in zip(groups, counts, strict=True):
        ax.stairs(heights, bins, fill=True, color=PALETTE[kind], alpha=0.6, label=kind)
    ax.plot([threshold] * 2, [0, most], "--", color=PALETTE["ink"], lw=1, label="threshold")
    ax.plot(values[sample], 0, "^", color=PALETTE["ink"], ms=10, clip_on=False, label="this one")
    legend(ax, "upper right")
    ax = pane(figure, BOXES[1], *plane.limits, *map(few, plane.limits), name, other)
    if plane.limits[0] == plane.limits[1]:  # of two models: on the line they agree
        ax.plot(*plane.limits, color=PALETTE["quiet"], lw=1)
    for kind, chosen in groups:
        ax.plot(*plane.scores[:, chosen].clip(*np.transpose(plane.limits)[..., None]), ".",
                ms=9, mec="white", mew=0.5, color=PALETTE[kind])  # fmt: skip
    at = plane.scores[:, sample].clip(*np.transpose(plane.limits))
    ax.plot(*at, "o", mfc="none", mec=PALETTE["ink"], mew=1.5, ms=11)
    ax.plot([threshold] * 2, plane.limits[1], "--", color=PALETTE["ink"], lw=1)
    ax.set_title("click a part", **SMALL)
    _roc(figure, curves, labels, threshold)
    return figure


def places(plane: Plane) -> list[tuple[float, float, float, float]]:
    """Where each sample lies in the plane: left, top, width, height as shares of the figure."""
    left, bottom, wide, high = BOXES[1]
    low, far = (np.array(ends) for ends in zip(*plane.limits, strict=True))
    x, y = ((plane.scores.T - low) / (far - low)).clip(0, 1).T
    across, down = MARK, MARK * WIDTH / HIGH
    return [
        (left + wide * a - across, 1 - bottom - high * b - down, 2 * across, 2 * down)
        for a, b in zip(x.tolist(), y.tolist(), strict=True)
    ]


def _roc(figure: Figure, curves: Sequence[Curve], labels: np.ndarray, threshold: float) -> None:
    """ROC curves, and on the first of them the point of the threshold."""
    ends, share = [(0, "0"), (0.5, "0.5"), (1, "1")], (-0.03, 1.03)
    names = ("false alarms among sound", "found among defective")
    ax = pane(figure, BOXES[2], share, share, ends, ends, *names)
    if labels.all() or not labels.any():
        ax.text(0.5, 0.5, "no ROC curve:\nall have one label", ha="center", **SMALL)
        return
    for name, values, colour, line in curves:
        thresholds = np.unique(values)[::-1]
        false, true = (
            [0, *(values[chosen][:, None] >= thresholds).mean(0)] for chosen in (~labels, labels)
        )
        ax.plot(false, true, line, color=PALETTE[colour], label=escape.mathtext(name))
    point = [(curves[0].scores[chosen] > threshold).mean() for chosen in (~labels, labels)]
    ax.plot(*point, "o", color=PALETTE["ink"], ms=8)
    legend(ax, "lower right")


class Standing(NamedTuple):
    """How views, and the part as a whole, stand by one rule. V + 1 numbers each, NaN if there is
    none: those of the views, and last that of the part.

    Attributes:
        name: of the rule, with its unit.
        limits: of the axis.
        usual: (2, V + 1), between which 90 in 100 sound samples lie.
        before, now: as photographed, and as changed.
        other: what the model to compare with says of the changed part.
        digits: after the point.
    """

    name: str
    limits: tuple[float, float]
    usual: np.ndarray
    before: np.ndarray
    now: np.ndarray
    other: np.ndarray
    digits: int = 2


def messages(rules: Sequence[Standing], names: Sequence[str], changed: bool) -> Figure:
    """How the scores of all views, and of the part, answer to a change, by every rule.

    Arguments:
        rules: one to three.
        names: of the V views.
        changed: is there a change?
    """
    figure = Figure(figsize=(WIDTH, min(0.55 + 0.42 * (len(names) + 2), HIGHEST)), dpi=DPI)
    rows = list(enumerate([*names, "part"]))
    for place, rule in enumerate(rules):
        box = (0.06 + place * 0.315, 0.15, 0.225, 0.72)
        limits = (len(names) + 0.6, -0.6)
        ticks = few(rule.limits)[::2]
        ax = pane(figure, box, rule.limits, limits, ticks, () if place else rows, rule.name)
        _standing(ax, rule, changed)
        if not place:
            handles = {line.get_label(): line for line in ax.lines if line.get_label()[0] != "_"}
            handles |= {band.get_label(): band for band in ax.collections[:1]}
            figure.legend(handles.values(), handles, loc="upper center", ncols=4, frameon=False,
                          fontsize=9, borderaxespad=0.1)  # fmt: skip
    return figure


def _standing(ax: Axes, rule: Standing, changed: bool) -> None:
    low, high = rule.limits
    rows = np.arange(len(rule.now))
    cut = {name: getattr(rule, name).clip(low, high) for name in ("before", "now", "other")}
    ax.hlines(rows, *rule.usual.clip(low, high), color=PALETTE["sound"], alpha=0.3, lw=9,
              label="90 in 100 sound parts")  # fmt: skip
    style = {"ls": "", "clip_on": False}
    ax.axhline(len(rows) - 1.5, color=PALETTE["quiet"], lw=0.6)
    if not np.isnan(rule.other).all():
        ax.plot(cut["other"], rows, "D", color=PALETTE["other"], ms=6, label="compared", **style)
    if changed:
        ax.hlines(rows, cut["before"], cut["now"], color=PALETTE["moved"], lw=2.5)
        ax.plot(cut["before"], rows, "o", mfc="white", mec=PALETTE["ink"], ms=8,
                label="before", **style)  # fmt: skip
    colour = PALETTE["moved" if changed else "ink"]
    ax.plot(cut["now"], rows, "o", color=colour, ms=7, label="now", **style)
    for row, value, was in zip(rows, rule.now, rule.before, strict=True):
        text = "absent" if np.isnan(value) else f"{value:.{rule.digits}f}"
        if changed and abs(value - was) >= 0.5 * 10**-rule.digits:
            text = f"{value - was:+.{rule.digits}f}"
        ax.text(1.05, row, text, transform=ax.get_yaxis_transform(), va="center", **SMALL)
