"""The layouts of other multi-view sets, on small generated trees: nothing of theirs is shipped."""

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from trees import mask, picture

from mfkit.data import (
    read_category,
    read_image,
    read_mask,
    strips,
    write_m2ad_index,
    write_manta_index,
    write_turntable_index,
    write_variety_index,
)
from mfkit.data.check import check
from mfkit.errors import InputError


def refused(write: Callable[[], object], *parts: object) -> None:
    """The call ends with an error that names all of this, and leaves no index."""
    with pytest.raises(InputError) as caught:
        write()
    for part in parts:
        assert str(part) in str(caught.value), caught.value


def contents(root: Path) -> dict[str, tuple[int, bytes]]:
    """All files with their times."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def same_if_called_twice(root: Path, write: Callable[[], Path]) -> None:
    file = write()
    before = contents(root)
    write()
    after = contents(root)
    assert {k: v for k, v in after.items() if k != str(file)} == {
        k: v for k, v in before.items() if k != str(file)
    }, "images are made once"
    assert after[str(file)][1] == before[str(file)][1]


# MANTA-Tiny


def strip(path: Path, seed: int, size: int = 8, views: int = 5) -> None:
    """Views that are told apart by their brightness: 10, 20, 30 ..."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.repeat(10 * np.arange(1, views + 1, dtype=np.uint8), size) + np.uint8(seed)
    Image.fromarray(np.tile(pixels, (size, 1))).save(path)


def strip_mask(path: Path, views: tuple[int, ...], size: int = 8, value: int = 255) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((size, 5 * size), np.uint8)
    for view in views:
        pixels[1:3, (view - 1) * size : (view - 1) * size + 2] = value
    Image.fromarray(pixels).save(path)


def manta(root: Path, suffix: str = ".png", good: str = "good", mark: str = "") -> Path:
    home = root / "agriculture" / "maize"
    for number in (1, 2, 3):
        strip(home / "train" / good / f"00{number}{suffix}", number)
    strip(home / "test" / good / f"001{suffix}", 4)
    strip(home / "test" / "broken" / f"001{suffix}", 5)
    strip_mask(home / "ground_truth" / "broken" / f"001{mark}{suffix}", (2, 5))
    (root / "medicine" / "capsule" / "train").mkdir(parents=True)
    return home


@pytest.mark.parametrize("category", ["maize", "Maize", "agriculture/maize"])
def test_strips_become_views(tmp_path, category):
    manta(tmp_path)
    assert write_manta_index(tmp_path, category) == tmp_path / "realiad_jsons" / "maize.json"
    maize = read_category(tmp_path, "maize", views=5)
    assert [sample.name for sample in maize.train] == [f"maize_train_OK_00{n}" for n in (1, 2, 3)]
    assert [(s.code, s.labels) for s in maize.test] == [
        ("OK", (False,) * 5),
        ("broken", (False, True, False, False, True)),
    ]
    views = [read_image(path) for path in maize.train[1].images]
    assert [view.shape for view in views] == [(8, 8, 3)] * 5
    assert [view.mean() for view in views] == [12, 22, 32, 42, 52]
    assert [read_mask(path).sum() for path in maize.test[1].masks if path] == [4, 4]
    assert check(tmp_path, "maize", progress=False).ok


def test_the_order_of_views_is_yours(tmp_path):
    manta(tmp_path)
    write_manta_index(tmp_path, "maize", cameras=["3", "1", "2", "4", "5"])
    sample = read_category(tmp_path, "maize").train[0]
    assert [read_image(path).mean() for path in sample.images] == [31, 11, 21, 41, 51]


@pytest.mark.parametrize(
    ("suffix", "good", "mark"), [(".PNG", "Good", "_mask"), (".bmp", "ok", "")]
)
def test_strips_with_other_names(tmp_path, suffix, good, mark):
    home = manta(tmp_path, suffix, good, mark)
    (home / "train" / good / "._001.png").write_bytes(b"left by an archive program")
    (home / "train" / good / "notes.txt").write_text("")
    (home / "test").rename(home / "TEST")
    write_manta_index(tmp_path, "maize")
    maize = read_category(tmp_path, "maize")
    assert len(maize.train) == 3 and [s.code for s in maize.test] == ["OK", "broken"]


def test_masks_of_ones_mark_as_well_as_those_of_255(tmp_path):
    truth = manta(tmp_path) / "ground_truth" / "broken" / "001.png"
    strip_mask(truth, (3,), value=1)
    write_manta_index(tmp_path, "maize")
    sample = read_category(tmp_path, "maize").test[1]
    assert sample.labels == (False, False, True, False, False)
    assert read_mask(sample.masks[2]).sum() == 4


