"""The explorer shows what its state says, whatever was done to it before."""

import gc
import io
import json
import re
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from sets import HEIGHT, WIDTH, features, small_flow, small_set

from mfkit.explore import LatentExplorer, Latents
from mfkit.explore.controls import Pad, Several
from mfkit.explore.scene import Scene, presets
from mfkit.explore.screens import SCREENS
from mfkit.explore.sheets import overlay
from mfkit.features import Split
from mfkit.flow import ViewGraph

GRAPHS = {
    "one view": ViewGraph.empty(1),
    "chain of three": ViewGraph.chain(3),
    "wheel": ViewGraph.wheel(),
    "shuffled": ViewGraph.shuffled(),
    "empty": ViewGraph.empty(5),
    "complete of seven": ViewGraph.complete(7),
}


@lru_cache
def small_latents(name: str = "wheel", flows: int = 2) -> Latents:
    """Two flows (or more) of a graph, four samples, three training samples."""
    graph = GRAPHS[name]
    category = small_set(Path(mkdtemp()), graph.views, size=32)
    models = {f"epoch {k}": small_flow(graph, k, blocks=k + 1) for k in range(flows)}
    x, x_train = features(4, graph.views), features(3, graph.views, seed=1)
    shown = torch.rand(x.shape[:2] + x.shape[3:], generator=torch.Generator().manual_seed(0)) < 0.7
    shown[..., 0, 0] = True
    return Latents(models, Split(category.test, x, shown), Split(category.train, x_train))


@pytest.fixture
def explorer():
    return LatentExplorer(small_latents())


