"""The explorer shows what its state says, whatever was done to it before."""

import base64
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
from mfkit.explore.controls import Place, Several
from mfkit.explore.presets import groups, presets
from mfkit.explore.scene import Scene
from mfkit.explore.screens import SCREENS
from mfkit.explore.sheets import Bar, enlarged, overlay
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
    return np.array(Image.open(io.BytesIO(explorer.parts.picture.value)).convert("RGB"))


def complaint(explorer: LatentExplorer) -> str | None:
    """The error that is shown where the picture was."""
    found = re.search(r"role='alert'>(.*)</b>", explorer.parts.words.value)
    assert (explorer.parts.picture.layout.visibility == "hidden") == bool(found)
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
            assert pixels(explorer).shape[1] == 800
            assert pixels(explorer).shape[0] <= 410
            assert "nan" not in explorer.parts.words.value


def test_what_is_shown_is_the_figure(explorer):
    for panel in SCREENS:
        explorer.controls["panel"].value = panel
        assert (pixels(explorer) == png(explorer.figure())).all()
        assert explorer.parts.words.value == Scene(explorer.latents, explorer.state()).words()


def test_a_set_without_defects_training_samples_or_foreground():
    latents = small_latents()
    sound = [index for index, label in enumerate(latents.labels) if not label]
    samples = [latents.samples[index] for index in sound]
    explorer = LatentExplorer(Latents(latents.flows, Split(samples, features(4)[sound])))
    assert list(presets(explorer.latents)) == ["a false alarm", "swapped views", "start over"]
    for panel in SCREENS:
        explorer.restore({"panel": panel})
        assert complaint(explorer) is None
    explorer.restore({"panel": "set"})
    assert "no ROC curve" in explorer.parts.words.value
    assert explorer.controls["foreground"] not in explorer.parts.options.children
    assert explorer.latents.usual == {"epoch 0": None, "epoch 1": None}
    assert "nats per channel, above" in explorer.parts.words.value  # agreement without its unit


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
    "map": st.sampled_from(["score", "agreement", "change"]),
    "before": st.booleans(),
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
    assert fresh.parts.words.value == moved.parts.words.value
    assert fresh.parts.picture.layout.visibility == moved.parts.picture.layout.visibility
    if len(moved.state()["absent"]) == 5 and not moved.state()["before"]:
        assert complaint(moved).startswith("No camera is left")
        return
    assert complaint(moved) is None
    assert (pixels(fresh) == pixels(moved)).all()
    assert moved.numbers() == fresh.numbers()
    assert f"{moved.numbers()['score']:.3f}" in moved.parts.words.value


@lru_cache
def both_explorers() -> tuple[LatentExplorer, LatentExplorer]:
    return LatentExplorer(small_latents()), LatentExplorer(small_latents())


# State


def test_state_is_plain_and_repr_says_what_was_moved(explorer):
    assert repr(explorer) == "LatentExplorer({})"
    explorer.controls["opacity"].value = 0.1 + 0.2
    explorer.controls["muted"].told({"edge": [0, 1]})
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
    before, shown = explorer.state(), explorer.parts.picture.value
    with pytest.raises(ValueError, match=message):
        explorer.restore(state)
    assert explorer.state() == before
    assert explorer.parts.picture.value == shown
    assert complaint(explorer) is None


def test_presets_are_one_click_away(explorer):
    row = {button.description: button for button in explorer.parts.marks.children}
    row["swapped views"].click()
    assert explorer.state()["swapped"] and explorer.state()["panel"] == "messages"
    row["a false alarm"].click()
    assert not explorer.state()["swapped"]
    latents = explorer.latents
    sound = latents.scores["epoch 1"][~latents.labels]
    assert explorer.numbers()["score"] == pytest.approx(sound.max(), abs=1e-3)
    row["start over"].click()
    assert explorer.state() == explorer.start


