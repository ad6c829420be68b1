"""A Gaussian for each view and position is an exact layer, and its shrinkage is worth it."""

import pytest
import torch
from torch.autograd.functional import jacobian
from torch.distributions import MultivariateNormal

from mfkit.flow import MultiFlow, ViewGraph, Whiten, load_flow, save_flow

VIEWS, CHANNELS, HEIGHT, WIDTH = 2, 4, 3, 2
DIMS = [(CHANNELS, VIEWS, HEIGHT, WIDTH)]


def features(samples: int, seed: int = 0, own: float = 0.5) -> torch.Tensor:
    """(B, V, C, H, W): a mixing of channels that the positions share, and a bit of their own."""
    generator = torch.Generator().manual_seed(1)
    kind = {"generator": generator, "dtype": torch.float64}
    spread = torch.tensor([1.0, 9.0, 0.1, 3.0], dtype=torch.float64)[:, None]
    mix = torch.randn(VIEWS, 1, 1, CHANNELS, CHANNELS, **kind) + own * torch.randn(
        VIEWS, HEIGHT, WIDTH, CHANNELS, CHANNELS, **kind
    )
    mean = 5 * torch.randn(VIEWS, HEIGHT, WIDTH, CHANNELS, 1, **kind)
    generator.manual_seed(seed + 2)
    noise = torch.randn(VIEWS, HEIGHT, WIDTH, CHANNELS, samples, **kind)
    return (spread * (mix @ noise + mean)).permute(4, 0, 3, 1, 2).contiguous()


def fitted(x: torch.Tensor, shrinkage=None) -> Whiten:
    module = Whiten(DIMS).double()
    module.fit(x.split(3), shrinkage)
    return module


def surprise(module: Whiten, x: torch.Tensor) -> float:
    (z,), log_det = module((x.transpose(1, 2),))
    return (0.5 * z.square().sum(1) - log_det).mean().item()


def gaussian(**options) -> MultiFlow:
    return MultiFlow(
        CHANNELS, HEIGHT, WIDTH, ViewGraph.empty(VIEWS), blocks=0, whiten=True, **options
    ).eval()


def test_before_fit_it_is_the_identity():
    x = features(3).transpose(1, 2)
    (y,), log_det = Whiten(DIMS).double()((x,))
    assert torch.equal(x, y) and log_det.shape == (3, VIEWS, HEIGHT, WIDTH) and not log_det.any()


def test_without_shrinkage_the_training_samples_have_mean_0_and_covariance_1():
    x = features(40)
    ((z,), _) = fitted(x, (0.0, 0.0))((x.transpose(1, 2),))
    torch.testing.assert_close(z.mean(0), torch.zeros_like(z[0]), rtol=0, atol=1e-9)
    for place in z.permute(2, 3, 4, 1, 0).flatten(0, 2):
        torch.testing.assert_close(place.cov(), torch.eye(CHANNELS).double(), rtol=0, atol=1e-9)


@pytest.mark.parametrize("shrinkage", [(0.3, 0.01), (1.0, 0.1)])
def test_the_covariance_is_the_documented_mixture(shrinkage):
    """In units of the channels' spreads over the view, by NumPy's formulas."""
    x, (share, ridge) = features(20), shrinkage
    module = fitted(x, shrinkage)
    for view in range(VIEWS):
        spread = x[:, view].std((0, 2, 3), correction=0)
        y = (x[:, view] / spread[:, None, None]).flatten(2)
        own = torch.stack([y[:, :, place].T.cov() for place in range(HEIGHT * WIDTH)])
        mixed = (1 - share) * own + share * own.mean(0) + ridge * torch.eye(CHANNELS).double()
        expected = mixed * spread[:, None] * spread
        factor = module.unmix[view].flatten(0, 1).inverse()
        torch.testing.assert_close(factor @ factor.mT, expected, rtol=1e-9, atol=1e-9)
        assert torch.equal(module.unmix, module.unmix.tril())


def test_a_flow_of_this_layer_alone_is_a_gaussian():
    x, new = features(30), features(5, seed=1)
    flow = gaussian().double()
    flow.fit([x])
    layer = flow.inn[0]
    factor = layer.unmix.inverse().tril()
    density = MultivariateNormal(layer.mean, scale_tril=factor)
    expected = density.log_prob(new.permute(0, 1, 3, 4, 2)).sum((1, 2, 3))
    torch.testing.assert_close(flow.log_prob(new), expected, rtol=0, atol=1e-9)
    z = flow(new)[0]
    torch.testing.assert_close(flow.inverse(z), new, rtol=0, atol=1e-9)
    assert len(flow.trace(new)) == 1 and torch.equal(flow.trace(new)[0], z)
    assert flow.sample(2).shape == new[:2].shape and flow.device.type == "cpu"