def png(figure: Figure) -> np.ndarray:
    """The pixels of a figure."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3]


def pixels(explorer: LatentExplorer) -> np.ndarray:
    """The pixels that are shown."""
    return np.array(Image.open(io.BytesIO(explorer.picture.value)).convert("RGB"))


def complaint(explorer: LatentExplorer) -> str | None:
    """The error that is shown where the picture was."""
    found = re.search(r"role='alert'>(.*)</b>", explorer.words.value)
    assert (explorer.picture.layout.visibility == "hidden") == bool(found)
    return found and found[1]


# Everything can be looked at, with any views and any graph


@pytest.mark.parametrize("name", GRAPHS)
def test_every_panel_of_any_graph(name):
    latents = small_latents(name)
    explorer = LatentExplorer(latents)
    views = latents.shape[0]
    changed = {"sample": 3, "against": "epoch 0", "muted": latents.edges[:1], "fraction": 0.5}
    changed |= {"swapped": ((views - 1, 0),), "view": views - 1, "foreground": True}
    if views > 1:
        changed |= {"absent": (0,)}
    for state in ({}, changed):
        for panel in SCREENS:
            explorer.restore(state | {"panel": panel})
            assert complaint(explorer) is None
            assert pixels(explorer).shape[1] == 960
            assert "nan" not in explorer.words.value


def test_what_is_shown_is_the_figure(explorer):
    for panel in SCREENS:
        explorer.controls["panel"].value = panel
        assert (pixels(explorer) == png(explorer.figure())).all()
        assert explorer.words.value == Scene(explorer.latents, explorer.state()).words()


def test_a_set_without_defects_training_samples_or_foreground():
    latents = small_latents()
    sound = [index for index, label in enumerate(latents.labels) if not label]
    samples = [latents.samples[index] for index in sound]
    explorer = LatentExplorer(Latents(latents.flows, Split(samples, features(4)[sound])))
    assert list(presets(explorer.latents)) == ["the hardest sound sample", "swapped views", "reset"]
    for panel in SCREENS:
        explorer.restore({"panel": panel})
        assert complaint(explorer) is None
    explorer.restore({"panel": "set"})
    assert "no ROC curve" in explorer.words.value
    assert explorer.controls["foreground"].disabled


# 100 random sequences of control changes

VIEWS = st.integers(0, 4)
SAMPLES = st.integers(0, 3)
EDGES = st.sampled_from(ViewGraph.wheel().edges)
CHANGES = {
    "sample": SAMPLES,
    "model": st.sampled_from(["epoch 0", "epoch 1"]),
    "against": st.sampled_from(["", "epoch 0", "epoch 1"]),
    "panel": st.sampled_from(list(SCREENS)),
    "view": VIEWS,
    "position": st.tuples(st.integers(0, HEIGHT - 1), st.integers(0, WIDTH - 1)),
    "block": st.integers(0, 2),
    "opacity": st.integers(0, 10).map(lambda tenths: tenths / 10),
    "threshold": st.floats(-1, 3),
    "truth": st.booleans(),
    "foreground": st.booleans(),
    "muted": st.lists(EDGES, max_size=3, unique=True).map(tuple),
    "swapped": st.dictionaries(VIEWS, SAMPLES, max_size=2).map(lambda d: tuple(d.items())),
    "absent": st.lists(VIEWS, max_size=5, unique=True).map(tuple),
    "temperature": st.sampled_from([0.0, 0.5, 1.0, 1.5]),
    "towards": SAMPLES,
    "fraction": st.sampled_from([0.0, 0.5, 1.0]),
    "draw": st.integers(0, 9),
}
CHANGE = st.sampled_from(sorted(CHANGES)).flatmap(
    lambda name: st.tuples(st.just(name), CHANGES[name])
)


@pytest.mark.slow
@settings(
    max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(changes=st.lists(CHANGE, min_size=1, max_size=5))
def test_state_and_figure_agree_after_any_changes(changes):
    moved, fresh = both_explorers()
    moved.restore()
    for name, value in changes:
        moved.controls[name].value = value
    assert set(CHANGES) == set(moved.state())
    state = json.loads(json.dumps(moved.state()))
    fresh.restore(state)
    assert fresh.state() == moved.state()
    assert fresh.words.value == moved.words.value
    assert fresh.picture.layout.visibility == moved.picture.layout.visibility
    if len(moved.state()["absent"]) == 5:
        assert "at least one view" in complaint(moved)
        return
    assert complaint(moved) is None
    assert (pixels(fresh) == pixels(moved)).all()
    assert moved.numbers() == fresh.numbers()
    assert f"{moved.numbers()['score']:.3f}" in moved.words.value


@lru_cache
def both_explorers() -> tuple[LatentExplorer, LatentExplorer]:
    return LatentExplorer(small_latents()), LatentExplorer(small_latents())


# State


def test_state_is_plain_and_repr_says_what_was_moved(explorer):
    assert repr(explorer) == "LatentExplorer({})"
    explorer.controls["opacity"].value = 0.1 + 0.2
    explorer.controls["muted"].parts[0, 1].value = True
    assert repr(explorer) == "LatentExplorer({'opacity': 0.3, 'muted': ((0, 1),)})"
    assert json.loads(json.dumps(explorer.state()))["opacity"] == 0.3


def test_the_line_of_code_restores(explorer):
    state = {"sample": 2, "panel": "messages", "muted": ((0, 1), (3, 0)), "swapped": ((1, 3),)}
    explorer.restore(state)
    line, shown = explorer.line(), pixels(explorer)
    assert line == f"explorer.restore({state})"
    explorer.restore()
    assert explorer.state() == explorer.start
    exec(line, {"explorer": explorer})
    assert (pixels(explorer) == shown).all()
    assert explorer.numbers() == LatentExplorer(explorer.latents, state).numbers()


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"sampel": 1}, "'state' should name sample, model"),
        ({"sample": 99}, "'sample' cannot be 99"),
        ({"opacity": 0.9, "muted": [[0, 0]]}, "'muted' cannot be"),
        ({"swapped": [[0, 99]]}, "'swapped' cannot be"),
        ({"absent": 3}, "'absent' cannot be 3"),
    ],
)
def test_a_wrong_state_is_refused_and_nothing_changes(explorer, state, message):
    explorer.restore({"sample": 1, "muted": ((0, 1),)})
    before, shown = explorer.state(), explorer.picture.value
    with pytest.raises(ValueError, match=message):
        explorer.restore(state)
    assert explorer.state() == before
    assert explorer.picture.value == shown
    assert complaint(explorer) is None


def test_presets_are_one_click_away(explorer):
    row = {button.description: button for button in explorer.children[0].children}
    row["swapped views"].click()
    assert explorer.state()["swapped"] and explorer.state()["panel"] == "messages"
    row["the hardest sound sample"].click()
    assert not explorer.state()["swapped"]
    latents = explorer.latents
    sound = latents.scores["epoch 1"][~latents.labels]
    assert explorer.numbers()["score"] == pytest.approx(sound.max(), abs=1e-3)
    row["reset"].click()
    assert explorer.state() == explorer.start


# What is seen


def test_muting_a_message_moves_its_receiver_most(explorer):
    """One message less: the receiver's own score answers, and the picture with it."""
    explorer.restore({"panel": "messages"})
    before, shown = explorer.numbers(), pixels(explorer)
    explorer.controls["muted"].parts[2, 1].value = True
    after = explorer.numbers()
    assert after["images"][1] != before["images"][1]
    assert after["whole"] == before["score"]
    assert (pixels(explorer) != shown).any()
    assert f"C2 {before['images'][1]:.3f} → {after['images'][1]:.3f}" in explorer.words.value


