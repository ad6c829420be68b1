"""Masks find the object, keep what is thin, and leave the background out of loss and scores."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage
from tiny import awake
from trees import edit, tree

from mfkit.__main__ import main
from mfkit.data import DataSet, read_category, read_image
from mfkit.errors import InputError
from mfkit.experiment import METRICS, PRESETS, Training, choose_preset, evaluate
from mfkit.experiment.run import run
from mfkit.experiment.train import train
from mfkit.features import (
    FeatureStore,
    FileMasks,
    ForegroundStore,
    Split,
    dilate,
    load_masks,
    object_mask,
    to_positions,
)
from mfkit.flow import MultiFlow, ViewGraph
from mfkit.score import image_scores, nll_map, quiet_background

GROUND = {"dark": (34, 35, 40), "bright": (225, 222, 215), "green": (60, 110, 70)}
PART = {"grey": (130, 132, 135), "red": (170, 40, 35), "blue": (40, 70, 160)}


def scene(ground, part, seed=0, size=256, shadow=True):
    """A part with a hole in it on a ground that grows brighter to one side, and its true mask."""
    y, x = np.mgrid[:size, :size] / size
    mask = (abs(x - 0.5) < 0.3) & (abs(y - 0.52) < 0.22) & (np.hypot(x - 0.5, y - 0.5) > 0.05)
    light = 0.9 + 0.2 * x[..., None]
    image = np.array(ground) * light
    if shadow:
        image *= np.where((abs(x - 0.55) < 0.31) & (abs(y - 0.57) < 0.22), 0.85, 1)[..., None]
    image[mask] = (np.array(part) * light)[mask]
    noise = np.random.default_rng(seed).normal(0, 2, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8), mask


def overlap(a, b):
    return (a & b).sum() / (a | b).sum()


@pytest.mark.parametrize("part", PART)
@pytest.mark.parametrize("ground", GROUND)
def test_the_border_model_finds_the_part_and_not_its_shadow(ground, part):
    image, mask = scene(GROUND[ground], PART[part])
    assert overlap(object_mask(image, margin=0), ndimage.binary_fill_holes(mask)) > 0.95


def test_nothing_is_found_where_nothing_is():
    image, _ = scene(GROUND["dark"], GROUND["dark"], shadow=False)
    assert object_mask(image).mean() < 0.01


def test_masks_do_not_depend_on_the_size_of_the_picture():
    small, large = (
        object_mask(scene(GROUND["dark"], PART["grey"], size=size)[0]) for size in (128, 512)
    )
    halved = to_positions(large, 128, 128)
    assert overlap(small, halved) > 0.95


def test_the_margin_is_a_distance():
    mask = np.zeros((9, 9), dtype=bool)
    mask[4, 4] = True
    assert dilate(mask, 2).sum() == 13  # a disc
    assert not dilate(np.zeros((9, 9), dtype=bool), 2).any()


@pytest.mark.parametrize("size", [(4, 4), (5, 7), (24, 24)])
def test_thin_things_survive(size):
    for row in range(16):
        wire = np.zeros((16, 16), dtype=bool)
        wire[row, 3:12] = True
        assert to_positions(wire, *size).any()


@pytest.fixture
def samples(tmp_path):
    """Four training samples whose upper left quarter differs from the ground."""

    def draw(path, camera, seed, defect):
        image = np.full((64, 64, 3), 40, np.uint8)
        image[14:34, 14:30] = 150
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path, quality=95)

    tree(tmp_path / "data", draw=draw, size=64)
    return read_category(tmp_path / "data", "audiojack").train


def test_the_store_is_mirrored_like_the_features(samples, tmp_path):
    masks = load_masks("border", DataSet(tmp_path / "data"), "audiojack")
    store = ForegroundStore.build(tmp_path / "m.bool", samples, masks, 4, 4)
    assert store.shape == (4, 5, 4, 4)
    found = store[[1, 2]]
    assert found.dtype == torch.bool
    flip = samples[0].flips.index(True)
    assert torch.equal(found[:, flip], found[:, 0].flip(-1))
    assert not torch.equal(found[:, flip], found[:, 0])


def test_building_again_computes_nothing(samples, tmp_path, monkeypatch):
    masks = load_masks("border", DataSet(tmp_path / "data"), "audiojack")
    ForegroundStore.build(tmp_path / "m.bool", samples, masks, 4, 4)
    monkeypatch.setattr("mfkit.features.masks.object_mask", None)
    assert len(ForegroundStore.build(tmp_path / "m.bool", samples, masks, 4, 4)) == 4


def test_an_image_without_object_counts_as_a_whole_and_is_named(samples, tmp_path):
    Image.new("RGB", (64, 64), "grey").save(samples[2].images[3])
    masks = load_masks("border", DataSet(tmp_path / "data"), "audiojack")
    with pytest.warns(UserWarning, match=r"no object found in 1 images, the first is .*S0003"):
        store = ForegroundStore.build(tmp_path / "m.bool", samples, masks, 4, 4)
    assert store[[2]][0, 3].all()
    assert not store[[2]][0, 2].all()
    with pytest.warns(UserWarning, match="no object found in 1 images"):  # said every time
        ForegroundStore.build(str(tmp_path / "m.bool"), samples, masks, 4, 4)


def test_no_object_anywhere_is_noticed_after_an_interruption(samples, tmp_path, monkeypatch):
    monkeypatch.setattr("mfkit.features.foreground.TOGETHER", 1)
    masks, made = mirror(samples, tmp_path / "masks", value=0), []

    def interrupted(self, sample, view):
        made.append(view)
        if len(made) > 12:
            raise KeyboardInterrupt
        return np.zeros((4, 4), bool)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(FileMasks, "__call__", interrupted)
        ForegroundStore.build(tmp_path / "m.bool", samples, masks, 4, 4)
    assert (tmp_path / "m.bool").stat().st_size > 0
    with pytest.raises(InputError, match="no object found in any image"):
        ForegroundStore.build(tmp_path / "m.bool", samples, masks, 4, 4)


def mirror(samples, folder, value=255):
    """A mask file for every image: the left half shows the object."""
    masks = FileMasks(folder)
    for sample in samples:
        for view in range(5):
            path = masks.path(sample, view)
            path.parent.mkdir(parents=True, exist_ok=True)
            mask = np.zeros((64, 64), np.uint8)
            mask[:, :32] = value
            Image.fromarray(mask).save(path)
    return masks


def test_mask_files_mirror_the_images(samples, tmp_path):
    mirror(samples, tmp_path / "masks")
    masks = load_masks(str(tmp_path / "masks"), DataSet(tmp_path / "data"), "audiojack")
    store = ForegroundStore.build(tmp_path / "m.bool", samples, masks, 4, 4)
    left = [[True, True, False, False]] * 4
    assert store[[0]][0, 0].tolist() == left
    assert store[[0]][0, 1].tolist() == [row[::-1] for row in left]  # C2 is mirrored
    mirror(samples, tmp_path / "masks", value=0)  # other files: made anew
    for _ in range(2):  # nothing is left that a second call would take for masks
        with pytest.raises(InputError, match=r"no object found in any image.* should be white"):
            ForegroundStore.build(tmp_path / "m.bool", samples, masks, 4, 4)
    masks.path(samples[1], 2).unlink()
    with pytest.raises(InputError, match=r"S0002.*does not exist; put the file there"):
        ForegroundStore.build(tmp_path / "n.bool", samples, masks, 4, 4)


def test_released_stacks_follow_the_rows_of_the_file(tmp_path):
    """One mask a row, in the order of the JSON file and mirrored already."""
    file = tree(tmp_path / "data", shuffle=3)
    category = read_category(tmp_path / "data", "audiojack")
    table = json.loads(file.read_text())
    home = tmp_path / "masks" / "audiojack"
    home.mkdir(parents=True)
    for split in ("train", "test"):
        stack = np.zeros((len(table[split]), 8, 8), np.uint8)
        for number, row in enumerate(table[split]):
            stack[number, number % 8] = 1
            row["number"] = number
        np.save(home / f"{split}.npy", stack)
    masks = load_masks(str(tmp_path / "masks"), DataSet(tmp_path / "data"), "audiojack")
    numbers = {row["image_path"].split("/")[-1]: row["number"] for row in table["train"]}
    for sample in category.train:
        for view, image in enumerate(sample.images):
            assert masks(sample, view)[:, 0].argmax() == numbers[image.name] % 8
    edit(file, lambda table: table.update(test=table["test"][5:]))
    with pytest.raises(InputError, match=r"test.npy: holds an array \(25, 8, 8\), but .* lists 20"):
        load_masks(str(tmp_path / "masks"), DataSet(tmp_path / "data"), "audiojack")


def test_what_is_missing_is_said(samples, tmp_path, monkeypatch):
    data = DataSet(tmp_path / "data")
    assert load_masks("none", data, "audiojack") is None
    monkeypatch.setitem(sys.modules, "rembg", None)
    for source in ("rembg", "rembg:isnet-general-use"):
        with pytest.raises(InputError, match=r"pip install 'mfkit\[foreground\]', or use --foregr"):
            load_masks(source, data, "audiojack")
    with pytest.raises(InputError, match="no such folder of masks; --foreground should be none"):
        load_masks("boarder", data, "audiojack")
    elsewhere = [image.rename(tmp_path / image.name) for image in samples[0].images]
    stray = replace(samples[0], images=tuple(elsewhere))
    with pytest.raises(InputError, match="no folder above it is called audiojack"):
        FileMasks(tmp_path).path(stray, 0)


def test_rembg_is_asked_for_a_mask_of_the_mirrored_image(samples, tmp_path, monkeypatch):
    """The package itself fetches weights from the network; a stand-in answers here."""

    class Stand:
        sessions: tuple = ()

        def new_session(self, model):
            self.sessions += (model,)
            return model

        def remove(self, image, session, only_mask):
            assert session == "birefnet-general" and only_mask
            bright = np.asarray(image).mean(-1) > 90
            return Image.fromarray(np.where(bright, 255, 0).astype(np.uint8))

    monkeypatch.setitem(sys.modules, "rembg", Stand())
    masks = load_masks("rembg", DataSet(tmp_path / "data"), "audiojack")
    flip = samples[0].flips.index(True)
    expected = read_image(samples[0].images[flip], 256, flip=True).mean(-1) > 90
    assert overlap(masks(samples[0], flip), dilate(expected, 2)) > 0.95


# Loss and scores


def test_the_background_never_is_a_maximum():
    torch.manual_seed(0)
    nll, shows = torch.randn(2, 3, 4, 4) - 3, torch.rand(2, 3, 4, 4) < 0.4
    quiet = quiet_background(nll, shows)
    assert torch.equal(quiet[shows], nll[shows])
    assert torch.equal(image_scores(quiet), image_scores(nll, shows))
    assert (quiet.amin((2, 3)) == nll.masked_fill(~shows, torch.inf).amin((2, 3))).all()


@pytest.fixture
def split(samples, backbone, tmp_path):
    """Features, and masks in which the left half counts."""
    features = FeatureStore.build(tmp_path / "f.f16", samples, backbone)
    masks = mirror(samples, tmp_path / "masks")
    shown = ForegroundStore.build(tmp_path / "m.bool", samples, masks, 4, 4)
    return Split(samples, features, shown)


def test_the_loss_is_the_mean_over_the_foreground(split, tmp_path):
    """Before the first step the flow is a permutation: half of the mean square."""
    flow = MultiFlow(*split.features.shape[2:], blocks=1, hidden=4, noise="none")
    history = train(flow, split, Training(epochs=1), tmp_path / "a")
    expected = split.features[:].square().mean(2)[split.foreground[:]].mean() / 2
    assert history["loss"][0] == pytest.approx(expected.item(), rel=1e-5)
    with pytest.raises(InputError, match="trained with another foreground"):
        train(flow, replace(split, foreground=None), Training(epochs=2), tmp_path / "a")


def test_what_lies_in_the_background_has_no_part_in_training(split, tmp_path, monkeypatch):
    """Without messages and with 1 x 1 kernels a position is alone: the others may hold anything."""
    read, weights = FeatureStore.__getitem__, []
    for offset in (0, 100):

        def changed(store, indices, offset=offset):
            return read(store, indices) + offset * ~split.foreground[indices][:, :, None]

        monkeypatch.setattr(FeatureStore, "__getitem__", changed)
        torch.manual_seed(0)
        options = {"blocks": 1, "hidden": 4, "kernel_sizes": [1], "noise": "none"}
        flow = MultiFlow(*split.features.shape[2:], ViewGraph.empty(5), **options)
        train(flow, split, Training(epochs=3), tmp_path / str(offset))
        weights.append(flow.state_dict())
    for name, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][name])


def test_evaluation_leaves_the_background_out(samples, backbone, tmp_path):
    category = read_category(tmp_path / "data", "audiojack")
    features = FeatureStore.build(tmp_path / "t.f16", category.test, backbone)
    masks = mirror(category.test, tmp_path / "masks")
    shown = ForegroundStore.build(tmp_path / "t.bool", category.test, masks, 4, 4)
    flow = MultiFlow(*features.shape[2:], blocks=1, hidden=4).eval()
    split = Split(category.test, features, shown)
    _, scores = evaluate(flow, split)
    with pytest.raises(ValueError, match="'flow' should be in evaluation mode"):
        evaluate(flow.train(), split)
    flow.eval()
    with torch.no_grad():
        expected = image_scores(nll_map(*flow(features[:])), shown[:])
    torch.testing.assert_close(scores.images, expected, rtol=1e-5, atol=1e-6)
    assert scores.maps.isfinite().all()


def test_a_split_holds_as_many_features_and_masks_as_samples(split):
    for name, samples in (("features", split.samples[1:]), ("features", [])):
        with pytest.raises(ValueError, match=f"'samples' should be as many as '{name}'"):
            replace(split, samples=samples)
    with pytest.raises(ValueError, match=r"as many as 'foreground', at least one, got 4 and 3"):
        replace(split, foreground=split.foreground[:3])
    x, present, shown = split[[2, 0]]
    assert torch.equal(x, split.features[[2, 0]]) and present.all()
    assert torch.equal(shown, split.foreground[[2, 0]])
    assert replace(split, foreground=None)[[1]][2] is None


# The command line


@pytest.mark.usefixtures("tiny_preset")
def test_a_run_with_foreground_and_bfloat16(tmp_path, capsys):
    tree(tmp_path / "data")
    out = tmp_path / "out"
    command = ["run", "--data", str(tmp_path / "data"), "--out", str(out)]
    with pytest.warns(UserWarning, match="no object found"):  # the tree's pictures are a ramp
        assert main([*command, "--foreground", "border", "--amp", "bfloat16"]) == 0
    results = run(tmp_path / "data", out, foreground="border", amp="bfloat16")
    assert results["config"]["foreground"] == "border"
    assert results["config"]["training"]["amp"] == "bfloat16"
    assert list(results["categories"]["audiojack"]["seconds"]) == [
        "features",
        "foreground",
        "training",
        "evaluation",
    ]
    assert all(0 <= results["mean"][key] <= 1 for key in METRICS)
    masks = out / "features" / "tiny" / "audiojack" / "test-border.bool"
    assert masks.stat().st_size == 5 * 5 * 16
    assert main(command) == 2  # other settings
    capsys.readouterr()
    assert main([*command, "--foreground", "nowhere"]) == 2
    assert "is the result of another foreground and amp" in capsys.readouterr().err


def test_the_presets_say_what_counts():
    assert PRESETS["workshop"].foreground == "none"
    assert PRESETS["paper"].foreground == "border"


def test_a_folder_of_masks_becomes_absolute_and_a_keyword_stays_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("border", "mine"):
        Path(name).mkdir()
    assert choose_preset("workshop", foreground="mine").foreground == str(tmp_path / "mine")
    assert choose_preset("workshop", foreground="border").foreground == "border"


def test_bfloat16_leaves_scales_and_sums_in_float32():
    torch.manual_seed(0)
    flow = awake(MultiFlow(8, 4, 4, blocks=2, hidden=4)).eval()
    x = torch.randn(2, 5, 8, 4, 4)
    with torch.no_grad():
        exact = nll_map(*flow(x))
        with torch.autocast("cpu", torch.bfloat16):
            z, log_det = flow(x)
    assert z.dtype == log_det.dtype == torch.float32
    assert not torch.equal(nll_map(z, log_det), exact)
    torch.testing.assert_close(nll_map(z, log_det), exact, rtol=0.05, atol=0.05)
