"""The pictures of the explorer that are plots.

Drawn again at every move of a slider, so built for speed: all views share one axes, side by side,
and `_pane` writes few labels, as texts. (Axes and ticks are what costs time in matplotlib.) Limits
come from outside and stay, so that changes can be compared.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.markers import TICKDOWN, TICKLEFT
from matplotlib.ticker import MaxNLocator
from scipy.stats import norm as normal

from mfkit import escape
from mfkit.explore.answers import BINS, LEVELS, Answer
from mfkit.explore.sheets import DPI, SMALL, WIDTH
from mfkit.flow import ViewGraph
from mfkit.palette import PALETTE

__all__ = ["distribution", "gaussian", "messages", "position"]

KINDS = ("sound", "defective")


def gaussian(
    answers: Sequence[tuple[str, Answer]], block: int, titles: Sequence[str], highest: float
) -> Figure:
    """Latents of all views after a block against N(0, 1): histogram and Q-Q plot.

    Arguments:
        answers: the model's and, to compare, another one's, with their names.
        block: 0 (the features) .. K; a model with fewer blocks shows its last.
        titles: one a view.
        highest: upper end of the density axis.
    """
    figure = Figure(figsize=(WIDTH, 4), dpi=DPI)
    shift = 9 * np.arange(len(titles))[:, None]  # between one view and the next
    wide = (-4.5, 9 * len(titles) - 4.5)
    at = [(9 * view + x, x) for view in range(len(titles)) for x in (-3, 0, 3)]
    few = at if len(titles) < 4 else at[:3]
    top = _pane(figure, (0.06, 0.56, 0.93, 0.36), wide, (0, highest), ylabel="density")
    bottom = _pane(
        figure,
        (0.06, 0.12, 0.93, 0.4),
        wide,
        (-4.2, 4.2),
        xticks=few,
        yticks=[(x, x) for x in (-3, 0, 3)],
        xlabel="value of a latent above, quantile of N(0, 1) below",
        ylabel="quantile of latents",
    )
    for colour, line, (name, answer) in zip(KINDS, ("-", "--"), answers, strict=False):
        step = min(block, len(answer.density) - 1)
        density = answer.density[step] * answer.present[:, None]
        heights = np.pad(density.clip(max=highest), ((0, 0), (0, 1))).ravel()[:-1]
        edges, ink = (BINS + shift).ravel(), PALETTE[colour]
        if colour == "sound":
            top.stairs(heights, edges, fill=True, color=ink, alpha=0.25)
        top.stairs(heights, edges, color=ink, ls=line, lw=1.2, label=escape.mathtext(name))
        quantiles = np.where(answer.present[:, None], answer.quantiles[step], np.nan).clip(-4, 4)
        _lines(bottom, normal.ppf(LEVELS) + shift, quantiles, color=ink, ls=line, marker=".", ms=3)
    curve = np.broadcast_to(normal.pdf(BINS), (len(titles), len(BINS)))
    _lines(top, BINS + shift, curve, color=PALETTE["ink"], lw=1, label="N(0, 1)")
    _lines(bottom, BINS + shift, np.broadcast_to(BINS, curve.shape), color=PALETTE["ink"], lw=0.8)
    for view, title in enumerate(titles):
        top.text(9 * view, 1.03 * highest, title, ha="center", va="bottom", **SMALL)
    _legend(top, "upper right")
    return figure


def distribution(
    scores: Sequence[tuple[str, np.ndarray]],
    labels: np.ndarray,
    here: Sequence[float],
    threshold: float,
    limits: tuple[float, float],
) -> Figure:
    """Sample scores of the set, and the ROC curve with the threshold's point.

    Arguments:
        scores: of all samples (N,), by the model and, to compare, by another one; with names.
        labels: (N,) of bool, True for defective.
        here: the score of the chosen sample by each model.
        threshold: nats per channel.
        limits: of the score axis.
    """
    figure = Figure(figsize=(WIDTH, 3.4), dpi=DPI)
    lefts = np.linspace(0.07, 1.0, len(scores) + 2)[:-1]
    boxes = [(left, 0.16, lefts[1] - lefts[0] - 0.08, 0.78) for left in lefts]
    groups = list(zip(KINDS, (~labels, labels), strict=True))
    name, values = scores[0]
    bins = np.linspace(*limits, 31)
    counts = [np.histogram(values[chosen], bins)[0] for _, chosen in groups]
    ticks, most = _few(limits), int(np.max(counts)) + 1
    pane = _pane(
        figure,
        boxes[0],
        limits,
        (0, most),
        xticks=ticks,
        yticks=[(most - 1, most - 1)],
        xlabel=f"sample score, nats per channel ({name})",
        ylabel="samples",
    )
    for (kind, _), heights in zip(groups, counts, strict=True):
        pane.stairs(heights, bins, fill=True, color=PALETTE[kind], alpha=0.6, label=kind)
    pane.plot([threshold] * 2, [0, most], "--", color=PALETTE["ink"], lw=1, label="threshold")
    pane.plot(here[0], 0, "^", color=PALETTE["ink"], ms=10, clip_on=False, label="this sample")
    _legend(pane, "upper right")
    if len(scores) == 2:
        (name, first), (other, second) = scores
        pane = _pane(figure, boxes[1], limits, limits, ticks, ticks, name, other)
        for kind, chosen in groups:
            pane.plot(first[chosen], second[chosen], ".", color=PALETTE[kind])
        pane.plot(*here, "o", mfc="none", mec=PALETTE["ink"], ms=10)
        pane.plot(limits, limits, color=PALETTE["quiet"], lw=0.8)
    _roc(figure, boxes[-1], scores, labels, threshold)
    return figure


def _roc(figure: Figure, box: tuple, scores, labels: np.ndarray, threshold: float) -> None:
    """ROC curves, and on each of them the point of the threshold."""
    ends, share = [(0, "0"), (0.5, "0.5"), (1, "1")], (-0.03, 1.03)
    names = ("false alarms among sound", "found among defective")
    pane = _pane(figure, box, share, share, ends, ends, *names)
    if labels.all() or not labels.any():
        pane.text(0.5, 0.5, "no ROC curve:\nall have one label", ha="center", **SMALL)
        return
    for colour, line, (name, values) in zip(KINDS, ("-", "--"), scores, strict=False):
        thresholds = np.unique(values)[::-1]
        false, true = (
            [0, *(values[chosen][:, None] >= thresholds).mean(0)] for chosen in (~labels, labels)
        )
        pane.plot(false, true, line, color=PALETTE[colour], label=escape.mathtext(name))
        point = [(values[chosen] > threshold).mean() for chosen in (~labels, labels)]
        pane.plot(*point, "o", color=PALETTE[colour], ms=8)
    _legend(pane, "lower right")


def position(
    z: np.ndarray, told: dict[str, float], reach: float, patches: Sequence[np.ndarray]
) -> Figure:
    """One position: its latent, what its neighbours told it, the nearest training patches.

    Arguments:
        z: (C,).
        told: worth of the message of each neighbour here, nats.
        reach: the message axis goes from -reach to reach; longer bars are cut.
        patches: six images of one size, the position's own first; none: not shown.
    """
    figure = Figure(figsize=(WIDTH, 3.2), dpi=DPI)
    left = _pane(
        figure,
        (0.06, 0.16, 0.42, 0.74),
        (-1, len(z)),
        (-7, 7),
        xticks=[(0, 0), (len(z) - 1, len(z) - 1)],
        yticks=[(value, value) for value in (-6, -2, 0, 2, 6)],
        xlabel="channel",
        ylabel="latent",
    )
    left.vlines(np.arange(len(z)), 0, z.clip(-6, 6), color=PALETTE["sound"], lw=1.4)
    left.axhspan(-2, 2, color=PALETTE["quiet"], alpha=0.15, lw=0)
    for channel in np.abs(z).argsort()[::-1][:5]:
        up = z[channel] > 0
        left.text(
            channel,
            z[channel].clip(-6, 6) + (0.2 if up else -0.2),
            channel,
            ha="center",
            va="bottom" if up else "top",
            **SMALL,
        )
    left.text(len(z) / 2, 7.2, "95 in 100 of N(0, 1) lie in the band", ha="center", **SMALL)
    rows = np.arange(len(told))
    right = _pane(
        figure,
        (0.56, 0.16, 0.17, 0.74),
        (-reach, reach),
        (max(len(told), 4) - 0.4, -0.6),
        xticks=[(x, f"{x:.0f}") for x in (-reach, 0, reach)],
        yticks=[(row, f"from {sender}") for row, sender in zip(rows, told, strict=True)],
        xlabel="worth of a message, nats" if told else "no message arrives",
    )
    colours = [PALETTE["sound" if value >= 0 else "defective"] for value in told.values()]
    right.hlines(rows, 0, np.clip(list(told.values()), -reach, reach), color=colours, lw=9)
    for row, value in zip(rows, told.values(), strict=True):
        right.text(
            -0.06 * reach * np.sign(value),  # on the side that the bar leaves free
            row,
            round(value),
            ha="right" if value >= 0 else "left",
            va="center",
            **SMALL,
        )
    right.plot([0, 0], right.get_ylim(), color=PALETTE["ink"], lw=0.8)
    if patches:
        _patches(figure.add_axes((0.77, 0.05, 0.22, 0.85)), patches)
    return figure


def _patches(ax: Axes, patches: Sequence[np.ndarray]) -> None:
    """The position's own patch and the training patches, two a row."""
    for place, patch in enumerate(patches):
        row, column = divmod(place, 2)
        ax.imshow(patch, extent=(column + 0.04, column + 0.96, row + 1, row + 0.16))
        name = f"nearest {place}" if place else "here"
        ax.text(column + 0.5, row + 0.14, name, ha="center", va="bottom", **SMALL)
    ax.set(xlim=(0, 2), ylim=(3, 0), aspect="equal", xticks=[], yticks=[], frame_on=False)


