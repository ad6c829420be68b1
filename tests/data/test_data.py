"""The loader: every irregularity of Real-IAD is read, every fault is named with its mend."""

import json
import pickle
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from trees import edit, mask, rows_of, tree

from mfkit.data import FLIPS, categories, read_category, read_image, read_mask
from mfkit.errors import InputError


def blame(root: Path, *parts: object, category: str = "audiojack", **settings) -> str:
    """Reading must fail with a message that holds all parts; return it."""
    with pytest.raises(InputError) as caught:
        read_category(root, category, **settings)
    message = str(caught.value)
    for part in parts:
        assert str(part) in message, message
    return message


def camera_of(path: Path) -> int:
    return int(path.stem.split("_C")[1].split("_")[0])


# ------------------------------------------------------------------ what must be read


def test_samples_views_and_labels(tmp_path):
    tree(tmp_path, train=4, sound=2, codes={"BX": 2, "HS": 1}, hidden=(2,))
    category = read_category(tmp_path, "audiojack")

    assert category.views == 5 and category.cameras == (1, 2, 3, 4, 5)
    assert [sample.name for sample in category.train] == [
        f"audiojack_000{number}_OK" for number in (1, 2, 3, 4)
    ]
    assert [(s.name, s.code, s.number, s.label) for s in category.test] == [
        ("audiojack_0005_OK", "OK", "0005", False),
        ("audiojack_0006_OK", "OK", "0006", False),
        ("audiojack_0001_NG_BX", "BX", "0001", True),
        ("audiojack_0002_NG_BX", "BX", "0002", True),
        ("audiojack_0001_NG_HS", "HS", "0001", True),
    ]
    assert {sample.split for sample in category.train} == {"train"}
    assert {sample.split for sample in category.test} == {"test"}
    for sample in category.train + category.test:
        assert [camera_of(path) for path in sample.images] == [1, 2, 3, 4, 5]
        assert all(path.is_file() for path in sample.images)


def test_views_under_ng_may_be_normal(tmp_path):
    tree(tmp_path, codes={"BX": 1}, hidden=(2, 5))
    sample = read_category(tmp_path, "audiojack").test[-1]
    assert all("NG/BX" in path.as_posix() for path in sample.images)
    assert sample.codes == ("BX", "OK", "BX", "BX", "OK")
    assert sample.labels == (True, False, True, True, False)
    assert [mask is not None for mask in sample.masks] == list(sample.labels)


def test_a_sample_whose_views_are_all_normal_is_normal(tmp_path):
    tree(tmp_path, codes={"BX": 1}, hidden=(1, 2, 3, 4, 5))
    sample = read_category(tmp_path, "audiojack").test[-1]
    assert sample.code == "BX" and not sample.label


def test_numbers_repeat_under_every_code(tmp_path):
    tree(tmp_path, train=2, sound=0, codes={"AK": 2, "BX": 2, "ZW": 2})
    category = read_category(tmp_path, "audiojack")
    assert [sample.number for sample in category.test] == ["0001", "0002"] * 3
    names = [sample.name for sample in category.train + category.test]
    assert len(set(names)) == len(names) == 8


@pytest.mark.parametrize("bar", ["", "_"])
@pytest.mark.parametrize("category", ["audiojack", "u_block", "transistor1"])
def test_one_or_two_underscores(tmp_path, bar, category):
    tree(tmp_path, category, bar=bar)
    assert read_category(tmp_path, category).test[-1].name == f"{category}_0001_NG_HS"


def test_order_of_rows_does_not_matter(tmp_path):
    tree(tmp_path / "a", shuffle=None)
    tree(tmp_path / "b", shuffle=3)
    sorted_rows, shuffled = (read_category(tmp_path / name, "audiojack") for name in "ab")
    assert [s.name for s in sorted_rows.test] == [s.name for s in shuffled.test]
    for one, other in zip(sorted_rows.test, shuffled.test, strict=True):
        assert [path.name for path in one.images] == [path.name for path in other.images]


