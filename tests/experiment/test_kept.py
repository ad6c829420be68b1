"""A result is whole, of the data as they are, and stays until a better one takes its place."""

import hashlib
import json
import os
import pickle
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from trees import edit, tree

from mfkit.__main__ import main
from mfkit.data import read_category
from mfkit.errors import InputError
from mfkit.experiment import Job, RunFolder, export, job, read_results, table
from mfkit.experiment.description import describe
from mfkit.experiment.result_files import settle
from mfkit.experiment.run import run
from mfkit.inspection import model_card

pytestmark = pytest.mark.usefixtures("tiny_preset")


@pytest.fixture
def root(tmp_path):
    tree(tmp_path / "data")
    return tmp_path / "data"


def uncompressed(path, pixels):
    """As a PNG whose size does not depend on what it shows; the clock is set back."""
    status = path.stat() if path.exists() else None
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, format="PNG", compress_level=0)
    if status:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def mirror_masks(root):
    for path in (root / "realiad_256" / "audiojack" / "NG").rglob("*.png"):
        uncompressed(path, np.array(Image.open(path))[:, ::-1].copy())


def test_masks_of_the_same_size_are_noticed(root, tmp_path, capsys):
    mirror_masks(root)
    mirror_masks(root)
    before = run(root, tmp_path / "out")["mean"]
    mirror_masks(root)
    after = run(root, tmp_path / "out")["mean"]
    assert "defect masks have changed since it was done" in capsys.readouterr().out
    assert after == run(root, tmp_path / "fresh")["mean"]
    assert after["p_auroc"] != before["p_auroc"] and after["s_auroc"] == before["s_auroc"]


@pytest.mark.parametrize("kind", ["files", "stacks"])
def test_foreground_out_of_a_folder_is_noticed_and_may_move(root, tmp_path, capsys, kind):
    masks, category = tmp_path / "masks", read_category(root, "audiojack")

    def write(value):
        if kind == "files":
            for sample in (*category.train, *category.test):
                for image in sample.images:
                    home = image.relative_to(root / "realiad_256").with_suffix(".png")
                    uncompressed(masks / home, value)
            return
        (masks / "audiojack").mkdir(parents=True, exist_ok=True)
        for split, samples in category.splits.items():
            np.save(masks / "audiojack" / f"{split}.npy", np.stack([value] * 5 * len(samples)))

    left = np.zeros((16, 16), np.uint8)
    left[:, :8] = 255
    write(left)
    run(root, tmp_path / "out", foreground=str(masks))
    masks = masks.rename(tmp_path / "moved")
    run(root, tmp_path / "out", foreground=str(masks))
    assert "audiojack: done before" in capsys.readouterr().out
    write(left[:, ::-1].copy())
    with pytest.raises(InputError, match="trained with another foreground"):
        run(root, tmp_path / "out", foreground=str(masks))
    assert "foreground masks have changed since it was done" in capsys.readouterr().out


def test_a_run_and_its_data_may_move(root, tmp_path, capsys):
    before = run(root, tmp_path / "out")
    moved = root.rename(tmp_path / "elsewhere")
    out = (tmp_path / "out").rename(tmp_path / "archive")
    command = ["export", "--run", str(out), "--category", "audiojack"]
    assert main(command) == 2
    assert "data is not there: say where the data lie now, with --data" in capsys.readouterr().err
    assert main([*command, "--data", str(moved)]) == 0
    assert main(["run", "--data", str(moved), "--out", str(out)]) == 0
    assert "audiojack: done before" in capsys.readouterr().out
    after = read_results(out)
    assert after["categories"] == before["categories"]
    assert after["config"]["data"] == str(moved)
    assert main(command) == 0
    (link := tmp_path / "link").symlink_to(moved)
    more = run(link, out, epochs=3)  # features and checkpoint go on as well
    assert more["categories"]["audiojack"]["epochs"] == 3


def test_other_data_do_not_replace_the_features_of_a_run(root, tmp_path):
    before = run(root, tmp_path / "out")
    tree(tmp_path / "other", train=6)
    features = next((tmp_path / "out" / "features").rglob("train.f16"))
    content = features.read_bytes()
    with pytest.raises(InputError, match=r"another data: audiojack in .*other is"):
        run(tmp_path / "other", tmp_path / "out")
    assert features.read_bytes() == content and read_results(tmp_path / "out") == before


