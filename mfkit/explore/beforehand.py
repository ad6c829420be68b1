"""What the page without a kernel asks the flows beforehand: every change that it can show."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from mfkit.explore.latents import Latents
from mfkit.flow import MultiFlow
from mfkit.score import Agreement, Scores, sample_scores

__all__ = ["changes", "limits", "record"]

RULES = ("max", "mean", "agreement")


def changes(
    latents: Latents, model: str, index: int, mates: Sequence[int]
) -> dict[str, np.ndarray]:
    """Score maps (V, H, W) of a sample by what is changed in it; NaN where a view is absent.

    Without messages every view stands alone, so the page puts changed samples together itself.
    """
    flow, names = latents.flows[model], latents.names
    found = {"": latents.whole[model][index].map}
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
    flow: MultiFlow, x: Tensor, present: Tensor, shown: Tensor | None, muted: Sequence = ()
) -> np.ndarray:
    """Score maps (B, V, H, W)."""
    z, log_det = flow(x.nan_to_num(), present=present, muted=muted)
    return Scores.of(z, log_det, shown, present).maps.numpy()


def limits(latents: Latents, maps: Mapping) -> dict[str, tuple[float, float]]:
    """Where colours end, nats per channel; those of differences lie evenly around 0."""
    pairs = [made for each in maps.values() for made in each.values()]
    spans = {
        "agreement": [c[""] - c["silent"] for c in pairs if "silent" in c],
        "change": [c[key] - c[""] for c in pairs for key in c if key],
    }
    ends = {"score": tuple(map(float, latents.limits["nll"]))}
    for name, found in spans.items():
        end = float(np.nanquantile(np.abs(found), 0.995)) if found else 0.0
        ends[name] = (-max(end, 0.01), max(end, 0.01))
    return ends


def record(latents: Latents, name: str) -> dict:
    """Who hears whom, and the scores of all samples by three rules, to compare one with."""
    flow, split = latents.flows[name], latents.split
    edges = flow.graph.possible_edges
    scores = {rule: [] for rule in RULES}
    for indices in torch.arange(len(split)).split(8):
        x, present, shown = split[indices]
        whole = np.stack([latents.whole[name][index].map for index in indices])
        alone = _maps(flow, x, present, shown, edges) if edges else whole
        images = torch.from_numpy(
            np.stack([latents.whole[name][index].images for index in indices])
        )
        for rule in RULES[:2]:
            scores[rule] += sample_scores(images, rule, present).tolist()
        apart = torch.from_numpy(whole - alone).nan_to_num()
        scores["agreement"] += Agreement.of(apart, shown, present).samples.tolist()
    sound = ~latents.labels if not latents.labels.all() else latents.labels
    return {
        "name": name,
        "edges": [list(edge) for edge in edges],
        "scores": {rule: np.round(found, 4).tolist() for rule, found in scores.items()},
        "thresholds": {
            rule: round(float(np.quantile(np.array(found)[sound], 0.95)), 4)
            for rule, found in scores.items()
        },
    }
