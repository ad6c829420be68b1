"""Linear messages are an exact layer, whichever views speak, and worth their while."""

import pytest
import torch
from torch.autograd.functional import jacobian
from torch.distributions import MultivariateNormal

from mfkit.flow import LinearMessages, MultiFlow, ViewGraph, load_flow, save_flow

VIEWS, CHANNELS, HEIGHT, WIDTH = 3, 4, 2, 3
DIMS = [(CHANNELS, VIEWS, HEIGHT, WIDTH)]


def features(samples: int, seed: int = 0, shared: float = 3.0) -> torch.Tensor:
    """(B, V, C, H, W): each position shares a number over the views, in a direction of its own."""
    generator = torch.Generator().manual_seed(1)
    kind = {"generator": generator, "dtype": torch.float64}
    mean = 5 * torch.randn(VIEWS, CHANNELS, HEIGHT, WIDTH, **kind)
    direction = torch.randn(VIEWS, CHANNELS, HEIGHT, WIDTH, **kind)
    generator.manual_seed(seed + 2)
    common = torch.randn(samples, 1, 1, HEIGHT, WIDTH, **kind)
    noise = torch.randn(samples, VIEWS, CHANNELS, HEIGHT, WIDTH, **kind)
    return mean + shared * common * direction + 0.5 * noise


def fitted(graph: ViewGraph | None = None, x=None, chosen=(2, 0.1)) -> MultiFlow:
    graph = graph or ViewGraph.complete(VIEWS)
    flow = MultiFlow(CHANNELS, HEIGHT, WIDTH, graph, blocks=0, noise="none", linear=True)
    flow = flow.double().eval()
    flow.inn[0].fit((features(40) if x is None else x).split(7), chosen)
    return flow


def test_before_fit_it_is_the_identity():
    x = features(3).transpose(1, 2)
    (y,), log_det = LinearMessages(DIMS, graph=ViewGraph.complete(VIEWS)).double()((x,))
    assert torch.equal(x, y) and log_det.shape == (3, VIEWS, HEIGHT, WIDTH) and not log_det.any()


PRESENT = torch.tensor([[True, True, True], [False, True, True], [True, False, True], [1, 0, 0]])


@pytest.mark.parametrize("muted", [(), ((0, 1),), ((0, 1), (1, 2), (0, 2))])
@pytest.mark.parametrize("present", [None, PRESENT.bool()])
def test_inverse_and_log_determinant_are_exact(present, muted):
    flow, x = fitted(), features(4, seed=1)
    z, log_det = flow(x, present=present, muted=muted)
    back = flow.inverse(z, present=present, muted=muted)
    shown = torch.ones(4, VIEWS, dtype=torch.bool) if present is None else present
    torch.testing.assert_close(back[shown], x[shown], rtol=0, atol=1e-9)
    for sample in range(4):
        one = None if present is None else present[[sample]]

        def map_(flat, one=one):
            return flow(flat.reshape(1, *flow.shape), present=one, muted=muted)[0].flatten()

        matrix = jacobian(map_, x[sample].flatten())
        keep = shown[sample].repeat_interleave(CHANNELS * HEIGHT * WIDTH)
        expected = matrix[keep][:, keep].slogdet().logabsdet
        assert log_det[sample].sum().item() == pytest.approx(expected.item(), abs=1e-9)


@pytest.mark.parametrize("present", [None, torch.tensor([[True, False, True]] * 5)])
def test_it_turns_the_gaussian_of_its_directions_into_one_of_single_views(present):
    """The density of present views by SciPy's formula, whichever of them are there."""
    flow, x = fitted(), features(5, seed=1)
    layer = flow.inn[0]
    z, log_det = flow(x, present=present)
    k, shown = layer.directions, [0, 1, 2] if present is None else [0, 2]
    for place in range(HEIGHT * WIDTH):
        before, after = (
            torch.einsum(
                "vkc,bvc->bvk",
                layer.inward[place],
                ((values.flatten(3)[..., place] - layer.mean[place]) / layer.spread),
            )[:, shown].flatten(1)
            for values in (x, z)
        )
        rows = torch.cat([torch.arange(v * k, v * k + k) for v in shown])
        covariance = layer.covariance[place][rows][:, rows]
        size = len(rows)
        zero = torch.zeros(size).double()
        joint = MultivariateNormal(zero, covariance).log_prob(before)
        single = MultivariateNormal(zero, torch.eye(size).double()).log_prob(after)
        steps = log_det.flatten(2)[..., place].sum(1)
        torch.testing.assert_close(single + steps, joint, rtol=0, atol=1e-9)


