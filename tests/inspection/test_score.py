"""New parts get the scores that a run would give them, and a verdict that names its reason."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from tiny import tiny_world
from trees import mask, picture, tree

import mfkit
from mfkit.__main__ import main
from mfkit.data import read_category, write_index
from mfkit.errors import InputError
from mfkit.experiment import Description
from mfkit.experiment.run import run
from mfkit.inspection import alarm_rate
from mfkit.score import p_values

TOGETHER = {"message_dropout": 0.5, "held_out": 0.25, "weight": "sum"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """One category in Real-IAD's layout (C2 of an audiojack is mirrored), and a run on it."""
    home = tmp_path_factory.mktemp("trained")
    tree(home / "data", train=12)
    with tiny_world():
        run(home / "data", home / "out", **TOGETHER)
    return home


@pytest.fixture
def data(trained, tmp_path, tiny_preset):
    """A copy of the category, to be spoilt."""
    return shutil.copytree(trained / "data", tmp_path / "data")


@pytest.fixture
def model(trained, tmp_path):
    """A folder with nothing but what `score` needs."""
    home = tmp_path / "model"
    home.mkdir()
    for name in ("model.pt", "model.json"):
        shutil.copy(trained / "out" / "audiojack" / name, home)
    return home


def score(model, *pictures, **options):
    """The command line, and the table that it wrote."""
    out = model.parent / "scored"
    flags = [part for key, value in options.items() for part in (f"--{key}", str(value))]
    code = main(["score", "--model", str(model), *map(str, pictures), "--out", str(out), *flags])
    return code, pd.read_csv(out / "verdicts.csv")


def folders(data):
    """The folders of the test samples, in the order of scores.csv."""
    return [sample.images[0].parent for sample in read_category(data, "audiojack").test]


@pytest.mark.parametrize(
    ("options", "foreground"), [({}, "none"), (TOGETHER, "border")], ids=["plain", "together"]
)
def test_new_parts_score_as_in_a_run(data, tmp_path, options, foreground):
    """With and without agreement, held-out samples, a foreground and cameras that are mirrored."""
    out = tmp_path / "out"
    run(data, out, foreground=foreground, **options)
    expected = pd.read_csv(out / "audiojack" / "scores.csv")
    code, table = score(out / "audiojack", *folders(data))
    assert code == 0
    np.testing.assert_allclose(table["score"], expected["score"], atol=1e-5)
    if options:
        np.testing.assert_allclose(table["agreement"], expected["agreement"], atol=1e-5)
        held = pd.read_csv(out / "audiojack" / "held_out.csv")
        both = [torch.tensor(f[["score", "agreement"]].to_numpy()) for f in (expected, held)]
        np.testing.assert_allclose(table["p_value"], p_values(*both), atol=1e-5)
        assert set(table["verdict"]) <= {"alarm", "sound"}
    else:
        assert table["agreement"].isna().all() and table["p_value"].isna().all()
        assert set(table["verdict"]) == {"scored"}


def test_folders_trees_and_json_files_say_the_same(model, data):
    one_by_one = score(model, *folders(data))[1]
    base = data / "realiad_256" / "audiojack"
    as_tree = score(model, base / "NG")[1]
    listed = score(model, data / "realiad_jsons" / "audiojack.json")[1]
    assert len(listed) == len(one_by_one) == 5 and len(as_tree) == 3
    pd.testing.assert_series_equal(listed["score"], one_by_one["score"], rtol=1e-5)
    pd.testing.assert_series_equal(
        as_tree["score"], one_by_one["score"][2:].reset_index(drop=True), rtol=1e-5
    )
    assert listed["sample"].tolist() == [s.name for s in read_category(data, "audiojack").test]


