"""Misfits: every view is sound, by construction and as far as single views can tell."""

import csv
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.stats import chisquare
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

DATA = Path(__file__).resolve().parents[1] / "data"
ROOT = DATA / "mini-iad"
SEEN_BY = {"front": 2, "right": 3, "cap": 1, "back": 4, "left": 5, "pins": 4, "label": 5}
DRAWS = 20_000


@pytest.fixture(scope="module")
def plug():
    """The recipe of the category."""
    sys.path.insert(0, str(DATA / "render"))
    try:
        import wire_plug

        yield wire_plug
    finally:
        sys.path.remove(str(DATA / "render"))


def drawn(plug, code, rng):
    shown = plug.draw(rng)
    return plug.misfit(code, shown, rng)[0] if code in plug.MISFITS else shown


def agrees(shown):
    return (
        shown["front"] == shown["right"],
        shown["cap"] == shown["back"] == shown["left"],
        shown["pins"] == shown["label"],
    )


def test_sound_plugs_agree_and_misfits_break_one_rule(plug):
    rng = np.random.default_rng(0)
    for _ in range(200):
        assert all(agrees(drawn(plug, "OK", rng)))
    for broken, code in enumerate(("JC", "HP", "XH")):
        for _ in range(200):
            assert [*agrees(drawn(plug, code, rng))] == [rule != broken for rule in range(3)]


@pytest.mark.parametrize("code", ["OK", "JC", "HP", "XH"])
def test_every_camera_sees_every_combination_equally_often(plug, code):
    """The joint distribution of all that one camera sees is uniform, in misfits as in sound plugs.

    So no function of one picture has an expectation that differs between the two.
    """
    rng = np.random.default_rng(1)
    made = [drawn(plug, code, rng) for _ in range(DRAWS)]
    for camera in range(1, 6):
        places = [place for place, seer in SEEN_BY.items() if seer == camera]
        counts = Counter(tuple(shown[place] for place in places) for shown in made)
        values = {"front": 24, "right": 24, "pins": 3, "label": 3}
        assert len(counts) == np.prod([values.get(place, 5) for place in places])
        assert chisquare(list(counts.values())).pvalue > 1e-4, (camera, code)


def test_a_biased_misfit_would_be_noticed(plug):
    """Negative control: always the same colour in place of another."""
    rng = np.random.default_rng(2)
    shown = [{**plug.draw(rng), "cap": "ivory"} for _ in range(1000)]
    shown += [plug.draw(rng) for _ in range(9000)]
    counts = Counter(one["cap"] for one in shown)
    assert chisquare(list(counts.values())).pvalue < 1e-4


def test_no_camera_sees_two_places_that_must_agree(plug):
    """With the renderer's own buffers: each piece shows to its camera alone."""
    from sample import Sample, build

    built = build(Sample("wire_plug", "test", "OK", 3))
    names = [piece.name for piece in built.studio.pieces]
    for camera in range(1, 6):
        seen = Counter(built.studio.measure(camera)["piece"].ravel().tolist())
        for number, name in enumerate(names):
            place = next((p for p in SEEN_BY if name.startswith(p.rstrip("s"))), None)
            if place is not None:
                assert (seen[number] > 100) == (SEEN_BY[place] == camera), (name, camera)
                assert seen[number] > 100 or seen[number] < 4, (name, camera, seen[number])


@pytest.mark.slow
@pytest.mark.parametrize("camera", range(1, 6))
def test_a_classifier_of_single_views_is_at_chance(camera):
    """Shipped pictures: sound and misfit test plugs, small and cross-validated.

    With 32 sound ones and 48 misfits the standard error of an AUROC of one half is 0.066.
    """
    with (ROOT / "samples.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["category"] == "wire_plug"]
    rows = [row for row in rows if row["split"] == "test" and row["code"] in ("OK", "JC", "HP", "XH")]
    pixels = []
    for row in rows:
        folder = ROOT / "realiad_256" / "wire_plug" / row["folder"]
        with Image.open(next(folder.glob(f"*_C{camera}_*.jpg"))) as image:
            pixels.append(np.asarray(image.resize((16, 16), Image.Resampling.BOX)).ravel())
    label = np.array([row["code"] != "OK" for row in rows])
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
    score = cross_val_predict(model, np.array(pixels), label, cv=8, method="decision_function")
    assert abs(roc_auc_score(label, score) - 0.5) < 3 * 0.066
