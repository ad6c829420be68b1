"""`check` counts everything, finds all faults at once, and names each."""

import json

import pytest
from PIL import Image
from trees import edit, mask, rows_of, tree

from mfkit.data import FLIPS
from mfkit.data.check import check
from mfkit.errors import InputError


def test_counts(tmp_path):
    tree(tmp_path, train=4, sound=2, codes={"BX": 2, "HS": 1}, hidden=(2,))
    tree(tmp_path, "tape", train=3, sound=1, codes={"AK": 1}, hidden=())
    report = check(tmp_path, progress=False)
    assert report.ok and report.faults == [] and report.notes == []
    assert report.counts.columns.tolist() == ["C1", "C2", "C3", "C4", "C5", "all"]
    assert report.counts.loc["audiojack", "test", "BX"].tolist() == [2, 0, 2, 2, 2, 8]
    assert report.counts.loc["audiojack", "test", "OK"].tolist() == [2, 5, 2, 2, 2, 13]
    assert report.counts.loc["audiojack", "train", "OK"].tolist() == [4] * 5 + [20]
    assert report.samples.loc["audiojack", "test"].tolist() == [5, 25, 3, 12]
    assert report.samples.loc["all", "train"].tolist() == [7, 35, 0, 0]
    assert report.samples.loc["all", "test"].tolist() == [7, 35, 4, 17]
    assert "audiojack test  BX" in str(report) and str(report).endswith("no faults")


def test_more_than_nine_cameras_stay_in_order(tmp_path):
    tree(tmp_path, "part", cameras=12, train=1, sound=1, codes={"BX": 1})
    report = check(tmp_path, progress=False)
    assert report.ok
    assert report.counts.columns.tolist() == [f"C{n}" for n in range(1, 13)] + ["all"]


def test_some_categories(tmp_path):
    tree(tmp_path)
    tree(tmp_path, "tape").write_text("{")
    assert check(tmp_path, ["audiojack"], progress=False).ok
    report = check(tmp_path, progress=False)
    assert [fault.kind for fault in report.faults] == ["invalid JSON"]
    with pytest.raises(InputError, match="no category 'toy'"):
        check(tmp_path, ["toy"])
    with pytest.raises(InputError, match="does not exist"):
        check(tmp_path / "nowhere")


def test_nothing_readable_at_all(tmp_path):
    tree(tmp_path).write_text("{")
    report = check(tmp_path, progress=False)
    assert not report.ok and "audiojack.json: not valid JSON" in str(report)


def test_a_name_that_cannot_be_printed(tmp_path):
    file = tree(tmp_path)
    path = "OK/\ud800/part_0001_OK_C1_1.jpg"
    edit(file, lambda table: table["train"][0].update(image_path=path))
    assert r"\ud800" in str(check(tmp_path, progress=False)).encode().decode()


def test_notes_are_no_faults(tmp_path):
    file = tree(tmp_path, codes={})
    assert "no AUROC" in check(tmp_path, progress=False).notes[0]
    edit(file, lambda table: table["test"].clear())
    assert "test split is empty" in check(tmp_path, progress=False).notes[0]
    edit(file, lambda table: [row.update(anomaly_class="BX") for row in table["train"][:5]])
    report = check(tmp_path, progress=False)
    assert "1 training samples are defective" in report.notes[0] and report.ok


def test_one_of_several_resolutions(tmp_path):
    tree(tmp_path, resolution="realiad_512")
    tree(tmp_path, resolution="realiad_256")
    assert check(tmp_path, resolution=256, progress=False).ok
    assert check(tmp_path / "realiad_512", progress=False).ok
    with pytest.raises(InputError, match="realiad_256, realiad_512: give the one to use"):
        check(tmp_path, progress=False)


def test_a_sample_in_both_splits(tmp_path):
    file = tree(tmp_path)
    edit(file, lambda table: table["test"].extend(table["train"][:5]))
    (fault,) = check(tmp_path, progress=False).faults
    assert fault.kind == "sample in both splits"
    assert f"{file}: sample audiojack_0001_OK is in train and in test" in str(fault)


def test_number_of_views_can_be_demanded(tmp_path):
    tree(tmp_path, cameras=4, codes={"BX": 2})
    assert check(tmp_path, progress=False).ok
    faults = check(tmp_path, views=5, progress=False).faults
    assert [fault.kind for fault in faults] == ["missing view"] * 8