def test_a_view_is_swapped_with_one_of_another_colour(tmp_path):
    """Four sound parts, two black and two white: whatever a flow says, they are swapped."""
    category = small_set(tmp_path, sound=4, size=32)
    for index, sample in enumerate(category.test[:4]):
        for path in sample.images:
            Image.new("RGB", (32, 32), "white" if index % 2 else "black").save(path)
    n = len(category.test)
    latents = Latents(small_flow(ViewGraph.wheel()), Split(category.test, features(n)))
    state = presets(latents)["swapped views"]
    ((view, donor),) = state["swapped"]
    assert view == state["view"] > 0
    assert {state["sample"] % 2, donor % 2} == {0, 1}


def test_bookmarks_are_kept_and_come_back(explorer):
    explorer.restore({"sample": 2, "muted": ((0, 1),)})
    explorer.keep()
    kept = explorer.state()
    explorer.restore()
    explorer.parts.marks.children[-1].click()
    assert explorer.state() == kept
    assert explorer.bookmarks == {"bookmark 1": {"sample": 2, "muted": ((0, 1),)}}
    again = LatentExplorer(explorer.latents, bookmarks=json.loads(json.dumps(explorer.bookmarks)))
    again.parts.marks.children[-1].click()
    assert again.state() == kept


def test_undo_and_redo(explorer):
    states = [explorer.state()]
    for name, value in (("sample", 2), ("opacity", 0.9), ("absent", (1,))):
        explorer.controls[name].value = value
        states.append(explorer.state())
    assert explorer.parts.redo.disabled
    for state in states[-2::-1]:
        explorer.parts.undo.click()
        assert explorer.state() == state
    assert explorer.parts.undo.disabled
    explorer.undo()
    explorer.parts.redo.click()
    assert explorer.state() == states[1]
    explorer.controls["sample"].value = 3  # a new way: the old one is forgotten
    assert explorer.parts.redo.disabled
    explorer.undo()
    assert explorer.state() == states[1]


def test_walking_through_a_group(explorer):
    latents = explorer.latents
    found = groups(latents, "epoch 1", explorer.state()["threshold"])
    above = latents.scores["epoch 1"] > explorer.state()["threshold"]
    assert found["missed"].tolist() == np.flatnonzero(latents.labels & ~above).tolist()
    assert found["false alarms"].tolist() == np.flatnonzero(~latents.labels & above).tolist()
    assert [w for w, _ in explorer.parts.group.options][-2:] == [
        "code BX: deformation",
        "code HS: scratch",
    ]
    explorer.parts.group.value = "code HS"
    explorer.walk(1)
    (only,) = found["code HS"]
    assert explorer.state()["sample"] == only
    explorer.walk(1)  # round
    assert explorer.state()["sample"] == only
    explorer.parts.group.value = "defective"
    seen = set()
    for _ in range(2):
        explorer.walk(-1)
        seen.add(explorer.state()["sample"])
    assert seen == {2, 3}


def test_a_random_swap_takes_a_view_of_a_sound_part(explorer):
    for _ in range(8):
        explorer.restore({"sample": 0})
        explorer.swap_at_random()
        ((view, donor),) = explorer.state()["swapped"]
        assert donor == 1 and explorer.state()["view"] == view
    latents = explorer.latents
    bad = [latents.samples[2], latents.samples[3]]
    explorer = LatentExplorer(Latents(latents.flows, Split(bad, features(4)[2:])))
    explorer.swap_at_random()
    assert explorer.state()["swapped"]  # there is no sound one, so it takes the other


# What is seen


def test_muting_a_message_moves_its_receiver_most(explorer):
    """One message less: the receiver's own score answers, and the picture with it."""
    explorer.restore({"panel": "messages"})
    before, shown = explorer.numbers(), pixels(explorer)
    explorer.controls["muted"].told({"edge": [2, 1]})
    after = explorer.numbers()
    assert after["images"][1] != before["images"][1]
    assert after["whole"] == before["score"]
    assert (pixels(explorer) != shown).any()
    assert f"C2 {before['images'][1]:.3f} → {after['images'][1]:.3f}" in explorer.parts.words.value