def test_a_json_file_needs_no_labels(model, data):
    file = data / "realiad_jsons" / "audiojack.json"
    table = json.loads(file.read_text())
    rows = [{"image_path": row["image_path"]} for row in table["test"]]
    other = data / "parts.json"
    other.write_text(json.dumps({"meta": {"prefix": "audiojack/"}, "test": rows}))
    code, found = score(model, other)
    assert code == 0
    expected = score(model, file)[1]
    pd.testing.assert_series_equal(found["score"], expected["score"], rtol=1e-6)


def test_two_lines_of_python(model, data):
    """Arrays as the cameras took them: the model mirrors them itself."""
    test = read_category(data, "audiojack").test
    images = np.stack(
        [[np.asarray(Image.open(path).convert("RGB")) for path in s.images] for s in test]
    )
    scorer = mfkit.load_scorer(model)
    scores, agreement, p, alarms = scorer(images)
    expected = score(model, *folders(data))[1]
    np.testing.assert_allclose(scores.samples, expected["score"], atol=1e-5)
    np.testing.assert_allclose(agreement.samples, expected["agreement"], atol=1e-5)
    np.testing.assert_allclose(p, expected["p_value"], atol=1e-5)
    assert alarms.tolist() == (expected["verdict"] == "alarm").tolist()
    assert scores.maps.shape == (5, 5, 4, 4)
    torch.testing.assert_close(scorer(images[0]).scores.maps[0], scores.maps[0])
    for wrong in (images[:, :4], images.astype(np.float32), images[..., 0]):
        with pytest.raises(InputError, match=r"'images' should be \(B, 5, h, w, 3\) of uint8"):
            scorer(wrong)


def test_it_says_where(model, data, monkeypatch):
    """The middle of the highest position, in the picture as it was taken."""
    scorer = mfkit.load_scorer(model)
    folder = folders(data)[0]
    expected = score(model, folder)[1].iloc[0]
    test = read_category(data, "audiojack").test[0]
    images = np.stack([np.asarray(Image.open(path).convert("RGB")) for path in test.images])
    scores, agreement, *_ = scorer(images)
    shown = agreement if expected["because"] == "agreement" else scores
    view = shown.images[0].argmax().item()
    row, column = divmod(shown.maps[0, view].argmax().item(), 4)
    if test.flips[view]:
        column = 3 - column
    assert expected["camera"] == f"C{view + 1}"
    assert (expected["x"], expected["y"]) == (4 * column + 2, 4 * row + 2)


def test_maps_are_drawn_for_each_part(model, data, capsys):
    out = model.parent / "drawn"
    command = ["score", "--model", str(model), str(data / "realiad_256" / "audiojack" / "NG")]
    assert main([*command, "--out", str(out), "--maps"]) == 0
    pictures = sorted((out / "maps").iterdir())
    assert [path.name[:5] for path in pictures] == ["0001_", "0002_", "0003_"]
    assert Image.open(pictures[0]).width > 500
    assert "3 parts, 0 failed" in capsys.readouterr().out


def test_own_cameras_keep_their_names(tmp_path, tiny_preset):
    root, cameras = tmp_path / "own", ["top", "front"]
    plan = [("train/OK", n) for n in range(8)] + [("test/OK", 8), ("test/scratch", 9)]
    for place, n in plan:
        for number, camera in enumerate(cameras, 1):
            home = root / "gears" / place / str(n)
            picture(home / f"{camera}.png", number, n, defect="scratch" in place)
            if "scratch" in place and camera == "top":
                mask(home / "top_mask.png")
    write_index(root, "gears", cameras=cameras)
    run(root, tmp_path / "out", "gears", held_out=0.5)
    home = tmp_path / "out" / "gears"
    assert [c.name for c in Description.read(home / "model.json").cameras] == cameras
    code, table = score(home, root / "gears" / "test")
    assert code == 0 and len(table) == 2
    expected = pd.read_csv(home / "scores.csv")
    np.testing.assert_allclose(table["score"], expected["score"], atol=1e-5)
    assert set(table["camera"]) <= set(cameras)


