"""The recipe in data/render makes the shipped pictures again, and its masks lie on the part."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.stats import chisquare

DATA = Path(__file__).resolve().parents[2] / "data"
ROOT = DATA / "mini-iad"
RECIPE = DATA / "render"
# places of a wire_plug that tell something, the camera that sees each, and how many values it has
SEEN_BY = {"front": 2, "right": 3, "top": 1, "back": 4, "left": 5, "contacts": 4, "number": 5}
VALUES = {"front": 24, "right": 24, "top": 5, "back": 5, "left": 5, "contacts": 3, "number": 3}
MISFITS = ("JC", "HP", "XH")
DRAWS = 4_000


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
        import wire_plug

        yield {
            "denoise": denoise, "layout": layout, "render": render,
            "sample": sample, "truth": truth, "plug": wire_plug,
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
    assert not recipe["render"].verify(tmp_path, sample.plan(category), 1, seed=3)


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
            part = truth.object_mask(built.studio, camera)
            if built.twin:
                part |= truth.object_mask(built.twin, camera)
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


def test_the_plan_says_what_is_shipped(recipe):
    """Seeds, splits and numbers of all shipped samples, so that no later plan changes them."""
    planned = {}
    for category in shipped():
        for one in recipe["sample"].plan(category):
            planned[category, recipe["layout"].folder(one)] = (one.split, one.code, str(one.seed))
    table = recipe["layout"].read_table(ROOT)
    assert planned == {key: (r["split"], r["code"], r["seed"]) for key, r in table.items()}


@pytest.mark.parametrize("category", shipped())
def test_more_training_samples_change_no_other(recipe, category):
    def listed(**options):
        samples = recipe["sample"].plan(category, **options)
        return {(recipe["layout"].folder(s), s.split, s.seed) for s in samples}

    usual, count = listed(), recipe["plug"].TRAIN
    assert len({folder for folder, _, _ in listed(train=300)}) == len(listed(train=300))
    assert usual < listed(train=300)
    assert listed(train=20) < usual
    assert all(split == "train" for _, split, _ in listed(train=300) - usual)
    assert sum(split == "train" for _, split, _ in listed(train=count)) == count


def test_an_offset_draws_other_samples(recipe):
    plans = [recipe["sample"].plan("wire_plug", offset=offset) for offset in (0, 1, 2)]
    seeds = [{one.seed for one in plan} for plan in plans]
    assert len(set.union(*seeds)) == sum(map(len, plans))
    folders = [[recipe["layout"].folder(one) for one in plan] for plan in plans]
    assert folders[0] == folders[1] == folders[2]


def test_samples_of_two_offsets_do_not_mix(recipe, tmp_path):
    shipped = {"category": "wire_plug", "folder": "OK/S0001", "seed": 1}
    recipe["layout"].write_table(tmp_path, {0: shipped})
    with pytest.raises(SystemExit, match="another --seed-offset"):
        recipe["render"].render(tmp_path, "wire_plug", recipe["sample"].plan("wire_plug", offset=1))


def told(recipe, code, rng):
    """What a plug tells in each place, and the pieces that do not fit."""
    sound = recipe["plug"].draw(rng)
    return recipe["plug"].misfit(code, sound, rng) if code in MISFITS else (sound, [])


def agrees(places):
    """Do wires, lot and variant say the same everywhere?"""
    return [
        places["front"] == places["right"],
        places["top"] == places["back"] == places["left"],
        places["contacts"] == places["number"],
    ]


def test_a_misfit_breaks_one_agreement(recipe):
    rng = np.random.default_rng(0)
    assert all(all(agrees(told(recipe, "OK", rng)[0])) for _ in range(200))
    for broken, code in enumerate(MISFITS):
        for _ in range(200):
            places, wrong = told(recipe, code, rng)
            assert agrees(places) == [rule != broken for rule in range(3)]
            assert wrong


@pytest.mark.parametrize("code", ["OK", *MISFITS])
def test_a_camera_sees_all_combinations_equally_often(recipe, code):
    """All that one camera sees is uniform together, in misfits as in sound plugs.

    So no function of one picture has another mean in misfits, whatever was learned.
    """
    rng = np.random.default_rng(1)
    drawn = [told(recipe, code, rng)[0] for _ in range(DRAWS)]
    for camera in range(1, 6):
        places = [place for place, seer in SEEN_BY.items() if seer == camera]
        counts = Counter(tuple(one[place] for place in places) for one in drawn)
        assert len(counts) == np.prod([VALUES[place] for place in places])
        assert chisquare(list(counts.values())).pvalue > 1e-4


def test_every_value_is_replaced_evenly(recipe):
    """The exact argument: each value goes to every other one equally often, in every place.

    Such a change is a symmetric matrix of probabilities, which leaves the uniform law as it is.
    The dice are replaced by all their faces in turn.
    """

    class Dice(list):
        def integers(self, faces):
            return self.pop(0) % faces

    plug = recipe["plug"]
    sound = plug.draw(np.random.default_rng(0))
    for code, places, faces, others in (
        ("JC", ("front", "right"), 6, 6),
        ("HP", ("top", "back", "left"), 4, 4),
        ("XH", ("contacts", "number"), 2, 2),
    ):
        for first, place in enumerate(places):
            made = [plug.misfit(code, sound, Dice([first, face]))[0] for face in range(faces)]
            assert len({one[place] for one in made} - {sound[place]}) == others
            assert all({**one, place: sound[place]} == sound for one in made)


def test_a_place_is_seen_by_one_camera(recipe):
    """By the renderer's buffers: no other camera has a single pixel of it."""
    built = recipe["sample"].build(recipe["sample"].Sample("wire_plug", "test", "XH", 1))
    names = [piece.name for piece in built.studio.pieces]
    for camera in range(1, 6):
        shown = built.studio.measure(camera)["piece"]
        for place, seer in SEEN_BY.items():
            pieces = [
                k for k, name in enumerate(names) if name.strip("1234") in (place, place[:-1])
            ]
            assert pieces
            seen = [(shown == k).sum() for k in pieces]
            assert min(seen) > 400 if camera == seer else max(seen) == 0, (place, camera, seen)
    recipe["sample"].forget(built)


def test_a_misfit_is_a_sound_plug_in_all_else(recipe):
    """Same dice, same part: pose, light, skins and shapes are those of the sound plug."""
    sound, rig, _ = recipe["plug"].build(np.random.default_rng(4))
    there = {piece.name: piece for piece in sound}
    assert all(piece.fits for piece in sound)
    for code in MISFITS:
        pieces, other, _ = recipe["plug"].build(np.random.default_rng(4), code)
        assert rig == other
        assert not all(piece.fits for piece in pieces)
        for piece in (piece for piece in pieces if piece.name in there):
            twin = there[piece.name]
            assert np.array_equal(piece.skin.relief, twin.skin.relief)
            assert (piece.place, piece.turn) == (twin.place, twin.turn)
            if piece.fits:
                assert np.array_equal(piece.skin.colour, twin.skin.colour)