def test_strips_that_cannot_be_cut(tmp_path):
    home = manta(tmp_path)
    path = home / "test" / "good" / "001.png"
    for views, size in ((4, 8), (6, 8)):
        strip(path, 1, size, views)
        text = f"{views * size} x 8 px; expected five square views side by side, 40 x 8 px"
        refused(lambda: write_manta_index(tmp_path, "maize"), path, text)
    Image.new("L", (41, 8)).save(path)
    refused(lambda: write_manta_index(tmp_path, "maize"), path, "41 x 8 px")
    assert not (tmp_path / "realiad_jsons").exists()
    shutil.copy(home / "train" / "good" / "001.png", path)
    write_manta_index(tmp_path, "maize")


def test_strips_and_masks_that_lack_each_other(tmp_path):
    home = manta(tmp_path)
    path, truth = home / "test" / "broken" / "001.png", home / "ground_truth" / "broken" / "001.png"
    write = lambda: write_manta_index(tmp_path, "maize")  # noqa: E731
    path.rename(path.with_name("002.png"))
    refused(write, path.with_name("002.png"), "no mask; expected", "002.png or 002_mask.png")
    path.with_name("002.png").unlink()
    refused(write, truth, "a mask without its strip; expected", path)
    strip(path, 1, size=6)
    refused(write, truth, "40 x 8 px, but", path, "has 30 x 6")
    strip(path, 1)
    strip_mask(truth, ())
    refused(write, truth, "is black")
    strip(home / "train" / "broken" / "1.png", 1)
    refused(write, home / "train" / "broken", "expected train/good only")
    assert not (tmp_path / "views").exists() or not (tmp_path / "realiad_jsons").exists()


def test_no_such_category(tmp_path):
    manta(tmp_path)
    expected = "expected <domain>/<category>/train/good/<strip>.png; those there are: "
    refused(
        lambda: write_manta_index(tmp_path, "wheat"),
        "no category 'wheat'", expected + "agriculture/maize, medicine/capsule",
    )  # fmt: skip
    refused(lambda: write_manta_index(tmp_path / "nowhere", "maize"), "nowhere", "are: none")
    refused(lambda: write_manta_index(tmp_path, "capsule"), "no sample to learn from")
    (tmp_path / "medicine" / "maize" / "train").mkdir(parents=True)
    refused(lambda: write_manta_index(tmp_path, "maize"), "2 categories 'maize', name one")


