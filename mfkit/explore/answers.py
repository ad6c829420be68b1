"""What a flow makes of a sample: everything that the explorer draws without running it again."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mfkit.flow import MultiFlow
from mfkit.score import Scores

__all__ = ["BINS", "LEVELS", "Answer", "answers"]

BINS = np.linspace(-4, 4, 41)  # edges of the bins of a histogram of latents
LEVELS = (np.arange(31) + 0.5) / 31  # probabilities at which a Q-Q plot compares quantiles


@dataclass(frozen=True)
class Answer:
    """What a model makes of a sample.

    Attributes:
        z: latents (V, C, H, W), float16.
        half, log_det: half the squared norm and the log-determinant, (V, H, W), both in nats per
            channel; the score is their difference.
        map: what image scores are taken from, (V, H, W): this difference, the background quiet,
            NaN where a view is absent.
        density: histograms of the latents after block 0 (the features) .. K, (K + 1, V, 40) over
            `BINS`.
        quantiles: of the same at `LEVELS`, (K + 1, V, 31).
        moments: of the same (K + 1, V, 3): mean, standard deviation, share beyond -3 .. 3.
        present: (V,) of bool.
        images: image scores (V,) by the maximum rule, nats per channel, NaN where absent.
        score: of the sample, by the maximum rule.
    """

    z: np.ndarray
    half: np.ndarray
    log_det: np.ndarray
    map: np.ndarray
    density: np.ndarray
    quantiles: np.ndarray
    moments: np.ndarray
    present: np.ndarray
    images: np.ndarray
    score: float

    @property
    def nll(self) -> np.ndarray:
        """Score of every position (V, H, W) in nats per channel."""
        return self.half - self.log_det


@torch.no_grad()
def answers(
    flow: MultiFlow, x: Tensor, present: Tensor, muted: Sequence, foreground: Tensor | None
) -> list[Answer]:
    """Answers to some samples.

    Arguments:
        flow: in evaluation mode.
        x: features (B, V, C, H, W), 0 in absent views.
        present: (B, V) of bool.
        muted: edges (sender, receiver) that carry no message.
        foreground: (B, V, H, W) of bool; None: everything counts.

    Returns:
        B of them.
    """
    z, log_det = flow(x, present=present, muted=muted)
    scores = Scores.of([(z, log_det)], foreground, present)
    half, log_det = 0.5 * z.square().mean(2), log_det / z.shape[2]
    latents = [x, *flow.trace(x, present, muted)]
    return [
        Answer(
            z[b].half().numpy(),
            half[b].numpy(),
            log_det[b].numpy(),
            scores.maps[b].numpy(),
            *_distribution(np.stack([step[b].flatten(1).numpy() for step in latents])),
            present[b].numpy(),
            scores.images[b].numpy(),
            scores.samples[b].item(),
        )
        for b in range(len(x))
    ]


def _distribution(latents: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Density over `BINS`, quantiles at `LEVELS`, and moments, of numbers (K + 1, V, D)."""
    ordered = np.sort(latents, -1)
    size = ordered.shape[-1]
    below = np.apply_along_axis(np.searchsorted, -1, ordered, BINS)
    density = np.diff(below) / (size * (BINS[1] - BINS[0]))
    quantiles = ordered[..., (LEVELS * size).astype(int)]
    beyond = (np.abs(latents) > 3).mean(-1)
    return density, quantiles, np.stack([latents.mean(-1), latents.std(-1), beyond], -1)
