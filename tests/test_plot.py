"""Figures show what they are given, on one scale."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import FancyArrowPatch
from PIL import Image
from trees import tree

from mfkit import plot
from mfkit.data import read_category
from mfkit.flow import ViewGraph
from mfkit.score import Scores, image_scores


@pytest.fixture
def samples(tmp_path):
    tree(tmp_path / "data")
    return read_category(tmp_path / "data", "audiojack").test


def pictures(figure: Figure) -> list[AxesImage]:
    """All images of a figure, those of its subfigures too."""
    return [
        image for ax in figure.findobj(lambda a: hasattr(a, "get_images")) for image in ax.images
    ]


def test_every_score_map_of_an_overview_has_the_same_scale(samples):
    nll = torch.randn(5, 5, 4, 4, generator=torch.Generator().manual_seed(0))
    nll[2] += 10
    images = image_scores(nll)
    figure = plot.overview(samples, Scores(nll, images, images.amax(1)), each=2)
    maps = [image for image in pictures(figure) if image.get_array().ndim == 2]
    assert len(maps) == 2 * 2 * 5
    assert len({image.get_clim() for image in maps}) == 1


def test_the_most_anomalous_sample_comes_first_on_the_right(samples):
    ranks = torch.tensor([3.0, 1.0, 5.0, 2.0, 4.0])
    scores = Scores(torch.zeros(5, 5, 4, 4), torch.zeros(5, 5), ranks)
    figure = plot.overview(samples, scores, each=2)
    least, most, _ = figure.subfigs
    labels = [
        [ax.get_ylabel() for ax in half.axes if "sample" in ax.get_ylabel()]
        for half in (least, most)
    ]
    assert labels == [["sample\n1.00", "sample\n2.00"], ["sample\n5.00", "sample\n4.00"]]


def test_a_contact_sheet_shows_every_view_and_outlines_defects(samples):
    figure = plot.contact_sheet(samples, "audiojack")
    assert len(pictures(figure)) == len(samples) * 5
    outlined = [any(not isinstance(c, AxesImage) for c in ax.collections) for ax in figure.axes]
    assert outlined == [label for sample in samples for label in sample.labels]


def test_views_are_called_by_their_cameras(samples):
    only = replace(samples[0], cameras=(2, 3, 4, 5, 7))
    titles = [ax.get_title() for ax in plot.contact_sheet([only]).axes]
    assert titles == ["C2", "C3", "C4", "C5", "C7"]
    ax = ViewGraph.wheel().draw(names=only.view_names)
    assert [text.get_text() for text in ax.texts][:5] == titles


@pytest.mark.parametrize(
    ("graph", "arrows"),
    [
        (ViewGraph.wheel(), 8),
        (ViewGraph.empty(5), 0),
        (ViewGraph.ring(4), 3),
        (ViewGraph(((), (0,))), 1),
        (ViewGraph.empty(1), 0),
    ],
)
def test_a_graph_has_an_arrow_for_every_friendship_and_every_one_way_message(graph, arrows):
    ax = graph.draw()
    assert sum(isinstance(patch, FancyArrowPatch) for patch in ax.patches) == arrows
    names = [text.get_text() for text in ax.texts if text.get_text()]
    assert names == [f"C{v + 1}" for v in range(graph.views)]


def test_a_graph_says_what_its_arrows_do_not_show():
    said = [make(5).draw().texts[-1].get_text() for make in (ViewGraph.cycle, ViewGraph.complete)]
    assert said == ["sums", ""]
    assert ViewGraph.shuffled().draw().texts[-1].get_text() == "relabelled in every network"


def test_the_hub_lies_in_the_middle_if_it_is_joined_to_all_or_to_none():
    def places(graph):
        return [text.get_position() for text in graph.draw().texts[: graph.views]]

    for graph in (ViewGraph.wheel(), ViewGraph.ring(), ViewGraph.empty(5)):
        hub, *sides = places(graph)
        assert hub == (0, 0)
        assert np.hypot(*np.transpose(sides)) == pytest.approx(1)
    for graph in (ViewGraph.ring(hub=False), ViewGraph.chain(5)):
        assert np.hypot(*np.transpose(places(graph))) == pytest.approx(1)


def test_a_figure_is_saved_whole(tmp_path):
    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([0, 1])
    path = plot.save(figure, tmp_path / "new" / "a.png", dpi=50)
    assert Image.open(path).width > 50
    assert Image.open(plot.save(figure, tmp_path / "a")).format == "PNG"
    assert [file.name for file in path.parent.iterdir()] == ["a.png"]
