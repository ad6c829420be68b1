"""MANTA-Tiny holds five views in one image, a strip: cut it, and index the views.

The views go to `ROOT/views/<category>/<sample>/<view>.png`; the set itself stays as it is. Every
image is whole or absent and bears the time of the one it was made from, so a second call goes on
after an interruption, and makes nothing again where nothing has changed.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from mfkit.data.images import read_image
from mfkit.data.layout import image_folder
from mfkit.data.other_sets import find_home, folder_in, folders, pictures_in
from mfkit.data.own_cameras import Found, write_rows
from mfkit.errors import Fault
from mfkit.files import whole_file

__all__ = ["is_made", "marked", "save_view", "view_folder", "write_manta_index"]


def write_manta_index(
    root: str | Path, category: str, cameras: Sequence[str] = ("1", "2", "3", "4", "5")
) -> Path:
    """Cut the strips of a category of MANTA-Tiny into five views each, and index them.

    ```
    ROOT/agriculture/maize/train/good/0001.png             five square views side by side
    ROOT/agriculture/maize/test/good/0001.png              "ok" is read like "good"
    ROOT/agriculture/maize/test/broken/0001.png            any other name is a code
    ROOT/agriculture/maize/ground_truth/broken/0001.png    or 0001_mask.png, a strip as well
    ```

    The views and the masks of those that show the defect go to `ROOT/views/maize/...`.

    Arguments:
        root: the folder that holds the domains, or the categories themselves.
        category: such as "maize", or "agriculture/maize".
        cameras: the views' numbers from left to right, in the order that the views shall have;
            the first becomes the hub of a wheel.

    Returns:
        `ROOT/realiad_jsons/<category>.json`.

    Raises:
        InputError: there is no such category, a strip is not five times as wide as high, a
            defective strip has no mask or a mask no strip, or a mask has another size or is black.

    Source: programs of users, which agree about folders and about views of 256 x 256 px. They
        disagree about the masks' names, so both are read. Which of the five cameras looks from
        above, and whether masks hold 1 or 255, could not be found out: what is brighter than half
        of a mask's brightest pixel marks a defect.
    """
    home = find_home(root, category, "train", "<domain>/<category>/train/good/<strip>.png")
    plan = []
    for split in ("train", "test"):
        for place in folders(folder_in(home, split)):
            plan += _strips(home, place, split)
    target = view_folder(root, home.name)
    samples = []
    for split, code, strip, mask in tqdm(plan, desc=home.name, unit="strip", leave=False):
        place = target / f"{split}_{code}_{strip.stem}"
        images = _cut(strip, place, "")
        masks = {} if mask is None else _cut_mask(mask, strip, place)
        samples.append(Found(strip, place.name, split, code, images, masks))
    return write_rows(Path(root), home.name, target, samples, cameras)


def _strips(home: Path, place: Path, split: str) -> list[tuple[str, str, Path, Path | None]]:
    """The strips of one folder: split, code, image and mask."""
    strips = pictures_in(place)
    if place.name.lower() in ("good", "ok"):
        return [(split, "OK", strip, None) for strip in strips.values()]
    if split == "train":
        raise Fault(f"{place}: expected train/good only; move the folder to test", "label")
    truth = home / "ground_truth" / place.name
    masks = {
        stem if stem in strips else stem.removesuffix("_mask"): mask
        for stem, mask in pictures_in(
            folder_in(folder_in(home, "ground_truth"), place.name)
        ).items()
    }
    for stem in {**strips, **masks}:
        if stem not in masks:
            text = f"{strips[stem]}: no mask; expected {truth / stem}.png or {stem}_mask.png"
            raise Fault(f"{text}: unpack it again, or move the strip away", "label")
        if stem not in strips:
            text = f"{masks[stem]}: a mask without its strip; expected {place / stem}.png"
            raise Fault(f"{text}: unpack it again, or move the mask away", "missing file")
    return [(split, place.name, strip, masks[stem]) for stem, strip in strips.items()]


def _cut(strip: Path, place: Path, mask: str, pixels: np.ndarray | None = None) -> dict[str, Path]:
    """Cut a strip's image, or what its mask marks, into `place/<view><mask>.png`."""
    views = {str(number): place / f"{number}{mask}.png" for number in range(1, 6)}
    if not all(is_made(view, strip) for view in views.values()):
        pixels = read_image(strip) if pixels is None else pixels
        height, width = pixels.shape[:2]
        if width != 5 * height:
            raise Fault(
                f"{strip}: {width} x {height} px; expected five square views side by side, "
                f"{5 * height} x {height} px: copy it again, or move it away",
                "image size",
            )
        for view, part in zip(views.values(), np.split(pixels, 5, axis=1), strict=True):
            save_view(part, view, strip)
    return views


def _cut_mask(mask: Path, strip: Path, place: Path) -> dict[str, Path]:
    """The masks of the views that show the defect."""
    white = marked(mask, strip)
    shown = [bool(part.any()) for part in np.split(white, 5, axis=1)]
    views = _cut(mask, place, "_mask", white)
    return {view: path for show, (view, path) in zip(shown, views.items(), strict=True) if show}


def marked(mask: Path, image: Path) -> np.ndarray:
    """What a mask marks, be it written with 1 or with 255: black and white, as uint8 (H, W)."""
    grey = read_image(mask).max(axis=2)
    size = read_image(image).shape[:2]
    if grey.shape != size:
        raise Fault(
            f"{mask}: {grey.shape[1]} x {grey.shape[0]} px, but {image} has {size[1]} x {size[0]}; "
            "take both from one version of the set",
            "mask size",
        )
    if not grey.any():
        raise Fault(f"{mask}: is black; a defect should be white on black", "label")
    return np.where(grey > grey.max() // 2, 255, 0).astype(np.uint8)


def view_folder(root: str | Path, category: str) -> Path:
    """Where a category's views are written."""
    return image_folder(Path(root)) / "views" / category


def is_made(path: Path, source: Path) -> bool:
    """Was the file made from this source as it is now?"""
    return path.is_file() and path.stat().st_mtime_ns == source.stat().st_mtime_ns


def save_view(pixels: np.ndarray, path: Path, source: Path) -> None:
    """Write an image, whole or not at all, with the time of its source."""
    time = source.stat().st_mtime_ns
    with whole_file(path) as draft:
        Image.fromarray(pixels).save(draft)
        os.utime(draft, ns=(time, time))