BAD = {
    "too few": (lambda home: next(home.glob("*_C3_*")).unlink(), "no image of camera C3"),
    "too many": (
        lambda home: shutil.copy(
            next(home.glob("*_C3_*.jpg")), home / "audiojack_0001_OK_C6_20231021130235.jpg"
        ),
        "no camera of the model is called so",
    ),
    "twice": (
        lambda home: shutil.copy(next(home.glob("*_C3_*.jpg")), home / "C3.jpg"),
        "two images of one camera",
    ),
    "other name": (
        lambda home: next(home.glob("*_C3_*.jpg")).rename(home / "side.jpg"),
        "side.jpg: no camera of the model is called so; its cameras are C1, C2, C3, C4, C5",
    ),
    "other size": (
        lambda home: Image.new("RGB", (20, 16), "red").save(next(home.glob("*_C3_*.jpg"))),
        "has 20 x 16 px, camera C3 had 16 x 16 in training",
    ),
    "grey": (
        lambda home: Image.new("L", (16, 16), 90).save(next(home.glob("*_C3_*.jpg"))),
        "is grey, the pictures of camera C3 were in colour",
    ),
    "truncated": (
        lambda home: (path := next(home.glob("*_C3_*.jpg"))).write_bytes(
            path.read_bytes()[: path.stat().st_size // 2]
        ),
        "cannot be read as an image",
    ),
    "empty": (
        lambda home: [path.unlink() for path in home.iterdir()],
        "no image there",
    ),
}


@pytest.fixture
def coloured(tmp_path, tiny_preset):
    """A model of coloured pictures, and two sound parts of which the first shall be spoilt."""

    def draw(path, camera, seed, defect):
        noise = np.random.default_rng([seed, camera]).integers(0, 30, (16, 16, 3))
        pixels = noise + np.array([40 * camera, 90, 20])
        pixels[:8, :8] += 60 * defect
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(path, quality=95)

    tree(tmp_path / "data", train=8, draw=draw)
    run(tmp_path / "data", tmp_path / "out", held_out=0.25)
    shutil.copytree(tmp_path / "data" / "realiad_256" / "audiojack" / "OK", tmp_path / "new")
    for folder in sorted((tmp_path / "new").iterdir())[:-2]:
        shutil.rmtree(folder)
    return tmp_path / "out" / "audiojack", tmp_path / "new"


def test_what_is_wrong_with_a_part_is_said_and_the_others_are_scored(coloured, tmp_path, capsys):
    model, new = coloured
    for kind, (spoil, message) in BAD.items():
        tree_ = shutil.copytree(new, tmp_path / kind)
        bad, good = sorted(tree_.iterdir())
        spoil(bad)
        capsys.readouterr()
        code, table = score(model, tree_)
        said = capsys.readouterr().out
        assert code == 2, kind
        assert table["verdict"].tolist()[0] == "failed", kind
        assert table["verdict"].tolist()[1] in ("alarm", "sound"), kind
        assert table["sample"].tolist() == [str(bad), str(good)], kind
        assert message in table["note"][0] and message in said, (kind, table["note"][0])
        assert str(bad) in table["note"][0], kind
        assert "2 parts, 1 failed" in said


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table["test"].pop(7), "no image of camera C3"),
        (lambda table: table["test"][7].update(image_path="OK/S0099/a.jpg"), "test[7]"),
        (lambda table: table["test"][7].update(camera=9, sample="x"), "no camera 9"),
        (lambda table: table["test"][7].pop("image_path"), "'image_path' is missing"),
        (lambda table: table["test"].__setitem__(7, 3), "is no object"),
    ],
)
def test_a_bad_row_costs_its_part_alone(model, data, change, message):
    file = data / "realiad_jsons" / "audiojack.json"
    table = json.loads(file.read_text())
    change(table)
    file.write_text(json.dumps(table))
    code, found = score(model, file)
    assert code == 2
    failed = found[found["verdict"] == "failed"]
    assert message in " ".join(failed["note"])
    assert (found["verdict"] != "failed").sum() == 4


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("nowhere", None, "does not exist; give a folder"),
        ("x.jpg", "x", "is no folder; give a folder"),
        ("x.json", "{", "not valid JSON"),
        ("y.json", '{"meta": {"prefix": ""}, "test": []}', "no row under 'test'"),
    ],
)
def test_pictures_that_are_none(model, data, tmp_path, name, text, message):
    if text is not None:
        (tmp_path / name).write_text(text)
    code, table = score(model, tmp_path / name, folders(data)[0])
    assert code == 2
    assert table["verdict"][0] == "failed" and message in table["note"][0]
    assert table["verdict"][1] in ("alarm", "sound")


