"""Probes change what they say and nothing else."""

import pytest
import torch

from mfkit.probe import swap_views


def test_swapped_views_come_from_another_sample_and_the_others_stay():
    x = torch.randn(6, 5, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    for seed in range(20):
        swapped = swap_views(x, [1, 3], torch.Generator().manual_seed(seed))
        assert torch.equal(swapped[:, [0, 2, 4]], x[:, [0, 2, 4]])
        donors = [[torch.equal(a[1], b[1]) and torch.equal(a[3], b[3]) for b in x] for a in swapped]
        assert [sum(row) for row in donors] == [1] * 6
        assert not any(row[i] for i, row in enumerate(donors))


def test_impossible_swaps_are_refused():
    with pytest.raises(ValueError, match="at least two samples, got 1"):
        swap_views(torch.zeros(1, 5, 1, 1, 1), [0])
    with pytest.raises(ValueError, match=r"'views' should lie in 0 .. 4, got \[5\]"):
        swap_views(torch.zeros(2, 5, 1, 1, 1), [5])
