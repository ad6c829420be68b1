"""Three scores of an image and of a sample: the maximum, the mean, and agreement."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from mfkit.explore.answers import Answer
from mfkit.features import Split
from mfkit.flow import MultiFlow
from mfkit.score import Agreement, Usual, agreement_map, nll_map

__all__ = ["RULES", "alone_maps", "by_rule", "usual_agreement"]

RULES = ("maximum", "mean", "agreement")
BATCH = 8


def by_rule(
    answer: Answer, shown: Tensor | None, agreement: Agreement | None
) -> dict[str, tuple[np.ndarray, float]]:
    """Image scores (V,), NaN where a view is absent, and the sample's score by each rule.

    "maximum" takes the highest position of an image and the highest image, "mean" the mean of all
    positions, both in nats per channel; "agreement" is as `agreement` has it, if there is any.

    Arguments:
        answer: what the flow makes of the sample.
        shown: (1, V, H, W) of bool, the positions that count; None: all do.
        agreement: of one sample.
    """
    counts = np.broadcast_to(answer.present[:, None, None], answer.nll.shape)
    if shown is not None:
        counts = counts & shown[0].numpy()
    total = counts.sum((1, 2))
    means = np.where(counts, answer.nll, 0).sum((1, 2)) / np.where(total, total, np.nan)
    found = {
        "maximum": (answer.images, answer.score),
        "mean": (means, float(np.nanmean(means))),
    }
    if agreement is not None:
        found["agreement"] = (agreement.images[0].numpy(), agreement.samples.item())
    return found


@torch.no_grad()
def alone_maps(flow: MultiFlow, split: Split, seen: Sequence[Answer]) -> np.ndarray:
    """Score maps (N, V, H, W) with all messages muted.

    Arguments:
        flow: in evaluation mode.
        split: N samples.
        seen: what the flow makes of them, which is this already if it has no messages.
    """
    edges, parts = flow.graph.possible_edges, []
    if not edges:
        return np.stack([answer.nll for answer in seen])
    for indices in torch.arange(len(split)).split(BATCH):
        x, present, _ = split[indices]
        parts.append(nll_map(*flow(x.nan_to_num(), present=present, muted=edges)))
    return torch.cat(parts).numpy()


def usual_agreement(flow: MultiFlow, train: Split | None) -> Usual | None:
    """How the views of training samples agree; None without messages or training samples."""
    parts = []
    if train is None or not flow.graph.possible_edges:
        return None
    for indices in torch.arange(len(train)).split(BATCH):
        x, present, _ = train[indices]
        parts.append(agreement_map(flow, x.nan_to_num(), present))
    return Usual.of(torch.cat(parts), train.present)
