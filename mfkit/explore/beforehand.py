"""What the page without a kernel asks the flows beforehand: every change that it can show."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from mfkit.explore.latents import Latents
from mfkit.flow import MultiFlow
from mfkit.score import nll_map, sample_scores

__all__ = ["changes", "limits", "record"]


def changes(
    latents: Latents, model: str, index: int, mates: Sequence[int]
) -> dict[str, np.ndarray]:
    """Score maps (V, H, W) of a sample by what is changed in it; NaN where a view is absent.

    The background is as the flow has it: the page knows which positions count.

    Without messages every view stands alone, so the page puts changed samples together itself.
    """
    flow, names = latents.flows[model], latents.names
    there = latents.whole[model][index].present[:, None, None]
    found = {"": np.where(there, latents.whole[model][index].nll, np.nan)}
    edges = flow.graph.possible_edges
    if not edges:
        return found
    whole = latents.split[[index]]
    x, present, shown = whole
    for key, muted in {
        "silent": edges,
        **{f"mute-{names[j]}-{names[i]}": [(j, i)] for j, i in edges},
    }.items():
        found[key] = _maps(flow, x, present, shown, muted)[0]
    for view, name in enumerate(names):
        for number, mate in enumerate(mates, 1):
            found[f"swap-{name}-{number}"] = _maps(flow, *_with_view(latents, whole, view, mate))[0]
        gone = present.clone()
        gone[:, view] = False
        if gone.any():
            found[f"gone-{name}"] = _maps(flow, x, gone, shown)[0]
    return found


def _with_view(latents: Latents, row: tuple, view: int, mate: int) -> tuple:
    """Features, present views and foreground of a sample with one view of another."""
    new = []
    for own, other in zip(row, latents.split[[mate]], strict=True):
        own = None if own is None else own.clone()
        if own is not None:
            own[:, view] = other[:, view]
        new.append(own)
    return tuple(new)


@torch.no_grad()
def _maps(
    flow: MultiFlow, x: Tensor, present: Tensor, _shown: Tensor | None, muted: Sequence = ()
) -> np.ndarray:
    """Score maps (B, V, H, W)."""
    nll = nll_map(*flow(x.nan_to_num(), present=present, muted=muted))
    return nll.masked_fill(~present[..., None, None], torch.nan).numpy()


def limits(latents: Latents, maps: Mapping) -> dict[str, tuple[float, float]]:
    """Where colours end, nats per channel; those of differences lie evenly around 0."""
    pairs = [made for each in maps.values() for made in each.values()]
    moved = [c[key] - c[""] for c in pairs for key in c if key]
    # misfits answer a hundred times as strongly as what is usual: they may be beyond the end
    end = max(float(np.nanquantile(np.abs(moved), 0.98)) if moved else 0.0, 0.01)
    return {
        "score": tuple(map(float, latents.limits["nll"])),
        "agreement": latents.limits["agreement"],
        "change": (-end, end),
    }


def record(latents: Latents, name: str) -> dict:
    """Who hears whom, and the scores of all samples by three rules, to compare one with.

    "max" and "mean" are those of image scores, "agreement" is that of `Latents.agrees`.

    Raises:
        ValueError: it is not known how well the views of sound samples agree.
    """
    edges, present = latents.flows[name].graph.possible_edges, latents.split.present
    if edges and latents.usual[name] is None:
        raise ValueError(
            f"'latents' should know how the views of sound parts agree in {name!r}: make them "
            "with the training split, Latents(flows, test, train)"
        )
    ranked = latents.ranked[name]
    images = torch.from_numpy(ranked["maximum"][0])
    scores = {rule: sample_scores(images, rule, present).numpy() for rule in ("max", "mean")}
    scores["agreement"] = ranked["agreement"][1] if edges else np.zeros(len(images))
    sound = ~latents.labels if not latents.labels.all() else latents.labels
    return {
        "name": name,
        "edges": [list(edge) for edge in edges],
        "scores": {rule: np.round(found, 4).tolist() for rule, found in scores.items()},
        "thresholds": {
            rule: round(float(np.quantile(found[sound], 0.95)), 4) for rule, found in scores.items()
        },
    }
