"""Other multi-view sets, left where they are: M2AD, and the challenge of Real-IAD Variety.

Both have one image per view already, so an index is all that they need. `arranged_sets` does those
whose images must be cut or arranged first. None of these sets comes with the course: README says
where to ask for them.
"""

import random
import re
import warnings
from collections.abc import Sequence
from pathlib import Path

from mfkit.data.images import read_mask
from mfkit.data.layout import image_folder
from mfkit.data.own_cameras import Found, image_files, natural, write_rows
from mfkit.errors import Fault

__all__ = [
    "find_home",
    "folder_in",
    "folders",
    "pictures_in",
    "write_m2ad_index",
    "write_variety_index",
]

M2AD_ANGLES = tuple(f"{angle:03}" for angle in range(0, 360, 30))
M2AD_IMAGE = re.compile(r"[A-Za-z](?P<view>[0-9]{3})_[Ii](?P<light>[0-9]{2})")
M2AD_MASK = re.compile(r"[A-Za-z](?P<view>[0-9]{3})_mask", re.IGNORECASE)


def write_variety_index(
    root: str | Path, category: str, cameras: Sequence[str] = ("0", "1", "2", "3", "4")
) -> Path:
    """Index a category of the challenge that was held on Real-IAD Variety.

    ```
    ROOT/Train/battery/S0001/0.png ... 4.png       20 sound samples
    ROOT/Test_A/battery/S0001/0.png ... 4.png      and 0_mask.png where a defect shows
    ```

    Every folder of ROOT that is called Train is learned from, every one whose name begins with
    Test is tested on. The challenge gave its tests away without labels. If you have masks, put
    them beside the images: a sample with a mask that marks something is defective, a sample
    without one is sound. Without any mask all tests count as sound, which a warning says.

    Arguments:
        root: the folder that holds Train.
        category: such as "battery".
        cameras: the names of the images, in the order that the views shall have.

    Returns:
        `ROOT/realiad_jsons/<category>.json`.

    Raises:
        InputError: there is no such category, a sample lacks a view, or a mask has another size.

    Source: programs of participants, which agree about `category/Sxxxx/{0..4}.png` and about
        Train and Test_A. How the five cameras stand, and how the organisers name masks, could not
        be found out: `N_mask.png` is the form in which participants handed theirs in. The set
        itself, with all 160 categories, has JSON files of its own and another layout.
    """
    expected = f"Train/<category>/S0001/{cameras[0]}.png"
    home = find_home(root, category, "s*", expected, part="train")
    base = home.parent.parent
    samples = []
    for part in folders(base):
        split = "train" if part.name.lower() == "train" else "test"
        if not part.name.lower().startswith(split):
            continue
        for place in folders(folder_in(part, home.name)):
            found = pictures_in(place)
            images = {stem: path for stem, path in found.items() if not stem.endswith("_mask")}
            masks = {
                stem.removesuffix("_mask"): path
                for stem, path in found.items()
                if stem not in images
                and read_mask(path, image=images.get(stem.removesuffix("_mask"))).any()
            }
            code, name = "NG" if masks else "OK", f"{part.name}_{place.name}"
            samples.append(Found(place, name, split, code, images, masks))
    tests = [sample for sample in samples if sample.split == "test"]
    file = write_rows(Path(root), home.name, base, samples, cameras)
    if not any(sample.masks for sample in tests):
        warnings.warn(
            f"{file}: {len(tests)} test samples and no mask, so all of them count as sound and no "
            f"AUROC can be computed; put masks beside the images, such as {cameras[0]}_mask.png",
            stacklevel=2,
        )
    return file