def test_the_formula_holds_with_its_live_numbers(explorer):
    explorer.restore({"panel": "terms", "view": 2, "position": (3, 1)})
    numbers = re.findall(r"= (-?[\d.]+) - \((-?[\d.]+)\) = <b>(-?[\d.]+)</b>", explorer.words.value)
    half, log_det, score = map(float, numbers[0])
    assert half - log_det == pytest.approx(score, abs=2e-3)
    assert score == pytest.approx(explorer.scene().answer.nll[2, 3, 1], abs=1e-3)


def test_the_threshold_counts(explorer):
    latents = explorer.latents
    scores = latents.scores["epoch 1"]
    explorer.restore({"panel": "set", "threshold": float(np.sort(scores)[1]) + 0.005})
    found = (scores > explorer.state()["threshold"])[latents.labels].sum()
    assert f"finds {found} of 2 defective samples" in explorer.words.value


def test_opacity_lays_the_map_over_the_picture():
    picture = np.full((8, 8, 3), 100, np.uint8)
    nll = np.array([[0.0, 1.0]], np.float32).repeat(2, 0)
    assert (overlay(picture, nll, (0, 1), 0.0) == 100).all()
    heat = overlay(picture, nll, (0, 1), 1.0).sum(-1)
    assert heat[0, -1] > heat[0, 0]
    area = np.zeros((8, 8), bool)
    area[2:7, 2:7] = True
    edged = overlay(picture, nll, (0, 1), 0.0, [(area, "#ff0000")])
    assert edged[2, 2].tolist() == [255, 0, 0] and edged[4, 4].tolist() == [100, 100, 100]


def test_thumbnails_say_label_code_and_score(explorer):
    explorer.restore({"sample": 2, "absent": (4,)})
    captions = [caption.value for _, caption in explorer.thumbnails]
    images = explorer.numbers()["images"]
    assert captions[0] == f"C1: BX {images[0]:.2f}"
    assert captions[1] == f"C2: sound {images[1]:.2f}"  # the defect does not show there
    assert captions[4] == "C5: absent"