def former(root, out):
    """Rewrites what an mfkit before these marks would have left."""
    category = read_category(root, "audiojack")
    digest = hashlib.sha256()
    for split, samples in category.splits.items():
        for sample in samples:
            for image, label, mask in zip(sample.images, sample.labels, sample.masks, strict=True):
                sizes = [path and path.stat().st_size for path in (image, mask)]
                state = f"{split} {image} {mask} {sizes} {sample.label} {label}\n"
                digest.update(os.fsencode(state))
    results = json.loads((out / "results.json").read_text())
    row = results["categories"]["audiojack"]
    for key in ("foreground", "epochs", "mark", "files"):
        del row[key]
    row["data"] = digest.hexdigest()
    del results["config"]["linear"]
    (out / "results.json").write_text(json.dumps(results))
    fingerprints = {}
    for split, samples in category.splits.items():
        store = out / "features" / "tiny" / "audiojack" / f"{split}.f16"
        store.with_suffix(".crc").unlink()
        described = json.loads(store.with_suffix(".json").read_text())
        digest = hashlib.sha256(job.backbone_on("cpu", "tiny").fingerprint().encode())
        for sample in samples:
            for image, flip in zip(sample.images, sample.flips, strict=True):
                state = f"{image.stat().st_size} {image.stat().st_mtime_ns}"
                digest.update(f"{image.absolute()} {state} {flip}\n".encode())
        fingerprints[split] = digest.hexdigest()
        described = {"shape": described["shape"], "fingerprint": digest.hexdigest()}
        store.with_suffix(".json").write_text(json.dumps(described))
    checkpoint = out / "audiojack" / "checkpoint.pt"
    state = torch.load(checkpoint, weights_only=True)
    del state["settings"]["flow"]["linear"]
    state["settings"]["set of images"] = fingerprints["train"]
    torch.save(state, checkpoint)


@pytest.mark.parametrize("moves", [False, True])
def test_results_of_an_earlier_mfkit_are_accepted_and_marked(root, tmp_path, capsys, moves):
    out = tmp_path / "out"
    before = run(root, out)["categories"]["audiojack"]
    former(root, out)
    assert table([out]) is not None and model_card(out, "audiojack") and export(out, "audiojack")
    if moves:
        root = root.rename(tmp_path / "moved")
    capsys.readouterr()
    after = run(root, out)["categories"]["audiojack"]
    assert "audiojack: done before" in capsys.readouterr().out
    files, every = after.pop("files"), before.pop("files")
    assert after == before and files.items() <= every.items() and len(files) == 4
    if not moves:  # features were known by place and time, so only there can they be known again
        assert run(root, out, epochs=3)["categories"]["audiojack"]["epochs"] == 3
        assert len(pd.read_csv(out / "audiojack" / "history.csv")) == 3


def test_an_earlier_result_of_other_data_is_not_accepted(root, tmp_path, capsys):
    run(root, tmp_path / "out")
    former(root, tmp_path / "out")
    edit(
        root / "realiad_jsons" / "audiojack.json",
        lambda t: t["test"][-5].update(anomaly_class="OK", mask_path=None),
    )
    run(root, tmp_path / "out")
    assert "have changed since it was done" in capsys.readouterr().out


@pytest.mark.parametrize("moment", ["before the row", "after the row"])
def test_files_of_two_results_are_never_mixed(root, tmp_path, monkeypatch, moment):
    """An extension is killed between its files and its row, or between the row and their names."""
    out, whole = tmp_path / "out", tmp_path / "whole"
    run(root, out)
    run(root, whole, epochs=4 if moment == "after the row" else 2)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        if moment == "before the row":
            patch.setattr("mfkit.experiment.begun.add_result", killed)
        else:
            patch.setattr("mfkit.experiment.job.settle", killed)
        patch.setattr("mfkit.experiment.job.clear_stages", lambda stages: None)
        run(root, out, epochs=4)
    expected = read_results(whole)["categories"]["audiojack"]
    assert [path.name for path in (out / "audiojack").glob(".result-*")]
    assert read_results(out)["categories"]["audiojack"]["mark"] == expected["mark"]
    assert f"epochs {expected['epochs']}," in model_card(out, "audiojack")
    entries = [pickle.loads(export(folder, "audiojack").read_bytes()) for folder in (out, whole)]
    for ours, theirs in zip(*(entry.values() for entry in entries), strict=True):
        np.testing.assert_array_equal(ours[0], theirs[0])
    final = run(root, out, epochs=4)
    assert final["categories"]["audiojack"]["epochs"] == 4
    assert not list(out.rglob(".result-*")) and not list(out.rglob("*.part*"))