def test_the_formula_holds_with_its_live_numbers(explorer):
    explorer.restore({"panel": "terms", "view": 2, "position": (3, 1)})
    numbers = re.findall(
        r"= (-?[\d.]+) - \((-?[\d.]+)\) = <b>(-?[\d.]+)</b>", explorer.parts.words.value
    )
    half, log_det, score = map(float, numbers[0])
    assert half - log_det == pytest.approx(score, abs=2e-3)
    assert score == pytest.approx(explorer.scene().answer.nll[2, 3, 1], abs=1e-3)


def test_the_threshold_counts(explorer):
    latents = explorer.latents
    scores = latents.scores["epoch 1"]
    explorer.restore({"panel": "set", "threshold": float(np.sort(scores)[1]) + 0.005})
    found = (scores > explorer.state()["threshold"])[latents.labels].sum()
    assert f"finds {found} of 2 defective samples" in explorer.parts.words.value


def test_opacity_lays_the_map_over_the_picture():
    picture = np.full((8, 8, 3), 100, np.uint8)
    nll = enlarged(np.array([[[0.0, 1.0]]], np.float32).repeat(2, 1), 8)[0]
    bar = Bar("nats per channel", (0, 1))
    assert (overlay(picture, nll, bar, 0.0) == 100).all()
    heat = np.abs(overlay(picture, nll, bar, 1.0).astype(int) - 100).sum(-1)
    assert heat[0, -1] > heat[0, 0] > 0  # what is ordinary lets the picture through
    signed = overlay(picture, 2 * nll - 1, Bar("spreads", (-1, 1), signed=True), 1.0).astype(int)
    assert signed[0, 0, 2] > signed[0, 0, 0] and signed[0, -1, 0] > signed[0, -1, 2]  # blue, red
    area = np.zeros((8, 8), bool)
    area[2:7, 2:7] = True
    edged = overlay(picture, nll, bar, 0.0, [(area, "#ff0000")])
    assert edged[2, 2].tolist() == [255, 0, 0] and edged[4, 4].tolist() == [100, 100, 100]
    area[:] = True  # its end is not in the picture
    assert (overlay(picture, nll, bar, 0.0, [(area, "#ff0000")]) == 100).all()


def test_words_say_what_is_known_and_explain_the_code(explorer):
    explorer.restore({"sample": 2, "absent": (4,)})
    words = explorer.parts.words.value
    seen = [f"C{v + 1}" for v, bad in enumerate(explorer.latents.samples[2].labels) if bad]
    assert f"is defective: deformation (code BX), in {', '.join(seen)}." in words
    assert "agreement" in words and "of 2 sound" in words
    explorer.restore({"sample": 0})
    assert "is sound." in explorer.parts.words.value


def test_agreement_is_shown_where_there_is_any(explorer):
    latents = explorer.latents
    explorer.restore({"map": "agreement"})
    agreed = latents.agreed["epoch 1"][0]
    assert explorer.numbers()["agreement"] == pytest.approx(agreed.samples.item(), abs=1e-3)
    assert f"agreement {agreed.samples.item():.2f} spreads" in explorer.parts.words.value
    explorer.mute_all()
    assert explorer.state()["muted"] == latents.edges
    assert explorer.numbers()["agreement"] is None
    assert "No message arrives" in explorer.parts.words.value
    explorer.mute_all()
    assert explorer.state()["muted"] == ()


def test_a_difference_map_shows_what_a_change_or_another_model_does(explorer):
    before = pixels(explorer)
    explorer.restore({"map": "change"})
    assert "Nothing is changed or compared" in explorer.parts.words.value
    assert (pixels(explorer) == before).all()
    explorer.change(swapped=((1, 3),))
    assert "Now minus before" in explorer.parts.words.value
    explorer.restore({"map": "change", "against": "epoch 0"})
    assert "Minus epoch 0" in explorer.parts.words.value
    assert (pixels(explorer)[: len(before)] != before).any()


