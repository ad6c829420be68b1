"""Your own cameras: any number, any names, through one helper or a JSON file of your own."""

import json
from pathlib import Path

import pytest
from trees import mask, picture, tree

from mfkit.data import read_category, write_index
from mfkit.data.check import check
from mfkit.errors import InputError


def gears(
    root: Path,
    cameras: tuple[str, ...] = ("top", "front", "left"),
    normal: str = "OK",
    suffix: str = ".jpg",
) -> Path:
    """Three training, one sound and two defective samples; all called 1, 2, 3."""
    base = root / "gears"
    plan = [("train", normal, n) for n in (1, 2, 3)]
    plan += [("test", normal, 1), ("test", "scratch", 1), ("test", "scratch", 2)]
    for seed, (split, code, number) in enumerate(plan):
        folder = base / split / code / str(number)
        for index, camera in enumerate(cameras, 1):
            picture(folder / f"{camera}{suffix}", index, seed)
        if code == "scratch":
            mask(folder / f"{cameras[-1]}_mask.png")
    return base


def refused(root: Path, *parts: object, **settings) -> None:
    with pytest.raises(InputError) as caught:
        write_index(root, "gears", **settings)
    for part in parts:
        assert str(part) in str(caught.value), caught.value
    assert not (root / "realiad_jsons").exists(), "nothing may be left behind"


def test_a_folder_tree_becomes_a_category(tmp_path):
    gears(tmp_path)
    file = write_index(tmp_path, "gears", cameras=["top", "front", "left"])
    assert file == tmp_path / "realiad_jsons" / "gears.json"
    category = read_category(tmp_path, "gears", views=3)
    assert [sample.name for sample in category.train] == [f"gears_train_OK_{n}" for n in (1, 2, 3)]
    assert [(s.name, s.code, s.label) for s in category.test] == [
        ("gears_test_OK_1", "OK", False),
        ("gears_test_scratch_1", "scratch", True),
        ("gears_test_scratch_2", "scratch", True),
    ]
    sample = category.test[-1]
    assert [path.name for path in sample.images] == ["top.jpg", "front.jpg", "left.jpg"]
    assert sample.labels == (False, False, True) and sample.masks[2].name == "left_mask.png"
    assert sample.flips == (False,) * 3 and sample.number == "test_scratch_2"
    assert check(tmp_path, progress=False).ok


def test_cameras_are_sorted_as_people_count(tmp_path):
    names = tuple(f"cam{number}" for number in range(1, 13))
    gears(tmp_path, names, suffix=".PNG")
    write_index(tmp_path, "gears")
    category = read_category(tmp_path, "gears")
    assert category.views == 12
    assert tuple(path.stem for path in category.train[0].images) == names


def test_the_order_of_cameras_is_yours(tmp_path):
    gears(tmp_path)
    write_index(tmp_path, "gears", cameras=["left", "top", "front"])
    sample = read_category(tmp_path, "gears").test[-1]
    assert [path.stem for path in sample.images] == ["left", "top", "front"]
    assert sample.labels == (True, False, False)


def test_another_name_for_sound_samples_and_other_files(tmp_path):
    base = gears(tmp_path, normal="good")
    (base / "notes.txt").write_text("")
    (base / "train" / "good" / "1" / "notes.txt").write_text("")
    (base / "train" / "good" / ".DS_Store").write_text("")
    write_index(tmp_path, "gears", normal="good")
    assert {sample.code for sample in read_category(tmp_path, "gears").train} == {"OK"}


def test_one_camera_is_enough(tmp_path):
    gears(tmp_path, ("only",))
    write_index(tmp_path, "gears")
    assert read_category(tmp_path, "gears").views == 1


def test_next_to_a_resolution_folder(tmp_path):
    tree(tmp_path)  # ROOT/realiad_256/audiojack
    gears(tmp_path / "realiad_256")
    write_index(tmp_path, "gears")
    assert len(read_category(tmp_path, "gears").train) == 3


def test_rows_may_name_sample_and_camera_themselves(tmp_path):
    rows = []
    for number in (1, 2):
        for camera in (0, 7):
            path = f"shots/{number}-{camera}.png"
            picture(tmp_path / path, camera)
            rows.append(
                {
                    "category": "bolt",
                    "anomaly_class": "OK",
                    "image_path": path,
                    "sample": f"bolt-{number}",
                    "camera": camera,
                }
            )
    table = {"meta": {"prefix": ""}, "train": rows, "test": []}
    (tmp_path / "realiad_jsons").mkdir()
    (tmp_path / "realiad_jsons" / "bolt.json").write_text(json.dumps(table))
    category = read_category(tmp_path, "bolt")
    assert category.cameras == (0, 7)
    assert [sample.name for sample in category.train] == ["bolt_bolt-1", "bolt_bolt-2"]
    assert [path.name for path in category.train[1].images] == ["2-0.png", "2-7.png"]


