"""Agreement: the muted density is exact, and the chain from maps to one joined score is right."""

import math

import pytest
import torch
from tiny import awake
from torch.autograd.functional import jacobian

from mfkit.flow import GRAPHS, MultiFlow, ViewGraph
from mfkit.score import (
    Agreement,
    Usual,
    agreement_map,
    combined,
    nll_map,
    p_values,
    smallest_rate,
)

C, H, W = 4, 2, 3
V = 3


def small_flow(graph=None, **options):
    torch.manual_seed(0)
    graph = graph or ViewGraph.complete(V)
    options = {"blocks": 2, "hidden": 3, "kernel_sizes": [1, 3], **options}
    return awake(MultiFlow(C, H, W, graph, **options)).double().eval()


def features(samples=2, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(samples, V, C, H, W, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("message", ["conv", "cross_attention", "self_attention"])
@pytest.mark.parametrize("graph", ["wheel", "complete", "chain"])
def test_the_muted_flow_is_an_exact_density_of_single_views(graph, message):
    """With autograd: no view's latents depend on another view, and each block is the density's."""
    flow, x = small_flow(GRAPHS[graph](V), message=message), features(1)
    muted = flow.graph.possible_edges
    _, log_det = flow(x, muted=muted)
    size = C * H * W
    whole = jacobian(lambda x: flow(x, muted=muted)[0], x).reshape(V, size, V, size)
    for view in range(V):
        for other in range(V):
            if view != other:
                assert not whole[view, :, other].any()
        sign, exact = torch.linalg.slogdet(whole[view, :, view])
        assert sign != 0
        assert log_det[0, view].sum().item() == pytest.approx(exact.item(), abs=1e-9)


def test_messages_do_reach_other_views():
    """Negative control: without muting the blocks beside the diagonal are not empty."""
    flow, x = small_flow(), features(1)
    size = C * H * W
    whole = jacobian(lambda x: flow(x)[0], x).reshape(V, size, V, size)
    assert whole[0, :, 1].any()


def test_agreement_is_the_log_ratio_of_the_two_densities():
    """Summed over positions and views: log p_v of each view minus log p of all, in nats."""
    flow, x = small_flow(), features()
    constant = 0.5 * math.log(2 * math.pi) * V * C * H * W
    z, log_det = flow(x, muted=flow.graph.possible_edges)
    alone = log_det.flatten(1).sum(1) - 0.5 * z.square().flatten(1).sum(1) - constant
    expected = (alone - flow.log_prob(x)) / C
    assert agreement_map(flow, x).flatten(1).sum(1) == pytest.approx(expected.detach().numpy())


def test_without_messages_there_is_nothing_to_agree_about():
    flow = small_flow(ViewGraph.empty(V))
    assert not agreement_map(flow, features()).any()


def test_an_absent_view_has_no_say():
    flow, x = small_flow(), features()
    present = torch.tensor([[True, True, False], [True, True, True]])
    maps = agreement_map(flow, x, present)
    assert not maps[0, 2].any() and maps[1, 2].any()
    _, images, samples = Agreement.of(maps, present=present)
    assert images[0, 2].isnan() and not samples.isnan().any()
    assert samples[0] == pytest.approx(images[0, :2].mean().item())


def test_a_flow_in_training_is_refused():
    with pytest.raises(ValueError, match="evaluation mode"):
        agreement_map(small_flow().train(), features())


def test_only_the_foreground_counts():
    maps = torch.tensor([[[[1.0, 5.0]], [[3.0, 3.0]]]])
    foreground = torch.tensor([[[[True, False]], [[True, True]]]])
    _, images, samples = Agreement.of(maps, foreground)
    assert images.tolist() == [[1.0, 3.0]] and samples.tolist() == [2.0]


def sound_maps(samples: int = 200) -> torch.Tensor:
    """(N, V, H, W): places that vary much, places that hardly vary, a view that never does."""
    spread = torch.full((V, 9, 9), 0.1)
    spread[0, :3], spread[2] = 5.0, 0.0
    maps = torch.randn(samples, V, 9, 9, generator=torch.Generator().manual_seed(0))
    return spread * maps + 0.7


def test_a_piece_that_does_not_fit_stands_out_from_what_is_usual_there():
    """A little at a quiet place outdoes much where much is usual; a mean does not see it."""
    maps = sound_maps()
    usual, new = Usual.of(maps[:100]), maps[100:].clone()
    wrong = new.clone()
    wrong[:, 1, 4:6, 4:6] += 0.5
    sound, misfit = (Agreement.of(each, usual=usual) for each in (new, wrong))
    assert misfit.samples.min() > sound.samples.max()
    assert (misfit.images.argmax(1) == 1).all()
    place = misfit.maps[:, 1].flatten(1).argmax(1)
    assert {*(place // 9).tolist(), *(place % 9).tolist()} <= {3, 4, 5, 6}
    means = [Agreement.of(each).samples for each in (new, wrong)]
    assert (means[1][:, None] > means[0]).double().mean() < 0.7


def test_units_are_those_of_the_training_samples():
    """By NumPy: 3 x 3 averages, mean and spread of each place, half the median spread added."""
    maps = sound_maps(7)
    mean, spread = Usual.of(maps)
    corner = maps[:, 1, :2, :2].mean((1, 2)).numpy()
    middle = maps[:, 1, 3:6, 2:5].mean((1, 2)).numpy()
    assert mean[1, 0, 0].item() == pytest.approx(corner.mean()) and mean[
        1, 4, 3
    ].item() == pytest.approx(middle.mean())
    floor = spread[2].min().item()
    expected = float((middle.std(ddof=1) ** 2 + floor**2) ** 0.5)
    assert spread[1, 4, 3].item() == pytest.approx(expected, rel=1e-4)
    assert floor > 0 and (spread[2] == floor).all()


def test_units_leave_absent_views_out():
    maps, present = sound_maps(8), torch.ones(8, V, dtype=torch.bool)
    maps[:3, 1], present[:3, 1] = 0.0, False
    usual, expected = Usual.of(maps, present), Usual.of(maps[3:])
    torch.testing.assert_close(usual.mean[1], expected.mean[1])
    _, images, samples = Agreement.of(maps, present=present, usual=usual)
    assert images[:3, 1].isnan().all() and not samples.isnan().any()


@pytest.mark.parametrize("maps", [sound_maps(1), torch.zeros(4, V, 3, 3)])
def test_too_little_to_call_anything_usual(maps):
    with pytest.raises(ValueError, match=r"at least 2 samples|any messages"):
        Usual.of(maps)


def test_the_joined_score_takes_the_more_unusual_one_in_its_own_units():
    unseen = torch.tensor([[0.0, 10.0], [2.0, 12.0], [1.0, 11.0]])  # deviations 1 and 1
    scores = torch.tensor([[1.0, 14.0], [5.0, 11.0]])
    assert combined(scores, unseen).tolist() == [3.0, 4.0]
    scaled = combined(scores * torch.tensor([100.0, 1.0]), unseen * torch.tensor([100.0, 1.0]))
    assert torch.allclose(scaled, combined(scores, unseen))
    known = torch.cat([unseen, torch.tensor([[torch.nan, 11.0]])])  # whose likelihood was trained
    assert torch.allclose(combined(scores, known)[1], torch.tensor(4.0))
    assert combined(scores, known)[0] == 3.0 * known[:3, 1].std() / known[:, 1].std()


@pytest.mark.parametrize(
    ("unseen", "message"),
    [
        (torch.zeros(1, 2), "at least two"),
        (torch.tensor([[0.0, 1.0], [1.0, torch.nan]]), "at least two samples, got 1"),
        (torch.ones(5, 2), "same everywhere"),
    ],
)
def test_too_little_to_measure_units_with(unseen, message):
    with pytest.raises(ValueError, match=message):
        combined(torch.zeros(3, 2), unseen)


@pytest.mark.parametrize("kinds", [1, 2])
def test_p_values_keep_their_promise(kinds):
    """Exchangeable scores of any shape: at most a share `rate` of new sound samples is alarmed.

    Over 20,000 new samples with held-out sets of their own the standard error is 0.0015.
    """
    generator = torch.Generator().manual_seed(0)
    rate, unseen = 0.05, 19
    alarms = []
    for _ in range(20_000 // 10):
        pool = torch.randn(unseen + 10, kinds, generator=generator).double().exp()
        alarms += [p_values(one[None], pool[:unseen]).item() <= rate + 1e-9 for one in pool[-1:]]
    assert sum(alarms) / len(alarms) == pytest.approx(rate, abs=4 * 0.005)
    assert smallest_rate(unseen) == rate


def test_a_p_value_is_the_rank_among_sound_samples():
    unseen = torch.arange(19.0)[:, None]
    found = p_values(torch.tensor([[100.0], [8.5], [-1.0]]), unseen)
    assert found.tolist() == pytest.approx([0.05, 0.55, 1.0])
    with pytest.raises(ValueError, match="at least one"):
        p_values(torch.zeros(1, 1), torch.zeros(0, 1))


def test_agreement_maps_are_the_difference_of_score_maps():
    flow, x = small_flow(), features()
    alone = nll_map(*flow(x, muted=flow.graph.possible_edges))
    torch.testing.assert_close(agreement_map(flow, x), (nll_map(*flow(x)) - alone).detach())
