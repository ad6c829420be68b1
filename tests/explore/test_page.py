"""The page without a kernel says what the flows say, and nothing in its data is taken as HTML."""

import base64
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sets import HEIGHT, WIDTH, features, small_flow, small_set

from mfkit.explore import Latents, Question, page
from mfkit.explore.choice import choose, donors
from mfkit.features import Split
from mfkit.flow import ViewGraph
from mfkit.score import Agreement, agreement_map

FLOWS = {"apart": small_flow(ViewGraph.empty(5)), "wheel": small_flow(ViewGraph.wheel())}
ROOT = Path(__file__).resolve().parents[2]
EVIL = '</script><img src="http://nowhere.invalid/x" onerror="alert(1)">'


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    return small_set(tmp_path_factory.mktemp("set")).test


@pytest.fixture(scope="module")
def latents(samples):
    return Latents(FLOWS, Split(samples, features(4)), train(samples))


def train(samples) -> Split:
    """A training split: the same pictures, other features."""
    return Split(samples[:3], features(3, seed=1))


def read(path) -> dict:
    """The data of a page."""
    text = path.read_text(encoding="utf-8")
    return json.loads(re.search(r'<script id="data"[^>]*>(.*?)</script>', text, re.DOTALL)[1])


def maps(data: dict, part: int, flow: int, key: str) -> np.ndarray:
    """A score map as the page reads it."""
    low, unit, end = data["scale"]
    steps = np.frombuffer(base64.b64decode(data["parts"][part]["maps"][flow][key]), "<u2")
    shape = (len(data["names"]), data["height"], data["width"])
    return (low + unit * np.expm1(steps * end / 65535)).reshape(shape)


@pytest.fixture(scope="module")
def written(latents, tmp_path_factory):
    return page.write_page(latents, tmp_path_factory.mktemp("page") / "explorer.html")


@pytest.fixture(scope="module")
def data(written):
    return read(written)


def test_a_page_is_one_small_file_that_names_no_host(written):
    text = written.read_text(encoding="utf-8")
    assert written.stat().st_size < page.LIMIT
    assert not re.search(r"https?://(?!www\.w3\.org/)", text)  # the name of SVG is not fetched
    assert not re.search(r"\b(src|href)=\"(?!#|data:)", text)
    assert "/* page" not in text and "{/*" not in text
    assert "innerHTML" not in text


def test_the_page_of_the_course_is_that_of_the_shipped_model():
    """Its scores are those that lie beside the model, so it is not older than the model.

    Beside it stands a separated flow, which is at chance at misfits.
    """
    shipped = read(ROOT / "notebooks" / "explorer.html")
    expected = pd.read_csv(ROOT / "data" / "models" / "wire_plug" / "scores.csv")
    separated, flow = shipped["flows"]
    assert separated["name"] == "separated" and separated["edges"] == []
    assert len(separated["scores"]["max"]) == len(expected)
    assert flow["scores"]["max"] == pytest.approx(expected["score"].tolist(), abs=2e-3)
    assert flow["scores"]["agreement"] == pytest.approx(
        expected["agreement"].tolist(), rel=2e-3, abs=2e-3
    )
    of = dict(zip(expected["sample"], expected["score"], strict=True))
    for place, part in enumerate(shipped["parts"]):  # and so say its maps
        assert maps(shipped, place, 1, "").max() == pytest.approx(of[part["name"]], rel=2e-3)
        assert (
            1
            < maps(shipped, place, 0, "").max()
            == pytest.approx(
                separated["scores"]["max"][int(np.argmax(expected["sample"] == part["name"]))],
                rel=1e-3,
            )
        )
    assert (ROOT / "notebooks" / "explorer.html").stat().st_size < page.LIMIT


def test_every_change_is_there(data, latents):
    wheel = [f"C{j + 1}-C{i + 1}" for j, i in FLOWS["wheel"].graph.edges]
    for part in data["parts"]:
        assert set(part["maps"][0]) == {""}  # without messages, views stand alone
        assert set(part["maps"][1]) == (
            {"", "silent"}
            | {f"mute-{edge}" for edge in wheel}
            | {f"swap-C{v}-{n + 1}" for v in range(1, 6) for n in range(len(part["donors"]))}
            | {f"gone-C{v}" for v in range(1, 6)}
        )


def test_maps_are_those_of_the_flows_up_to_the_step(data, latents):
    low, unit, end = data["scale"]
    index = {sample.name: at for at, sample in enumerate(latents.samples)}
    order = [index[part["name"]] for part in data["parts"]]
    for place, part in enumerate(data["parts"]):
        for flow, name in enumerate(FLOWS):
            for key in part["maps"][flow]:
                what, *which = key.split("-")
                views = [int(view[1:]) - 1 for view in which if view.startswith("C")]
                question = {
                    "": {},
                    "silent": {"muted": FLOWS[name].graph.edges},
                    "mute": {"muted": (tuple(views),)},
                    "gone": {"absent": tuple(views)},
                }.get(what)
                if what == "swap":
                    donor = order[part["donors"][int(which[1]) - 1]]
                    question = {"swapped": ((views[0], donor),)}
                answer = latents.ask(Question(name, order[place], **question))
                there = answer.present
                found = maps(data, place, flow, key)[there]
                said = answer.nll[there]
                steps = (unit + said - low) * end / 65535  # they grow with the score
                assert (np.abs(found - said) < 0.52 * steps + 1e-5).all()


