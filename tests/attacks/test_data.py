"""Data that lie, act or never end: each is named in a sentence, before any work starts."""

import io
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw
from trees import edit, mask, picture, rows_of, tree

from mfkit.__main__ import main
from mfkit.data import doubts, read_category, read_image, read_mask, write_index
from mfkit.data.check import KEPT, check
from mfkit.data.images import PIXELS
from mfkit.data.index import FILE_NAME
from mfkit.errors import InputError

ORDERS = "\x1b]0;owned\x07\x1b[2J"  # a terminal would change its title and clear its screen


@pytest.fixture(autouse=True)
def ends():
    """Whatever waits for ever ends as a failure."""

    def late(*_):
        raise AssertionError("it did not end")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(300)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def small(root: Path, name: str = "gears", **kinds) -> Path:
    """A category of four samples seen by two cameras; its JSON file."""
    return tree(root, name, train=2, sound=1, codes={"BX": 1}, cameras=2, hidden=(), **kinds)


def base(file: Path) -> Path:
    return file.parent.parent / "realiad_256" / file.stem


def first(file: Path, key: str = "image_path", part: str = "") -> Path:
    """The file of the first row of camera 1 whose path contains a part."""
    split, index = rows_of(file, 1, part)[0]
    return base(file) / json.loads(file.read_text())[split][index][key]


def say(**changes):
    """A change of the first test row."""
    return lambda file: edit(file, lambda table: table["test"][-1].update(changes))