def test_cutting_goes_on_after_an_interruption(tmp_path, monkeypatch):
    home = manta(tmp_path)
    saved, save = [], strips.save_view

    def interrupted(pixels, path, source):
        if len(saved) == 7:
            raise KeyboardInterrupt
        saved.append(path)
        save(pixels, path, source)

    monkeypatch.setattr(strips, "save_view", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_manta_index(tmp_path, "maize")
    assert sorted(path for path in (tmp_path / "views").rglob("*") if path.is_file()) == saved
    assert not (tmp_path / "realiad_jsons").exists()
    before = contents(tmp_path / "views")
    monkeypatch.setattr(strips, "save_view", save)
    same_if_called_twice(tmp_path, lambda: write_manta_index(tmp_path, "maize"))
    after = contents(tmp_path / "views")
    assert len(after) == 5 * 5 + 5 and before.items() <= after.items()
    assert not list((tmp_path / "views").rglob(".*")), "no draft is left"
    assert len(contents(home)) == 6, "the set stays as it is"


def test_a_strip_that_has_changed_is_cut_again(tmp_path):
    path = manta(tmp_path) / "train" / "good" / "002.png"
    write_manta_index(tmp_path, "maize")
    strip(path, 9)
    os.utime(path, (1, 1))
    write_manta_index(tmp_path, "maize")
    assert read_image(read_category(tmp_path, "maize").train[1].images[0]).mean() == 19


# Real-IAD Variety, the challenge


def variety(root: Path, suffix: str = ".png", train: str = "Train") -> Path:
    for part, numbers in ((train, (1, 2, 3)), ("Test_A", (1, 2))):
        for number in numbers:
            for camera in range(5):
                name = f"S{number:04}/{camera}{suffix}"
                picture(root / part / "3_adapter" / name, camera, number)
    mask(root / "Test_A" / "3_adapter" / "S0002" / "3_mask.png")
    for name in ("notes", ".cache"):
        (root / name).mkdir()
    return root / "Test_A" / "3_adapter"


def test_the_challenge_of_variety(tmp_path):
    variety(tmp_path)
    same_if_called_twice(tmp_path, lambda: write_variety_index(tmp_path, "3_adapter"))
    category = read_category(tmp_path, "3_adapter", views=5)
    assert [s.name for s in category.train] == [f"3_adapter_Train_S000{n}" for n in (1, 2, 3)]
    assert [(s.name, s.code, s.label) for s in category.test] == [
        ("3_adapter_Test_A_S0001", "OK", False),
        ("3_adapter_Test_A_S0002", "NG", True),
    ]
    assert category.test[1].labels == (False, False, False, True, False)
    assert [path.name for path in category.train[0].images] == [f"{n}.png" for n in range(5)]
    assert category.train[0].images[0].parent == tmp_path / "Train" / "3_adapter" / "S0001"
    assert check(tmp_path, progress=False).ok


def test_the_challenge_in_upper_case_and_beside_a_resolution(tmp_path):
    variety(tmp_path / "realiad_512", ".PNG", "TRAIN")
    file = write_variety_index(tmp_path, "3_ADAPTER")
    assert file == tmp_path / "realiad_jsons" / "3_adapter.json"
    assert len(read_category(tmp_path, "3_adapter").train) == 3


def test_tests_without_labels(tmp_path):
    tests = variety(tmp_path)
    for camera in (0, 3):  # a mask for each view, as it is handed in, and nothing marked
        mask(tests / "S0002" / f"{camera}_mask.png", value=0)
    with pytest.warns(UserWarning, match="2 test samples and no mask, .* no AUROC .* 0_mask.png"):
        write_variety_index(tmp_path, "3_adapter")
    assert not any(sample.label for sample in read_category(tmp_path, "3_adapter").test)


def test_challenge_samples_that_are_not_as_expected(tmp_path):
    tests = variety(tmp_path)
    write = lambda: write_variety_index(tmp_path, "3_adapter")  # noqa: E731
    refused(
        lambda: write_variety_index(tmp_path, "battery"),
        "no category 'battery'; expected Train/<category>/S0001/0.png; ", "are: Train/3_adapter",
    )  # fmt: skip
    (tests / "S0001" / "2.png").rename(tests / "S0001" / "5.png")
    refused(write, tests / "S0001", "no image of camera 2; every sample needs 0, 1, 2, 3, 4")
    picture(tests / "S0001" / "2.png", 2)
    refused(write, tests / "S0001", "5 is no camera")
    (tests / "S0001" / "5.png").rename(tests / "S0001" / "4.JPG")
    refused(write, tests / "S0001", "two images '4', 4.JPG and 4.png")
    (tests / "S0001" / "4.JPG").unlink()
    mask(tests / "S0002" / "3_mask.png", size=8)
    refused(write, tests / "S0002" / "3_mask.png", "8 x 8 px but its image", "16 x 16")
    assert not (tmp_path / "realiad_jsons").exists()


# M2AD

ANGLES = tuple(f"{angle:03}" for angle in range(0, 360, 30))


def m2ad(
    root: Path, sound: int = 5, lights: int = 2, suffix: str = ".png", letter: str = "A"
) -> Path:
    home = root / "Bird"
    names = [f"Good/{number:03}" for number in range(sound)]
    names += ["NG/scratch_1_000", "NG/damage_1_hole_5_scratch_1_046"]
    for seed, name in enumerate(names):
        for view, angle in enumerate(ANGLES):
            for light in range(1, lights + 1):
                path = home / name / f"{letter}{angle}_I{light:02}{suffix}"
                picture(path, view, seed, size=8)
    for name in names[sound:]:
        truth = home / name.replace("NG", "GT")
        for kind in ("mask", "seg"):
            mask(truth / f"{letter}060_{kind}{suffix}", size=8)
        mask(truth / f"{letter}090_mask{suffix}", size=8, value=0)
    return home


def test_a_turntable_at_one_light(tmp_path):
    m2ad(tmp_path)
    same_if_called_twice(tmp_path, lambda: write_m2ad_index(tmp_path, "bird"))
    bird = read_category(tmp_path, "Bird", views=12)
    assert len(bird.train) == 3 and [s.code for s in bird.train] == ["OK"] * 3
    assert [(s.code, s.label) for s in bird.test] == [
        ("OK", False),
        ("OK", False),
        ("damage_hole_scratch", True),
        ("scratch", True),
    ]
    sample = bird.test[-1]
    assert sample.name == "Bird_NG_scratch_1_000"
    assert [path.name for path in sample.images] == [f"A{angle}_I01.png" for angle in ANGLES]
    assert [a for a, shows in zip(ANGLES, sample.labels, strict=True) if shows] == ["060"]
    assert sample.masks[2].name == "A060_mask.png"
    assert check(tmp_path, progress=False).ok


def test_the_division_is_that_of_the_authors_program(tmp_path):
    """Names sorted, shuffled with Python's seed 42, 60 % to learn from: 29 of the 49 of Dice."""
    home = m2ad(tmp_path, sound=0, lights=1)
    for number in range(49):
        (home / "Good" / f"{number:03}").mkdir(parents=True)
        for angle in ANGLES:
            os.link(home / "NG/scratch_1_000/A000_I01.png",
                    home / "Good" / f"{number:03}" / f"A{angle}_I01.png")  # fmt: skip
    write_m2ad_index(tmp_path, "Bird")
    bird = read_category(tmp_path, "Bird")
    assert len(bird.train) == 29 and len(bird.test) == 20 + 2
    state, names = random.getstate(), [f"{number:03}" for number in range(49)]
    random.seed(42)
    random.shuffle(names)
    random.setstate(state)
    assert [s.number for s in bird.train] == sorted(f"Good_{name}" for name in names[:29])


def test_another_light_another_order_and_upper_case(tmp_path):
    m2ad(tmp_path, suffix=".PNG", letter="b")
    (tmp_path / "Bird" / "Good").rename(tmp_path / "Bird" / "GOOD")
    write_m2ad_index(tmp_path, "Bird", light=2, cameras=ANGLES[::-1])
    sample = read_category(tmp_path, "Bird").test[-1]
    assert [path.name for path in sample.images] == [f"b{angle}_I02.PNG" for angle in ANGLES[::-1]]
    assert sample.labels.index(True) == 9


def test_m2ad_that_is_not_as_expected(tmp_path):
    home = m2ad(tmp_path)
    write = lambda **settings: write_m2ad_index(tmp_path, "Bird", **settings)  # noqa: E731
    refused(lambda: write_m2ad_index(tmp_path, "Car"), "no category 'Car'", "there are: Bird")
    refused(lambda: write(light=11), home / "Good", "no image at light 11; give one of: 1, 2")
    good = home / "Good" / "001"
    (good / "A030_I01.png").rename(good / "A030.png")
    refused(write, good / "A030.png", "expected a name such as A030_I01.png")
    (good / "A030.png").rename(good / "B000_I01.png")
    refused(write, good, "two images of angle 000 at light 1, A000_I01.png and B000_I01.png")
    (good / "B000_I01.png").unlink()
    refused(write, good, "no image of camera 030")
    shutil.rmtree(good)
    truth = home / "GT" / "scratch_1_000"
    mask(truth / "A060_mask.png", size=8, value=0)
    refused(write, truth, "no mask that marks a defect of", home / "NG", "expected A000_mask.png")
    shutil.rmtree(home / "GT")
    refused(write, truth.parent, "no mask that marks a defect")
    assert not (tmp_path / "realiad_jsons").exists()


# ETH-80

VIEWS = ("000-000", "045-000", "045-090", "045-180", "045-270")


def eth80(root: Path, numbers: tuple[int, ...] = (1, 2, 4, 10), suffix: str = ".png") -> Path:
    """Three kinds; a pixel tells the object, its neighbour the view."""
    for kind, name in enumerate(("apple", "cup", "pear")):
        for number in numbers:
            for view, angles in enumerate([*VIEWS, "090-045"]):
                thing = f"{name}{number}"
                pixels = np.zeros((8, 8), np.uint8)
                pixels[0, :2] = 20 * kind + number, view
                path = root / thing / f"{thing}-{angles}{suffix}"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)
                shape = np.zeros((8, 8), np.uint8)
                shape[2:6, 2:6] = 1
                path = root / thing / "maps" / f"{thing}-{angles}-map{suffix}"
                path.parent.mkdir(exist_ok=True)
                Image.fromarray(shape).save(path)
                os.utime(path, (1, 1))  # as from an archive: all of one time
    return root