def test_what_is_usual_stays_beside_what_is_enormous():
    low, unit, end = scale = (0.3, page.UNIT, float(np.log1p(1e6 / page.UNIT)))
    values = np.array([[0.3, 2.0, 2.004, 9.7, 1e4, 1e6]])
    steps = np.frombuffer(base64.b64decode(page._packed(values, scale)), "<u2")
    assert low + unit * np.expm1(steps * end / 65535) == pytest.approx(values[0], rel=3e-4)


def test_views_stand_alone_once_messages_are_muted(data, latents):
    """The page puts such answers together from those of whole samples; the flow agrees."""
    order = list(choose(latents))
    for place, part in enumerate(data["parts"]):
        for name in FLOWS:
            for number, mate in enumerate(part["donors"]):
                question = Question(
                    name, order[place], swapped=((2, order[mate]),), muted=latents.edges
                )
                answer = latents.ask(question).map
                own = latents.ask(Question(name, order[place], muted=latents.edges)).map.copy()
                own[2] = latents.ask(Question(name, order[mate], muted=latents.edges)).map[2]
                assert answer == pytest.approx(own, abs=1e-5), number


def test_sets_are_those_of_the_flows(data, latents):
    for flow in data["flows"]:
        name, scores = flow["name"], flow["scores"]
        assert scores["max"] == pytest.approx(latents.scores[name], abs=1e-4)
        images = np.stack([answer.images for answer in latents.whole[name]])
        assert scores["mean"] == pytest.approx(images.mean(1), abs=1e-4)
        agreed = latents.ranked[name].get("agreement", (None, np.zeros(4)))[1]
        assert scores["agreement"] == pytest.approx(agreed, abs=1e-4)
        assert (flow["usual"] is None) == (name == "apart")
    assert data["labels"] == latents.labels.tolist()


def test_foreground_and_missing_views(samples):
    shown = torch.ones(4, 5, HEIGHT, WIDTH, dtype=torch.bool)
    shown[:, :, 0] = False
    lacks = features(4)
    lacks[0, 3] = np.nan
    first = replace(samples[0], images=(*samples[0].images[:3], None, samples[0].images[4]))
    latents = Latents(FLOWS, Split([first, *samples[1:]], lacks, shown), train(samples))
    data = page.collect(latents, choose(latents))
    index = [part["name"] for part in data["parts"]].index(first.name)
    assert data["parts"][index]["present"] == [True, True, True, False, True]
    assert all(index not in part["donors"] for part in data["parts"])
    counts = np.frombuffer(base64.b64decode(data["parts"][index]["counts"]), np.uint8)
    assert counts.reshape(5, HEIGHT, WIDTH)[0].tolist() == shown[0, 0].tolist()
    at = latents.samples.index(first)
    there = torch.tensor([[True, True, True, False, True]])
    apart = agreement_map(FLOWS["wheel"], lacks[[0]].nan_to_num(), there)
    expected = Agreement.of(apart, shown[:1], there, latents.usual["wheel"])
    assert data["flows"][1]["scores"]["agreement"][at] == pytest.approx(
        expected.samples.item(), abs=1e-4
    )


def test_a_page_is_not_written_without_knowing_what_agreement_is_usual(samples, tmp_path):
    latents = Latents(FLOWS, Split(samples, features(4)))
    with pytest.raises(ValueError, match="'wheel': make them with the training split"):
        page.write_page(latents, tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []


def test_data_cannot_leave_its_place(samples, tmp_path):
    evil = replace(samples[2], name=EVIL, code=EVIL, codes=(EVIL,) * 5, number="1")
    split = Split([*samples[:2], evil, samples[3]], features(4))
    latents = Latents(FLOWS, split, train(samples))
    path = page.write_page(latents, tmp_path / "evil.html", title=EVIL)
    text = path.read_text(encoding="utf-8")
    assert "<img src" not in text
    assert text.count("</script>") == 4
    data = read(path)
    assert data["title"] == EVIL
    assert EVIL in [part["code"] for part in data["parts"]]


def test_a_page_that_would_be_too_large_is_not_written(latents, tmp_path, monkeypatch):
    monkeypatch.setattr(page, "LIMIT", 10_000)
    with pytest.raises(ValueError, match="choose fewer"):
        page.write_page(latents, tmp_path / "large.html", samples=[0, 1])
    assert list(tmp_path.iterdir()) == []


def test_samples_can_be_named(latents, tmp_path):
    data = read(page.write_page(latents, tmp_path / "two.html", samples=[3, 0]))
    assert [part["name"] for part in data["parts"]] == [latents.samples[i].name for i in (3, 0)]
    assert data["questions"] == []


def test_parts_are_chosen_for_a_reason(latents):
    chosen = choose(latents)
    assert sorted(chosen) == [0, 1, 2, 3]
    assert all(reason.why for reason in chosen.values())
    assert [bool(latents.labels[i]) for i in chosen] == [False, False, True, True]
    assert len(choose(latents, most=2)) == 2


def test_views_are_swapped_with_sound_parts_alike_and_unlike(latents):
    chosen = list(choose(latents))
    pairs = donors(latents, chosen)
    for index, mates in pairs.items():
        assert index not in mates
        assert not latents.labels[list(mates)].any()
        assert len(mates) == (2 if latents.labels[index] else 1)  # of two sound ones