def test_a_camera_number_decides_not_the_timestamp(tmp_path):
    tree(tmp_path)
    stamps = [
        path.stem.rsplit("_", 1)[1] for path in read_category(tmp_path, "audiojack").train[3].images
    ]
    assert stamps != sorted(stamps), "the tree should have timestamps out of order"


@pytest.mark.parametrize(
    "jsons", ["realiad_jsons", "realiad_jsons/realiad_jsons", "realiad_jsons_sv"]
)
def test_places_of_the_json(tmp_path, jsons):
    tree(tmp_path, jsons=jsons)
    name = Path(jsons).name
    assert categories(tmp_path, name) == ["audiojack"]
    assert len(read_category(tmp_path, "audiojack", jsons=name).train) == 4
    # ROOT may also be the folder itself, nested or not
    for root in (tmp_path / name, tmp_path / jsons):
        assert categories(root) == ["audiojack"]
        assert len(read_category(root, "audiojack").train) == 4


def test_hidden_files_of_macos_are_no_categories(tmp_path):
    file = tree(tmp_path)
    (file.parent / "._audiojack.json").write_bytes(b"\x00\x05\x16\x07")
    assert categories(tmp_path) == ["audiojack"]


def test_json_with_a_byte_order_mark(tmp_path):
    file = tree(tmp_path)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert len(read_category(tmp_path, "audiojack").train) == 4


@pytest.mark.parametrize("resolution", ["realiad_256", "realiad_512", "realiad_1024"])
def test_the_only_resolution_is_taken(tmp_path, resolution):
    tree(tmp_path, resolution=resolution)
    assert resolution in read_category(tmp_path, "audiojack").train[0].images[0].parts


@pytest.mark.parametrize("named", ["raw", "realiad_raw"])
def test_a_resolution_can_be_named(tmp_path, named):
    tree(tmp_path, resolution="realiad_raw")
    tree(tmp_path, resolution="realiad_256")
    for root, resolution in ((tmp_path, named), (tmp_path / "realiad_raw", None)):
        category = read_category(root, "audiojack", resolution=resolution)
        assert "realiad_raw" in category.train[0].images[0].parts
    assert categories(tmp_path) == ["audiojack"]
    category = read_category(tmp_path, "audiojack", resolution=256)
    assert "realiad_256" in category.train[0].images[0].parts


@pytest.mark.parametrize("suffix", [".png", "_mask.png"])
def test_masks_are_named_by_the_json(tmp_path, suffix):
    tree(tmp_path, suffix=suffix)
    sample = read_category(tmp_path, "audiojack").test[-1]
    assert sample.masks[0].name == sample.images[0].stem + suffix
    assert read_mask(sample.masks[0], image=sample.images[0]).sum() == 64


@pytest.mark.parametrize("nothing", [None, "", "absent"])
def test_a_normal_view_has_no_mask(tmp_path, nothing):
    file = tree(tmp_path)

    def change(table):
        for row in table["train"]:
            row.pop("mask_path")
            if nothing != "absent":
                row["mask_path"] = nothing

    edit(file, change)
    assert read_category(tmp_path, "audiojack").train[0].masks == (None,) * 5


def test_training_labels_are_kept_but_not_judged(tmp_path):
    file = tree(tmp_path)  # as in the fuiad splits: defects among the training samples

    def change(table):
        moved = [row for row in table["test"] if "_0002_NG_BX_" in row["image_path"]]
        table["test"] = [row for row in table["test"] if row not in moved]
        for row in moved:
            row["mask_path"] = None
        table["train"] += moved

    edit(file, change)
    train = read_category(tmp_path, "audiojack").train
    assert [sample.label for sample in train] == [False] * 4 + [True]


def test_another_name_of_the_normal_class(tmp_path):
    file = tree(tmp_path)

    def change(table):
        table["meta"]["normal_class"] = "good"
        for row in table["train"] + table["test"]:
            if row["anomaly_class"] == "OK":
                row["anomaly_class"] = "good"

    edit(file, change)
    sample = read_category(tmp_path, "audiojack").test[-1]
    assert sample.codes == ("HS", "OK", "HS", "HS", "HS")