def replaced(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def png(pixels: np.ndarray, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", **options)
    return file.getvalue()


def eps() -> bytes:
    """A real EPS, which Pillow would hand to Ghostscript."""
    file = io.BytesIO()
    Image.new("RGB", (16, 16)).save(file, "EPS")
    return file.getvalue()


def twice(file: Path) -> None:
    """Half of the rows stand under a key that comes again."""
    table = json.loads(file.read_text())
    file.write_text(f'{{"train": [], {json.dumps(table)[1:]}')


def huge(file: Path) -> None:
    """A small file of very many pixels."""
    side = int(PIXELS**0.5) + 1
    Image.new("1", (side, side)).save(first(file), "PNG")


NAMES = {
    "a code of 50,000 letters": (
        lambda file: say(anomaly_class="A" * 50_000)(file),
        "anomaly_class 'A.*' has 50,000 characters, at most 100",
    ),
    "a code that orders": (say(anomaly_class=ORDERS), "anomaly_class .* cannot be printed"),
    "half a surrogate": (say(anomaly_class="\ud800"), "anomaly_class .* cannot be printed"),
    "a path that orders": (say(image_path=f"OK/{ORDERS}_0001_OK_C1_1.jpg"), "image_path .*control"),
    "a path with a zero": (say(image_path="OK/a\0_0001_OK_C1_1.jpg"), "image_path .* control"),
    "a path with a line": (say(mask_path="OK/x\nno faults"), "mask_path .* control characters"),
    "a path of 200,000 underscores": (
        say(image_path=f"a{'_' * 200_000}.jpg"),
        "image_path .* has 200,005 characters",
    ),
    "many underscores": (say(image_path=f"OK/a{'_' * 900}0001_OK.jpg"), "does not exist|no sample"),
    "a camera of 5,000 digits": (
        lambda file: file.write_text(
            file.read_text().replace('"test": [{', f'"test": [{{"camera": {"1" * 5000}, ', 1)
        ),
        "not valid JSON",
    ),
    "a camera of 900 digits": (
        say(image_path=f"OK/gears_0001_OK_C{'1' * 900}_1.jpg"),
        "no sample and camera|does not exist",
    ),
    "a camera beyond all numbers": (say(sample="one", camera=10**9), "'camera' \\(a number up to"),
    "a sample of 101 letters": (say(sample="s" * 101, camera=1), "sample .* has 101 characters"),
    "a normal class that orders": (
        lambda file: edit(file, lambda table: table["meta"].update(normal_class=ORDERS)),
        "prefix or normal_class in meta holds",
    ),
    "a prefix that orders": (
        lambda file: edit(file, lambda table: table["meta"].update(prefix=ORDERS)),
        "prefix or normal_class in meta holds control",
    ),
    "a key twice": (twice, "the key 'train' stands twice"),
    "a key twice in a row": (
        lambda file: file.write_text(
            file.read_text().replace('"anomaly_class"', '"anomaly_class": "OK", "anomaly_class"', 1)
        ),
        "the key 'anomaly_class' stands twice",
    ),
    "the index is a pipe": (pipe, "pipe or a device"),
    "the index is a loop of links": (
        lambda file: (file.unlink(), file.symlink_to(file.name)),
        "not valid JSON|JSON file",
    ),
}


@pytest.mark.parametrize("what", NAMES)
def test_what_cannot_be_carried_is_refused_where_the_index_is_read(what, tmp_path, capsys):
    change, sentence = NAMES[what]
    file = small(tmp_path)
    change(file)
    status = main(["check", "--data", str(tmp_path)])
    printed = "".join(capsys.readouterr())
    assert status in (1, 2)
    assert "\x1b" not in printed and "\x07" not in printed and len(printed) < 20_000
    with pytest.raises(InputError, match=sentence) as caught:
        read_category(tmp_path, "gears")
    assert len(str(caught.value)) < 2_000


@pytest.mark.parametrize(
    "name", ["mean", "Mean", "results.json", "all", "features", "k" * 245, "k" * 101, ORDERS]
)
def test_a_category_that_takes_the_name_of_something_else(name, tmp_path, capsys):
    file = small(tmp_path)
    file.rename(file.with_name(f"{name}.json"))
    assert main(["check", "--data", str(tmp_path)]) == 1
    printed = "".join(capsys.readouterr())
    assert "the category " in printed and "give the file another name" in printed
    assert "\x1b" not in printed
    with pytest.raises(InputError, match="give the file another name"):
        read_category(tmp_path, name)


def test_an_own_category_that_takes_the_name_of_something_else(tmp_path):
    own(tmp_path).rename(tmp_path / "mean")
    with pytest.raises(InputError, match="the category 'mean' would take the name of the mean"):
        write_index(tmp_path, "mean")


@pytest.mark.parametrize("name", ["gears", "0-k_b.2", "Prüfling", "歯車", "k" * 100])
def test_other_names_are_fine(name, tmp_path):
    file = small(tmp_path)
    file.rename(file.with_name(f"{name}.json"))
    assert read_category(tmp_path, name).name == name


def test_the_pattern_of_names_takes_no_longer_than_the_name():
    """Whoever asks it: paths are shortened before, names from elsewhere may not be."""
    for name in ("a" + "_" * 10**6, "a_0001_" + "A_" * 10**6, "a" + "_0001_NG_A" * 10**5):
        assert FILE_NAME.match(name) is None
    assert FILE_NAME.match("part__0001_NG_BX_C2_1")["sample"] == "0001_NG_BX"


def test_a_million_wrong_rows_are_counted_and_few_are_printed(tmp_path, capsys):
    file = small(tmp_path)
    edit(file, lambda table: table["test"].extend([0] * 100_000))
    report = check(tmp_path, progress=False)
    assert report.times["JSON key"] == 100_000 and len(report.faults) <= KEPT + 10
    assert "and 99,980 more" in str(report) and len(str(report)) < 20_000


FILES = {
    "an EPS as .jpg": (lambda file: replaced(first(file), eps()), "is an image of the format EPS"),
    "a GIF as .jpg": (
        lambda file: Image.new("L", (16, 16)).save(first(file), "GIF"),
        "is an image of the format GIF; BMP, JPEG, PNG, TIFF are read",
    ),
    "no image at all": (lambda file: replaced(first(file), b"#!/bin/sh\n"), "cannot be read as"),
    "a pipe as image": (lambda file: pipe(first(file)), "pipe or a device; copy it"),
    "a pipe as mask": (lambda file: pipe(first(file, "mask_path", "NG")), "pipe or a device"),
    "a folder as image": (
        lambda file: (first(file).unlink(), first(file).mkdir()),
        "is no regular file but a folder; copy it again",
    ),
    "a device as image": (
        lambda file: (first(file).unlink(), first(file).symlink_to("/dev/zero")),
        "pipe or a device",
    ),
    "a loop of links": (
        lambda file: (first(file).unlink(), first(file).symlink_to(first(file).name)),
        "Too many levels of symbolic links; put the file itself",
    ),
    "an image of 50 million pixels": (huge, "px, at most 50,000,000 pixels are read"),
    "a name in other letters": (
        lambda file: first(file).rename(first(file).with_suffix(".JPG")),
        "does not exist .but .*JPG does: upper and lower case differ",
    ),
    "a mask of ones": (
        lambda file: mask(first(file, "mask_path", "NG"), value=1),
        "marks 64 pixels with 1, and no pixel above 127 would count",
    ),
}


@pytest.mark.parametrize("what", FILES)
def test_files_that_are_not_what_they_should_be(what, tmp_path, capsys, monkeypatch):
    change, sentence = FILES[what]

    def never(*_, **__):
        raise AssertionError("a program was started")

    monkeypatch.setattr(subprocess, "check_call", never)
    monkeypatch.setattr(subprocess, "Popen", never)
    change(small(tmp_path))
    assert main(["check", "--data", str(tmp_path)]) == 1
    printed = capsys.readouterr().out.replace("\n", " ")
    assert pd.Series([printed]).str.contains(sentence).all(), printed


def test_a_tree_that_is_a_loop_or_closed(tmp_path):
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    with pytest.raises(InputError):
        check(loop)


# masks


def drawn(draw, size: int = 64) -> np.ndarray:
    image = Image.new("L", (size, size))
    draw(ImageDraw.Draw(image))
    return np.asarray(image)


BLOB = drawn(lambda to: to.ellipse((16, 16, 47, 47), fill=255))
RIM = drawn(lambda to: to.ellipse((16, 16, 47, 47), fill=1, outline=255))
PALETTE = [0, 0, 0, 128, 0, 0, 0, 128, 0, *[90] * (3 * 252), 224, 224, 192]


def palette(labels: np.ndarray, colours: list[int]) -> bytes:
    """A mask as labelling tools write it: numbers of classes, with a colour each."""
    image = Image.fromarray(labels)
    image.putpalette(colours)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


MEANINGS = {
    "ones": (png((BLOB > 0).astype(np.uint8)), "pixels with 1, and no pixel above 127"),
    "classes": (png((BLOB > 0) * np.uint8(3)), "pixels with 3, and no pixel above 127"),
    "classes and a rim": (png(RIM), "pixels with 1, and [0-9]+ pixel above 127 would count"),
    "a palette with a rim": (palette(RIM, PALETTE), "the mask is in colours"),
    "a palette": (palette(np.minimum(RIM, 2), PALETTE), "the mask is in colours"),
    "red": (png(np.stack([BLOB, 0 * BLOB, 0 * BLOB], -1)), "the mask is in colours"),
    "sixteen bits": (png(BLOB.astype(np.uint16) * 257), "more than 8 bits"),
}


@pytest.mark.parametrize("what", MEANINGS)
def test_a_mask_that_may_mean_something_else_is_refused(what, tmp_path):
    content, sentence = MEANINGS[what]
    path = tmp_path / "mask.png"
    path.write_bytes(content)
    with pytest.raises(InputError, match=sentence):
        read_mask(path)


def test_masks_without_doubt_are_read_as_before(tmp_path):
    soft = np.asarray(Image.fromarray(BLOB).resize((48, 48), Image.Resampling.BILINEAR))
    two = [*[0] * 3, *[255] * (3 * 255)]
    contents = {
        "white": (png(BLOB), BLOB > 127),
        "black": (png(0 * BLOB), np.zeros((64, 64), bool)),
        "soft": (png(soft), soft > 127),
        "bits": (png(BLOB > 0), BLOB > 127),
        "colours": (png(np.stack([BLOB] * 3, -1)), BLOB > 127),
        "palette": (palette((BLOB > 0).astype(np.uint8), two), BLOB > 127),
    }
    for name, (content, expected) in contents.items():
        path = tmp_path / f"{name}.png"
        path.write_bytes(content)
        assert np.array_equal(read_mask(path), expected), name
    Image.fromarray(BLOB).save(tmp_path / "lossy.jpg", quality=60)
    assert (read_mask(tmp_path / "lossy.jpg") != (BLOB > 127)).mean() < 0.01


def test_every_mask_that_says_nothing_is_named_before_training(tmp_path, capsys):
    file = small(tmp_path, size=1024)
    black, thin, wide = (first(file, "mask_path", "NG").with_name(f"{n}.png") for n in "btw")
    line = np.zeros((1024, 1024), np.uint8)
    line[401] = 255  # between the lines that are compared
    for path, pixels in ((black, 0 * line), (thin, line), (wide, 255 - line)):
        path.write_bytes(png(pixels))
    name = first(file, "mask_path", "NG").relative_to(base(file)).parent

    def change(table):
        rows = [row for row in table["test"] if row["mask_path"]]
        for row, path in zip(rows, (black, thin), strict=True):
            row["mask_path"] = f"{name}/{path.name}"

    edit(file, change)
    marking, found = doubts(read_category(tmp_path, "gears").test)
    assert marking == 0 and len(found) == 2
    assert "is black, although its view is labelled defective" in found[0]
    assert "t.png marks nothing at 256 px" in found[1]
    assert main(["check", "--data", str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert "empty mask (1)" in printed and f"note: {thin} marks nothing at 256 px" in printed
    edit(file, lambda table: table["test"][-1].update(mask_path=f"{name}/{wide.name}"))
    marking, found = doubts(read_category(tmp_path, "gears").test)
    assert marking == 1 and "w.png marks more than half of its image; is it inverted?" in found[1]


# own cameras


def own(root: Path) -> Path:
    for split, code, number in itertools.product(("train", "test"), ("OK",), "12"):
        for camera, name in enumerate(("top", "left"), 1):
            picture(root / "k" / split / code / number / f"{name}.png", camera)
    for camera, name in enumerate(("top", "left"), 1):
        picture(root / "k" / "test" / "dent" / "1" / f"{name}.png", camera)
        mask(root / "k" / "test" / "dent" / "1" / f"{name}_mask.png")
    return root / "k"


def test_a_black_mask_is_a_sound_view(tmp_path):
    home = own(tmp_path)
    mask(home / "test" / "dent" / "1" / "left_mask.png", value=0)
    mask(home / "test" / "OK" / "1" / "top_mask.png", value=0)
    write_index(tmp_path, "k", ["top", "left"])
    sound, _, dent = read_category(tmp_path, "k").test
    assert not sound.label and dent.labels == (True, False)
    mask(home / "test" / "dent" / "1" / "top_mask.png", value=0)
    with pytest.raises(InputError, match="without a mask that marks something"):
        write_index(tmp_path, "k")
    mask(home / "test" / "dent" / "1" / "top_mask.png", value=1)
    with pytest.raises(InputError, match="no pixel above 127 would count"):
        write_index(tmp_path, "k")


@pytest.mark.parametrize("name", ["top_mask.gif", "under.webp", "under.EPS"])
def test_an_image_that_is_not_read_is_named(name, tmp_path):
    """A mask, or a whole camera, would vanish without a word."""
    (own(tmp_path) / "test" / "OK" / "1" / name).write_bytes(b"")
    with pytest.raises(InputError, match=f"{name}: images that end in .* are not read"):
        write_index(tmp_path, "k")


def test_other_files_are_counted(tmp_path):
    for number in "12":
        (own(tmp_path) / "train" / "OK" / number / "notes.txt").write_text("")
    with pytest.warns(UserWarning, match="2 files are no images and are not read, .*notes.txt"):
        write_index(tmp_path, "k")


def test_two_folders_that_give_one_name(tmp_path):
    home = own(tmp_path)
    for code, number in (("a", "b_1"), ("a_b", "1")):
        for name in ("top", "left"):
            picture(home / "test" / code / number / f"{name}.png", 1)
        mask(home / "test" / code / number / "top_mask.png")
    with pytest.raises(InputError, match=r"a/b_1 and .*a_b/1 would both be called test_a_b_1"):
        write_index(tmp_path, "k")


def test_letters_that_macos_takes_apart(tmp_path):
    home = own(tmp_path)
    (home / "test" / "dent").rename(home / "test" / "Kratzer u\u0308ber")
    with pytest.raises(InputError, match="rename it with letters"):  # the space
        write_index(tmp_path, "k")
    (home / "test" / "Kratzer u\u0308ber").rename(home / "test" / "u\u0308ber")
    write_index(tmp_path, "k")
    assert read_category(tmp_path, "k").test[-1].code == "\u00fcber"


# rights

AS_NOBODY = """
import os, sys
from mfkit.__main__ import main
main(["check", "--data", sys.argv[1]])  # loads what another user may not read
print("now")
os.setgid(65534)
os.setuid(65534)
sys.exit(main(["check", "--data", sys.argv[2]]))
"""


def as_nobody(open_to_us: Path, root: str) -> subprocess.CompletedProcess:
    """`check` by a user who may read only what is open to all; needs root."""
    python = [sys.executable, "-c", AS_NOBODY, str(open_to_us), root]
    done = subprocess.run(python, capture_output=True, text=True, timeout=280, check=False)
    done.stdout = done.stdout.partition("now\n")[2]
    return done


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="becomes another user")
def test_closed_folders_are_said_to_be_closed(tmp_path):
    small(tmp_path)
    with tempfile.TemporaryDirectory() as root:
        os.chmod(root, 0o755)
        file = small(Path(root))
        folder = first(file).parent
        folder.chmod(0o644)
        done = as_nobody(tmp_path, root)
        assert f"{folder} is closed to you (permission denied)" in done.stdout, done
        assert done.returncode == 1 and "--out" not in done.stdout + done.stderr
        folder.chmod(0o755)
        first(file).chmod(0o600)
        done = as_nobody(tmp_path, root)
        assert f"{first(file)} is closed to you" in done.stdout, done
        file.parent.chmod(0o700)
        done = as_nobody(tmp_path, root)
        assert done.returncode == 2 and f"{file.parent} is closed to you" in done.stderr, done


def test_formats_are_a_short_list(tmp_path):
    for name in ("BMP", "JPEG", "PNG", "TIFF"):
        path = tmp_path / f"image.{name.lower()}"
        Image.new("RGB", (8, 8), "red").save(path, name)
        assert read_image(path).shape == (8, 8, 3)
