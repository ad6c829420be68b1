"""Probes change what they say and nothing else."""

import math

import pytest
import torch
from tiny import awake

from mfkit.flow import MultiFlow, ViewGraph
from mfkit.score import agreement_map, mean_scores, mute, nll_map, swap_auroc, swap_views, who_helps


def flow(graph, seed=0) -> MultiFlow:
    """A flow of a graph, its messages far from their starting values."""
    torch.manual_seed(seed)
    return awake(MultiFlow(4, 3, 3, graph=graph, blocks=2, hidden=4, kernel_sizes=[1, 1])).eval()


def features(samples=4, views=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(samples, views, 4, 3, 3, generator=generator)


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


def test_a_separated_flow_cannot_tell_swapped_views():
    """1000 samples of independent views: 0.5 within three standard errors, 3 / sqrt(6 * 1000)."""
    x = features(1000)
    generator = torch.Generator().manual_seed(0)
    areas = [swap_auroc(flow(ViewGraph.empty(5)), x, views, generator) for views in ([1], [0, 3])]
    assert areas == pytest.approx([0.5, 0.5], abs=0.039)


def test_a_flow_that_knows_the_agreement_of_its_views_finds_swaps():
    """View 1 repeats view 0; a flow that takes the difference has a short tail on whole samples."""
    x = features(500, views=2)
    x[:, 1] = x[:, 0]
    joint = flow(ViewGraph.complete(2))
    optimizer = torch.optim.Adam(joint.parameters(), lr=0.02)
    for _ in range(100):
        optimizer.zero_grad()
        nll_map(*joint(x)).mean().backward()
        optimizer.step()
    generator = torch.Generator().manual_seed(0)
    area = swap_auroc(joint, x, [1], generator)
    assert area > 0.9
    separated = flow(ViewGraph.empty(2))
    assert swap_auroc(joint, x, [1], generator, against=separated) > 0.9
    assert swap_auroc(joint, x, [1], generator, against=joint) == 0.5  # nothing is left
    # By construction: a swap leaves a separated flow the same scores, in another order.
    assert swap_auroc(separated, x, [1], generator) == pytest.approx(0.5, abs=0.06)
    swapped = swap_views(x, [1], generator)
    for knows, made in ((False, separated), (True, joint)):
        before, after = (nll_map(*made(each)).detach().mean((2, 3)) for each in (x, swapped))
        assert (abs(after.mean() - before.mean()) > 0.1) == knows
        same = torch.equal(before[:, 1].sort().values, after[:, 1].sort().values)
        assert same != knows


def test_the_mean_score_of_a_sample_is_its_negative_log_likelihood_without_the_constant():
    joint, x = flow(ViewGraph.wheel()), features(10)
    dimensions = 5 * 4 * 3 * 3
    expected = -joint.log_prob(x) / dimensions - 0.5 * math.log(2 * math.pi)
    torch.testing.assert_close(mean_scores(joint, x), expected, rtol=0, atol=1e-5)


def test_a_flow_in_training_mode_is_refused():
    """It would draw noise in every pass, and answer at random."""
    joint, x = flow(ViewGraph.wheel()).train(), features()
    asked = (
        lambda: mute(joint, x, [(0, 1)]),
        lambda: who_helps(joint, x),
        lambda: agreement_map(joint, x),
        lambda: swap_auroc(joint, x, [1]),
    )
    for ask in asked:
        with pytest.raises(ValueError, match=r"call flow.eval\(\)"):
            ask()


def test_muting_nothing_changes_nothing_and_muting_all_leaves_the_views_alone():
    joint, x = flow(ViewGraph.wheel()), features()
    assert not mute(joint, x, []).any()
    alone = nll_map(*joint(x, muted=joint.graph.edges))
    expected = 4 * (alone - nll_map(*joint(x))).sum((2, 3))
    torch.testing.assert_close(mute(joint, x, joint.graph.edges), expected)
    other = x.clone()
    other[:, 1:] = features(seed=1)[:, 1:]
    torch.testing.assert_close(
        nll_map(*joint(other, muted=joint.graph.edges))[:, 0], alone[:, 0], rtol=0, atol=1e-5
    )


def test_muting_where_a_view_is_absent():
    joint, x = flow(ViewGraph.wheel()), features()
    present = torch.tensor([[True, True, False, True, True]] * 4)
    muted = iter([(0, 1), (3, 4)])  # any iterable of edges
    before, after = (nll_map(*joint(x, present=present, muted=m)) for m in ((), [(0, 1), (3, 4)]))
    torch.testing.assert_close(mute(joint, x, muted, present), 4 * (after - before).sum((2, 3)))
    alone = nll_map(*joint(x, present=present, muted=joint.graph.edges))
    torch.testing.assert_close(agreement_map(joint, x, present), before - alone)


def test_a_shuffled_graph_is_asked_about_all_pairs_of_views():
    joint, x = flow(ViewGraph.shuffled()), features()
    everything = ViewGraph.complete(5).edges
    alone = nll_map(*joint(x, muted=everything))
    torch.testing.assert_close(agreement_map(joint, x), nll_map(*joint(x)) - alone)
    worth = who_helps(joint, x)
    for sender, receiver in everything:
        expected = mute(joint, x, [(sender, receiver)])[:, receiver]
        assert torch.equal(worth[:, receiver, sender], expected)
    assert worth[:, 3, 1].any()  # no edge of the wheel


def test_who_helps_lists_every_edge_and_nothing_else():
    joint, x = flow(ViewGraph.ring()), features()
    worth = who_helps(joint, x)
    assert worth.shape == (4, 5, 5)
    for receiver in range(5):
        for sender in range(5):
            if (sender, receiver) in joint.graph.edges:
                expected = mute(joint, x, [(sender, receiver)])[:, receiver]
                assert torch.equal(worth[:, receiver, sender], expected) and expected.any()
            else:
                assert not worth[:, receiver, sender].any()


def test_evidence_is_the_score_with_minus_without_messages():
    joint, x = flow(ViewGraph.wheel()), features()
    shown = agreement_map(joint, x)
    assert shown.shape == (4, 5, 3, 3)
    torch.testing.assert_close(
        -4 * shown.sum((2, 3)), mute(joint, x, joint.graph.edges), rtol=1e-4, atol=1e-4
    )
    assert not agreement_map(flow(ViewGraph.empty(5)), x).any()


def test_an_absent_view_gives_no_evidence():
    joint, x = flow(ViewGraph.wheel()), features()
    present = torch.tensor([[True, True, False, True, True]] * 4)
    x[:, 2] = torch.nan
    assert not agreement_map(joint, x, present)[:, 2].any()
    worth = who_helps(joint, x, present)
    assert worth.isfinite().all() and not worth[:, :, 2].any() and not worth[:, 2].any()