def test_paths_with_the_other_slash(tmp_path):
    file = tree(tmp_path)

    def change(table):
        for row in table["train"]:
            row["image_path"] = row["image_path"].replace("/", "\\")

    edit(file, change)
    assert read_category(tmp_path, "audiojack").train[0].images[0].is_file()


def test_images_may_lie_behind_links(tmp_path):
    tree(tmp_path / "disk")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "realiad_jsons").symlink_to(tmp_path / "disk" / "realiad_jsons")
    (tmp_path / "root" / "realiad_256").symlink_to(tmp_path / "disk" / "realiad_256")
    assert len(read_category(tmp_path / "root", "audiojack").train) == 4


# ------------------------------------------------------------------ the flip table


def test_flip_table_covers_the_thirty_categories():
    assert len(FLIPS) == 30 and list(FLIPS) == sorted(FLIPS)
    assert {len(flips) for flips in FLIPS.values()} == {5}
    assert sum(flips.count("1") for flips in FLIPS.values()) == 64


@pytest.mark.parametrize(
    "category, cameras, flips",
    [
        ("audiojack", 5, (False, True, False, False, False)),
        ("u_block", 5, (True, False, False, True, True)),
        ("my_part", 5, (False,) * 5),
        ("audiojack", 4, (False, True, False, False)),
        ("audiojack", 1, (False,)),
    ],
)
def test_flips(tmp_path, category, cameras, flips):
    tree(tmp_path, category, cameras=cameras, hidden=())
    samples = read_category(tmp_path, category)
    assert {sample.flips for sample in samples.train + samples.test} == {flips}


# ------------------------------------------------------------------ pixels


