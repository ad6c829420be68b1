"""From scores to a verdict: a threshold from sound samples alone that keeps its word.

Split conformal prediction (Vovk, Gammerman and Shafer, *Algorithmic Learning in a Random World*,
2005; Lei and others, arXiv 1604.04173). Sound samples that training has not seen say what is usual.
If a new sound sample is exchangeable with them, its rank among all of them is uniform, whatever the
scores look like. So whoever raises the alarm at p <= 0.05 has at most 5 % false alarms on average.
"""

import torch
from torch import Tensor

__all__ = ["p_values", "smallest_rate"]


def p_values(scores: Tensor, unseen: Tensor) -> Tensor:
    """How unusual samples are among sound ones that training has not seen.

    Several scores of a sample (likelihood, agreement) are joined by the largest, each in standard
    deviations above the mean. Mean and deviation are those of the held-out samples *and* the new
    one, so that the new one has no special place and the promise is exact.

    Arguments:
        scores: (N, K), of N samples K scores, larger is more anomalous.
        unseen: (M, K), the same of M sound samples that were held out of training.

    Returns:
        (N,), multiples of 1 / (M + 1): the share of all M + 1 that are as unusual or more so.

    Raises:
        ValueError: no held-out samples.

    Example:
        >>> unseen = torch.arange(19.0)[:, None]
        >>> p_values(torch.tensor([[100.0], [8.5], [-1.0]]), unseen)
        tensor([0.0500, 0.5500, 1.0000])
    """
    if not len(unseen):
        raise ValueError("'unseen' should hold at least one held-out sample, got none")
    those = unseen.expand(scores.shape[0], -1, -1)  # not len(): a program takes any number
    pool = torch.cat([those, scores[:, None]], 1)  # (N, M + 1, K)
    spread = pool.std(1, keepdim=True).clamp(min=torch.finfo(pool.dtype).tiny)
    unusual = ((pool - pool.mean(1, keepdim=True)) / spread).amax(2)
    return (unusual >= unusual[:, -1:]).double().mean(1).to(scores.dtype)


def smallest_rate(unseen: int) -> float:
    """The smallest rate of false alarms that so many held-out samples can promise."""
    return 1 / (unseen + 1)
