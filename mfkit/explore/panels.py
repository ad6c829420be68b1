"""The pictures of the explorer that are plots of one sample: its latents, and one position."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import norm as normal

from mfkit import escape
from mfkit.explore.answers import BINS, LEVELS, Answer
from mfkit.explore.pane import legend, lines, pane
from mfkit.explore.sheets import DPI, SMALL, WIDTH
from mfkit.palette import PALETTE

__all__ = ["gaussian", "position"]


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
    top = pane(figure, (0.06, 0.56, 0.93, 0.36), wide, (0, highest), ylabel="density")
    bottom = pane(
        figure,
        (0.06, 0.12, 0.93, 0.4),
        wide,
        (-4.2, 4.2),
        xticks=few,
        yticks=[(x, x) for x in (-3, 0, 3)],
        xlabel="value of a latent above, quantile of N(0, 1) below",
        ylabel="quantile of latents",
    )
    for colour, line, (name, answer) in zip(("ink", "other"), ("-", "--"), answers, strict=False):
        step = min(block, len(answer.density) - 1)
        density = answer.density[step] * answer.present[:, None]
        heights = np.pad(density.clip(max=highest), ((0, 0), (0, 1))).ravel()[:-1]
        edges, ink = (BINS + shift).ravel(), PALETTE[colour]
        if colour == "ink":
            top.stairs(heights, edges, fill=True, color=ink, alpha=0.15)
        top.stairs(heights, edges, color=ink, ls=line, lw=1.2, label=escape.mathtext(name))
        quantiles = np.where(answer.present[:, None], answer.quantiles[step], np.nan).clip(-4, 4)
        lines(bottom, normal.ppf(LEVELS) + shift, quantiles, color=ink, ls=line, marker=".", ms=3)
    curve = np.broadcast_to(normal.pdf(BINS), (len(titles), len(BINS)))
    lines(top, BINS + shift, curve, color=PALETTE["sound"], lw=1.4, label="N(0, 1)")
    lines(bottom, BINS + shift, np.broadcast_to(BINS, curve.shape), color=PALETTE["sound"], lw=1)
    for view, title in enumerate(titles):
        top.text(9 * view, 1.03 * highest, title, ha="center", va="bottom", **SMALL)
    legend(top, "upper right")
    return figure


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
    left = pane(
        figure,
        (0.06, 0.16, 0.42, 0.74),
        (-1, len(z)),
        (-7, 7),
        xticks=[(0, 0), (len(z) - 1, len(z) - 1)],
        yticks=[(value, value) for value in (-6, -2, 0, 2, 6)],
        xlabel="channel",
        ylabel="latent",
    )
    left.vlines(np.arange(len(z)), 0, z.clip(-6, 6), color=PALETTE["ink"], lw=1.4)
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
    right = pane(
        figure,
        (0.56, 0.16, 0.17, 0.74),
        (-reach, reach),
        (max(len(told), 4) - 0.4, -0.6),
        xticks=[(x, f"{x:.0f}") for x in (-reach, 0, reach)],
        yticks=[(row, f"from {sender}") for row, sender in zip(rows, told, strict=True)],
        xlabel="worth of a message, nats" if told else "no message arrives",
    )
    worth = np.clip(list(told.values()), -reach, reach)
    right.hlines(rows, 0, worth, color=PALETTE["quiet"], lw=9)
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
        ax.imshow(patch, extent=(column + 0.1, column + 0.9, row + 1, row + 0.2))
        name = f"nearest {place}" if place else "here"
        ax.text(column + 0.5, row + 0.18, name, ha="center", va="bottom", **SMALL)
    ax.set(xlim=(0, 2), ylim=(3, 0), aspect="equal", xticks=[], yticks=[], frame_on=False)
