"""The shipped pictures: layout, counts, labels, masks, sizes. Needs no renderer."""

import csv
import hashlib
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

DATA = Path(__file__).resolve().parents[2] / "data"
ROOT = DATA / "mini-iad"
CATEGORIES = sorted(path.stem for path in (ROOT / "realiad_jsons").glob("*.json"))
CODES = {"AK", "BX", "CH", "HS", "PS", "QS", "YW", "ZW"}
MISFITS = {"JC": {"23"}, "HP": {"1", "4", "5"}, "XH": {"45"}}  # and the cameras that see them
TRAIN = {"wire_plug": 128}
DEFECTIVE = {"wire_plug": 80}
REAL_IAD = """audiojack bottle_cap button_battery end_cap eraser fire_hood mint mounts pcb
    phone_battery plastic_nut plastic_plug porcelain_doll regulator rolled_strip_base sim_card_set
    switch tape terminalblock toothbrush toy toy_brick transistor1 u_block usb usb_adaptor vcpill
    wooden_beads woodstick zipper""".split()
NAME = re.compile(
    r"(?P<folder>(OK|NG/(?P<code>[A-Z]{2}))/S(?P<number>\d{4}))/"
    r"(?P<sample>[a-zA-Z][a-zA-Z0-9_]*_\d{4}_[A-Z][A-Z_]*[A-Z])_C(?P<camera>[1-5])_\d{14}\.jpg"
)


def index(category):
    return json.loads((ROOT / "realiad_jsons" / f"{category}.json").read_text())


def samples(category):
    with (ROOT / "samples.csv").open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["category"] == category]


def images(category):
    return ROOT / "realiad_256" / category


def test_names():
    assert CATEGORIES
    assert not set(CATEGORIES) & set(REAL_IAD)
    assert {path.name for path in (ROOT / "realiad_256").iterdir()} == set(CATEGORIES)


def test_all_codes_occur():
    found = {name: {row["code"] for row in samples(name)} - {"OK"} for name in CATEGORIES}
    assert set().union(*found.values()) == CODES | set(MISFITS)
    assert all(len(codes) >= 5 for codes in found.values())


@pytest.mark.parametrize("category", CATEGORIES)
def test_counts(category):
    kinds = Counter((row["split"], row["code"] == "OK") for row in samples(category))
    train, defective = TRAIN.get(category, 64), DEFECTIVE.get(category, 48)
    assert kinds == {("train", True): train, ("test", True): 32, ("test", False): defective}


@pytest.mark.parametrize("category", CATEGORIES)
def test_index_agrees_with_files_and_table(category):
    content = index(category)
    assert content["meta"] == {"prefix": f"{category}/", "normal_class": "OK"}
    table = {row["folder"]: row for row in samples(category)}
    seen, listed = Counter(), set()
    for split in ("train", "test"):
        for row in content[split]:
            match = NAME.fullmatch(row["image_path"])
            assert match and row["category"] == category
            assert match["sample"].startswith(f"{category}_{match['number']}_")
            sample = table[match["folder"]]
            assert sample["split"] == split and sample["code"] == (match["code"] or "OK")
            shown = match["camera"] in sample["cameras"]
            assert row["anomaly_class"] == (sample["code"] if shown else "OK")
            assert (row["mask_path"] is not None) == shown
            seen[match["folder"], match["camera"]] += 1
            listed |= {row["image_path"], row["mask_path"]} - {None}
    assert set(seen) == {(folder, camera) for folder in table for camera in "12345"}
    assert set(seen.values()) == {1}
    files = {str(p.relative_to(images(category))) for p in images(category).rglob("*.*")}
    assert files == listed


@pytest.mark.parametrize("category", CATEGORIES)
def test_views_without_a_visible_defect_are_sound(category):
    rows = [row for row in index(category)["test"] if row["image_path"].startswith("NG/")]
    assert any(row["anomaly_class"] == "OK" for row in rows)
    assert all(row["cameras"] for row in samples(category) if row["code"] != "OK")


@pytest.mark.parametrize("category", CATEGORIES)
def test_images_and_masks(category):
    for row in index(category)["train"] + index(category)["test"]:
        with Image.open(images(category) / row["image_path"]) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (256, 256))
            # the standard luminance table starts with 16; at quality 90 that becomes 3
            assert image.quantization[0][0] <= 3
        if row["mask_path"]:
            with Image.open(images(category) / row["mask_path"]) as mask:
                assert (mask.format, mask.mode, mask.size) == ("PNG", "L", (256, 256))
                pixels = np.asarray(mask)
            assert set(np.unique(pixels)) == {0, 255}
            assert (pixels > 127).sum() >= 10


