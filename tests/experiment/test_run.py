"""One command from pictures to results, and a clear sentence where it cannot."""

import json
import pickle
import re
import shutil
import socket
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from tiny import tiny_backbone
from trees import edit, picture, tree

from mfkit import plot
from mfkit.__main__ import main
from mfkit.data import Sample, read_category
from mfkit.errors import InputError
from mfkit.experiment import METRICS, PRESETS, Job, choose_device, evaluate, read_results, table
from mfkit.experiment.run import run
from mfkit.features import BACKBONES, FeatureStore, Split
from mfkit.flow import GRAPHS, MESSAGES, load_flow
from mfkit.inspection.deploy import deploy
from mfkit.score import combined

pytestmark = pytest.mark.usefixtures("tiny_preset")


def test_a_run_leaves_what_the_design_promises(tmp_path, capsys):
    tree(tmp_path / "data", "audiojack")
    tree(tmp_path / "data", "gears")
    out = tmp_path / "out"
    assert main(["run", "--data", str(tmp_path / "data"), "--out", str(out)]) == 0
    results = json.loads((out / "results.json").read_text())
    assert list(results) == ["categories", "mean", "config", "versions"]
    assert list(results["categories"]) == ["audiojack", "gears"]
    row = results["categories"]["gears"]
    known = ["samples", "data", "foreground", "seconds", "epochs", "mark"]
    known += ["versions", "files"]
    assert list(row) == [*METRICS, "nll", *known]
    files = {"maps.npy", "model.json", "model.pt", "overview.png", "scores.csv"}
    assert set(row["files"]) == files and files <= {path.name for path in (out / "gears").iterdir()}
    assert row["samples"] == 5
    assert results["mean"]["s_auroc"] == pytest.approx(
        np.mean([part["s_auroc"] for part in results["categories"].values()])
    )
    for name in ("model.pt", "scores.csv", "overview.png", "history.csv", "maps.npy"):
        assert (out / "gears" / name).stat().st_size > 0
    assert len(pd.read_csv(out / "gears" / "history.csv")) == 2
    assert Image.open(out / "gears" / "overview.png").width > 800
    printed = capsys.readouterr().out
    assert "S-AUROC" in printed and "overview.png" in printed


@pytest.mark.parametrize(
    "option", [f"--graph={name}" for name in GRAPHS] + [f"--message={name}" for name in MESSAGES]
)
def test_every_variant_runs_from_the_command_line(tmp_path, option):
    tree(tmp_path / "data")
    out = tmp_path / "out"
    assert main(["run", "--data", str(tmp_path / "data"), "--out", str(out), option]) == 0
    assert (out / "results.json").exists()


def test_scores_belong_to_their_samples(tmp_path):
    tree(tmp_path / "data")
    run(tmp_path / "data", tmp_path / "out")
    category = read_category(tmp_path / "data", "audiojack")
    scores = pd.read_csv(tmp_path / "out" / "audiojack" / "scores.csv")
    assert scores.columns.tolist() == ["sample", "label", "score", "C1", "C2", "C3", "C4", "C5"]
    assert scores["sample"].tolist() == [sample.name for sample in category.test]
    assert scores["label"].tolist() == [int(sample.label) for sample in category.test]
    np.testing.assert_allclose(scores["score"], scores.loc[:, "C1":].max(axis=1), rtol=1e-6)


def test_the_saved_model_gives_the_saved_results(tmp_path):
    tree(tmp_path / "data")
    results = run(tmp_path / "data", tmp_path / "out")
    flow = load_flow(tmp_path / "out" / "audiojack" / "model.pt")
    store = FeatureStore(tmp_path / "out" / "features" / "tiny" / "audiojack" / "test.f16")
    samples = read_category(tmp_path / "data", "audiojack").test
    metrics, scores = evaluate(flow, Split(samples, store), batch=3)
    assert metrics == pytest.approx(
        {key: results["categories"]["audiojack"][key] for key in (*METRICS, "nll")}, abs=1e-5
    )
    saved = np.load(tmp_path / "out" / "audiojack" / "maps.npy")
    np.testing.assert_allclose(scores.maps, saved, rtol=1e-4, atol=1e-4)


