"""Your own cameras: from a folder tree to the JSON file that the loader reads."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

from .files import whole_file
from .layout import Fault, image_folder

__all__ = ["write_index"]

SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff"}
EXPECTED = "<category>/train/<normal>/<sample>/<camera>.jpg and <category>/test/<code>/..."


def write_index(
    root: str | Path,
    category: str,
    cameras: Sequence[str] | None = None,
    normal: str = "OK",
    mask: str = "_mask",
) -> Path:
    """Write `ROOT/realiad_jsons/<category>.json` for a folder tree of any number of cameras.

    ```
    ROOT/gears/train/OK/0001/top.jpg  front.jpg  left.jpg       sound samples to learn from
    ROOT/gears/test/OK/0001/top.jpg   front.jpg  left.jpg       sound samples to test on
    ROOT/gears/test/scratch/0001/top.jpg  front.jpg  left.jpg  front_mask.png
    ```

    The folders decide the split; nothing is drawn at random. Every sample has one image per
    camera. A view with a mask shows the defect; a view without one is labelled normal, also under
    `test/scratch`, so each defective sample needs at least one mask.

    The rows name their sample and camera with two keys that Real-IAD does not have, `sample` and
    `camera` (1 ... V), because the files need not be named after its pattern. If your folders
    look different, write the same JSON yourself: the keys `sample` and `camera` are all it takes.

    Arguments:
        root: the folder that holds the category's folder.
        category: its name.
        cameras: V names of images, without suffix, in the order the views shall have; the order
            says which camera is which view of a `ViewGraph`. None sorts the names found.
        normal: the name of the folders of sound samples.
        mask: what follows the camera in a mask's name.

    Raises:
        InputError: the tree is not as above; the message names the folder and the mend.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> root = Path(tempfile.mkdtemp())
        >>> for camera in ("left", "right"):
        ...     file = root / "gears" / "train" / "OK" / "1" / f"{camera}.png"
        ...     file.parent.mkdir(parents=True, exist_ok=True)
        ...     Image.new("RGB", (8, 8)).save(file)
        >>> json.loads(write_index(root, "gears").read_text())["train"][1]["camera"]
        2
    """
    root = Path(root)
    base = (image_folder(root) if root.is_dir() else root) / category
    found = {
        (split, folder.parent.name, folder.name): _pictures(folder, mask)
        for split in ("train", "test")
        for folder in sorted((base / split).glob("*/*"), key=lambda path: _natural(str(path)))
        if folder.is_dir() and not any(part.startswith(".") for part in folder.parts[-2:])
    }
    if not any(split == "train" and code == normal for split, code, _ in found):
        raise Fault(
            f"{base / 'train' / normal}: no folder of a sound training sample; arrange the "
            f"images as {EXPECTED}",
            "empty split",
        )
    if cameras is None:
        cameras = sorted({name for images, _ in found.values() for name in images}, key=_natural)

    rows: dict[str, list[dict]] = {"train": [], "test": []}
    for (split, code, name), (images, masks) in found.items():
        folder = base / split / code / name
        _check(folder, split, code, normal, list(cameras), images, masks)
        for number, camera in enumerate(cameras, 1):
            shown = masks.get(camera)
            rows[split].append(
                {
                    "category": category,
                    "anomaly_class": code if shown else normal,
                    "image_path": images[camera].relative_to(base).as_posix(),
                    "mask_path": shown.relative_to(base).as_posix() if shown else None,
                    "sample": f"{split}_{code}_{name}",
                    "camera": number,
                }
            )
    meta = {"prefix": f"{category}/", "normal_class": normal, "cameras": list(cameras)}
    file = root / "realiad_jsons" / f"{category}.json"
    with whole_file(file) as draft:
        draft.write_text(json.dumps({"meta": meta, **rows}, indent=1), encoding="utf-8")
    return file


def _pictures(folder: Path, mask: str) -> tuple[dict[str, Path], dict[str, Path]]:
    """The images and the masks in a sample's folder, by camera."""
    images: dict[str, Path] = {}
    masks: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
            continue
        kind = masks if path.stem.endswith(mask) else images
        camera = path.stem.removesuffix(mask)
        if camera in kind:
            raise Fault(
                f"{folder}: two images of camera {camera!r}, {kind[camera].name} and "
                f"{path.name}; keep one",
                "two images",
            )
        kind[camera] = path
    return images, masks


def _check(
    folder: Path,
    split: str,
    code: str,
    normal: str,
    cameras: list[str],
    images: dict[str, Path],
    masks: dict[str, Path],
) -> None:
    missing = [camera for camera in cameras if camera not in images]
    surplus = [camera for camera in images if camera not in cameras]
    if missing:
        raise Fault(
            f"{folder}: no image of camera {', '.join(missing)}; every sample needs "
            f"{', '.join(cameras)}: add it, or move the folder away",
            "missing view",
        )
    if surplus or set(masks) - set(cameras):
        names = ", ".join(surplus or sorted(set(masks) - set(cameras)))
        raise Fault(
            f"{folder}: {names} is no camera; the cameras are {', '.join(cameras)}: "
            "rename or remove the file",
            "surplus view",
        )
    if code == normal and masks:
        raise Fault(f"{folder}: a mask in a sound sample; move the folder to test/<code>", "label")
    if code != normal and split == "train":
        raise Fault(f"{folder}: a defective sample; move the folder to test/{code}", "label")
    if code != normal and not masks:
        raise Fault(
            f"{folder}: a defective sample without a mask; add one, such as "
            f"{cameras[0]}_mask.png, for every view that shows the defect",
            "label",
        )
    if not re.fullmatch(r"[\w.-]+", f"{code}{folder.name}"):
        raise Fault(f"{folder}: rename it with letters, digits, '_', '.' and '-' only", "file name")


def _natural(text: str) -> list:
    """A sort key by which cam2 comes before cam10."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", text)]
