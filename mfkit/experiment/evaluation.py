"""Scores against labels and masks: the metrics of a trained flow on a test split."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm.auto import tqdm

from mfkit.data import MASK_SIZE, MISFITS
from mfkit.experiment.devices import autocast
from mfkit.features import Split
from mfkit.flow import MultiFlow
from mfkit.score import (
    Agreement,
    PixelMetrics,
    Scores,
    Usual,
    agreement_map,
    auroc,
    nll_map,
    pixel_map,
    sample_scores,
)

__all__ = [
    "FURTHER",
    "METRICS",
    "Scored",
    "compare",
    "counting",
    "evaluate",
    "lost_views",
    "score_split",
    "usual_agreement",
]

METRICS = {
    "s_auroc": "S-AUROC",
    "s_auroc_mean": "S-AUROC (mean)",
    "i_auroc": "I-AUROC",
    "p_auroc": "P-AUROC",
    "p_ap": "P-AP",
    "p_aupro": "P-AUPRO",
}
"""What every run has."""
FURTHER = {
    "s_agreement": "S-agreement",
    "s_combined": "S-combined",
    "s_auroc_plain": "S-AUROC, plain",
    "s_combined_plain": "S-combined, plain",
    "s_auroc_misfit": "S-AUROC, misfits",
    "s_combined_misfit": "S-combined, misfits",
}
"""What runs have whose flow knows agreement, or whose data hold misfits; see `compare`."""


class Scored(NamedTuple):
    """What a flow makes of N samples, on the CPU.

    Attributes:
        scores: by likelihood.
        agreement: whether their views belong together; None where nobody asked.
        present: (N, V) of bool, the views that took part.
        nats: (N,), negative log-likelihoods, the mean over all positions that count, in nats per
            channel and without the constant 1/2 log(2 pi).
    """

    scores: Scores
    agreement: Agreement | None
    present: Tensor
    nats: Tensor

    def both(self) -> Tensor:
        """(N, 2): sample scores by likelihood and by agreement; (N, 1) without agreement."""
        each = [part.samples for part in (self.scores, self.agreement) if part is not None]
        return torch.stack(each, 1)


@torch.no_grad()
def score_split(
    flow: MultiFlow,
    split: Split,
    batch: int = 8,
    present: Tensor | None = None,
    amp: str | None = None,
    usual: Usual | None = None,
) -> Scored:
    """Score samples; no label is looked at.

    Arguments:
        flow: in evaluation mode.
        split: N samples. Positions outside their foreground score as the lowest of their image.
        batch: samples scored together.
        present: (N, V) of bool: views to use; None uses all that there are.
        amp: see `mfkit.Training`.
        usual: of the training samples, if agreement is asked for, too; it takes twice as long.

    Raises:
        ValueError: the flow is in training mode.
    """
    if flow.training:
        raise ValueError("'flow' should be in evaluation mode, or noise is added: flow.eval()")
    scores, agreements, used, nats = [], [], [], []
    for x, there, foreground in _batches(split, batch, flow.device, present, "evaluation"):
        used.append(there)
        with autocast(flow.device, amp):
            scales = flow.scales(x, there)
            scores.append(Scores.of(scales, foreground, there))
            nll = nll_map(*flow.fold(scales))
            nats.append(_mean_nats(nll, foreground, there))
            if usual is not None:
                maps = agreement_map(flow, x, there, nll)
                agreements.append(Agreement.of(maps, foreground, there, usual))
    whole = None if usual is None else Agreement(*_joined(agreements))
    return Scored(Scores(*_joined(scores)), whole, torch.cat(used).cpu(), torch.cat(nats).cpu())


def counting(present: Tensor, foreground: Tensor | None, like: Tensor) -> Tensor:
    """Which positions count: (B, V, H, W) of bool, as large as `like`."""
    counts = present[..., None, None].expand_as(like)
    return counts if foreground is None else counts & foreground


def _mean_nats(nll: Tensor, foreground: Tensor | None, present: Tensor) -> Tensor:
    """The mean over positions that count, (B,), of maps (B, V, H, W) in nats per channel."""
    counts = counting(present, foreground, nll)
    return (nll * counts).sum((1, 2, 3)) / counts.sum((1, 2, 3)).clamp(min=1)


def usual_agreement(flow: MultiFlow, split: Split, batch: int = 8, amp: str | None = None) -> Usual:
    """What agreement is measured with: how the views of training samples agree.

    Arguments:
        flow: in evaluation mode.
        split: the training samples.
        batch, amp: as in `score_split`.
    """
    maps, used = [], []
    for x, there, _ in _batches(split, batch, flow.device, None, "what is usual"):
        with autocast(flow.device, amp):
            maps.append(agreement_map(flow, x, there).cpu())
        used.append(there.cpu())
    return Usual.of(torch.cat(maps), torch.cat(used))


def _batches(
    split: Split, batch: int, device: torch.device, present: Tensor | None, label: str
) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
    """Features, present views and foreground, some samples at a time, on the device."""
    for indices in tqdm(torch.arange(len(split)).split(batch), desc=label):
        x, there, foreground = split[indices]
        there = there if present is None else there & present[indices]
        foreground = None if foreground is None else foreground.to(device)
        yield x.to(device), there.to(device), foreground


def _joined(batches: list[tuple[Tensor, ...]]) -> list[Tensor]:
    """The parts of all batches, each as one tensor on the CPU."""
    return [torch.cat(parts).cpu() for parts in zip(*batches, strict=True)]


def compare(split: Split, scored: Scored, joined: Tensor | None = None) -> dict[str, float]:
    """Compare scores with labels and masks.

    A view that is not present counts in no metric; a sample keeps its label, also if none of the
    views that are left shows the defect.

    Arguments:
        split: N test samples.
        scored: what `score_split` made of them.
        joined: (N,), likelihood and agreement as one score, see `mfkit.score.combined`.

    Returns:
        the metrics of `METRICS`, and "nll", the negative log-likelihood of sound samples in nats
        per channel.
        With agreement also "s_agreement" and "i_agreement", AUROCs of agreement alone, and
        "s_combined", that of the joined score. If some samples are misfits, each of the
        sample figures also for plain defects and misfits apart: "s_auroc_plain", "s_auroc_misfit".

    Source: rules of the official tool (ADEval 1.1.0); "s_auroc_mean" is the released code's.
    """
    (maps, images, samples), agreement, shown, nats = scored
    label = torch.tensor([sample.label for sample in split.samples])
    labels = torch.tensor([sample.labels for sample in split.samples])
    misfit = torch.tensor([sample.code in MISFITS for sample in split.samples])
    ranked = {
        "s_auroc": samples,
        "s_auroc_mean": sample_scores(images, rule="mean", present=shown),
    }
    if agreement is not None:
        ranked["s_agreement"] = agreement.samples
    if joined is not None:
        ranked["s_combined"] = joined
    groups = {"": torch.ones_like(label)}
    if misfit.any() and (label & ~misfit).any():
        groups |= {"_plain": ~misfit, "_misfit": ~label | misfit}
    metrics = {
        name + group: auroc(label[chosen], values[chosen])
        for group, chosen in groups.items()
        for name, values in ranked.items()
    }
    metrics |= {"i_auroc": auroc(labels[shown], images[shown]), **_pixels(split, maps, shown)}
    if agreement is not None:
        metrics["i_agreement"] = auroc(labels[shown], agreement.images[shown])
    return metrics | {"nll": nats[~label].mean().item()}


def _pixels(split: Split, maps: Tensor, shown: Tensor) -> dict[str, float]:
    """Pixel metrics, a sample at a time: enlarged maps of all would not fit into memory."""
    pixels = PixelMetrics()
    for sample, views, there in zip(split.samples, maps, shown, strict=True):
        truth = np.stack([sample.mask(view, MASK_SIZE) for view in range(len(views))])
        pixels.update(pixel_map(views[None], MASK_SIZE)[0][there], truth[there.numpy()])
    return pixels.compute()


def evaluate(
    flow: MultiFlow,
    split: Split,
    batch: int = 8,
    present: Tensor | None = None,
    amp: str | None = None,
) -> tuple[dict[str, float], Scores]:
    """Score test samples and compare with their labels and masks.

    Arguments:
        flow, split, batch, present, amp: see `score_split`.

    Returns:
        the metrics of `compare`; the scores of all N samples, on the CPU.
    """
    scored = score_split(flow, split, batch, present, amp)
    return compare(split, scored), scored.scores


def lost_views(flow: MultiFlow, split: Split, amp: str | None = None) -> pd.DataFrame:
    """What is found if every test sample lacks some of its views, drawn at random.

    Arguments:
        flow: in evaluation mode.
        split: N test samples.
        amp: see `mfkit.Training`.

    Returns:
        "missing" (0 to V - 1 views that are taken away) and "s_auroc" by the maximum rule. A sample
        keeps its label, and of one that has fewer views one is left.
    """
    there, rows = split.present, []
    luck = torch.rand(there.shape, generator=torch.Generator().manual_seed(0))
    rank = luck.masked_fill(~there, -1).argsort(1).argsort(1)  # absent views first
    absent = (~there).sum(1, keepdim=True)
    label = [sample.label for sample in split.samples]
    for missing in range(there.shape[1]):
        left = rank >= (absent + missing).clamp(max=there.shape[1] - 1)
        scored = score_split(flow, split, present=left, amp=amp)
        rows.append({"missing": missing, "s_auroc": auroc(label, scored.scores.samples)})
    return pd.DataFrame(rows)