def test_read_image(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 12, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image.dtype == np.uint8 and np.array_equal(image, pixels)
    flipped = read_image(tmp_path / "a.png", flip=True)
    assert np.array_equal(flipped, pixels[:, ::-1]) and flipped.flags.c_contiguous
    assert read_image(tmp_path / "a.png", size=6).shape == (6, 6, 3)


def test_images_are_resized_without_aliasing(tmp_path):
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 200
    Image.fromarray(stripes).save(tmp_path / "a.png")
    small = read_image(tmp_path / "a.png", size=8)
    assert small.shape == (8, 8, 3)  # grey becomes RGB
    assert abs(small.astype(int) - 100).max() <= 10  # an aliased one would hold 0 or 200


@pytest.mark.parametrize("mode", ["RGBA", "L", "P", "CMYK"])
def test_other_kinds_of_images(tmp_path, mode):
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    Image.new("RGB", (6, 6), "white").convert(mode).save(path)
    assert read_image(path).shape == (6, 6, 3) and read_image(path).min() == 255


def test_masks_count_above_127(tmp_path):
    Image.fromarray(np.array([[0, 1, 127], [128, 200, 255]], np.uint8)).save(tmp_path / "m.png")
    assert read_mask(tmp_path / "m.png").tolist() == [[False] * 3, [True] * 3]


def test_masks_are_resized_to_the_nearest_pixel_before_the_threshold(tmp_path):
    pixels = np.zeros((512, 512), np.uint8)
    pixels[:, 1::2] = 255  # bilinear resizing to 256 would give 127.5 everywhere
    Image.fromarray(pixels).save(tmp_path / "m.png")
    nearest = np.array(Image.fromarray(pixels).resize((256, 256), Image.Resampling.NEAREST)) > 127
    assert np.array_equal(read_mask(tmp_path / "m.png", size=256), nearest)
    assert np.array_equal(read_mask(tmp_path / "m.png", 256, flip=True), nearest[:, ::-1])


def test_image_and_mask_flip_together(tmp_path):
    tree(tmp_path)
    sample = read_category(tmp_path, "audiojack").test[-1]
    image, shape = read_image(sample.images[0]), read_mask(sample.masks[0])
    flipped = read_image(sample.images[0], flip=True)
    shape_flipped = read_mask(sample.masks[0], flip=True)
    assert np.array_equal(image[shape].sum(0), flipped[shape_flipped].sum(0))
    assert shape[0, 0] and not shape_flipped[0, 0]


# ------------------------------------------------------------------ faults of pixels


@pytest.mark.parametrize("kind", ["truncated", "empty", "text", "folder"])
@pytest.mark.parametrize("read", [read_image, read_mask])
def test_unreadable_file(tmp_path, kind, read):
    path = tmp_path / "broken.jpg"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "whole.jpg", quality=95)
    if kind == "folder":
        path.mkdir()
    else:
        whole = (tmp_path / "whole.jpg").read_bytes()
        path.write_bytes({"truncated": whole[: len(whole) // 2], "empty": b"", "text": b"hi"}[kind])
    with pytest.raises(InputError, match="copy it again") as caught:
        read(path)
    assert str(path) in str(caught.value)


def test_broken_png(tmp_path):
    path = tmp_path / "broken.png"
    mask(path)
    content = bytearray(path.read_bytes())
    content[45:60] = bytes(15)
    path.write_bytes(content)
    with pytest.raises(InputError, match="copy it again"):
        read_mask(path)


def test_missing_image(tmp_path):
    with pytest.raises(InputError, match=r"nowhere.jpg does not exist; put the file there"):
        read_image(tmp_path / "nowhere.jpg")


def test_sixteen_bit_image(tmp_path):
    Image.fromarray(np.full((4, 4), 40000, np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(InputError, match=r"deep.png.*convert it to 8 bits"):
        read_image(tmp_path / "deep.png")


@pytest.mark.parametrize("kind", [b"\x02", b"\x04"], ids=["RGB", "grey and alpha"])
def test_sixteen_bit_image_that_pillow_would_cut_to_eight(tmp_path, kind):
    """A PNG written by hand: Pillow writes no such file, and reads it without a word."""
    channels = {b"\x02": 3, b"\x04": 2}[kind]
    rows = zlib.compress((b"\0" + b"\x0f\xff" * channels * 2) * 2)  # two by two pixels of 12 bits
    head = b"\0\0\0\x02" * 2 + b"\x10" + kind + b"\0\0\0"
    parts = [(b"IHDR", head), (b"IDAT", rows), (b"IEND", b"")]
    chunks = [
        len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")
        for name, data in parts
    ]
    (tmp_path / "deep.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    with pytest.raises(InputError, match=r"deep.png: holds more than 8 bits.*convert it"):
        read_image(tmp_path / "deep.png")


def test_too_many_pixels(tmp_path, monkeypatch):
    Image.new("L", (64, 64)).save(tmp_path / "huge.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(InputError, match=r"huge.png: too large to be read safely.*make it smaller"):
        read_image(tmp_path / "huge.png")


def test_images_are_turned_as_the_camera_noted(tmp_path):
    pixels = np.zeros((64, 32, 3), np.uint8)
    pixels[:32, :16] = 255
    turn = Image.Exif()
    turn[0x0112] = 6  # lies on its right side
    flat = Image.fromarray(pixels).transpose(Image.Transpose.ROTATE_90)
    flat.save(tmp_path / "turned.jpg", exif=turn, quality=95)
    assert np.abs(read_image(tmp_path / "turned.jpg").astype(int) - pixels).max() < 16
    Image.fromarray(pixels[..., 0]).save(tmp_path / "m.png")
    assert read_mask(tmp_path / "m.png", image=tmp_path / "turned.jpg").shape == (64, 32)


def test_what_is_transparent_is_no_defect(tmp_path):
    paint = np.full((8, 8, 4), 255, np.uint8)
    paint[4:, :, 3] = paint[:, 4:, 3] = 0  # white everywhere, a quarter of it can be seen
    Image.fromarray(paint).save(tmp_path / "m.png")
    expected = np.zeros((8, 8), bool)
    expected[:4, :4] = True
    assert np.array_equal(read_mask(tmp_path / "m.png"), expected)
    assert np.array_equal(read_image(tmp_path / "m.png")[..., 0] > 127, expected)


def test_mask_of_another_size_than_its_image(tmp_path):
    tree(tmp_path)
    sample = read_category(tmp_path, "audiojack").test[-1]
    mask(sample.masks[0], size=15)
    with pytest.raises(InputError, match=r"15 x 15 px.*16 x 16.*take both") as caught:
        read_mask(sample.masks[0], size=8, image=sample.images[0])
    assert str(sample.masks[0]) in str(caught.value) and str(sample.images[0]) in str(caught.value)


# ------------------------------------------------------------------ faults of places


def test_root_does_not_exist(tmp_path):
    blame(tmp_path / "nowhere", "nowhere does not exist", "realiad_jsons/<category>.json")


def test_root_holds_no_json(tmp_path):
    blame(tmp_path, tmp_path, "no JSON file there", "give the folder that holds realiad_jsons")
    with pytest.raises(InputError, match="no JSON file there"):
        categories(tmp_path)


def test_root_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    blame(tmp_path / "file", tmp_path / "file", "give the folder")


def test_another_split_is_there(tmp_path):
    tree(tmp_path, jsons="realiad_jsons_sv")
    blame(tmp_path, "realiad_jsons: no JSON file there", "there is realiad_jsons_sv")


def test_no_such_category(tmp_path):
    tree(tmp_path)
    tree(tmp_path, "tape", codes={})
    message = blame(tmp_path, "'audiojac'", "did you mean 'audiojack'", category="audiojac")
    assert message.endswith("name one of: audiojack, tape")
    assert "mean" not in blame(tmp_path, "'zzz'", "name one of: audiojack, tape", category="zzz")
    blame(tmp_path, "no category '../audiojack'", category="../audiojack")


def test_several_resolutions(tmp_path):
    tree(tmp_path, resolution="realiad_256")
    tree(tmp_path, resolution="realiad_1024")
    blame(tmp_path, "realiad_1024, realiad_256", "for example", tmp_path / "realiad_1024")


def test_no_such_resolution(tmp_path):
    tree(tmp_path)
    blame(tmp_path, tmp_path / "realiad_512", "that is there: realiad_256", resolution=512)


def test_images_of_a_category_are_not_there(tmp_path):
    tree(tmp_path)
    (tmp_path / "realiad_256" / "audiojack").rename(tmp_path / "realiad_256" / "elsewhere")
    blame(tmp_path, tmp_path / "realiad_256" / "audiojack", "no such folder", "unpack them there")


# ------------------------------------------------------------------ faults of the JSON


@pytest.mark.parametrize("text", ["{", "", '{"meta": 1,}', "[" * 100_000, "\udcff"])
def test_invalid_json(tmp_path, text):
    file = tree(tmp_path)
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    blame(tmp_path, file, "not valid JSON", "copy or make the file again")


@pytest.mark.parametrize("key", ["meta", "train", "test"])
@pytest.mark.parametrize("how", ["absent", "wrong"])
def test_json_without_a_key(tmp_path, key, how):
    file = tree(tmp_path)
    edit(file, lambda table: table.pop(key) if how == "absent" else table.update({key: 1}))
    blame(tmp_path, file, f"key '{key}' is missing", "the file needs meta")


def test_json_is_a_list(tmp_path):
    file = tree(tmp_path)
    file.write_text("[]")
    blame(tmp_path, file, "key 'meta' is missing", "the file needs meta")


def test_json_without_a_prefix(tmp_path):
    file = tree(tmp_path)
    edit(file, lambda table: table["meta"].pop("prefix"))
    blame(tmp_path, file, "key 'prefix' is missing in meta", "'audiojack/'")


@pytest.mark.parametrize("key", ["category", "anomaly_class", "image_path"])
@pytest.mark.parametrize("how", ["absent", "wrong"])
def test_row_without_a_key(tmp_path, key, how):
    file = tree(tmp_path)

    def change(table):
        if how == "absent":
            table["test"][7].pop(key)
        else:
            table["test"][7][key] = 3

    edit(file, change)
    blame(tmp_path, file, "row test[7]", f"key '{key}' is missing", "every row needs")


def test_row_is_no_object(tmp_path):
    file = tree(tmp_path)
    edit(file, lambda table: table["train"].insert(2, "OK/S0001"))
    blame(tmp_path, file, "row train[2]", "is no object; write it as")


def test_file_name_that_says_nothing(tmp_path):
    file = tree(tmp_path)
    edit(file, lambda table: table["train"][2].update(image_path="OK/S0001/top.jpg"))
    blame(tmp_path, file, "row train[2]", "'top.jpg'", "name it like", "'sample'", "'camera'")


ESCAPES = [
    "../../secret_0001_OK_C1_2.jpg",
    "OK/../../../secret_0001_OK_C1_2.jpg",
    "/etc/secret_0001_OK_C1_2.jpg",
    "C:\\secret_0001_OK_C1_2.jpg",
    "..\\..\\secret_0001_OK_C1_2.jpg",
]


@pytest.mark.parametrize("escape", ESCAPES)
def test_path_that_leaves_the_folder(tmp_path, escape):
    (tmp_path.parent / "secret_0001_OK_C1_2.jpg").write_bytes(b"")
    file = tree(tmp_path)
    edit(file, lambda table: table["train"][0].update(image_path=escape))
    where = tmp_path / "realiad_256" / "audiojack"
    blame(tmp_path, file, "row train[0]", f"image_path {escape!r} leaves {where}", "without '..'")


@pytest.mark.parametrize("escape", [*ESCAPES, 3])
def test_mask_that_leaves_the_folder(tmp_path, escape):
    file = tree(tmp_path)
    ((_, index),) = rows_of(file, 1, "0001_NG_HS")
    edit(file, lambda table: table["test"][index].update(mask_path=escape))
    blame(tmp_path, file, f"row test[{index}]", f"mask_path {escape!r} leaves", "without '..'")


@pytest.mark.parametrize("prefix", ["../audiojack/", "/", "audiojack/../.."])
def test_prefix_that_leaves_the_folder(tmp_path, prefix):
    file = tree(tmp_path)
    edit(file, lambda table: table["meta"].update(prefix=prefix))
    blame(tmp_path, file, f"prefix {prefix!r} leaves", "give a folder in it")


def test_empty_training_split(tmp_path):
    file = tree(tmp_path)
    edit(file, lambda table: table["train"].clear())
    blame(tmp_path, file, "training split is empty", "list sound samples under 'train'")


def test_empty_test_split_is_allowed(tmp_path):
    file = tree(tmp_path)
    edit(file, lambda table: table["test"].clear())
    assert read_category(tmp_path, "audiojack").test == []


# ------------------------------------------------------------------ faults of samples


@pytest.mark.parametrize("camera", [1, 4, 5])
@pytest.mark.parametrize("part, split", [("OK/S0003", "train"), ("NG/BX/S0002", "test")])
def test_a_sample_with_four_views(tmp_path, camera, part, split):
    file = tree(tmp_path)
    ((_, index),) = rows_of(file, camera, part)
    edit(file, lambda table: table[split].pop(index))
    name = "audiojack_0003_OK" if split == "train" else "audiojack_0002_NG_BX"
    for views in (None, 5):
        blame(
            tmp_path, file, f"sample {name} ({split}) has no image of camera {camera};",
            "complete it, or take its rows out", views=views,
        )  # fmt: skip


def test_all_samples_with_four_views(tmp_path):
    tree(tmp_path, cameras=4)
    assert read_category(tmp_path, "audiojack").views == 4
    blame(tmp_path, "sample audiojack_0001_OK (train) has no image of camera 5;", views=5)
    blame(tmp_path, "have 4 cameras (1, 2, 3, 4), 3 are expected; set views to 4", views=3)


def test_a_sample_with_a_sixth_view(tmp_path):
    file = tree(tmp_path)
    (tmp_path / "realiad_256/audiojack/OK/S0001/audiojack_0001_OK_C6_1.jpg").write_bytes(b"")
    row = {
        "category": "audiojack",
        "anomaly_class": "OK",
        "image_path": "OK/S0001/audiojack_0001_OK_C6_1.jpg",
        "mask_path": None,
    }
    edit(file, lambda table: table["train"].append(row))
    blame(tmp_path, file, "audiojack_0001_OK (train)", "the others lack, of camera 6; every")


def test_two_images_for_one_camera(tmp_path):
    file = tree(tmp_path)
    first = json.loads(file.read_text())["train"][1]["image_path"]
    second = first.replace("_C2_2023", "_C2_2024")
    base = tmp_path / "realiad_256" / "audiojack"
    (base / second).write_bytes((base / first).read_bytes())

    def change(table):
        table["train"].append({**table["train"][1], "image_path": second})

    edit(file, change)
    blame(
        tmp_path, file, "rows train[1] and train[20]", "two images for camera 2",
        "audiojack_0001_OK", base / first, base / second, "take one of the two rows out",
    )  # fmt: skip


def test_a_row_that_stands_twice(tmp_path):
    file = tree(tmp_path)
    edit(file, lambda table: table["train"].append(table["train"][1]))
    blame(tmp_path, file, "rows train[1] and train[20]: both list", "_0001_OK_C2_", "take one out")


def test_an_image_that_is_not_there(tmp_path):
    file = tree(tmp_path)
    path = read_category(tmp_path, "audiojack").train[1].images[2]
    path.unlink()
    blame(tmp_path, file, "row train[7]", f"{path} does not exist", "put the file there, or take")


def test_a_folder_that_is_not_there(tmp_path):
    tree(tmp_path)
    path = read_category(tmp_path, "audiojack").train[1].images[0]
    path.parent.rename(path.parent.with_name("S9999"))
    blame(tmp_path, "row train[5]", f"{path} does not exist", "put the file there")


def test_a_fault_in_a_worker_arrives_as_it_is(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"")
    with pytest.raises(InputError) as caught:
        read_image(tmp_path / "a.jpg")
    fault = pickle.loads(pickle.dumps(caught.value))
    assert str(fault) == str(caught.value) and fault.kind == "unreadable file"
    assert str(type(fault)("only a message")) == "only a message"


@pytest.mark.parametrize("name", ["x" * 300, "\udcff", "\ud800"])
def test_a_name_that_no_file_can_have(tmp_path, name):
    file = tree(tmp_path)
    path = f"OK/{name}/part_0001_OK_C1_1.jpg"
    edit(file, lambda table: table["train"][0].update(image_path=path))
    blame(tmp_path, file, "row train[0]", "does not exist", "put the file there")


def test_a_mask_that_is_not_there(tmp_path):
    tree(tmp_path)
    path = read_category(tmp_path, "audiojack").test[-1].masks[2]
    path.unlink()
    blame(tmp_path, f"{path} does not exist", "put the file there")


def test_defective_view_without_a_mask(tmp_path):
    file = tree(tmp_path)
    ((_, index),) = rows_of(file, 3, "0001_NG_HS")
    edit(file, lambda table: table["test"][index].update(mask_path=None))
    blame(tmp_path, file, f"row test[{index}]", "_C3_", "'HS' but has no mask_path; give its mask")


def test_normal_view_with_a_mask(tmp_path):
    file = tree(tmp_path)
    ((_, index),) = rows_of(file, 3, "0001_NG_HS")
    edit(file, lambda table: table["test"][index].update(anomaly_class="OK"))
    blame(tmp_path, file, f"row test[{index}]", "_C3_", "'OK' but has the mask", "set mask_path")