def test_log_determinant_equals_autograd_with_couplings_behind():
    x = features(12)
    graph = ViewGraph.complete(VIEWS)
    flow = MultiFlow(CHANNELS, HEIGHT, WIDTH, graph, blocks=1, hidden=3, whiten=True)
    flow = flow.double().eval()
    torch.manual_seed(0)
    torch.nn.init.normal_(flow.inn[2].net1.gamma)
    torch.nn.init.normal_(flow.inn[2].net2.gamma)
    flow.fit([x])
    z, log_det = flow(x[:1])
    size = x[0].numel()
    whole = jacobian(lambda x: flow(x)[0], x[:1]).reshape(size, size)
    torch.testing.assert_close(log_det.sum(), torch.linalg.slogdet(whole)[1], rtol=0, atol=1e-9)
    torch.testing.assert_close(flow.inverse(z), x[:1], rtol=0, atol=1e-9)


def test_float32_finds_its_way_back():
    x = features(12).float()
    module = Whiten(DIMS)
    module.fit([x])
    (z,), log_det = module((x.transpose(1, 2),))
    (back,), back_log_det = module((z,), rev=True)
    spread = x.std((0, 3, 4), keepdim=True)
    assert ((back.transpose(1, 2) - x) / spread).abs().max() < 1e-4
    assert torch.equal(log_det, -back_log_det)


def test_lower_precision_around_it_changes_nothing():
    """Under autocast a product of matrices would be rounded to bfloat16."""
    x = features(12).float()
    module = Whiten(DIMS)
    module.fit([x])
    (z,), _ = module((x.transpose(1, 2),))
    with torch.autocast("cpu", torch.bfloat16):
        (again,), _ = module((x.transpose(1, 2),))
    assert torch.equal(z, again)


def test_the_chosen_shrinkage_beats_the_extremes_on_new_samples():
    """Ten samples for 4 channels: own covariances overfit, the shared one blurs."""
    x, new = features(10), features(200, seed=1)
    chosen = fitted(x)
    found = surprise(chosen, new)
    for extreme in ((0.0, 0.0), (0.0, 0.3), (1.0, 0.003), (1.0, 0.3)):
        assert found < surprise(fitted(x, extreme), new) - 0.05, extreme
    assert 0 < chosen.shrinkage[0] < 1


@pytest.mark.parametrize("own, share", [(0.0, 1.0), (2.0, 0.1)])
def test_the_more_positions_have_in_common_the_more_is_shared(own, share):
    assert fitted(features(24, own=own)).shrinkage[0].item() == pytest.approx(share)


def test_missing_views_do_not_count_and_few_samples_at_a_time_are_the_same(monkeypatch):
    x = features(16)
    holed = torch.cat([x, features(4, seed=1)])
    holed[16:] = torch.nan
    holed[0, 1] = holed[5, 0] = torch.nan
    module = fitted(holed, (0.3, 0.01))
    expected = fitted(x[1:], (0.3, 0.01)).mean[1], fitted(x[1:], (0.3, 0.01)).unmix[1]
    torch.testing.assert_close((module.mean[1], module.unmix[1]), expected)
    monkeypatch.setattr("mfkit.flow.whiten.TOGETHER", CHANNELS**2)  # a position at a time
    again = fitted(holed, (0.3, 0.01))
    torch.testing.assert_close(again.unmix, module.unmix)
    torch.testing.assert_close(again.mean, module.mean)


def test_absent_views_have_no_say():
    flow = gaussian()
    flow.fit([features(12).float()])
    x = features(2).float()
    x[0, 1] = torch.nan
    present = torch.tensor([[True, False], [True, True]])
    z, log_det = flow(x, present=present)
    assert not z[0, 1].any() and not log_det[0, 1].any()
    torch.testing.assert_close(z[0, 0], flow(features(2).float())[0][0, 0])
    assert flow.log_prob(x, present).isfinite().all()


def test_a_file_brings_it_back(tmp_path):
    flow = gaussian()
    flow.fit([features(12).float()])
    save_flow(flow, tmp_path / "model.pt")
    again = load_flow(tmp_path / "model.pt")
    x = features(2).float()
    assert torch.equal(flow(x)[0], again(x)[0]) and torch.equal(flow(x)[1], again(x)[1])
    assert torch.equal(flow.inn[0].shrinkage, again.inn[0].shrinkage)


def test_what_is_wrong_is_named():
    with pytest.raises(ValueError, match="view 0 is in 3 training samples, whitening needs"):
        fitted(features(3))
    x = features(8)
    x[:, 1, 2] = 1.0
    with pytest.raises(ValueError, match="channel 2 of view 1 is the same everywhere"):
        fitted(x)
    with pytest.raises(ValueError, match="'blocks' should be at least 1, got 0"):
        MultiFlow(CHANNELS, HEIGHT, WIDTH, blocks=0)
    with pytest.raises(ValueError, match="'standardize' and 'whiten'"):
        gaussian(standardize=True)