def test_what_is_done_is_not_done_again(tmp_path, monkeypatch, capsys):
    tree(tmp_path / "data", "audiojack")
    tree(tmp_path / "data", "gears")
    first = run(tmp_path / "data", tmp_path / "out", ["audiojack"])
    both = run(tmp_path / "data", tmp_path / "out")
    assert "audiojack: done before" in capsys.readouterr().out
    assert both["categories"]["audiojack"] == first["categories"]["audiojack"]
    assert list(both["categories"]) == ["audiojack", "gears"]
    monkeypatch.setattr("mfkit.experiment.job.train", None)
    assert run(tmp_path / "data", tmp_path / "out") == both


def test_more_epochs_continue_a_finished_run(tmp_path):
    tree(tmp_path / "data")
    run(tmp_path / "data", tmp_path / "out")
    results = run(tmp_path / "data", tmp_path / "out", epochs=4)
    assert results["config"]["training"]["epochs"] == 4
    assert len(pd.read_csv(tmp_path / "out" / "audiojack" / "history.csv")) == 4
    whole = run(tmp_path / "data", tmp_path / "whole", epochs=4)
    assert whole["mean"] == results["mean"]
    with pytest.raises(InputError, match="trained for 4 epochs already, 3 are asked for"):
        run(tmp_path / "data", tmp_path / "out", epochs=3)


def test_more_epochs_cost_no_other_category_its_results(tmp_path):
    for name in ("audiojack", "gears"):
        tree(tmp_path / "data", category=name)
    run(tmp_path / "data", tmp_path / "out", ["audiojack", "gears"])
    before = (tmp_path / "out" / "results.json").read_text()
    with pytest.raises(
        InputError, match=r"2 epochs already, 4 .* all of them \(audiojack, gears\)"
    ):
        run(tmp_path / "data", tmp_path / "out", "gears", epochs=4)
    assert (tmp_path / "out" / "results.json").read_text() == before
    results = run(tmp_path / "data", tmp_path / "out", epochs=4)
    assert list(results["categories"]) == ["audiojack", "gears"]


def test_the_same_seed_gives_the_same_results(tmp_path):
    tree(tmp_path / "data")
    runs = [
        run(tmp_path / "data", tmp_path / name, seed=seed)["mean"]
        for name, seed in (("a", 0), ("b", 0))
    ]
    assert runs[0] == pytest.approx(runs[1], rel=1e-9)  # float64 division, see test_cluster.rows
    scores = [(tmp_path / name / "audiojack" / "scores.csv").read_text() for name in "ab"]
    assert scores[0] == scores[1]


def test_features_can_be_shared_between_runs(tmp_path, monkeypatch):
    tree(tmp_path / "data")
    features = tmp_path / "features"
    run(tmp_path / "data", tmp_path / "wheel", features=features)
    image, sizes = Sample.image, set()
    monkeypatch.setattr(
        Sample,
        "image",
        lambda sample, view, size=None: sizes.add(size) or image(sample, view, size),
    )
    run(tmp_path / "data", tmp_path / "empty", graph="empty", features=features)
    assert sizes == {plot.THUMBNAIL, None}  # overview, description; none of 16 px for the backbone
    rows = table([tmp_path / "wheel", tmp_path / "empty"])
    assert rows.index.tolist() == [("audiojack", "wheel"), ("audiojack", "empty")]
    assert load_flow(tmp_path / "empty" / "audiojack" / "model.pt").graph.edges == ()


def test_backbones_that_share_a_folder_keep_their_features(tmp_path, monkeypatch):
    tree(tmp_path / "data")
    monkeypatch.setitem(BACKBONES, "other", lambda pretrained: tiny_backbone())
    monkeypatch.setitem(PRESETS, "other", replace(PRESETS["workshop"], backbone="other"))
    for preset in ("workshop", "other"):
        run(tmp_path / "data", tmp_path / preset, preset=preset, features=tmp_path / "shared")
    kept = {path.relative_to(tmp_path / "shared") for path in (tmp_path / "shared").rglob("*.f16")}
    names = [f"{b}/audiojack/{split}.f16" for b in ("tiny", "other") for split in ("train", "test")]
    assert kept == set(map(Path, names))