def test_who_looks_while_files_are_made_again_takes_none_of_them(root, tmp_path, monkeypatch):
    """Two processes, a lost model: the same result has the same files, and one row names all."""
    out = tmp_path / "out"
    row = run(root, out)["categories"]["audiojack"]
    folder = RunFolder(out).category("audiojack")
    folder.model.unlink()
    moments = []

    def looking(*given):
        moments.append(settle(folder, row))
        return describe(*given)

    monkeypatch.setattr("mfkit.experiment.job.describe", looking)
    again = run(root, out)["categories"]["audiojack"]
    assert len(moments) == 1 and "model.pt is missing" in moments[0][0]
    assert again["files"].keys() == row["files"].keys() and folder.model.exists()
    assert not list(out.rglob(".result-*"))


def killed(*_):
    raise KeyboardInterrupt


def test_an_extension_that_fails_costs_nobody_a_result(root, tmp_path, capsys):
    tree(root, "gears")
    out = tmp_path / "out"
    before = run(root, out)["categories"]
    mask = next((root / "realiad_256" / "gears" / "NG").rglob("*.png"))
    content = mask.read_bytes()
    mask.write_bytes(content[:40])
    with pytest.raises(InputError, match=f"gears: .*{mask.name}"):
        run(root, out, epochs=4)
    rows = read_results(out)["categories"]
    assert rows["gears"] == before["gears"] and rows["audiojack"]["epochs"] == 4
    with pytest.warns(UserWarning, match=r"the same number of epochs \(audiojack 4, gears 2\)"):
        table([out])
    mask.write_bytes(content)
    capsys.readouterr()
    run(root, out, "gears")
    assert "gears: done before" in capsys.readouterr().out
    rows = run(root, out, epochs=4)["categories"]
    assert {row["epochs"] for row in rows.values()} == {4}


def test_of_two_processes_the_longer_training_stays(root, tmp_path, monkeypatch):
    """One is asked for 2 epochs, another finishes 4 of the same category meanwhile."""
    tree(root, "gears")
    work, out = Job.run, tmp_path / "out"

    def overtaken(job):
        if job.settings.training.epochs == 2 and job.category.name == "audiojack":
            row = work(job)
            run(root, out, epochs=4)
            return row
        return work(job)

    monkeypatch.setattr(Job, "run", overtaken)
    with pytest.raises(InputError, match="trained for 4 epochs already, 2 are asked for"):
        run(root, out)
    results = read_results(out)
    assert results["config"]["training"]["epochs"] == 4
    assert {name: row["epochs"] for name, row in results["categories"].items()} == {
        "audiojack": 4,
        "gears": 4,
    }


@pytest.mark.parametrize("name", ["model.pt", "maps.npy", "scores.csv", "overview.png"])
@pytest.mark.parametrize("damage", ["deleted", "one bit"])
def test_a_result_is_there_only_if_its_files_are(root, tmp_path, capsys, name, damage):
    before = run(root, tmp_path / "out")
    path = tmp_path / "out" / "audiojack" / name
    content = bytearray(path.read_bytes())
    path.unlink()
    if damage == "one bit":
        content[len(content) // 2] ^= 4
        path.write_bytes(content)
    command = ["deploy", "--run", str(tmp_path / "out"), "--category", "audiojack"]
    command += ["--takes", "features"]  # which needs no data
    assert main(command) == 2
    word = "missing" if damage == "deleted" else "not what the run wrote"
    assert f"{name} is {word}: type the command of the run again" in capsys.readouterr().err
    after = run(root, tmp_path / "out")
    assert f"{name} is {word}; it is made again" in capsys.readouterr().out
    ours, theirs = (each["categories"]["audiojack"] for each in (after, before))
    assert {**ours, "seconds": None, "files": None} == {**theirs, "seconds": None, "files": None}
    shutil.rmtree(tmp_path / "data")
    assert main(command) == 0