def faces(sample) -> tuple[list[int], list[int]]:
    """Which object stands in each place, and from which view."""
    pixels = [read_image(path)[0, :2, 0].tolist() for path in sample.images]
    things, views = zip(*pixels, strict=True)
    return list(things), list(views)


@pytest.mark.parametrize(("below", "suffix"), [("", ".png"), ("eth80-cropped256", ".PNG")])
def test_misfits(tmp_path, below, suffix):
    eth80(tmp_path / below, suffix=suffix)
    same_if_called_twice(tmp_path, lambda: write_turntable_index(tmp_path))
    misfits = read_category(tmp_path, "misfits", views=5)
    assert len(misfits.train) == 3 * 2 * 4 and len(misfits.test) == 2 * 3 * 2 * 4
    assert faces(misfits.train[0]) == ([1] * 5, [0, 1, 2, 3, 4])
    assert faces(misfits.train[3]) == ([1] * 5, [0, 4, 1, 2, 3])
    learned = {thing for sample in misfits.train for thing in faces(sample)[0]}
    assert learned == {1, 2, 21, 22, 41, 42}, "the last two of each kind are for tests"
    strange = [sample for sample in misfits.test if sample.label]
    assert len(strange) == 24 and {sample.code for sample in strange} == {"misfit"}
    for sample in strange:
        (side,) = (view for view, shows in enumerate(sample.labels) if shows)
        things, views = faces(sample)
        (other,) = set(things) - {things[0]}
        assert side > 0 and things.count(other) == 1 and things[side] == other
        assert other // 20 != things[0] // 20 and other % 20 in (4, 10)
        assert views[0] == 0 and sorted(views) == [0, 1, 2, 3, 4]
        assert read_mask(sample.masks[side]).sum() == 16
    assert check(tmp_path, progress=False).ok