def messages(
    graph: ViewGraph,
    muted: Sequence[tuple[int, int]],
    names: Sequence[str],
    before: np.ndarray,
    after: np.ndarray,
    threshold: float,
    limits: tuple[float, float],
) -> Figure:
    """The view graph with its muted edges, and how the score of every view answers.

    Arguments:
        graph: of the model.
        muted: edges (sender, receiver) that are silent.
        names: of the V views.
        before, after: image scores (V,) of the whole and the changed sample, NaN where absent.
        threshold: nats per channel.
        limits: of the score axis.
    """
    figure = Figure(figsize=(WIDTH, 3.4), dpi=DPI)
    graph.draw(figure.add_axes((0.0, 0.02, 0.34, 0.96)), muted, names)
    views = np.arange(len(before))
    ax = _pane(
        figure,
        (0.42, 0.15, 0.56, 0.8),
        limits,
        (len(views) - 0.5, -0.5),
        xticks=_few(limits),
        yticks=list(enumerate(names)),
        xlabel="image score, nats per channel",
    )
    ax.hlines(views, before, after, color=PALETTE["defective"], lw=2)
    ax.plot(before, views, "o", mfc="white", mec=PALETTE["ink"], ms=9, label="whole")
    ax.plot(after, views, "o", color=PALETTE["defective"], ms=6, label="changed")
    ax.plot([threshold] * 2, ax.get_ylim(), "--", color=PALETTE["ink"], lw=1, label="threshold")
    for view in views[np.isnan(after)]:
        ax.text(limits[0], view, "  absent", va="center", **SMALL)
    _legend(ax, "lower right")
    return figure


