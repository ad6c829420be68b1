"""View graphs are what their names say."""

import pytest
import torch

from mfkit.flow import GRAPHS, ViewGraph


def test_the_wheel_joins_hub_and_ring():
    graph = ViewGraph.wheel()
    assert graph.neighbours == ((1, 2, 3, 4), (0, 2, 4), (0, 1, 3), (0, 2, 4), (0, 1, 3))
    assert graph.weights().amax(1).tolist() == [1 / 4] + [1 / 3] * 4
    assert graph.weights().sum(1).tolist() == pytest.approx([1] * 5)
    assert graph.weights()[3, 1] == 0
    assert len(graph.edges) == 16
    assert set(graph.edges) == set(ViewGraph.hub().edges) | set(ViewGraph.ring().edges)


def test_the_other_published_graphs():
    assert ViewGraph.ring().neighbours == ((), (2, 4), (1, 3), (2, 4), (1, 3))
    assert ViewGraph.ring(4, hub=False).neighbours == ((1, 3), (0, 2), (1, 3), (0, 2))
    assert ViewGraph.hub().neighbours == ((1, 2, 3, 4), (0,), (0,), (0,), (0,))
    assert ViewGraph.chain(3).neighbours == ((1,), (0, 2), (1,))
    assert ViewGraph.cycle(5).neighbours == ((1, 4), (0, 2), (1, 3), (2, 4), (0, 3))
    assert ViewGraph.chain(3).weights().tolist() == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
    assert ViewGraph.cycle(5).weights().sum(1).tolist() == [2.0] * 5
    assert ViewGraph.empty(5).edges == ()
    assert len(ViewGraph.complete(5).edges) == 20


@pytest.mark.parametrize("views", [1, 2, 3, 7])
def test_any_number_of_views_works(views):
    for graph in [*(make(views) for make in GRAPHS.values()), ViewGraph.ring(views, hub=False)]:
        assert graph.views == views
        assert set(graph.edges) == {(i, j) for j, i in graph.edges}  # friendships are mutual


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((),), "at least one view"),
        ((((1,), (1,)),), r"'neighbours\[1\]' should hold different views out of \[0\], got \[1\]"),
        ((((1, 1), (0,)),), r"'neighbours\[0\]'"),
        ((((2,), (0,)),), r"'neighbours\[0\]'"),
        ((((1,), (0,)), "median"), "'weight' should be 'mean' or 'sum', got 'median'"),
    ],
)
def test_impossible_graphs_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ViewGraph(*arguments)


@pytest.mark.parametrize("views", [0, -1])
@pytest.mark.parametrize("make", GRAPHS.values(), ids=GRAPHS)
def test_a_graph_without_views_is_refused(make, views):
    with pytest.raises(ValueError, match="'neighbours' should name at least one view, got none"):
        make(views)


def test_a_mean_runs_over_those_who_are_still_heard_and_a_sum_loses_them():
    present = torch.tensor([[True, True, True], [False, True, True], [True, False, False]])
    heard = present.unsqueeze(1).expand(-1, 3, -1)
    mean = ViewGraph.complete(3).weights(heard)
    assert mean[0].tolist() == [[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
    assert mean[1].tolist() == [[0, 0.5, 0.5], [0, 0, 1], [0, 1, 0]]
    assert mean[2].tolist() == [[0, 0, 0], [1, 0, 0], [1, 0, 0]]
    total = ViewGraph.cycle(3).weights(heard)
    assert total[1].tolist() == [[0, 1, 1], [0, 0, 1], [0, 1, 0]]


def test_a_relabelled_graph_is_the_same_under_other_names():
    graph = ViewGraph(((1, 2), (), (1,)))
    labels = [2, 0, 1]
    renamed = graph.relabelled(labels)
    assert set(renamed.edges) == {(labels[j], labels[i]) for j, i in graph.edges}


def test_a_shuffled_wheel_is_a_wheel_with_another_hub_for_each_network():
    graph = ViewGraph.shuffled()
    made = [graph.for_network(seed) for seed in range(20)]
    assert graph.for_network(3) == graph.for_network(3)
    hubs = {next(v for v, heard in enumerate(g.neighbours) if len(heard) == 4) for g in made}
    assert hubs == {0, 1, 2, 3, 4}
    assert all(sorted(map(len, g.neighbours)) == [3, 3, 3, 3, 4] for g in made)
    assert not any(g.shuffle for g in made)
    assert ViewGraph.wheel().for_network(3) == ViewGraph.wheel()
    assert repr(graph).endswith("weight=mean, shuffle)")


@pytest.mark.parametrize("labels", [[1, 0], [0, 0, 1, 2, 3], [1, 2, 3, 4, 5]])
def test_labels_name_each_view_once(labels):
    with pytest.raises(ValueError, match=r"'labels' should name each of 0 .. 4 once, got"):
        ViewGraph.wheel().relabelled(labels)