def test_one_kind_is_sound(tmp_path):
    eth80(tmp_path)
    write_turntable_index(tmp_path, "cup", held_out=1)
    cups = read_category(tmp_path, "cup")
    assert {thing for sample in cups.train for thing in faces(sample)[0]} == {21, 22, 24}
    assert len(cups.train) == 3 * 4
    assert [s.code for s in cups.test] == ["OK"] * 4 + ["apple", "pear"]
    assert cups.test[-1].labels == (True,) * 5 and faces(cups.test[-1])[0] == [50] * 5


def test_other_views_of_the_turntable_do_not_meet_old_copies(tmp_path):
    eth80(tmp_path)
    write_turntable_index(tmp_path)
    write_turntable_index(tmp_path, cameras=["000-000", "045-270", "045-090"], held_out=1)
    misfits = read_category(tmp_path, "misfits", views=3)
    assert len(misfits.train) == 3 * 3 * 2
    assert [faces(sample)[1] for sample in misfits.train[:2]] == [[0, 4, 2], [0, 2, 4]]


def test_eth80_that_is_not_as_expected(tmp_path):
    eth80(tmp_path)
    write = lambda *values, **settings: (  # noqa: E731
        lambda: write_turntable_index(tmp_path, *values, **settings)
    )
    there = "'misfits' or a kind that is there: apple (4), cup (4), pear (4)"
    refused(write("dog"), "no kind 'dog', or too few", "apple1 with apple1-000-000.png", there)
    refused(write(held_out=4), "over 4 of each", there)
    refused(write(held_out=0), "'held_out' should be 1 or more")
    refused(write(cameras=["000-000", "045-000"]), "two sides or more")
    refused(lambda: write_turntable_index(tmp_path / "nowhere"), "nowhere", "none is")
    image = tmp_path / "cup2" / "cup2-045-180.png"
    image.rename(tmp_path / "away.png")
    refused(write(), image, "does not exist; unpack the set again")
    (tmp_path / "away.png").rename(image)
    shape = tmp_path / "pear10" / "maps" / "pear10-000-000-map.png"
    Image.fromarray(np.full((8, 8), 255, np.uint8)).save(shape)
    refused(write("cup"), shape, "expected the object white on black")
    Image.new("L", (4, 4), 1).save(shape)
    refused(write("cup"), shape, "4 x 4 px, but", "has 8 x 8")
    shutil.rmtree(shape.parent)
    refused(write("cup"), shape, "does not exist")
    assert not (tmp_path / "realiad_jsons").exists()


def test_rows_have_the_keys_of_your_own_cameras(tmp_path):
    eth80(tmp_path)
    table = json.loads(write_turntable_index(tmp_path, "cup").read_text())
    assert table["meta"]["prefix"] == "views/cup/"
    assert set(table["test"][0]) == {
        "category", "anomaly_class", "image_path", "mask_path", "sample", "camera", "filed"
    }  # fmt: skip
