"""What the benchmark of questions asks of a trained flow."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from mfkit.data import read_category
from mfkit.experiment import read_results
from mfkit.features import FeatureStore
from mfkit.flow import MultiFlow, load_flow
from mfkit.score import (
    auroc,
    image_scores,
    mean_scores,
    nll_map,
    sample_scores,
    swap_views,
    who_helps,
)

DATA = Path(__file__).parents[2] / "data" / "mini-iad"
SWAPS = 3  # donors of each swapped view
DRAWS = 5  # choices of missing views


class Trained:
    """One finished training run, with the features of its test split."""

    def __init__(self, out: Path, category: str, features: Path):
        self.flow = load_flow(out / category / "model.pt")
        self.store = FeatureStore(features / category / "test.f16")
        self.samples = read_category(DATA, category).test
        sound = [index for index, sample in enumerate(self.samples) if not sample.label]
        self.sound = self.store[sound]
        self.row = read_results(out)["categories"][category]

    def numbers(self, separated: MultiFlow) -> dict[str, float]:
        """What the tables of variants show, in percent and nats per channel."""
        keys = ("s_auroc", "s_auroc_mean", "i_auroc", "p_auroc", "p_aupro")
        muted = partial(self.flow, muted=self.flow.graph.possible_edges)
        scores, alone, silent = (_swaps(f, self.sound) for f in (self.flow, separated, muted))
        return {
            "nll": scores[0].mean().item(),
            **{key: 100 * self.row[key] for key in keys},
            "spread": scores[0].std().item(),
            "rise": (scores[1:] - scores[0]).mean().item(),
            "swap": 100 * _told_apart(scores),
            "swap_against": 100 * _told_apart(scores - alone),
            "swap_evidence": 100 * _told_apart(scores - silent),
            "parameters": sum(p.numel() for p in self.flow.parameters()) / 1e6,
        }

    def worth(self) -> list[list[float]]:
        """Nats that every message is worth, a mean over the sound test samples: see `who_helps`."""
        matrix = torch.cat([who_helps(self.flow, x) for x in self.sound.split(8)])
        return matrix.mean(0).round().tolist()

    @torch.no_grad()
    def with_missing(self, missing: int) -> float:
        """S-AUROC in percent if every test sample lacks some views, drawn at random."""
        x = self.store[:]
        labels = [sample.label for sample in self.samples]
        areas = []
        for present in _without(missing, *x.shape[:2]):
            parts = zip(x.split(8), present.split(8), strict=True)
            nll = torch.cat([nll_map(*self.flow(part, present=shown)) for part, shown in parts])
            areas.append(100 * auroc(labels, sample_scores(image_scores(nll), present=present)))
        return float(np.mean(areas))


def _without(missing: int, samples: int, views: int) -> Iterator[torch.Tensor]:
    """Which views are left, (N, V) of bool, for several draws of those that are not."""
    for draw in range(DRAWS if 0 < missing else 1):
        luck = torch.rand(samples, views, generator=torch.Generator().manual_seed(draw))
        yield luck.argsort(1).argsort(1) >= missing


def ceiling(categories: Sequence[str], missing: int) -> float:
    """S-AUROC in percent of a judge who finds every defect that a view which is left shows.

    Defective samples of which no such view is left are as good as sound ones to him.
    """
    areas = []
    for category in categories:
        samples = read_category(DATA, category).test
        labels = torch.tensor([sample.labels for sample in samples])
        for present in _without(missing, *labels.shape):
            seen = (labels & present).any(1)
            areas.append(100 * auroc([sample.label for sample in samples], seen.float()))
    return float(np.mean(areas))


def _swaps(flow: Callable, x: torch.Tensor) -> torch.Tensor:
    """Scores of the samples: whole in the first row, with a swapped view in each further one."""
    donors = torch.Generator().manual_seed(1)  # the same for all flows; three a view, all different
    swapped = (swap_views(x, [k // SWAPS], donors) for k in range(SWAPS * x.shape[1]))
    return torch.stack([mean_scores(flow, group) for group in (x, *swapped)])


def _told_apart(scores: torch.Tensor) -> float:
    """Mean AUROC of swapped against whole samples, over the swapped view and its donors."""
    labels = [False] * scores.shape[1] + [True] * scores.shape[1]
    return float(np.mean([auroc(labels, torch.cat([scores[0], row])) for row in scores[1:]]))