@pytest.mark.parametrize("change", [{"sample": "a/b"}, {"sample": 3}, {"camera": "1"}])
def test_rows_that_name_them_wrongly(tmp_path, change):
    gears(tmp_path)
    file = write_index(tmp_path, "gears")
    table = json.loads(file.read_text())
    table["train"][4].update(change)
    file.write_text(json.dumps(table))
    with pytest.raises(InputError, match=r"gears.json, row train\[4\]: .*'sample' \(letters"):
        read_category(tmp_path, "gears")


def test_nothing_to_index(tmp_path):
    train = tmp_path / "gears" / "train" / "OK"
    refused(tmp_path, train, "no folder of a sound training sample", "arrange the images as")
    refused(tmp_path / "nowhere", "nowhere", "arrange the images as")


def test_no_image_that_can_be_read(tmp_path):
    gears(tmp_path, suffix=".png")
    for path in tmp_path.rglob("*.png"):
        path.rename(path.with_suffix(".webp"))
    refused(tmp_path, tmp_path / "gears", "that end in .webp are not read", ".png", "convert")
    for path in tmp_path.rglob("*.webp"):
        path.unlink()
    refused(tmp_path, tmp_path / "gears", "no image there", ".png")


def test_a_name_that_may_be_misspelt(tmp_path):
    """Where images may be missing, it would quietly become one more camera."""
    gears(tmp_path)
    image = tmp_path / "gears" / "train" / "OK" / "1" / "left.jpg"
    image.rename(image.with_name("letf.jpg"))
    with pytest.warns(UserWarning, match=r"'letf' has an image in 1 of 6 samples only: .* rename"):
        write_index(tmp_path, "gears", missing_views="allow")


def test_a_missing_camera(tmp_path):
    base = gears(tmp_path)
    (base / "train" / "OK" / "2" / "front.jpg").unlink()
    refused(tmp_path, base / "train" / "OK" / "2", "no image of camera front", "add it")
    write_index(tmp_path, "gears", ["top", "front", "left"], missing_views="allow")
    with pytest.warns(UserWarning, match="1 of 6 samples lack views, 1 images in all"):
        category = read_category(tmp_path, "gears", missing_views="allow")
    assert [sample.present for sample in category.train] == [
        (True, True, True),
        (True, False, True),
        (True, True, True),
    ]


def test_a_sample_stays_defective_without_the_view_that_shows_the_defect(tmp_path):
    base = gears(tmp_path)
    (base / "test" / "scratch" / "1" / "left.jpg").unlink()
    for name in ("left.jpg", "left_mask.png"):
        (base / "test" / "scratch" / "2" / name).unlink()
    write_index(tmp_path, "gears", ["top", "front", "left"], missing_views="allow")
    with pytest.warns(UserWarning, match="2 of 6 samples lack views"):
        category = read_category(tmp_path, "gears", missing_views="allow")
    assert [(s.code, s.label) for s in category.test] == [
        ("OK", False),
        ("scratch", True),
        ("scratch", True),
    ]
    report = check(tmp_path, "gears", missing_views="allow", progress=False)
    assert report.ok and report.samples.loc[("gears", "test"), "defective samples"] == 2
    assert not any("alike" in note for note in report.notes)
    with pytest.raises(InputError, match="missing_views should be 'error' or 'allow', got 'alow'"):
        write_index(tmp_path, "gears", missing_views="alow")


def test_a_category_that_is_called_like_one_of_real_iad_is_not_mirrored(tmp_path):
    gears(tmp_path).rename(tmp_path / "pcb")
    write_index(tmp_path, "pcb")
    assert read_category(tmp_path, "pcb").train[0].flips == (False,) * 3


def test_an_unknown_camera(tmp_path):
    base = gears(tmp_path)
    refused(tmp_path, base / "train" / "OK" / "1", "front is no camera", cameras=["top", "left"])
    mask(base / "test" / "scratch" / "1" / "back_mask.png")
    refused(tmp_path, base / "test" / "scratch" / "1", "back is no camera", "rename or remove")


def test_two_images_of_one_camera(tmp_path):
    base = gears(tmp_path)
    picture(base / "train" / "OK" / "2" / "top.png", 1)
    refused(tmp_path, base / "train" / "OK" / "2", "'top', top.jpg and top.png; keep one")


def test_masks_in_the_wrong_place(tmp_path):
    base = gears(tmp_path)
    mask(base / "train" / "OK" / "1" / "top_mask.png")
    refused(tmp_path, base / "train" / "OK" / "1", "a mask in a sound sample; move the folder")


def test_a_defective_sample_without_a_mask(tmp_path):
    base = gears(tmp_path)
    (base / "test" / "scratch" / "2" / "left_mask.png").unlink()
    refused(
        tmp_path, base / "test" / "scratch" / "2", "that marks something; add", "front_mask.png"
    )


def test_defects_in_the_training_split(tmp_path):
    base = gears(tmp_path)
    (base / "test" / "scratch").rename(base / "train" / "scratch")
    refused(tmp_path, base / "train" / "scratch" / "1", "move the folder to test/scratch")


def test_a_name_that_cannot_name_results(tmp_path):
    base = gears(tmp_path)
    (base / "train" / "OK" / "2").rename(base / "train" / "OK" / "no 2")
    refused(tmp_path, base / "train" / "OK" / "no 2", "rename it with letters")
