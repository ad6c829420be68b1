"""Training samples as the fitted layers see samples that they were not fitted to."""

from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor
from tqdm.auto import tqdm

from mfkit.errors import InputError
from mfkit.features import Split
from mfkit.flow import MultiFlow

__all__ = ["CrossFitted", "deal"]


def deal(samples: int, folds: int) -> tuple[Tensor, Tensor]:
    """Which samples are watched and which are taught: the first fold, and all others.

    Arguments:
        samples: N; sample n belongs to fold n modulo `folds`.
        folds: 0 teaches all.

    Raises:
        InputError: not two samples for every fold.
    """
    if folds and samples < 2 * folds:
        raise InputError(
            f"'folds' should leave two training samples in each, got {folds} folds for {samples} "
            "samples; take fewer folds, or 0 for none"
        )
    watched = (torch.arange(samples) % folds == 0) if folds else torch.zeros(samples).bool()
    return watched.nonzero()[:, 0], (~watched).nonzero()[:, 0]


class CrossFitted:
    """What the layers before the blocks make of training samples, each by those of other folds.

    Means, directions and covariances are fitted to the training samples, so these samples look more
    normal behind them than any new one will, and blocks that learn from that are wrong about new
    ones. So the samples are dealt into folds; those of a fold go through layers that are fitted to
    all other folds, with the shrinkage that all samples together chose. The blocks learn from
    these; in use they stand behind layers that are fitted to all samples.

    Kept in memory: N V C H W numbers in float32, twice if messages are linear and are to be muted.

    Arguments:
        flow: fitted.
        split: N training samples.
        folds: see `deal`.
        silent: also keep what comes out with all messages muted.
    """

    def __init__(self, flow: MultiFlow, split: Split, folds: int, silent: bool):
        fold = torch.arange(len(split)) % folds
        views, *sizes = split[[0]][0].shape[1:]
        muted = [(), flow.graph.possible_edges] if silent else [()]
        self.kept = [
            (torch.empty(len(split), views, *sizes), torch.empty(len(split), views, *sizes[1:]))
            for _ in muted
        ]
        apart, before = deepcopy(flow).eval(), slice(flow.first_block)
        for number in tqdm(range(folds), desc="cross-fitting"):
            for layer in list(apart.inn)[before]:
                layer.refit(split[[row]][0] for row in (fold != number).nonzero()[:, 0].tolist())
            for row in (fold == number).nonzero()[:, 0].tolist():
                x, present, _ = split[[row]]
                for (y, log_det), edges in zip(self.kept, muted, strict=True):
                    with torch.no_grad():
                        found = apart(x.to(flow.device), None, present, edges, before)
                    y[row], log_det[row] = (part[0].cpu() for part in found)

    def __call__(
        self, indices: Sequence[int] | Tensor, silent: bool = False
    ) -> tuple[Tensor, Tensor]:
        """What comes out of the fitted layers, (B, V, C, H, W), and their log-determinant."""
        y, log_det = self.kept[silent and len(self.kept) > 1]
        return y[indices], log_det[indices]
