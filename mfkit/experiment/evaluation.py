"""Scores against labels and masks: the six metrics of a trained flow on a test split."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from mfkit.data import Sample, read_mask
from mfkit.experiment.devices import autocast
from mfkit.features import FeatureStore, ForegroundStore, present_views
from mfkit.flow import MultiFlow
from mfkit.score import (
    PixelMetrics,
    auroc,
    image_scores,
    nll_map,
    pixel_map,
    quiet_background,
    sample_scores,
)

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
    store: FeatureStore,
    samples: Sequence[Sample],
    batch: int = 8,
    present: Tensor | None = None,
    foreground: ForegroundStore | None = None,
    amp: str | None = None,
) -> tuple[dict[str, float], np.ndarray, np.ndarray, np.ndarray]:
    """Score test samples and compare with their labels and masks.

    A view that is not present counts in no metric; a sample keeps its label, also if none of the
    views that are left shows the defect.

    Arguments:
        flow: in evaluation mode.
        store: features of the samples.
        samples: N test samples.
        batch: samples scored together.
        present: (N, V) of bool: views to use; None uses all that there are.
        foreground: which positions show the object; the others score as the lowest of their image.
            None: all positions count.
        amp: see `mfkit.experiment.settings.Training`.

    Returns:
        the six metrics of `METRICS`; score maps (N, V, H, W), image scores (N, V) and sample
        scores (N,) by the maximum rule, in nats per channel, NaN for absent views.

    Raises:
        ValueError: the flow is in training mode, or store, samples and foreground are not of the
            same N.

    Source: rules of the official tool (ADEval 1.1.0); "s_auroc_mean" is the released code's.
    """
    if flow.training:
        raise ValueError("'flow' should be in evaluation mode, or noise is added: flow.eval()")
    for name, rows in (("samples", samples), ("foreground", foreground)):
        if rows is not None and len(rows) != len(store):
            raise ValueError(f"{name!r} should be as many as 'store', {len(store)}: {len(rows)}")
    device = next(flow.parameters()).device
    pixels = PixelMetrics()
    maps, used = [], []
    for indices in tqdm(torch.arange(len(store)).split(batch), desc="evaluation"):
        x = store.read(indices)
        shown = present_views(x) if present is None else present_views(x) & present[indices]
        with autocast(device, amp):
            z, log_det = flow(x.to(device), present=shown.to(device))
        nll = nll_map(z, log_det).cpu()
        if foreground is not None:
            nll = quiet_background(nll, foreground.read(indices))
        truth = np.stack([_truth(samples[index]) for index in indices])
        pixels.update(pixel_map(nll, MASK_SIZE)[shown], truth[shown.numpy()])
        maps.append(nll.masked_fill(~shown[..., None, None], torch.nan))
        used.append(shown)
    nll, shown = torch.cat(maps), torch.cat(used)
    images = image_scores(nll)
    label = [sample.label for sample in samples]
    labels = torch.tensor([sample.labels for sample in samples])
    by_max = sample_scores(images, present=shown)
    by_mean = sample_scores(images, rule="mean", present=shown)
    metrics = {
        "s_auroc": auroc(label, by_max),
        "s_auroc_mean": auroc(label, by_mean),
        "i_auroc": auroc(labels[shown], images[shown]),
        **pixels.compute(),
    }
    return metrics, nll.numpy(), images.numpy(), by_max.numpy()


def _truth(sample: Sample) -> np.ndarray:
    """Masks of a sample, (V, MASK_SIZE, MASK_SIZE) of bool."""
    blank = np.zeros((MASK_SIZE, MASK_SIZE), dtype=bool)
    views = zip(sample.masks, sample.flips, strict=True)
    return np.stack([blank if m is None else read_mask(m, MASK_SIZE, flip) for m, flip in views])