def test_replay_moves_through_the_models():
    explorer = LatentExplorer(small_latents(flows=3))
    (play,) = (w for w in explorer.children[1].children if type(w).__name__ == "Play")
    seen = []
    for step in range(3):
        play.value = step
        seen.append((explorer.state()["model"], explorer.numbers()["score"]))
    assert [name for name, _ in seen] == ["epoch 0", "epoch 1", "epoch 2"]
    assert len({score for _, score in seen}) == 3


def test_without_a_kernel_the_picture_is_left(explorer):
    bundle = explorer._repr_mimebundle_()
    assert {"text/plain", "image/png", "application/vnd.jupyter.widget-view+json"} <= set(bundle)
    assert bundle["text/plain"] == "LatentExplorer({})"


# Errors, progress, files


def test_errors_are_shown_and_go_away(explorer):
    explorer.controls["absent"].value = (0, 1, 2, 3, 4)
    assert "ValueError: &#x27;present&#x27; should be" in complaint(explorer)
    explorer.controls["absent"].value = (0, 1)
    assert complaint(explorer) is None


def test_a_broken_image_is_named(tmp_path):
    category = small_set(tmp_path)
    latents = Latents(small_flow(ViewGraph.wheel()), Split(category.test, features(4)))
    explorer = LatentExplorer(latents)
    category.test[3].images[2].write_bytes(b"no image")
    explorer.controls["sample"].value = 3
    assert category.test[3].images[2].name in complaint(explorer)


def test_a_line_says_that_the_network_runs(explorer):
    said = []
    explorer.progress.observe(lambda change: said.append(change.new), "value")
    explorer.controls["absent"].value = (3,)
    assert said == ["<i>working ...</i>", ""]
    said.clear()
    explorer.controls["absent"].value = (0, 1, 2, 3, 4)  # also if it fails
    assert said == ["<i>working ...</i>", ""]


def test_the_picture_can_be_saved(explorer, tmp_path):
    explorer.file.value = str(tmp_path / "kept.png")
    explorer.save()
    assert Image.open(tmp_path / "kept.png").width > 500
    assert "kept.png" in explorer.progress.value
    (tmp_path / "file").write_text("")
    explorer.file.value = str(tmp_path / "file" / "kept.png")
    explorer.save()
    assert "role='alert'" in explorer.words.value


# Controls


def test_several_switches_have_one_value():
    lists = {9: widgets.Dropdown(options=[("own", -1), ("other", 0)])}
    several = Several({key: widgets.ToggleButton() for key in (0, 1)} | lists)
    changes = []
    several.observe(lambda change: changes.append(change.new), "value")
    several.value = ((9, 0), 1)
    assert several.value == (1, (9, 0))
    assert several.parts[1].value and several.parts[9].value == 0
    several.parts[1].value = False
    several.value = ()
    assert several.parts[9].value == -1
    assert changes == [(1, (9, 0)), ((9, 0),), ()]


def test_a_position_is_typed_or_clicked():
    pad = Pad(3, 4)
    changes = []
    pad.observe(lambda change: changes.append(change.new), "value")
    grid = pad.children[1].children[1]
    grid.children[1 * 4 + 2].click()
    assert (pad.row.value, pad.column.value) == (1, 2)
    pad.column.value = 3
    pad.value = (9, -1)
    assert changes == [(1, 2), (1, 3), (2, 0)]
    assert not any(button.tabbable for button in grid.children)


# What it leaves behind


def figures() -> int:
    """How many figures are in memory."""
    gc.collect()
    return sum(type(thing) is Figure for thing in gc.get_objects())


def test_no_figure_is_left(explorer):
    before = figures()
    for step in range(30):
        explorer.restore({"panel": list(SCREENS)[step % len(SCREENS)], "sample": step % 4})
    assert figures() <= before
    assert plt.get_fignums() == []


def test_the_library_does_without_widgets():
    code = "import sys, mfkit; sys.exit('ipywidgets' in sys.modules)"
    command = [sys.executable, "-W", "ignore", "-c", code]
    assert subprocess.run(command, check=False).returncode == 0
