"""Small or large folders in Real-IAD's layout, irregular as the real one, for tests."""

import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

SCREWS = Path(__file__).parents[2] / "data" / "mini-iad" / "realiad_256" / "screw_block" / "OK"
REAL_NAME = "{category}{bar}_{number:04d}_{code}_C{camera}_{stamp}"


def picture(path: Path, camera: int, seed: int = 0, size: int = 16, defect: bool = False) -> None:
    """Write a small image: brighter for higher cameras, brightest on the left, some noise."""
    noise = np.random.default_rng([seed, camera]).integers(0, 20, (size, size, 3))
    ramp = np.linspace(60, 0, size)[None, :, None]
    image = 20 * camera + ramp + noise
    if defect:
        image[: size // 2, : size // 2, 0] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image.astype(np.uint8)).save(path, quality=95)


def mask(path: Path, size: int = 16, value: int = 255) -> None:
    """Write a mask whose upper left quarter is `value`."""
    image = np.zeros((size, size), np.uint8)
    image[: size // 2, : size // 2] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def tree(
    root: Path,
    category: str = "audiojack",
    *,
    train: int = 4,
    sound: int = 2,
    codes: dict[str, int] | None = None,
    cameras: int = 5,
    hidden: tuple[int, ...] = (2,),
    size: int = 16,
    resolution: str = "realiad_256",
    jsons: str = "realiad_jsons",
    bar: str = "",
    suffix: str = ".png",
    shuffle: int | None = None,
    draw: Callable[[Path, int, int, bool], None] | None = None,
) -> Path:
    """Write one category and return its JSON file.

    Arguments:
        root: what becomes ROOT.
        category: its name.
        train: sound training samples.
        sound: sound test samples.
        codes: defective test samples per code, numbered from 1 under each; {"BX": 2, "HS": 1}.
        cameras: V, numbered from 1.
        hidden: cameras that do not see any defect: their views are labelled OK under NG/.
        size: px, of images and masks.
        resolution: the folder of images.
        jsons: the folder of the JSON file, "a/b" for a nested one.
        bar: "_" writes two underscores after the category's name in defective files.
        suffix: what follows the image's name in a mask's: ".png" or "_mask.png".
        shuffle: a seed that puts the rows in random order.
        draw: writes an image, called with path, camera, seed and defect; None: `picture`.
    """
    codes = {"BX": 2, "HS": 1} if codes is None else codes
    draw = draw or (lambda path, camera, seed, defect: picture(path, camera, seed, size, defect))
    base = root / resolution / category
    rows: dict[str, list[dict]] = {"train": [], "test": []}
    plan = [("train", "OK", number) for number in range(1, train + 1)]
    plan += [("test", "OK", number) for number in range(train + 1, train + sound + 1)]
    plan += [("test", code, n) for code, count in codes.items() for n in range(1, count + 1)]
    for seed, (split, code, number) in enumerate(plan):
        folder = "OK" if code == "OK" else f"NG/{code}"
        for camera in range(1, cameras + 1):
            name = REAL_NAME.format(
                category=category,
                bar="" if code == "OK" else bar,
                number=number,
                code="OK" if code == "OK" else f"NG_{code}",
                camera=camera,
                stamp=20231021130235 + 10 * seed + 3 * camera % 7,
            )
            path = f"{folder}/S{number:04d}/{name}"
            shows = code != "OK" and camera not in hidden
            draw(base / f"{path}.jpg", camera, seed, shows)
            if shows:
                mask(base / f"{path}{suffix}", size)
            rows[split].append(
                {
                    "category": category,
                    "anomaly_class": code if shows else "OK",
                    "image_path": f"{path}.jpg",
                    "mask_path": f"{path}{suffix}" if shows else None,
                }
            )
    if shuffle is not None:
        for part in rows.values():
            random.Random(shuffle).shuffle(part)
    file = root / jsons / f"{category}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    meta = {"prefix": f"{category}/", "normal_class": "OK", "pre_transform": ["flip"]}
    file.write_text(json.dumps({"meta": meta, **rows}))
    return file


def edit(file: Path, change: Callable[[dict], None]) -> None:
    """Change a JSON file: `edit(file, lambda table: table.pop("test"))`."""
    table = json.loads(file.read_text())
    change(table)
    file.write_text(json.dumps(table))


def rows_of(file: Path, camera: int, part: str = "") -> list[tuple[str, int]]:
    """Where the rows of one camera stand whose path contains `part`: split and index."""
    table = json.loads(file.read_text())
    return [
        (split, index)
        for split in ("train", "test")
        for index, row in enumerate(table[split])
        if f"_C{camera}_" in row["image_path"] and part in row["image_path"]
    ]


def shrunk(first: int, colour, box: tuple[int, int, int, int]) -> Callable:
    """For `draw`: sound screws of mini-iad from the `first` on, shrunk; a box is the defect."""
    objects = sorted(SCREWS.glob("S*"))

    def draw(path: Path, camera: int, seed: int, defect: bool) -> None:
        source = objects[(first + seed) % len(objects)]
        image = Image.open(next(source.glob(f"*_C{camera}_*.jpg"))).resize((16, 16))
        if defect:
            image.paste(colour, box)
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path, quality=95)

    return draw


def link(source: Path) -> Callable[[Path, int, int, bool], None]:
    """For `draw`: every image is a hard link to one file, as many small files as you like."""

    def draw(path: Path, camera: int, seed: int, defect: bool) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(source, path)

    return draw