def test_muted_it_leaves_everything_as_it_is():
    flow, x = fitted(), features(3, seed=1)
    z, log_det = flow(x, muted=flow.graph.edges)
    torch.testing.assert_close(z, x, rtol=0, atol=1e-12)
    assert log_det.abs().max() < 1e-12


def test_nothing_is_heard_against_the_graph():
    """A view is moved by earlier neighbours only."""
    flow, x = fitted(ViewGraph.chain(VIEWS)), features(2, seed=1)
    other = x.clone()
    other[:, 0] = 0
    z, changed = flow(x)[0], flow(other)[0]
    assert torch.equal(z[:, 2], changed[:, 2]) and not torch.allclose(z[:, 1], changed[:, 1])
    assert torch.equal(fitted(ViewGraph.empty(VIEWS))(x)[0], x)


def test_held_out_samples_choose_and_misfits_become_unlikely():
    x, new = features(60), features(40, seed=5)
    flow = fitted(x=x, chosen=None)
    layer = flow.inn[0]
    assert layer.ridge in torch.tensor([0.03, 0.1, 0.2, 0.3]) and layer.directions > 0
    whole = flow.log_prob(new)
    swapped = new.clone()
    swapped[:, 1] = new[:, 1].roll(1, 0)
    muted = flow.graph.edges
    assert (whole > flow.log_prob(swapped)).double().mean() > 0.95
    silent = [flow(views, muted=muted)[1].sum() for views in (new, swapped)]
    assert silent[0] == pytest.approx(0, abs=1e-9) == silent[1]


def test_without_anything_shared_nothing_is_believed():
    """The choice falls on the most careful setting, and held-out samples lose next to nothing."""
    flow = fitted(x=features(40, shared=0.0), chosen=None)
    assert flow.inn[0].ridge == pytest.approx(0.3) and flow.inn[0].directions == 3


def test_missing_views_are_left_out_of_the_fit():
    x = features(40)
    x[::3, 1] = torch.nan
    flow = fitted(x=x, chosen=None)
    assert all(buffer.isfinite().all() for buffer in flow.inn[0].buffers())
    with pytest.raises(ValueError, match="view 2 is in 3 training samples"):
        x[3:, 2] = torch.nan
        fitted(x=x)


def test_a_channel_that_never_changes_says_nothing():
    x = features(20)
    x[:, :, 2] = 7.0
    flow = fitted(x=x, chosen=(CHANNELS, 0.1))
    z, _ = flow(x)
    assert z.isfinite().all() and torch.equal(z[:, :, 2], x[:, :, 2])


def test_a_file_brings_it_back(tmp_path):
    flow, x = fitted().float(), features(2, seed=1).float()
    flow.inn[0].fit([features(40).float()], (2, 0.1))
    save_flow(flow, tmp_path / "model.pt")
    again = load_flow(tmp_path / "model.pt")
    assert torch.equal(again(x)[0], flow(x)[0])


def test_it_fits_before_whitening_and_couplings():
    """Both layers are fitted to the features; muted, the flow is that without linear messages."""
    x = features(40)
    options = {"blocks": 1, "hidden": 4, "whiten": True, "seed": 0}
    flow = MultiFlow(CHANNELS, HEIGHT, WIDTH, ViewGraph.complete(VIEWS), linear=True, **options)
    plain = MultiFlow(CHANNELS, HEIGHT, WIDTH, ViewGraph.complete(VIEWS), **options)
    flow, plain = flow.double().eval(), plain.double().eval()
    for each in (flow, plain):
        each.fit(x.split(9))
    new, muted = features(3, seed=1), flow.graph.edges
    ours, theirs = flow(new, muted=muted), plain(new, muted=muted)
    torch.testing.assert_close(ours[0], theirs[0], rtol=0, atol=1e-9)
    torch.testing.assert_close(ours[1], theirs[1], rtol=0, atol=1e-9)
    torch.testing.assert_close(flow.inverse(flow(new)[0]), new, rtol=0, atol=1e-9)


def test_all_muted_is_the_layer_left_out():
    x = features(3, seed=1)
    flow = fitted()
    z, log_det = flow(x, muted=flow.graph.possible_edges)
    assert torch.equal(z, x) and not log_det.any()
    nobody = torch.eye(VIEWS, dtype=torch.bool).expand(3, -1, -1)
    (same,), _ = flow.inn[0]((x.transpose(1, 2),), c=[nobody])
    assert torch.allclose(same.transpose(1, 2), x, atol=1e-12)
