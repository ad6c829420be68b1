"""The figures of the project; those of the explorer and of the lessons have their own places."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from torch import Tensor

from mfkit import escape
from mfkit.data import Sample
from mfkit.files import whole_file
from mfkit.palette import HEAT, PALETTE
from mfkit.score import Scores, pixel_map

__all__ = [
    "THUMBNAIL",
    "contact_sheet",
    "map_scale",
    "overview",
    "part_sheet",
    "save",
    "who_helps",
]

THUMBNAIL = 256  # px


def save(figure: Figure, path: str | Path, dpi: int = 100) -> Path:
    """Write a figure as PNG, whole or not at all."""
    with whole_file(path) as draft:
        figure.savefig(draft, format="png", dpi=dpi, bbox_inches="tight", facecolor="white")
    return Path(path)


def contact_sheet(samples: Sequence[Sample], title: str = "") -> Figure:
    """All views of some samples, a row each, with the defects' contours.

    Arguments:
        samples: with V images each.
        title: above the sheet.

    Returns:
        the figure.
    """
    views = len(samples[0].images)
    figure = Figure(figsize=(1.7 * views + 1.2, 1.75 * len(samples) + 0.4), layout="compressed")
    grid = figure.subplots(len(samples), views, squeeze=False)
    for row, sample in zip(grid, samples, strict=True):
        _pictures(row, sample)
        row[0].set_ylabel(escape.mathtext(sample.title), fontsize=8)
    _name_views(grid[0], samples[0].view_names)
    figure.suptitle(escape.mathtext(title), fontsize=11)
    return figure


def overview(
    samples: Sequence[Sample],
    scores: Scores,
    title: str = "",
    each: int = 4,
    ranked: Tensor | None = None,
) -> Figure:
    """The least anomalous samples on the left, the most anomalous on the right.

    Each sample has two rows: its pictures and its score maps. All maps share one scale, so that
    they can be compared; the ground truth is a contour.

    Arguments:
        samples: N test samples with V images each.
        scores: of these samples; those of whole samples rank them.
        title: above the figure.
        each: how many samples a side.
        ranked: (N,), another score by which samples are ranked, and which is shown beside theirs.

    Returns:
        the figure.
    """
    each = min(each, (len(samples) + 1) // 2)
    nll, image_scores, sample_scores = (part.numpy() for part in scores)
    order = np.argsort(sample_scores if ranked is None else ranked.numpy(), kind="stable")
    views = nll.shape[1]
    norm = Normalize(*map_scale(scores.maps))
    width = 1.35 * views + 0.5
    figure = Figure(figsize=(2 * width + 1.1, 2.95 * each + 0.9), layout="constrained")
    *halves, legend = figure.subfigures(1, 3, wspace=0.02, width_ratios=[width, width, 1.1])
    sides = (("least anomalous", order[:each]), ("most anomalous", order[::-1][:each]))
    for half, (name, chosen) in zip(halves, sides, strict=True):
        half.suptitle(name, fontsize=12, color=PALETTE["ink"])
        grid = half.subplots(2 * each, views, squeeze=False)
        _name_views(grid[0], samples[0].view_names)
        for place, index in enumerate(chosen):
            sample = samples[index]
            pictures, maps = grid[2 * place], grid[2 * place + 1]
            masks = _pictures(pictures, sample)
            enlarged = pixel_map(scores.maps[index][None], THUMBNAIL)[0].numpy()
            for ax, values, mask, score in zip(
                maps, enlarged, masks, image_scores[index], strict=True
            ):
                ax.imshow(values, cmap=HEAT, norm=norm)
                _contour(ax, mask)
                ax.set_xlabel(
                    "absent" if np.isnan(score) else f"{score:.2f}", fontsize=8, labelpad=2
                )
                _bare(ax)
            pictures[0].set_ylabel(escape.mathtext(sample.title), fontsize=8)
            joined = "" if ranked is None else f"\ncombined\n{ranked[index]:.1f}"
            maps[0].set_ylabel(f"sample\n{sample_scores[index]:.2f}{joined}", fontsize=8)
    bar = figure.colorbar(
        ScalarMappable(norm, HEAT), cax=legend.subplots(), extend="both", extendfrac=0.02
    )
    bar.ax.set_box_aspect(25)
    bar.set_label("score: negative log-likelihood, nats per channel")
    figure.suptitle(escape.mathtext(title), fontsize=13)
    return figure


def map_scale(maps: Tensor) -> tuple[float, float]:
    """(low, high) of the one scale on which score maps (N, V, H, W) are drawn, nats per channel.

    Half of all positions stay dark.
    """
    low, high = np.nanquantile(maps.numpy(), [0.5, 0.9995])
    return float(low), float(high)


def part_sheet(
    pictures: Sequence[np.ndarray | None],
    maps: Tensor,
    images: Tensor,
    names: Sequence[str],
    scale: tuple[float, float],
    title: str = "",
    masks: Sequence[np.ndarray] | None = None,
) -> Figure:
    """One part: its pictures, and below them its score maps on a given scale.

    Arguments:
        pictures: V of them, (h, w, 3) uint8, as the flow sees them; None where a view is absent.
        maps: (V, H, W) in nats per channel.
        images: (V,), scores of the images.
        names: of the cameras.
        scale: see `map_scale`.
        title: above the figure.
        masks: V of them, (THUMBNAIL, THUMBNAIL) of bool, where the defect is; None: not known.

    Returns:
        the figure.
    """
    figure = Figure(figsize=(1.9 * len(names) + 1, 4.5), layout="constrained")
    grid = figure.subplots(2, len(names), squeeze=False)
    enlarged = pixel_map(maps[None], THUMBNAIL)[0].numpy()
    _name_views(grid[0], names)
    for view in range(len(names)):
        above, below = grid[:, view]
        if pictures[view] is not None:
            above.imshow(pictures[view])
        below.imshow(enlarged[view], cmap=HEAT, norm=Normalize(*scale))
        score = images[view].item()
        below.set_xlabel("absent" if np.isnan(score) else f"{score:.2f}", fontsize=8, labelpad=2)
        if masks is not None:
            _contour(above, masks[view])
            _contour(below, masks[view])
        _bare(above)
        _bare(below)
    bar = figure.colorbar(ScalarMappable(Normalize(*scale), HEAT), ax=grid, extend="both")
    bar.set_label("score, nats per channel", fontsize=8)
    figure.suptitle(escape.mathtext(title), fontsize=10)
    return figure


def _name_views(row: Sequence[Axes], names: Sequence[str]) -> None:
    """Say above a row of pictures which camera each comes from."""
    for ax, name in zip(row, names, strict=True):
        ax.set_title(escape.mathtext(name), fontsize=9)


def _pictures(row: Sequence[Axes], sample: Sample) -> list[np.ndarray]:
    """Show the views of a sample, defects outlined; their masks."""
    masks = [sample.mask(view, THUMBNAIL) for view in range(len(row))]
    for view, (ax, mask) in enumerate(zip(row, masks, strict=True)):
        if sample.present[view]:
            ax.imshow(sample.image(view, THUMBNAIL))
        _contour(ax, mask)
        _bare(ax)
    return masks


def _contour(ax: Axes, mask: np.ndarray) -> None:
    if mask.any():
        ax.contour(mask, levels=[0.5], colors=PALETTE["truth"], linewidths=1)


def _bare(ax: Axes) -> None:
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set_visible(False)


def who_helps(worth: np.ndarray, ax: Axes | None = None, limit: float | None = None) -> Axes:
    """The worth of every message as a matrix; see `mfkit.score.probe.who_helps`.

    Arguments:
        worth: (V, V) in nats, row receiver, column sender.
        ax: where to draw; None makes a figure of its own.
        limit: worth of the darkest colours, in nats; None takes the largest there is.

    Returns:
        the axes.
    """
    ax = Figure(figsize=(4.4, 3.6), layout="constrained").subplots() if ax is None else ax
    limit = limit or np.abs(worth).max() or 1.0
    names = [f"C{view + 1}" for view in range(len(worth))]
    sns.heatmap(
        worth,
        mask=worth == 0,
        vmin=-limit,
        vmax=limit,
        cmap="vlag",
        annot=True,
        fmt=".0f",
        square=True,
        xticklabels=names,
        yticklabels=names,
        cbar_kws={"label": "worth of the message, nats"},
        ax=ax,
    )
    ax.set(xlabel="sender", ylabel="receiver")
    return ax