def test_labels_that_change_are_noticed(tmp_path, capsys):
    """The flow learns nothing from them, so only the comparison is done again."""
    file = tree(tmp_path / "data", codes={"BX": 2, "HS": 2})
    before = run(tmp_path / "data", tmp_path / "out")["categories"]["audiojack"]

    def relabel(table):
        for row in table["test"]:
            if row["anomaly_class"] == "HS":
                row.update(anomaly_class="OK", mask_path=None)

    edit(file, relabel)
    capsys.readouterr()
    after = run(tmp_path / "data", tmp_path / "out")["categories"]["audiojack"]
    assert "labels or defect masks have changed since it was done" in capsys.readouterr().out
    fresh = run(tmp_path / "data", tmp_path / "fresh")["categories"]["audiojack"]
    assert {key: after[key] for key in METRICS} == {key: fresh[key] for key in METRICS}
    assert after["i_auroc"] != before["i_auroc"]
    run(tmp_path / "data", tmp_path / "out")
    assert "audiojack: done before" in capsys.readouterr().out


def test_images_that_change_are_noticed_and_a_copy_is_not(tmp_path, capsys):
    for name in ("audiojack", "gears"):
        tree(tmp_path / "data", name)
    out, images = tmp_path / "out", tmp_path / "data" / "realiad_256"
    run(tmp_path / "data", out, ["audiojack"])
    shutil.copytree(images, tmp_path / "copy", copy_function=shutil.copyfile)
    shutil.rmtree(images)
    (tmp_path / "copy").rename(images)
    capsys.readouterr()
    run(tmp_path / "out" / ".." / "data", out, ["audiojack"])
    assert "audiojack: done before" in capsys.readouterr().out
    picture(next((images / "audiojack" / "OK" / "S0001").glob("*_C4_*")), 4, seed=99)
    with pytest.raises(InputError, match=r"audiojack: .* trained with another set of images"):
        run(tmp_path / "data", out)
    gone = next((images / "audiojack" / "OK" / "S0002").glob("*_C4_*"))
    gone.unlink()
    gone.symlink_to("nowhere")
    with pytest.raises(InputError, match=f"audiojack: .*{gone.name} does not exist"):
        run(tmp_path / "data", out)
    assert list(read_results(out)["categories"]) == ["audiojack", "gears"]


def test_a_resolution_may_be_a_link(tmp_path):
    tree(tmp_path / "data", resolution="realiad_512")
    images = tmp_path / "data" / "realiad_512"
    images.rename(tmp_path / "disk")
    images.symlink_to(tmp_path / "disk")
    assert run(images, tmp_path / "out")["mean"]


def test_a_table_of_nothing(tmp_path):
    tree(tmp_path / "data")
    results = run(tmp_path / "data", tmp_path / "out")
    (tmp_path / "out" / "results.json").write_text(json.dumps({**results, "categories": {}}))
    with pytest.raises(InputError, match=r"out: no category is finished yet"):
        table([tmp_path / "out"])


