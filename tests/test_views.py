"""View graphs are what their names say."""

import pytest

from mfkit.views import ViewGraph


def test_the_wheel_joins_hub_and_ring():
    graph = ViewGraph.wheel()
    assert graph.neighbours == ((1, 2, 3, 4), (0, 2, 4), (0, 1, 3), (0, 2, 4), (0, 1, 3))
    assert [graph.weight_into(view) for view in range(5)] == [1 / 4] + [1 / 3] * 4
    assert len(graph.edges) == 16
    assert set(graph.edges) == set(ViewGraph.hub().edges) | set(ViewGraph.ring().edges)


def test_the_other_published_graphs():
    assert ViewGraph.ring().neighbours == ((), (2, 4), (1, 3), (2, 4), (1, 3))
    assert ViewGraph.ring(hub=False).neighbours == ((1, 3), (0, 2), (1, 3), (0, 2))
    assert ViewGraph.hub().neighbours == ((1, 2, 3, 4), (0,), (0,), (0,), (0,))
    assert ViewGraph.chain(3).neighbours == ((1,), (0, 2), (1,))
    assert ViewGraph.cycle(5).neighbours == ((1, 4), (0, 2), (1, 3), (2, 4), (0, 3))
    assert ViewGraph.chain(3).weight_into(1) == ViewGraph.cycle(5).weight_into(0) == 1.0
    assert ViewGraph.empty(5).edges == ()
    assert len(ViewGraph.complete(5).edges) == 20


@pytest.mark.parametrize("views", [1, 2, 3, 7])
def test_any_number_of_views_works(views):
    graphs = [
        ViewGraph.wheel(views - 1),
        ViewGraph.ring(views - 1),
        ViewGraph.hub(views - 1),
        ViewGraph.chain(views),
        ViewGraph.cycle(views),
        ViewGraph.complete(views),
        ViewGraph.empty(views),
    ]
    for graph in graphs:
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