def test_totals_of_the_whole_set(tmp_path, monkeypatch):
    for category in FLIPS:
        tree(tmp_path, category, train=1, sound=1, codes={"BX": 1}, size=4)
    report = check(tmp_path, progress=False)
    assert [fault.kind for fault in report.faults] == ["totals", "totals"]
    assert "150 train images are listed, 36,465 are published; copy the JSON" in str(report)
    assert "300 test images are listed, 114,585 are published; copy the JSON" in str(report)
    monkeypatch.setattr("mfkit.data.check.TOTALS", {"train": 150, "test": 300})
    report = check(tmp_path, progress=False)
    assert report.ok and report.notes[0] == "150 train images are listed, 150 are published"
    assert check(tmp_path, ["tape"], progress=False).notes == []


def test_progress_bar(tmp_path, capsys):
    tree(tmp_path)
    check(tmp_path)
    assert "audiojack" in capsys.readouterr().err
    check(tmp_path, progress=False)
    assert capsys.readouterr().err == ""


def test_pixels_can_be_left_out(tmp_path):
    file = tree(tmp_path)
    ((split, index),) = rows_of(file, 1, "OK/S0001")
    path = json.loads(file.read_text())[split][index]["image_path"]
    (tmp_path / "realiad_256/audiojack" / path).write_bytes(b"")
    assert check(tmp_path, pixels=False, progress=False).ok
    assert not check(tmp_path, progress=False).ok


@pytest.mark.parametrize("shuffle", [None, 1])
def test_all_planted_faults_are_found_at_once(tmp_path, shuffle):
    file = tree(tmp_path, train=8, sound=4, codes={"BX": 6}, hidden=(2,), shuffle=shuffle)
    tree(tmp_path, "tape", train=2)
    planted = plant_ten_faults(file, tmp_path / "realiad_256" / "audiojack")
    report = check(tmp_path, progress=False)
    assert not report.ok
    assert len(planted) == 10
    # a row that cannot be read is missing in its sample, which is true and said too
    expected = [*planted, ("missing view", "_0004_OK (train) has no image of camera 2")]
    assert len(report.faults) == len(expected), str(report)
    for kind, name in expected:
        hits = [fault for fault in report.faults if fault.kind == kind and str(name) in str(fault)]
        assert len(hits) == 1, f"{kind}: {name}\n{report}"
        assert str(hits[0]) in str(report)


def plant_ten_faults(file, base, part="audiojack"):
    """Plant one fault of each kind; return kind and what its message must name.

    Images and masks are replaced, not written to: they may be hard links to a common file.
    """
    table = json.loads(file.read_text())

    def row(split, camera, where):
        ((_, index),) = [hit for hit in rows_of(file, camera, where) if hit[0] == split]
        return table[split][index]

    gone, twice = row("train", 4, "OK/S0001"), row("train", 1, "OK/S0002")
    double, keyless = row("train", 3, "OK/S0003"), row("train", 2, "OK/S0004")
    broken, absent = row("train", 5, "OK/S0005"), row("train", 1, "OK/S0006")
    leaving, bare = row("train", 2, "OK/S0007"), row("test", 1, "NG/BX/S0001")
    resized, blank = row("test", 3, "NG/BX/S0002"), row("test", 4, "NG/BX/S0003")

    table["train"].remove(gone)
    table["train"].append(dict(twice))
    second = double["image_path"].replace("_C3_2023", "_C3_2024")
    (base / second).hardlink_to(base / double["image_path"])
    table["train"].append({**double, "image_path": second})
    del keyless["anomaly_class"]
    whole = (base / broken["image_path"]).read_bytes()
    (base / broken["image_path"]).unlink()
    (base / broken["image_path"]).write_bytes(whole[: len(whole) * 2 // 3])
    (base / absent["image_path"]).unlink()
    leaving["image_path"] = f"../{part}/{leaving['image_path']}"
    bare["mask_path"] = None
    (base / resized["mask_path"]).unlink()
    with Image.open(base / resized["image_path"]) as image:
        mask(base / resized["mask_path"], size=image.width + 1)
    (base / blank["mask_path"]).unlink()
    with Image.open(base / blank["image_path"]) as image:
        mask(base / blank["mask_path"], size=image.width, value=1)
    file.write_text(json.dumps(table))
    return [
        ("missing view", "_0001_OK (train) has no image of camera 4"),
        ("duplicate row", base / twice["image_path"]),
        ("two images", base / second),
        ("JSON key", "'anomaly_class'"),
        ("unreadable file", base / broken["image_path"]),
        ("missing file", base / absent["image_path"]),
        ("path leaves folder", leaving["image_path"]),
        ("label", bare["image_path"].rpartition("/")[2]),
        ("mask size", base / resized["mask_path"]),
        ("empty mask", base / blank["mask_path"]),
    ]
