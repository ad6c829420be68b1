"""Training samples as the fitted layers see samples that they were not fitted to."""

from collections.abc import Sequence
from copy import deepcopy
from functools import cached_property

import torch
from torch import Tensor
from tqdm.auto import tqdm

from mfkit.errors import InputError
from mfkit.experiment.devices import autocast
from mfkit.features import Split
from mfkit.flow import MultiFlow, Pyramid
from mfkit.score import Agreement, Scores, Usual, nll_map

__all__ = ["CrossFitted", "deal"]

BATCH = 8


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

    The work is done when it is asked for first. Kept in memory: N V C H W numbers in float32, twice
    if messages are linear.

    Arguments:
        flow: whose layers have been fitted by then.
        split: N training samples.
        folds: see `deal`.
    """

    def __init__(self, flow: MultiFlow | Pyramid, split: Split, folds: int):
        self.flow, self.split, self.folds = flow, split, folds
        self.silent = flow.graph.possible_edges if flow.linear else ()

    def __call__(
        self, indices: Sequence[int] | Tensor, silent: bool = False
    ) -> tuple[Tensor, Tensor]:
        """What comes out of the fitted layers, (B, V, C, H, W), and their log-determinant.

        Arguments:
            indices: B of them.
            silent: with all messages muted.
        """
        scales = self._kept[silent and bool(self.silent)]
        return self.flow.fold([(y[indices], log_det[indices]) for y, log_det in scales])

    @cached_property
    def _kept(self) -> list[list[tuple[Tensor, Tensor]]]:
        """Of each scale, heard and, where it makes a difference, muted."""
        fold = torch.arange(len(self.split)) % self.folds
        apart, kept = deepcopy(self.flow).eval(), {}
        for number in tqdm(range(self.folds), desc="cross-fitting"):
            apart.refit(self.split[[row]][0] for row in (fold != number).nonzero()[:, 0].tolist())
            for row in (fold == number).nonzero()[:, 0].tolist():
                x, present, _ = self.split[[row]]
                part = slice(apart.first_block)
                kept[row] = [
                    _on_cpu(apart.scales(x.to(apart.device), present, muted, part))
                    for muted in ((), self.silent)[: 1 + bool(self.silent)]
                ]
        rows = [kept[row] for row in range(len(self.split))]
        return [
            [tuple(map(torch.cat, zip(*scale, strict=True))) for scale in zip(*told, strict=True)]
            for told in zip(*rows, strict=True)
        ]

    @torch.no_grad()
    def scales(
        self, indices: Sequence[int] | Tensor, silent: bool = False, amp: str | None = None
    ) -> list[tuple[Tensor, Tensor]]:
        """What comes out of all layers, at each scale, see `MultiFlow.scales`; on the CPU.

        Arguments:
            indices, silent: as above.
            amp: see `mfkit.Training`.
        """
        flow, (present, _) = self.flow, self.split.shown(indices)
        muted = flow.graph.possible_edges if silent else ()
        y, _ = self(indices, silent)
        with autocast(flow.device, amp):
            after = flow.scales(y.to(flow.device), present, muted, slice(flow.first_block, None))
        before = self._kept[silent and bool(self.silent)]
        return [
            (z.cpu(), log_det.cpu() + first[indices])
            for (z, log_det), (_, first) in zip(after, before, strict=True)
        ]

    def units(self, amp: str | None = None) -> tuple[Tensor, Usual]:
        """What likelihood and agreement are measured with.

        The blocks have learned from all samples but those of the first fold, see `deal`, so only
        these say what new samples score. In agreement, a difference, what blocks know by heart is
        on both sides.

        Arguments:
            amp: see `mfkit.Training`.

        Returns:
            sample scores by likelihood and agreement (N, 2), see `mfkit.score.combined`; NaN where
            the blocks have learned from a sample. And what is usual.
        """
        scores, maps = [], []
        for indices in torch.arange(len(self.split)).split(BATCH):
            present, foreground = self.split.shown(indices)
            together, alone = (self.scales(indices, silent, amp) for silent in (False, True))
            scores.append(Scores.of(together, foreground, present).samples)
            fold = self.flow.fold
            maps.append(nll_map(*fold(together)) - nll_map(*fold(alone)))
        present, foreground = self.split.shown(range(len(self.split)))
        likelihood, apart = torch.cat(scores), torch.cat(maps)
        usual = Usual.of(apart, present)
        agreement = Agreement.of(apart, foreground, present, usual)
        if next(self.flow.parameters(), None) is not None:
            likelihood[deal(len(likelihood), self.folds)[1]] = torch.nan
        return torch.stack([likelihood, agreement.samples], 1), usual


@torch.no_grad()
def _on_cpu(scales: list[tuple[Tensor, Tensor]]) -> list[tuple[Tensor, Tensor]]:
    return [(y.detach().cpu(), log_det.detach().cpu()) for y, log_det in scales]