def test_a_second_model_is_asked_for_only_where_it_is_shown(explorer):
    against = explorer.controls["against"]
    for panel in SCREENS:
        explorer.restore({"panel": panel})
        alone = pixels(explorer)
        explorer.restore({"panel": panel, "against": "epoch 0"})
        both = pixels(explorer)
        hidden = against.layout.display == "none"
        assert hidden == (alone.shape == both.shape and (alone == both).all()), panel


def test_before_the_change_is_one_tick_away(explorer):
    whole = pixels(explorer)
    explorer.restore({"swapped": ((1, 3),), "muted": ((0, 1),), "absent": (2,)})
    assert explorer.scene().changed()
    explorer.controls["before"].value = True
    assert (pixels(explorer) == whole).all()
    assert explorer.state()["absent"] == (2,)


def test_a_swapped_view_is_framed(explorer):
    explorer.restore({"swapped": ((1, 3),)})
    scene = explorer.scene()
    assert scene.frames([1]) == {(1, 1): explorer.latents.samples[3].title}
    shown = pixels(explorer).reshape(-1, 3)
    frame = (np.abs(shown - np.array([0xCC, 0x78, 0xBC])).sum(1) < 12).sum()
    explorer.restore()
    rest = pixels(explorer).reshape(-1, 3)
    assert frame > 500 > (np.abs(rest - np.array([0xCC, 0x78, 0xBC])).sum(1) < 12).sum()


def test_a_draw_is_explained(explorer):
    explorer.restore({"panel": "way back"})
    assert "typical set" not in explorer.parts.words.value
    explorer.controls["draw"].value = 1
    assert "typical set" in explorer.parts.words.value


def test_replay_moves_through_the_models():
    explorer = LatentExplorer(small_latents(flows=3))
    (play,) = (w for w in explorer.children[1].children if type(w).__name__ == "Play")
    seen = []
    for step in range(3):
        play.value = step
        seen.append((explorer.state()["model"], explorer.numbers()["score"]))
    assert [name for name, _ in seen] == ["epoch 0", "epoch 1", "epoch 2"]
    assert len({score for _, score in seen}) == 3


def test_without_a_kernel_the_picture_is_left(explorer, monkeypatch):
    shown = []
    monkeypatch.setattr(
        "mfkit.explore.explorer.display", lambda data, **how: shown.append((data, how))
    )
    explorer.restore({"panel": "messages"})
    explorer._ipython_display_()
    (tool, _), (picture, how) = shown
    assert "application/vnd.jupyter.widget-view+json" in tool
    assert tool["text/plain"] == "LatentExplorer({'panel': 'messages'})"
    assert base64.b64decode(picture["image/png"]) == explorer.parts.picture.value
    alt = how["metadata"]["image/png"]["alt"]
    assert "is sound. Sample score" in alt and "<" not in alt and "&" not in alt


# Errors, progress, files


def test_errors_are_shown_and_go_away(explorer):
    explorer.controls["absent"].value = (0, 1, 2, 3, 4)
    assert complaint(explorer).startswith("No camera is left, so there is nothing to score")
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
    explorer.parts.progress.observe(lambda change: said.append(change.new), "value")
    explorer.controls["absent"].value = (3,)
    assert said == ["<i>working ...</i>", ""]
    said.clear()
    explorer.controls["absent"].value = (0, 1, 2, 3, 4)  # also if it fails
    assert said == ["<i>working ...</i>", ""]


def test_the_picture_can_be_saved(explorer, tmp_path):
    explorer.parts.file.value = str(tmp_path / "kept.png")
    explorer.save()
    assert Image.open(tmp_path / "kept.png").width > 500
    assert "kept.png" in explorer.parts.progress.value
    (tmp_path / "file").write_text("")
    explorer.parts.file.value = str(tmp_path / "file" / "kept.png")
    explorer.save()
    assert "role='alert'" in explorer.parts.words.value


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