def test_a_folder_as_irregular_as_the_real_one(tmp_path):
    """Nested JSON, two underscores, repeated S-numbers, shuffled rows, OK views under NG/."""
    tree(
        tmp_path / "data",
        jsons="realiad_jsons/realiad_jsons",
        bar="_",
        codes={"BX": 2, "HS": 2},
        hidden=(2, 3),
        shuffle=5,
        suffix="_mask.png",
        resolution="realiad_512",
    )
    assert main(["run", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")]) == 0
    scores = pd.read_csv(tmp_path / "out" / "audiojack" / "scores.csv")
    assert scores["label"].tolist() == [0, 0, 1, 1, 1, 1]


def test_every_graph_and_message_by_name(tmp_path):
    tree(tmp_path / "data")
    command = ["run", "--data", str(tmp_path / "data"), "--features", str(tmp_path / "features")]
    for options in (["ring", "cross_attention"], ["cycle", "conv"], ["hub", "self_attention"]):
        out = tmp_path / options[0]
        graph = ["--graph", options[0], "--message", options[1], "--out", str(out)]
        assert main([*command, *graph]) == 0
        flow = load_flow(out / "audiojack" / "model.pt")
        assert flow.graph == GRAPHS[options[0]](5)
        assert flow.config["message"] == options[1]


def test_any_number_of_cameras(tmp_path):
    tree(tmp_path / "data", "gears", cameras=3)
    results = run(tmp_path / "data", tmp_path / "out")
    assert list(results["categories"]) == ["gears"]
    assert load_flow(tmp_path / "out" / "gears" / "model.pt").graph.views == 3


def break_category(root, file):
    return ["--category", "audiojak"], ["'audiojak'", "did you mean 'audiojack'"]


def break_four_views(root, file):
    edit(file, lambda table: table["train"].pop(7))
    return [], ["audiojack_0002_OK", "no image of camera 3", "complete it"]


def break_two_images(root, file):
    def repeat(table):
        row = dict(table["train"][0])
        row["image_path"] = row["image_path"].replace("_C1_", "_C2_").replace(".jpg", "0.jpg")
        table["train"].append(row)
        source = next((root / "realiad_256" / "audiojack" / "OK" / "S0001").glob("*_C1_*"))
        source.with_name(row["image_path"].rsplit("/", 1)[1]).write_bytes(source.read_bytes())

    edit(file, repeat)
    return [], ["two images for camera 2", "audiojack_0001_OK", "take one of the two rows out"]


def break_jpeg(root, file):
    image = next((root / "realiad_256" / "audiojack" / "OK" / "S0003").glob("*_C4_*"))
    image.write_bytes(image.read_bytes()[:200])
    return [], [image.name, "cannot be read", "copy it again"]


def break_mask(root, file):
    mask = next((root / "realiad_256" / "audiojack" / "NG" / "BX").glob("*/*.png"))
    Image.new("L", (8, 8), 255).save(mask)
    return [], [mask.name, "8 x 8 px", "16 x 16", "take both from one resolution"]


def break_json(root, file):
    edit(file, lambda table: table["test"][4].pop("anomaly_class"))
    return [], ["audiojack.json", "test[4]", "key 'anomaly_class' is missing"]


def break_path(root, file):
    edit(file, lambda table: table["train"][2].update(image_path="../../../etc/passwd"))
    return [], ["audiojack.json", "train[2]", "leaves", "without '..'"]


def break_training_split(root, file):
    edit(file, lambda table: table["train"].clear())
    return [], ["audiojack.json", "the training split is empty", "list sound samples"]


def break_test_split(root, file):
    edit(file, lambda table: table.update(test=[r for r in table["test"] if r["mask_path"]][:0]))
    return [], ["audiojack", "the test split holds no"]


def break_thin_masks(root, file):
    """What is one of 512 pixels wide can fall between the 256 that are compared."""
    for path in (root / "realiad_256" / "audiojack" / "NG").rglob("*.png"):
        scratch = np.zeros((512, 512), np.uint8)
        scratch[:, 8] = 255
        Image.fromarray(scratch).save(path)
    for path in (root / "realiad_256" / "audiojack" / "NG").rglob("*.jpg"):
        picture(path, 1, size=512)
    return [], ["no mask of the test split marks a defect on the 256 x 256 px"]


FAULTS = [value for name, value in list(globals().items()) if name.startswith("break_")]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_an_error_names_file_and_mend_and_leaves_nothing_that_looks_whole(fault, tmp_path, capsys):
    file = tree(tmp_path / "data")
    options, parts = fault(tmp_path / "data", file)
    out = tmp_path / "out"
    assert main(["run", "--data", str(tmp_path / "data"), "--out", str(out), *options]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ")
    for part in parts:
        assert part in error
    whole = [path.name for path in out.rglob("*") if path.suffix in (".pt", ".csv", ".png")]
    assert whole == [] and not (out / "results.json").exists()


def test_two_processes_may_add_to_the_same_results(tmp_path, monkeypatch):
    """The other one finishes its category while this one works, as jobs of an array do."""
    for name in ("audiojack", "gears"):
        tree(tmp_path / "data", name)
    work = Job.run

    def interrupted(job):
        if job.category.name == "gears":
            run(tmp_path / "data", tmp_path / "out", ["audiojack"])
        return work(job)

    monkeypatch.setattr(Job, "run", interrupted)
    results = run(tmp_path / "data", tmp_path / "out", ["gears"])
    assert results == json.loads((tmp_path / "out" / "results.json").read_text())
    assert list(results["categories"]) == ["audiojack", "gears"]


def test_one_bad_category_does_not_stop_the_others(tmp_path, capsys):
    for name in ("audiojack", "gears", "mint"):
        tree(tmp_path / "data", name)
    break_jpeg(tmp_path / "data", None)
    out = tmp_path / "out"
    assert main(["run", "--data", str(tmp_path / "data"), "--out", str(out)]) == 2
    assert "audiojack: " in capsys.readouterr().err
    results = json.loads((out / "results.json").read_text())
    assert list(results["categories"]) == ["gears", "mint"]


def test_a_full_disk(tmp_path, capsys, monkeypatch):
    """On a real tmpfs that is too small: noticed before the work starts, or, if others take the
    room meanwhile, when writing fails; when it has room, the same command goes through."""
    tree(tmp_path / "data", train=8)
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=40k", "tmpfs", str(small)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small tmpfs needs root, as CI has it")
    command = ["run", "--data", str(tmp_path / "data"), "--out", str(small / "out")]
    try:
        assert main(command) == 2
        assert re.search(r"small: .* are free, .* are needed: make room", capsys.readouterr().err)
        assert not list(small.rglob("*.f16"))
        monkeypatch.setattr("mfkit.experiment.run.check_room", lambda *_: None)
        assert main(command) == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert "No space left on device" in error and "make room" in error
        assert not list(small.rglob("model.pt")) and not list(small.rglob("*.part*"))
        subprocess.run(["mount", "-o", "remount,size=8m", str(small)], check=True)
        assert main(command) == 0
    finally:
        subprocess.run(["umount", "--lazy", str(small)], check=True)


def test_a_file_in_the_way_of_one_category_does_not_stop_the_others(tmp_path, capsys):
    for name in ("audiojack", "gears"):
        tree(tmp_path / "data", name)
    out = tmp_path / "out"
    out.mkdir()
    (out / "audiojack").touch()
    command = ["run", "--data", str(tmp_path / "data"), "--out", str(out)]
    assert main(command) == 2
    assert "audiojack" in capsys.readouterr().err.splitlines()[-1]
    assert list(read_results(out)["categories"]) == ["gears"]
    assert main([*command, "--category", "audiojack"]) == 2
    assert re.search(r"error: .*audiojack: File exists; move it away", capsys.readouterr().err)


def test_a_damaged_checkpoint_is_named(tmp_path, capsys):
    tree(tmp_path / "data")
    command = ["run", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")]
    assert main(command) == 0
    (tmp_path / "out" / "audiojack" / "checkpoint.pt").write_bytes(b"")
    assert main([*command, "--epochs", "3"]) == 2
    assert re.search(r"error: .*checkpoint.pt is damaged.*delete it", capsys.readouterr().err)


def test_jobs_do_not_depend_on_the_folder_that_a_worker_starts_in(tmp_path, monkeypatch):
    tree(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    seen = {}
    monkeypatch.setattr(
        "mfkit.experiment.run.run_jobs", lambda jobs, where: iter(seen.update(jobs) or ())
    )
    run("data", "out", cluster="tcp://elsewhere:8786")
    job = seen["audiojack"]
    paths = [job.data.root, job.data.jsons, job.data.images, job.out.path, job.features.path]
    paths += job.category.train[0].images
    assert all(path.is_absolute() for path in paths)


def test_masks_that_mark_nothing_stop_before_the_work(tmp_path, capsys):
    file = tree(tmp_path / "data")
    for value, sentence in ((1, "no pixel above 127"), (0, r"no mask .* marks .*png is black")):
        for mask in file.parents[1].rglob("NG/**/*.png"):
            Image.fromarray(np.full((16, 16), value, np.uint8)).save(mask)
        assert main(["run", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")]) == 2
        assert re.search(sentence, capsys.readouterr().err)
    assert not list((tmp_path / "out").rglob("*.f16"))


@pytest.mark.parametrize("content", ["[]", '{"a": 1}'])
def test_a_file_that_is_no_result_is_named(tmp_path, capsys, content):
    (tmp_path / "results.json").write_text(content)
    assert main(["table", str(tmp_path)]) == 2
    assert "results.json is no result of mfkit" in capsys.readouterr().err


def test_export_says_that_the_data_set_has_changed(tmp_path, capsys):
    file = tree(tmp_path / "data")
    out = tmp_path / "out"
    assert main(["run", "--data", str(tmp_path / "data"), "--out", str(out)]) == 0
    edit(file, lambda table: table["test"][-5].update(anomaly_class="OK", mask_path=None))
    export = ["export", "--run", str(out), "--category", "audiojack"]
    assert main(export) == 2
    assert "labels or masks of audiojack have changed since" in capsys.readouterr().err
    (out / "audiojack" / "maps.npy").unlink()
    assert main(export) == 2
    assert "maps.npy is missing" in capsys.readouterr().err


def test_another_configuration_does_not_overwrite_results(tmp_path, capsys):
    tree(tmp_path / "data")
    command = ["run", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")]
    assert main(command) == 0
    assert main([*command, "--seed", "1"]) == 2
    assert "is the result of another seed: choose the same" in capsys.readouterr().err
    results = tmp_path / "out" / "results.json"  # of a version that had one setting more
    results.write_text(results.read_text().replace('"seed": 0', '"seed": 0, "colour": "red"'))
    assert main(command) == 2
    assert "is the result of another colour: choose the same" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["table", "nowhere"], "no results there; make them with python -m mfkit run"),
        (["run", "--data", "nowhere"], "nowhere does not exist"),
        (["run", "--data", "DATA", "--device", "cuda:7"], "choose auto or"),
        (["run", "--data", "DATA", "--device", "cpu:x"], "choose auto or"),
        (["run", "--data", "DATA", "--device", "cpu:"], "choose auto or"),
        (["run", "--data", "DATA", "--preset", "huge"], "'preset' should be one of workshop, imp"),
        (["run", "--data", "DATA", "--graph", "web"], "'graph' should be one of wheel, shuffled,"),
        (["run", "--data", "DATA", "--message", "mail"], "'message' should be one of conv, cross"),
        (["run", "--data", "DATA", "--amp", "float16"], "'amp' should be bfloat16 or None, got"),
        (["run", "--data", "DATA", "--epochs", "0"], "'epochs' should be at least 1, got 0"),
        (["run", "--data", "DATA", "--micro-batch", "0"], "'micro_batch' should be from 1 on or"),
        (["run", "--data", "DATA", "--view-dropout", "1"], "'view_dropout' should be from 0 on a"),
        (["run", "--data", "DATA", "--view-dropout", "nan"], "'view_dropout' should be from 0 on"),
        (["run", "--data", "DATA", "--seed", "-1"], "'seed' should be from 0 to 2^31 - 1, got -1"),
        (["run", "--data", "DATA", "--seed", str(2**31)], "'seed' should be from 0 to 2^31 - 1"),
    ],
)
def test_wrong_arguments(arguments, part, tmp_path, capsys):
    tree(tmp_path / "data")
    arguments = [str(tmp_path / "data") if word == "DATA" else word for word in arguments]
    if "cuda:7" in arguments and torch.cuda.is_available():
        arguments = [*arguments[:-1], "tpu"]
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and part in error


@pytest.mark.parametrize("option", ["--epochs=many", "--seed=1.5", "--micro-batch=", "--seed=x"])
def test_what_is_no_number_is_refused(option, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["run", "--data", "nowhere", option])
    assert f"argument {option.split('=')[0]}: invalid int value" in capsys.readouterr().err


def test_float32_is_float32_on_a_gpu_too(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.backends.cudnn.allow_tf32", True)
    assert choose_device("auto") == torch.device("cuda")
    assert not torch.backends.cudnn.allow_tf32


def test_check_ends_with_1_on_trouble_and_0_without(tmp_path, capsys):
    tree(tmp_path / "data")
    assert main(["check", "--data", str(tmp_path / "data")]) == 0
    assert "no faults" in capsys.readouterr().out
    break_jpeg(tmp_path / "data", None)
    assert main(["check", "--data", str(tmp_path / "data"), "--category", "audiojack"]) == 1
    assert "cannot be read" in capsys.readouterr().out


def test_export_writes_what_the_official_tool_reads(tmp_path, capsys):
    tree(tmp_path / "data")
    run(tmp_path / "data", tmp_path / "out")
    capsys.readouterr()
    assert main(["export", "--run", str(tmp_path / "out"), "--category", "audiojack"]) == 0
    with open(capsys.readouterr().out.strip(), "rb") as file:
        entries = pickle.load(file)
    test = read_category(tmp_path / "data", "audiojack").test
    assert list(entries) == [str(image) for sample in test for image in sample.images]
    scores = pd.read_csv(tmp_path / "out" / "audiojack" / "scores.csv").loc[:, "C1":].to_numpy()
    for (values, score, mask), expected in zip(entries.values(), scores.flatten(), strict=True):
        assert values.shape == (256, 256) and values.dtype == np.float32
        assert score == pytest.approx(expected, rel=1e-5)
        assert mask is None or mask.endswith(".png")
    maps = np.load(tmp_path / "out" / "audiojack" / "maps.npy")
    flipped = list(entries.values())[1][0]  # camera C2 of audiojack is mirrored when it is read
    assert maps[0, 1, 0, 0] == pytest.approx(flipped[0, -1], rel=1e-5)
    assert main(["export", "--run", str(tmp_path / "out"), "--category", "mint"]) == 2
    assert "no finished category 'mint'; it holds audiojack" in capsys.readouterr().err


def test_without_network(tmp_path, monkeypatch, capsys):
    """With every connection refused, the real workshop preset runs and the paper's says why not."""

    def refuse(*_):
        raise OSError("connection refused")

    monkeypatch.undo()
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    tree(tmp_path / "data", train=2, sound=1, codes={"BX": 1})
    command = ["run", "--data", str(tmp_path / "data"), "--epochs", "1"]
    assert main([*command, "--out", str(tmp_path / "a")]) == 0
    capsys.readouterr()
    assert main([*command, "--out", str(tmp_path / "b"), "--preset", "paper"]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: the weights efficientnet_b5") and "--preset workshop" in error


def test_a_run_with_message_dropout_scores_agreement(tmp_path):
    """One flow: likelihood, agreement, and both joined in units of the samples held out."""
    tree(tmp_path / "data", train=8)
    out = tmp_path / "out"
    results = run(tmp_path / "data", out, message_dropout=0.5, held_out=0.25, weight="sum")
    row = results["categories"]["audiojack"]
    extra = {"s_agreement", "s_combined", "i_agreement"}
    assert extra <= set(row) and all(0 <= row[key] <= 1 for key in extra)
    assert {"s_agreement", "s_combined"} <= set(results["mean"])
    scores = pd.read_csv(out / "audiojack" / "scores.csv")
    assert scores.columns[:5].tolist() == ["sample", "label", "score", "agreement", "combined"]
    held = pd.read_csv(out / "audiojack" / "held_out.csv")
    train = read_category(tmp_path / "data", "audiojack").train
    assert held["sample"].tolist() == [train[3].name, train[7].name]
    expected = combined(
        *(torch.tensor(frame[["score", "agreement"]].to_numpy()) for frame in (scores, held))
    )
    np.testing.assert_allclose(scores["combined"], expected, rtol=1e-4)
    assert "S-combined" in table([out]).columns
    assert "S-combined" in deploy(out, "audiojack")[1].read_text()
    with pytest.raises(InputError, match="another held_out"):
        run(tmp_path / "data", out, message_dropout=0.5, weight="sum")


def test_a_separated_flow_has_nothing_to_agree_about(tmp_path):
    tree(tmp_path / "data", train=8)
    settings = {"graph": "empty", "message_dropout": 0.5, "held_out": 0.25}
    row = run(tmp_path / "data", tmp_path / "out", **settings)["categories"]["audiojack"]
    assert "s_agreement" not in row
    assert row["s_combined"] == row["s_auroc"]


def test_misfits_are_told_from_plain_defects(tmp_path):
    tree(tmp_path / "data", train=8, codes={"BX": 2, "JC": 2})
    settings = {"message_dropout": 0.5, "held_out": 0.25}
    row = run(tmp_path / "data", tmp_path / "out", **settings)["categories"]["audiojack"]
    for name in ("s_auroc", "s_auroc_mean", "s_agreement", "s_combined"):
        parts = [row[f"{name}_{group}"] for group in ("plain", "misfit")]
        assert row[name] == pytest.approx(np.mean(parts))  # two of each kind