def write_m2ad_index(
    root: str | Path, category: str, light: int = 1, cameras: Sequence[str] = M2AD_ANGLES
) -> Path:
    """Index a category of M2AD: 12 views of a turntable, every 30 degrees, at one of 10 lights.

    ```
    ROOT/Bird/Good/000/A000_I01.png            view at 0 degrees, light 1
    ROOT/Bird/NG/scratch_1_000/A330_I10.png    view at 330 degrees, light 10
    ROOT/Bird/GT/scratch_1_000/A330_mask.png   where the defect shows in this view, at any light
    ```

    A view without a mask, or with a black one, is labelled sound. The code of a defective sample
    is what its folder says about defects: "damage_1_hole_5_scratch_1_046" becomes
    "damage_hole_scratch". Sound samples are divided as the authors' program divides them: their
    sorted names, shuffled by Python's generator with the seed 42, and 60 % of them to learn from.

    No view is above the others, so a wheel has no hub here: train with `--graph cycle`.

    Arguments:
        root: the folder that holds the categories.
        category: such as "Bird".
        light: 1 ... 10; which of them is the usual one, the set does not say.
        cameras: the angles, three digits each, in the order that the views shall have.

    Returns:
        `ROOT/realiad_jsons/<category>.json`; another light writes over it.

    Raises:
        InputError: there is no such category or light, a sample lacks a view, a file is not named
            as above, or a defective sample has no mask that marks something.

    Source: README and program of the authors (arXiv 2505.10996), and one user's count of the files
        of Bird. That the division gives the authors' published numbers of samples was checked,
        that it gives the same samples could not be.
    """
    home = find_home(root, category, "good", "<category>/Good/000/A000_I01.png")
    sound, bad, truth = (folder_in(home, name) for name in ("good", "ng", "gt"))
    names = sorted(place.name for place in folders(sound))
    random.Random(42).shuffle(names)
    learned = set(names[: int(0.6 * len(names))])
    samples = []
    for place in folders(sound):
        split, name = "train" if place.name in learned else "test", f"Good_{place.name}"
        samples.append(Found(place, name, split, "OK", _at_light(place, light), {}))
    for place in folders(bad):
        images = _at_light(place, light)
        masks = {
            match["view"]: path
            for stem, path in pictures_in(folder_in(truth, place.name)).items()
            if (match := M2AD_MASK.fullmatch(stem))
            and read_mask(path, image=images.get(match["view"])).any()
        }
        if not masks:
            raise Fault(
                f"{home / 'GT' / place.name}: no mask that marks a defect of {place}; expected "
                "A000_mask.png or another angle's, white (255) on black: unpack it again, or move "
                "the sample away",
                "label",
            )
        words = dict.fromkeys(word for word in place.name.split("_") if not word.isdecimal())
        code = "_".join(words) or "NG"
        samples.append(Found(place, f"NG_{place.name}", "test", code, images, masks))
    return write_rows(Path(root), home.name, home, samples, cameras)


def _at_light(place: Path, light: int) -> dict[str, Path]:
    """The images of one object at one light, by angle."""
    images: dict[str, Path] = {}
    lights = set()
    for stem, path in pictures_in(place).items():
        match = M2AD_IMAGE.fullmatch(stem)
        if match is None:
            raise Fault(
                f"{path}: expected a name such as A030_I01.png, the angle and the light; rename "
                "the file or move it away",
                "file name",
            )
        lights.add(int(match["light"]))
        if int(match["light"]) == light and images.setdefault(match["view"], path) is not path:
            other = images[match["view"]].name
            raise Fault(
                f"{place}: two images of angle {match['view']} at light {light}, {other} and "
                f"{path.name}; keep one",
                "two images",
            )
    if not images:
        known = ", ".join(map(str, sorted(lights))) or "none"
        raise Fault(f"{place}: no image at light {light}; give one of: {known}", "missing view")
    return images


def find_home(
    root: str | Path, category: str, inside: str, expected: str, part: str | None = None
) -> Path:
    """The folder of a category, in ROOT or one level below.

    Arguments:
        root: what holds the set.
        category: its name, in upper or lower case, alone or as `<domain>/<category>`.
        inside: the folder by which a category is known, such as "train"; "s*" is any S0001.
        expected: the layout, for the message.
        part: the folder of ROOT in which categories lie; None looks in ROOT and one level below.

    Raises:
        InputError: there is no such category, or there are two; the message lists those there are.
    """
    root = Path(root)
    base = image_folder(root) if root.is_dir() else root
    places = folders(folder_in(base, part) if part else base)
    if part is None:
        places += [below for place in places for below in folders(place)]
    homes = [place for place in places if folder_in(place, inside)]
    names = [home.relative_to(base).as_posix() for home in homes]
    hits = [
        home
        for home, name in zip(homes, names, strict=True)
        if category.lower() in (home.name.lower(), name.lower())
    ]
    if len(hits) == 1:
        return hits[0]
    what = f"{len(hits)} categories {category!r}, name one" if hits else f"no category {category!r}"
    known = ", ".join(names) or "none"
    raise Fault(f"{base}: {what}; expected {expected}; those there are: {known}", "no data")


def folders(place: Path | None) -> list[Path]:
    """The folders in a folder, counted as people count; hidden ones do not count."""
    if place is None or not place.is_dir():
        return []
    there = [path for path in place.iterdir() if path.is_dir() and not path.name.startswith(".")]
    return sorted(there, key=lambda path: natural(path.name))


def folder_in(place: Path | None, name: str) -> Path | None:
    """The folder of this name in another one, in upper or lower case; "s*" matches S0001."""
    pattern = re.compile(re.escape(name).replace(r"\*", "[0-9]+"), re.IGNORECASE)
    return next((path for path in folders(place) if pattern.fullmatch(path.name)), None)


def pictures_in(place: Path | None) -> dict[str, Path]:
    """The images of a folder by their names without endings; hidden ones do not count.

    Raises:
        InputError: two images differ in their endings only, or one is of a format that is not read.
    """
    found: dict[str, Path] = {}
    if place is None or not place.is_dir():
        return found
    for path in image_files(place)[0]:
        other = found.setdefault(path.stem, path)
        if other is not path:
            raise Fault(
                f"{place}: two images {path.stem!r}, {other.name} and {path.name}; keep one",
                "two images",
            )
    return found