@pytest.mark.parametrize("category", CATEGORIES)
def test_masks_keep_off_the_ground(category):
    """The frame's rim is ground in every image, and no mask reaches it.

    That masks lie inside the part, pixel by pixel, is tested with the renderer in test_render.py.
    """
    for row in index(category)["test"]:
        if row["mask_path"]:
            mask = np.asarray(Image.open(images(category) / row["mask_path"])) > 127
            rim = np.concatenate([mask[:3].ravel(), mask[-3:].ravel(), mask[:, :3].ravel()])
            assert not rim.any() and not mask[:, -3:].any()


@pytest.mark.parametrize("category", CATEGORIES)
def test_table_measures_the_masks(category):
    for row in samples(category):
        if row["code"] == "OK":
            assert row["severity"] == row["cameras"] == ""
            continue
        sizes = [
            (np.asarray(Image.open(path)) > 127).sum()
            for path in sorted((images(category) / row["folder"]).glob("*.png"))
        ]
        assert len(sizes) == len(row["cameras"])
        assert max(sizes) == int(row["size_px"])
        if row["code"] in MISFITS:
            assert row["severity"] == row["size_mm"] == ""
            assert row["cameras"] in MISFITS[row["code"]]
        else:
            assert 0 <= float(row["severity"]) <= 1
        assert 0 < float(row["size_percent"]) < 50


@pytest.mark.parametrize("category", CATEGORIES)
def test_no_image_occurs_twice(category):
    digests = Counter(
        hashlib.sha256(path.read_bytes()).hexdigest() for path in images(category).rglob("*.jpg")
    )
    assert set(digests.values()) == {1}


def test_a_quarter_shows_in_one_or_two_views():
    seen = [len(r["cameras"]) for name in CATEGORIES for r in samples(name) if r["code"] != "OK"]
    assert sum(count <= 2 for count in seen) >= len(seen) / 4


@pytest.mark.parametrize("category", CATEGORIES)
def test_views_of_a_sample_share_properties(category):
    marks = [json.loads(row["marks"]) for row in samples(category)]
    assert all(set(mark) == {"lot", "mark", "variant"} for mark in marks)
    assert len({mark["lot"] for mark in marks}) == 5
    assert len({mark["mark"] for mark in marks}) > 100


def test_sizes():
    def total(folder):
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

    assert total(DATA) - total(DATA / "models") <= 40e6  # models have a limit of their own
    for category in CATEGORIES:
        assert total(images(category)) <= 8e6 + 6e6 * (category in TRAIN)


def test_data_sheet_counts_are_current(monkeypatch):
    monkeypatch.syspath_prepend(DATA / "render")
    import datasheet

    with (ROOT / "samples.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    page = (DATA / "README.md").read_text()
    assert datasheet.fill(page, datasheet.counts(rows)) == page


def by_camera(row):
    """What each camera sees of a plug that differs from plug to plug: camera -> values."""
    wires, lots, variant = json.loads(row["marks"])["variant"].split(", ")
    (front, right), (top, back, left) = wires.split("/"), lots.split("/")
    contacts, number = variant.split("/")
    return {1: top, 2: front, 3: right, 4: (back, contacts), 5: (left, number)}


def test_each_view_of_a_misfit_occurs_among_sound_plugs():
    rows = samples("wire_plug")
    sound = [by_camera(row) for row in rows if row["code"] == "OK"]
    for row in rows:
        if row["code"] in MISFITS:
            for camera, seen in by_camera(row).items():
                assert any(seen == other[camera] for other in sound), (row["folder"], camera)


def told_apart(camera, label):
    """AUROC of a cross-validated classifier of one camera's test pictures of plugs."""
    thumbnails, classes = [], []
    for row in samples("wire_plug"):
        if row["split"] == "test" and row["code"] in {"OK", *MISFITS}:
            path = next((images("wire_plug") / row["folder"]).glob(f"*_C{camera}_*.jpg"))
            with Image.open(path) as image:
                small = image.resize((24, 24), Image.Resampling.BOX)
            thumbnails.append(np.asarray(small, float).ravel())
            classes.append(label(row))
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
    folds = {"cv": 8, "method": "decision_function"}
    return roc_auc_score(classes, cross_val_predict(model, thumbnails, classes, **folds))


@pytest.mark.parametrize("camera", range(1, 6))
def test_a_classifier_of_single_views_is_at_chance(camera):
    """32 sound plugs and 48 misfits: the standard error of an AUROC of one half is 0.066."""
    assert abs(told_apart(camera, lambda row: row["code"] != "OK") - 0.5) < 3 * 0.066


@pytest.mark.parametrize("camera", (1, 4, 5))
def test_the_same_classifier_sees_what_is_there(camera):
    """Negative control: it reads one seal's colour, so it is not blind."""
    place = {1: 0, 4: 1, 5: 2}[camera]

    def warm(row):
        lots = json.loads(row["marks"])["variant"].split(", ")[1]
        return lots.split("/")[place] in ("orange", "ivory")

    assert told_apart(camera, warm) > 0.8
