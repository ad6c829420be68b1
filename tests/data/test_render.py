"""The recipe in data/render makes the shipped pictures again, and its masks lie on the part."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

DATA = Path(__file__).resolve().parents[2] / "data"
ROOT = DATA / "mini-iad"
RECIPE = DATA / "render"


@pytest.fixture(scope="module")
def recipe():
    """The recipe's modules, importable."""
    sys.path.insert(0, str(RECIPE))
    try:
        import denoise
        import layout
        import render
        import sample
        import truth

        yield {
            "denoise": denoise, "layout": layout, "render": render,
            "sample": sample, "truth": truth,
        }  # fmt: skip
    finally:
        sys.path.remove(str(RECIPE))


def shipped():
    return sorted(path.stem for path in (ROOT / "realiad_jsons").glob("*.json"))


def test_verify_renders_shipped_images_again():
    command = [sys.executable, RECIPE / "render.py", "--out", ROOT, "--verify", "3"]
    command += ["--category", *shipped()]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("same (") == 3


def test_verify_notices_another_picture(recipe, tmp_path):
    """Negative control: shipped files of another sample do not pass."""
    sample, layout = recipe["sample"], recipe["layout"]
    category = shipped()[0]
    for one in sample.plan(category):
        for camera in range(1, 6):
            name = layout.image_name(one, camera)
            target = tmp_path / layout.FOLDER / category / name
            target.parent.mkdir(parents=True, exist_ok=True)
            wrong = layout.image_name(sample.plan(category)[5], camera)
            target.symlink_to(ROOT / layout.FOLDER / category / wrong)
    assert not recipe["render"].verify(tmp_path, [category], 1, seed=3)


@pytest.mark.parametrize("category", shipped())
def test_masks_are_made_again_and_lie_on_the_part(recipe, category):
    sample, layout, truth = recipe["sample"], recipe["layout"], recipe["truth"]
    defective = [one for one in sample.plan(category) if one.code != "OK"]
    for one in (defective[0], defective[-1]):
        built = sample.build(one)
        assert built.masks
        for camera, mask in built.masks.items():
            path = ROOT / layout.FOLDER / category / layout.image_name(one, camera)
            stored = np.asarray(Image.open(path.with_suffix(".png"))) > 127
            assert (stored != mask).sum() <= 0.02 * stored.sum() + 2
            # what has broken off was part of the sound twin
            part = truth.object_mask(built.studio, camera) | truth.object_mask(built.twin, camera)
            assert not (mask & ~part).any()
        sample.forget(built)


def test_denoise_keeps_the_mean_and_stops_at_edges(recipe):
    rng = np.random.default_rng(0)
    light = 0.5 + 0.05 * rng.normal(size=(40, 40, 3))
    light[:, 20:] += 1.0
    guides = np.zeros((40, 40, 1))
    guides[:, 20:] = 10.0
    clean = recipe["denoise"].denoise(light, guides)
    for side in (slice(0, 20), slice(20, 40)):
        assert abs(clean[:, side].mean() - light[:, side].mean()) < 0.01
        assert clean[:, side].std() < 0.5 * light[:, side].std()
