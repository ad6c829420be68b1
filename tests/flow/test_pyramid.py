"""Several scales are one exact density: their product, folded into one tensor."""

import math

import pytest
import torch
from torch.nn.functional import interpolate

from mfkit.flow import MultiFlow, Pyramid, ViewGraph, load_flow, save_flow
from mfkit.score import Scores, agreement_map, nll_map, score_map

VIEWS, COARSE, FINE, EDGE = 3, 4, 3, 2
CHANNELS = COARSE + 4 * FINE


def features(samples: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(samples, VIEWS, CHANNELS, EDGE, EDGE, generator=generator)
    shared = torch.randn(samples, 1, 1, EDGE, EDGE, generator=generator)
    return (x + 2 * shared).double()


def pyramid(**options) -> Pyramid:
    """Fitted, its couplings with weights that move something."""
    torch.manual_seed(0)
    options = {"linear": True, "whiten": True, "message": "none", **options}
    settings = {"blocks": 2, "hidden": 4, "noise": "none", **options}
    graph = ViewGraph.wheel(VIEWS)
    flows = [
        MultiFlow(channels, edge, edge, graph, **settings)
        for channels, edge in ((COARSE, EDGE), (FINE, 2 * EDGE))
    ]
    flow = Pyramid(flows, [1, 2]).double()
    flow.fit([features(24)])
    for name, weight in flow.named_parameters():
        torch.nn.init.normal_(weight, std=0.3 if "gamma" in name else 0.2)
    return flow.eval()


@pytest.mark.parametrize("message", ["none", "conv"])
def test_inverse_and_log_determinant_are_exact(message):
    flow, x = pyramid(message=message), features(2, seed=1)
    z, log_det = flow(x)
    assert z.shape == x.shape and log_det.shape == (2, VIEWS, EDGE, EDGE)
    torch.testing.assert_close(flow.inverse(z), x, rtol=0, atol=1e-9)
    jacobian = torch.autograd.functional.jacobian(lambda y: flow(y[None])[0].flatten(), x[0])
    exact = jacobian.reshape(x[0].numel(), -1).slogdet().logabsdet
    torch.testing.assert_close(log_det[0].sum(), exact, rtol=0, atol=1e-8)
    size = x[0].numel()
    expected = exact - 0.5 * z[0].square().sum() - 0.5 * math.log(2 * math.pi) * size
    torch.testing.assert_close(flow.log_prob(x)[0], expected, rtol=0, atol=1e-8)


def test_absent_views_and_muted_messages_are_exact():
    flow, x = pyramid(), features(3, seed=2)
    present = torch.tensor([[True, True, True], [True, False, True], [False, True, False]])
    muted = flow.graph.possible_edges[:2]
    z, log_det = flow(
        x.masked_fill(~present[..., None, None, None], torch.nan), None, present, muted
    )
    back = flow.inverse(z, present=present, muted=muted)
    torch.testing.assert_close(back[present], x[present], rtol=0, atol=1e-9)
    assert not z[~present].any() and not log_det[~present].any() and not back[~present].any()
    assert (agreement_map(flow, x) != 0).any()


def test_a_finer_map_is_folded_without_a_loss():
    """Position (h, w) of the fine map lies in position (h // 2, w // 2)."""
    flow = Pyramid(
        [
            MultiFlow(c, e, e, ViewGraph.empty(VIEWS), blocks=2, noise="none")
            for c, e in ((COARSE, EDGE), (FINE, 2 * EDGE))
        ],
        [1, 2],
    ).eval()  # untrained couplings only permute: a spot stays where it is
    x = torch.zeros(1, VIEWS, CHANNELS, EDGE, EDGE)
    x[0, 1, COARSE + 1, 0, 1] = 3.0  # of the first fine channel, upper right of position (0, 1)
    (_, coarse), (z, _) = flow.scales(x)[0], flow.scales(x)[1]
    where = z.abs().sum(2).nonzero()
    assert where.tolist() == [[0, 1, 0, 3]] and not coarse.any()


def test_the_parts_of_the_way_are_the_whole_way():
    flow, x = pyramid(), features(4, seed=3)
    y, log_det = flow(x, part=slice(flow.first_block))
    z, step = flow(y, part=slice(flow.first_block, None))
    whole, total = flow(x)
    torch.testing.assert_close(z, whole, rtol=0, atol=1e-12)
    torch.testing.assert_close(log_det + step, total, rtol=0, atol=1e-12)
    torch.testing.assert_close(flow.trace(x)[-1], whole)
    assert flow.sample(2).shape == (2, *flow.shape)


def test_the_score_is_the_mean_over_the_scales():
    flow, x = pyramid(), features(2, seed=4)
    scales = flow.scales(x)
    maps = score_map(scales)
    assert maps.shape == (2, VIEWS, 4 * EDGE, 4 * EDGE)
    coarse, fine = (nll_map(*scale) for scale in scales)
    expected = (interpolate(coarse, scale_factor=4, mode="bilinear")
                + interpolate(fine, scale_factor=2, mode="bilinear")) / 2  # fmt: skip
    torch.testing.assert_close(maps, expected)
    nats = nll_map(*flow.fold(scales)) * CHANNELS  # of a position, all that lies in it
    inside = coarse * COARSE + FINE * fine.unfold(2, 2, 2).unfold(3, 2, 2).sum((-1, -2))
    torch.testing.assert_close(nats, inside)
    one = MultiFlow(CHANNELS, EDGE, EDGE, ViewGraph.empty(VIEWS), blocks=2).double().eval()
    torch.testing.assert_close(score_map(one.scales(x)), nll_map(*one(x)))


def test_a_coarse_foreground_quietens_a_fine_map():
    flow, x = pyramid(), features(2, seed=4)
    scales = flow.scales(x)
    maps, shown = score_map(scales), torch.zeros(2, VIEWS, EDGE, EDGE, dtype=torch.bool)
    shown[..., 0, 0] = True
    quiet = Scores.of(scales, shown).maps
    assert torch.equal(quiet[..., :4, :4], maps[..., :4, :4])
    lowest = maps[..., :4, :4].flatten(2).amin(2)[..., None, None]
    assert torch.equal(quiet[..., 4:, :], lowest.expand(-1, -1, 4, 8))
    assert torch.equal(quiet[..., 4:], lowest.expand(-1, -1, 8, 4))


def test_it_is_kept_in_one_file(tmp_path):
    flow, x = pyramid().float(), features(2, seed=5).float()
    save_flow(flow, tmp_path / "model.pt")
    again = load_flow(tmp_path / "model.pt")
    assert isinstance(again, Pyramid) and again.config == flow.config
    for one, other in zip(flow(x), again(x), strict=True):
        torch.testing.assert_close(one, other)  # what follows from weights is computed anew


def test_flows_that_do_not_belong_together_are_named():
    graph = ViewGraph.empty(VIEWS)
    coarse = MultiFlow(COARSE, EDGE, EDGE, graph, blocks=2, noise="none")
    with pytest.raises(ValueError, match="'flows' should have maps 2 times as fine as 2 x 2"):
        Pyramid([coarse, MultiFlow(FINE, EDGE, EDGE, graph, blocks=2, noise="none")], [1, 2])
    noisy = MultiFlow(FINE, 2 * EDGE, 2 * EDGE, graph, blocks=2)
    with pytest.raises(ValueError, match="one graph, the same layers, and no noise"):
        Pyramid([coarse, noisy], [1, 2])
    with pytest.raises(ValueError, match="'factors' should be 1 and one more for each"):
        Pyramid([coarse], [2])
    with pytest.raises(ValueError, match=r"'x' should be \(B, V, C, H, W\) = \(B, 3, 4, 2, 2\)"):
        Pyramid([coarse], [1])(torch.zeros(1, VIEWS, CHANNELS, EDGE, EDGE))