def test_a_missing_camera_is_said_and_scored_by_a_model_that_knows_it(data, tmp_path):
    run(data, tmp_path / "out", missing_views="allow", **TOGETHER)
    home = tmp_path / "out" / "audiojack"
    part = shutil.copytree(folders(data)[0], tmp_path / "part")
    next(part.glob("*_C3_*.jpg")).unlink()
    code, table = score(home, part)
    assert code == 0
    assert table["note"][0] == "no image of camera C3: scored by the others"
    assert table["verdict"][0] in ("alarm", "sound") and table["score"].notna().all()
    held = Description.read(home / "model.json").held_out
    scorer = mfkit.load_scorer(home)
    taken = mfkit.inspection.take(
        mfkit.inspection.find_parts([part], scorer.description)[0].sample, scorer.description
    )
    scores, agreement, p, _ = scorer([taken])
    seen = [0, 1, 3, 4]
    unseen = torch.stack([held.images[:, seen].amax(1), held.agreement[:, seen].amax(1)], 1)
    both = torch.stack([scores.samples, agreement.samples], 1)
    torch.testing.assert_close(p, p_values(both, unseen))


def test_the_rate_of_false_alarms_must_be_one_that_can_be_promised(model, data, capsys):
    """Three samples are held out: 1 in 4 is the least."""
    folder = folders(data)[0]
    assert score(model, folder)[0] == 0
    assert "p-value at most 0.25" in capsys.readouterr().out
    assert score(model, folder, **{"false-alarms": 0.5})[0] == 0
    command = ["score", "--model", str(model), str(folder), "--false-alarms"]
    assert main([*command, "0.1"]) == 2
    said = capsys.readouterr().err
    assert "3 held-out samples can promise 0.2500 at best" in said
    assert "hold out at least 9 samples" in said
    assert main([*command, "1.5"]) == 2
    with pytest.raises(InputError, match="trained without held-out samples"):
        alarm_rate(None, 0.1)
    assert alarm_rate(None) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda home: (home / "model.json").unlink(), "an older mfkit made it"),
        (lambda home: (home / "model.pt").unlink(), "no such model"),
        (lambda home: (home / "model.json").write_text("{"), "is damaged"),
        (lambda home: (home / "model.json").write_text("[]"), "is no description of a model"),
        (lambda home: edit(home, format=99), "in format 99, this is mfkit"),
        (lambda home: edit(home, cameras=[]), "is no description of a model"),
        (lambda home: edit(home, scale="x"), "is no description of a model"),
        (lambda home: edit(home, weights="0"), "another model.pt than the one beside it"),
        (lambda home: edit(home, backbone="vgg"), "install another mfkit"),
        (lambda home: edit(home, backbone_digest="0"), "not those that the model was trained with"),
        (lambda home: edit(home, foreground="files"), "new pictures have none"),
    ],
)
def test_a_model_that_cannot_be_used_says_why(model, data, change, message, capsys):
    change(model)
    assert main(["score", "--model", str(model), str(folders(data)[0])]) == 2
    said = capsys.readouterr().err
    assert message in said and str(model) in said


def edit(home, **changes):
    file = home / "model.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_no_private_path_leaves_with_a_model(model, tmp_path):
    assert str(tmp_path) not in (model / "model.json").read_text()
