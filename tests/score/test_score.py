"""Scores follow the formula, and the background takes no part in a maximum."""

import pytest
import torch

from mfkit.score import scores as score


def test_nll_map_by_hand():
    """C = 2, z = (1, 3), log-determinant 4: (1/2 (1 + 9) - 4) / 2 = 1/2."""
    z = torch.tensor([1.0, 3.0]).reshape(1, 1, 2, 1, 1)
    log_det = torch.full((1, 1, 1, 1), 4.0)
    assert score.nll_map(z, log_det).item() == 0.5
    assert score.nll_map(z, log_det, torch.zeros(1, 1, 1, 1)).item() == 0


def test_background_does_not_floor_the_maximum():
    nll = torch.tensor([-3.0, -2.0, 0.0, 0.0]).reshape(1, 1, 2, 2)
    foreground = torch.tensor([1, 1, 0, 0]).reshape(1, 1, 2, 2)
    assert score.image_scores(nll).item() == 0
    assert score.image_scores(nll, foreground).item() == -2
    assert score.image_scores(nll, foreground, rule="mean").item() == -2.5


def test_an_image_without_foreground_counts_as_a_whole():
    nll = torch.tensor([[[[-1.0, 2.0]], [[-1.0, 2.0]]]])
    shown = torch.tensor([[[[True, False]], [[False, False]]]])
    assert torch.equal(
        score.quiet_background(nll, shown), torch.tensor([[[[-1.0, -1]], [[-1, 2]]]])
    )


def test_sample_rules():
    images = torch.tensor([[1.0, 2.0, 6.0]])
    assert score.sample_scores(images).item() == 6
    assert score.sample_scores(images, rule="mean").item() == 3


def test_pixel_map_is_bilinear():
    nll = torch.arange(4.0).reshape(1, 1, 2, 2)
    enlarged = score.pixel_map(nll, size=4)[0, 0]
    assert enlarged.shape == (4, 4)
    assert enlarged[0].tolist() == [0.0, 0.25, 0.75, 1.0]


def test_errors_name_the_argument():
    nll = torch.zeros(1, 2, 2, 2)
    with pytest.raises(ValueError, match="'rule' should be 'max' or 'mean', got 'sum'"):
        score.image_scores(nll, rule="sum")
    with pytest.raises(ValueError, match="'rule' should be 'max' or 'mean', got 'sum'"):
        score.sample_scores(nll[..., 0, 0], rule="sum")
    with pytest.raises(ValueError, match="'foreground' should show the object in every image"):
        score.image_scores(nll, torch.zeros(1, 2, 2, 2))
