"""Standardized features keep their likelihood."""

import pytest
import torch
from tiny import awake
from torch.autograd.functional import jacobian

from mfkit.flow import MultiFlow, Standardize, ViewGraph

DIMS = [(3, 2, 2, 2)]  # C, V, H, W


def features(samples: int = 6) -> torch.Tensor:
    """(B, V, C, H, W) whose mean and spread differ from channel to channel and view to view."""
    generator = torch.Generator().manual_seed(0)
    spread = torch.tensor([[1.0, 5.0, 9.0], [2.0, 0.1, 4.0]])[..., None, None]
    x = torch.randn(samples, 2, 3, 2, 2, generator=generator, dtype=torch.float64)
    return 7 + spread * x


def fitted(x: torch.Tensor) -> Standardize:
    module = Standardize(DIMS).double()
    module.fit(x.split(2))
    return module


def test_every_channel_of_every_view_has_mean_0_and_spread_1():
    x = features()
    ((y,), _) = fitted(x)((x.transpose(1, 2),))
    std, mean = torch.std_mean(y, dim=(0, 3, 4), correction=0)
    torch.testing.assert_close(mean, torch.zeros(3, 2).double(), rtol=0, atol=1e-12)
    torch.testing.assert_close(std, torch.ones(3, 2).double(), rtol=0, atol=1e-12)


def test_missing_views_do_not_count():
    x = features()
    holed = torch.cat([x, features()])
    holed[6:] = torch.nan
    holed[0, 1] = holed[5, 0] = torch.nan
    module = fitted(holed)
    expected = torch.stack([x[:5, 0].mean((0, 2, 3)), x[1:, 1].mean((0, 2, 3))], dim=1)
    torch.testing.assert_close(module.mean[..., 0, 0], expected)


def test_log_determinant_equals_autograd_and_the_inverse_recovers_the_features():
    x = features()
    torch.manual_seed(0)
    graph = ViewGraph.complete(2)
    options = {"blocks": 1, "hidden": 3, "kernel_sizes": [3], "standardize": True}
    flow = awake(MultiFlow(3, 2, 2, graph, **options).double()).eval()
    flow.fit([x])
    z, log_det = flow(x[:1])
    whole = jacobian(lambda x: flow(x)[0], x[:1]).reshape(24, 24)
    torch.testing.assert_close(log_det.sum(), torch.linalg.slogdet(whole)[1], rtol=0, atol=1e-9)
    torch.testing.assert_close(flow.inverse(z), x[:1], rtol=0, atol=1e-9)
    assert len(flow.trace(x)) == 1
    torch.testing.assert_close(flow.trace(x)[-1], flow(x)[0])


def test_the_likelihood_stays_that_of_the_features():
    """An untrained flow with standardized features is a normal density with their moments."""
    x = features(200)
    flow = MultiFlow(3, 2, 2, ViewGraph.empty(2), blocks=1, hidden=3, standardize=True).double()
    flow.eval().fit([x])
    std, mean = torch.std_mean(x, dim=(0, 3, 4), correction=0, keepdim=True)
    expected = torch.distributions.Normal(mean, std).log_prob(x).flatten(1).sum(1)
    torch.testing.assert_close(flow.log_prob(x), expected)


def test_before_fit_it_is_the_identity():
    x = features().transpose(1, 2)
    (y,), log_det = Standardize(DIMS).double()((x,))
    assert torch.equal(x, y) and not log_det.any()


def test_a_channel_without_spread_is_named():
    x = features()
    x[:, 1, 2] = 1.0
    with pytest.raises(ValueError, match="channel 2 of view 1 is the same everywhere"):
        fitted(x)


def test_a_view_that_training_never_sees_is_named():
    x = features()
    x[:, 1] = torch.nan
    with pytest.raises(ValueError, match="view 1 is in no training sample"):
        fitted(x)