def _pane(
    figure: Figure,
    box: tuple[float, float, float, float],
    xlim: tuple[float, float],
    ylim: tuple[float, float],
    xticks: Sequence[tuple[float, object]] = (),
    yticks: Sequence[tuple[float, object]] = (),
    xlabel: str = "",
    ylabel: str = "",
) -> Axes:
    """Axes with few labels, written as texts, which is several times as fast as ticks are."""
    ax = figure.add_axes(box)
    ax.set(xlim=xlim, ylim=ylim, xticks=[], yticks=[])
    below, beside = ax.get_xaxis_transform(), ax.get_yaxis_transform()
    for x, label in xticks:
        ax.text(x, -0.03, label, transform=below, ha="center", va="top", **SMALL)
    for y, label in yticks:
        ax.text(-0.015, y, label, transform=beside, ha="right", va="center", **SMALL)
    style = {"clip_on": False, "color": PALETTE["ink"], "ls": "", "ms": 3}
    ax.plot([x for x, _ in xticks], [0] * len(xticks), marker=TICKDOWN, transform=below, **style)
    ax.plot([0] * len(yticks), [y for y, _ in yticks], marker=TICKLEFT, transform=beside, **style)
    ax.set_xlabel(escape.mathtext(xlabel), labelpad=15, **SMALL)
    ax.set_ylabel(escape.mathtext(ylabel), labelpad=22, **SMALL)
    return ax


def _few(limits: tuple[float, float]) -> list[tuple[float, str]]:
    """Some round numbers inside some limits, with their labels."""
    low, high = limits
    inside = (x for x in MaxNLocator(4).tick_values(low, high) if low <= x <= high)
    return [(x, f"{x:.4g}") for x in inside]


def _lines(ax: Axes, xs: np.ndarray, ys: np.ndarray, **style) -> None:
    """The rows of two arrays as separate lines, drawn as one."""
    ax.plot(
        *(np.pad(a, ((0, 0), (0, 1)), constant_values=np.nan).ravel() for a in (xs, ys)), **style
    )


def _legend(ax: Axes, place: str) -> None:
    ax.legend(fontsize=8, loc=place, frameon=False)