def test_a_position_is_typed_or_moved():
    place = Place(3, 4)
    changes = []
    place.observe(lambda change: changes.append(change.new), "value")
    place.value = (1, 2)
    assert (place.row.value, place.column.value) == (1, 2)
    place.column.value = 3
    place.value = (9, -1)
    assert changes == [(1, 2), (1, 3), (2, 0)]


# Clicks: what the front end tells


def test_a_click_on_an_arrow_mutes_it_and_one_on_a_view_chooses_it(explorer):
    graph = explorer.controls["muted"]
    graph.told({"edge": [2, 1]})
    graph.told({"edge": [0, 1]})
    assert explorer.state()["muted"] == ((0, 1), (2, 1))
    graph.told({"edge": [2, 1]})
    assert explorer.state()["muted"] == ((0, 1),)
    for view in (3, 0, 0):
        graph.told({"view": view})
        assert explorer.state()["view"] == view == graph.shown["chosen"]
    explorer.restore({"swapped": ((4, 1),), "absent": (2,)})
    assert (graph.shown["swapped"], graph.shown["gone"]) == ([4], [2])
    moved = explorer.scene().answer.images - explorer.scene().whole.images
    assert graph.shown["notes"][4] == f"{moved[4]:+.2f}"


def test_the_graph_is_that_of_the_model():
    latents = small_latents()
    both = Latents(
        {"apart": small_flow(ViewGraph.empty(5)), "wheel": latents.flows["epoch 1"]}, latents.split
    )
    explorer = LatentExplorer(both)
    assert len(explorer.controls["muted"].shown["edges"]) == 16
    explorer.controls["model"].value = "apart"
    assert explorer.controls["muted"].shown["edges"] == []


@pytest.mark.parametrize("panel", ["maps", "view", "terms"])
def test_a_click_into_a_map_chooses_view_and_position(explorer, panel):
    explorer.restore({"panel": panel, "view": 1})
    for area in explorer.parts.picture.areas:
        kind, view = area["key"]
        assert kind == "view" and tuple(area["grid"]) == (HEIGHT, WIDTH)
        explorer.parts.picture.told({"key": [kind, view], "position": [3, 2]})
        assert (explorer.state()["view"], explorer.state()["position"]) == (view, (3, 2))
        explorer.parts.picture.told({"key": [kind, view], "position": [0, 0]})
        explorer.parts.picture.told({"key": [kind, view], "move": [1, 0]})
        assert explorer.state()["position"] == (1, 0)
        explorer.parts.picture.told({"key": [kind, view], "move": [0, -1]})  # the edge
        assert explorer.state()["position"] == (1, 0)


def test_the_images_lie_where_the_areas_say(explorer):
    """In the middle of each area is a pixel of a map; at its outer corner is white paper."""
    explorer.restore({"panel": "terms", "view": 4, "position": (3, 2)})
    shown = pixels(explorer).astype(int)
    high, wide = shown.shape[:2]
    for area in explorer.parts.picture.areas:
        left, top, width, height = area["box"]
        rows, columns = (
            slice(round(top * high), round((top + height) * high)),
            slice(round(left * wide), round((left + width) * wide)),
        )
        inside = shown[rows, columns][2:-2, 2:-2]
        assert (inside.sum(-1) < 765).mean() > 0.98
        assert (shown[rows, columns.stop + 2 : columns.stop + 5].sum(-1) == 765).all()


def test_a_click_on_a_dot_chooses_its_part(explorer):
    explorer.restore({"panel": "set"})
    areas = explorer.parts.picture.areas
    assert [area["label"] for area in areas] == [s.title for s in explorer.latents.samples]
    explorer.parts.picture.told({"key": areas[3]["key"]})
    assert explorer.state()["sample"] == 3
    shown = pixels(explorer).astype(int)
    high, wide = shown.shape[:2]
    for area, label in zip(areas, explorer.latents.labels, strict=True):
        left, top, width, height = area["box"]
        x, y = round((left + width / 2) * wide), round((top + height / 2) * high)
        red, _, blue = shown[y - 1 : y + 2, x - 1 : x + 2].mean((0, 1))
        assert (red > blue) == label


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
