"""Scores against labels and masks: the six metrics of a trained flow on a test split."""

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from mfkit.data import Sample
from mfkit.experiment.devices import autocast
from mfkit.features import Split
from mfkit.flow import MultiFlow
from mfkit.score import PixelMetrics, Scores, auroc, pixel_map, sample_scores

__all__ = ["MASK_SIZE", "METRICS", "evaluate"]

MASK_SIZE = 256  # px: where the released code compares maps with masks
METRICS = {
    "s_auroc": "S-AUROC",
    "s_auroc_mean": "S-AUROC (mean)",
    "i_auroc": "I-AUROC",
    "p_auroc": "P-AUROC",
    "p_ap": "P-AP",
    "p_aupro": "P-AUPRO",
}


@torch.no_grad()
def evaluate(
    flow: MultiFlow,
    split: Split,
    batch: int = 8,
    present: Tensor | None = None,
    amp: str | None = None,
) -> tuple[dict[str, float], Scores]:
    """Score test samples and compare with their labels and masks.

    A view that is not present counts in no metric; a sample keeps its label, also if none of the
    views that are left shows the defect.

    Arguments:
        flow: in evaluation mode.
        split: N test samples. Positions outside their foreground score as the lowest of their
            image.
        batch: samples scored together.
        present: (N, V) of bool: views to use; None uses all that there are.
        amp: see `mfkit.Training`.

    Returns:
        the six metrics of `METRICS`; the scores of all N samples, on the CPU.

    Raises:
        ValueError: the flow is in training mode.

    Source: rules of the official tool (ADEval 1.1.0); "s_auroc_mean" is the released code's.
    """
    if flow.training:
        raise ValueError("'flow' should be in evaluation mode, or noise is added: flow.eval()")
    device = next(flow.parameters()).device
    pixels, parts, used = PixelMetrics(), [], []
    for indices in tqdm(torch.arange(len(split)).split(batch), desc="evaluation"):
        x, shown, foreground = split[indices]
        if present is not None:
            shown = shown & present[indices]
        with autocast(device, amp):
            z, log_det = flow(x.to(device), present=shown.to(device))
        if foreground is not None:
            foreground = foreground.to(device)
        scores = Scores.of(z, log_det, foreground, shown.to(device))
        parts.append([part.cpu() for part in scores])
        truth = np.stack([_truth(split.samples[index]) for index in indices])
        pixels.update(pixel_map(parts[-1][0], MASK_SIZE)[shown], truth[shown.numpy()])
        used.append(shown)
    scores, shown = Scores(*map(torch.cat, zip(*parts, strict=True))), torch.cat(used)
    label = [sample.label for sample in split.samples]
    labels = torch.tensor([sample.labels for sample in split.samples])
    metrics = {
        "s_auroc": auroc(label, scores.samples),
        "s_auroc_mean": auroc(label, sample_scores(scores.images, rule="mean", present=shown)),
        "i_auroc": auroc(labels[shown], scores.images[shown]),
        **pixels.compute(),
    }
    return metrics, scores


def _truth(sample: Sample) -> np.ndarray:
    """Masks of a sample, (V, MASK_SIZE, MASK_SIZE) of bool."""
    return np.stack([sample.mask(view, MASK_SIZE) for view in range(len(sample.images))])
