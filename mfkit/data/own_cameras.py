"""Your own cameras: from a folder tree to the JSON file that the loader reads."""

import json
import re
import unicodedata
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from mfkit import escape
from mfkit.data.images import SUFFIXES, read_mask
from mfkit.data.index import SAMPLE
from mfkit.data.layout import image_folder, may_lack_views
from mfkit.data.listing import closed_to
from mfkit.data.names import category_trouble, name_trouble, quoted
from mfkit.errors import Fault
from mfkit.files import whole_file

__all__ = ["Found", "image_files", "natural", "write_index", "write_rows"]


def write_index(
    root: str | Path,
    category: str,
    cameras: Sequence[str] | None = None,
    normal: str = "OK",
    mask: str = "_mask",
    missing_views: str = "error",
) -> Path:
    """Write `ROOT/realiad_jsons/<category>.json` for a folder tree of any number of cameras.

    ```
    ROOT/gears/train/OK/0001/top.jpg  front.jpg  left.jpg       sound samples to learn from
    ROOT/gears/test/OK/0001/top.jpg   front.jpg  left.jpg       sound samples to test on
    ROOT/gears/test/scratch/0001/top.jpg  front.jpg  left.jpg  front_mask.png
    ```

    The folders decide the split; nothing is drawn at random. Every sample has one image per
    camera. A view with a mask shows the defect; a view without one, or with a black one, is
    labelled normal, also under `test/scratch`, so each defective sample needs at least one mask
    that marks something, unless it lacks views.

    The rows name their sample and camera with two keys that Real-IAD does not have, `sample` and
    `camera` (1 ... V), because the files need not be named after its pattern. A third, `filed`, is
    the code of the whole sample, which stays defective if the view that shows the defect is
    missing. If your folders look different, write the same JSON yourself: the keys `sample` and
    `camera` are all it takes.

    Arguments:
        root: the folder that holds the category's folder.
        category: its name.
        cameras: V names of images, without suffix, in the order the views shall have; the order
            says which camera is which view of a `ViewGraph`. None sorts the names found.
        normal: the name of the folders of sound samples.
        mask: what follows the camera in a mask's name.
        missing_views: "allow" passes over images that are not there, and over their masks; the
            same words are needed when the data are read.

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
    root, lenient = Path(root), may_lack_views(missing_views)
    base = (image_folder(root) if root.is_dir() else root) / category
    samples = _read_tree(base, mask)
    if cameras is not None:
        cameras = [_composed(camera) for camera in cameras]
    if not any(sample.split == "train" and sample.code == normal for sample in samples):
        raise Fault(
            f"{base / 'train' / normal}: no folder of a sound training sample; arrange the images "
            f"as {base.name}/train/{normal}/<sample>/<camera>.jpg and {base.name}/test/<code>/...",
            "empty split",
        )
    if cameras is None:
        cameras = sorted({name for sample in samples for name in sample.images}, key=natural)
        if lenient:
            _doubt(cameras, samples)
    if not cameras:
        raise Fault(
            f"{base}: no image there; {', '.join(sorted(SUFFIXES))} are read", "empty split"
        )
    return write_rows(root, category, base, samples, cameras, normal, mask, missing_views)


@dataclass(frozen=True)
class Found:
    """A sample as it was found on disk: its name, and its images and masks by camera."""

    folder: Path
    name: str
    split: str
    code: str
    images: dict[str, Path]
    masks: dict[str, Path]


def write_rows(
    root: Path,
    category: str,
    base: Path,
    samples: Sequence[Found],
    cameras: Sequence[str],
    normal: str = "OK",
    mask: str = "_mask",
    missing_views: str = "error",
) -> Path:
    """Check what was found and write `ROOT/realiad_jsons/<category>.json`, whole or not at all.

    Arguments:
        root: see `write_index`, as for all that is not named here.
        category: the file's name.
        base: the folder from which the rows' paths start; it holds all images and masks.
        samples: with paths of images and masks under the names of `cameras`.
        cameras: V names, in the order of the views.
        normal: the code of sound samples.
        mask: what follows the camera in the mask's name that a message proposes.
        missing_views: see `write_index`.

    Raises:
        InputError: a sample lacks views, has too many, or contradicts its label; none is there to
            learn from.
    """
    lenient = may_lack_views(missing_views)
    if trouble := category_trouble(category):
        raise Fault(f"the category {quoted(category)} {trouble}; give another name", "name")
    rows: dict[str, list[dict]] = {"train": [], "test": []}
    named: dict[str, Found] = {}
    for sample in samples:
        other = named.setdefault(sample.name, sample)
        if other is not sample:
            raise Fault(
                f"{other.folder} and {sample.folder} would both be called {sample.name}; rename "
                "one of the folders",
                "two samples",
            )
        _check(sample, list(cameras), normal, mask, lenient)
        for number, camera in enumerate(cameras, 1):
            if camera not in sample.images:
                continue
            shown = sample.masks.get(camera)
            rows[sample.split].append(
                {
                    "category": category,
                    "anomaly_class": sample.code if shown else normal,
                    "image_path": sample.images[camera].relative_to(base).as_posix(),
                    "mask_path": shown.relative_to(base).as_posix() if shown else None,
                    "sample": sample.name,
                    "camera": number,
                    "filed": sample.code,
                }
            )
    if not rows["train"]:
        raise Fault(f"{base}: no sample to learn from; put sound ones there", "empty split")
    prefix = f"{base.relative_to(image_folder(root)).as_posix()}/".removeprefix("./")
    meta = {"prefix": prefix, "normal_class": normal, "cameras": list(cameras)}
    file = root / "realiad_jsons" / f"{category}.json"
    with whole_file(file) as draft:
        draft.write_text(json.dumps({"meta": meta, **rows}, indent=1), encoding="utf-8")
    return file


def _read_tree(base: Path, mask: str) -> list[Found]:
    """The samples in a category's folder, with those masks that mark something."""
    samples, ignored = [], []
    if closed := closed_to(base):
        raise Fault(f"{closed}; let yourself in (chmod)", "closed folder")
    for split in ("train", "test"):
        for folder in sorted((base / split).glob("*/*"), key=lambda path: natural(str(path))):
            code = folder.parent.name
            if folder.is_dir() and not code.startswith(".") and not folder.name.startswith("."):
                name = _composed(f"{split}_{code}_{folder.name}")
                sample = Found(folder, name, split, _composed(code), {}, {})
                found, others = image_files(folder)
                ignored += others
                for path in found:
                    _add(sample, path, mask)
                samples.append(sample)
    if ignored:
        warnings.warn(
            escape.terminal(
                f"{base}: {len(ignored)} files are no images and are not read, {ignored[0]} for one"
            ),
            stacklevel=3,
        )
    for sample in tqdm(samples, desc="masks", unit="sample", leave=False, disable=None):
        for camera, path in list(sample.masks.items()):
            image = sample.images.get(camera)
            if image is not None and not read_mask(path, image=image).any():
                del sample.masks[camera]  # black: the view is sound
    return samples


def image_files(folder: Path) -> tuple[list[Path], list[Path]]:
    """The images in a folder, sorted by name, and the files that are none; hidden ones are neither.

    Raises:
        InputError: the folder is closed, or holds an image that is not read: to pass over it would
            lose a view or a mask without a word.
    """
    if closed := closed_to(folder):
        raise Fault(f"{closed}; let yourself in (chmod)", "closed folder")
    formats = Image.registered_extensions()
    found, others = [], []
    for path in sorted(folder.iterdir(), key=lambda path: natural(path.name)):
        ending = path.suffix.lower()
        if path.name.startswith(".") or path.is_dir():
            continue
        if ending in SUFFIXES:
            found.append(path)
        elif formats.get(ending) in Image.OPEN:
            known = ", ".join(sorted(SUFFIXES))
            raise Fault(
                f"{path}: images that end in {ending} are not read, {known} are: convert it, or "
                "move it away",
                "unread image",
            )
        else:
            others.append(path)
    return found, others


def _add(sample: Found, path: Path, mask: str) -> None:
    kind = sample.masks if path.stem.endswith(mask) else sample.images
    camera = _composed(path.stem.removesuffix(mask))
    other = kind.setdefault(camera, path)
    if other is not path:
        raise Fault(
            f"{sample.folder}: two images of camera {camera!r}, {other.name} and {path.name}; "
            "keep one",
            "two images",
        )


def _check(sample: Found, cameras: list[str], normal: str, mask: str, lenient: bool) -> None:
    missing = [camera for camera in cameras if camera not in sample.images]
    surplus = [name for name in [*sample.images, *sample.masks] if name not in cameras]
    known = ", ".join(cameras)
    if missing and not (lenient and sample.images):
        kind, text = "missing view", f"no image of camera {', '.join(missing)}"
        text += f"; every sample needs {known}: add it, or move the folder away"
    elif surplus:
        kind, text = "surplus view", f"{', '.join(surplus)} is no camera"
        text += f"; the cameras are {known}: rename or remove the file"
    elif sample.code == normal and sample.masks:
        kind, text = "label", "a mask in a sound sample; move the folder to test/<code>"
    elif sample.code != normal and sample.split == "train":
        kind, text = "label", f"a defective sample; move the folder to test/{sample.code}"
    elif sample.code != normal and not sample.masks and not missing:
        kind, text = "label", "a defective sample without a mask that marks something; add one for "
        text += f"each view that shows the defect, such as {cameras[0]}{mask}.png"
    elif not SAMPLE.fullmatch(sample.name):
        kind, text = "file name", "rename it with letters, digits, '_', '.' and '-' only"
    elif trouble := name_trouble(sample.name) or name_trouble(sample.code):
        kind, text = "name", f"its name or its code {trouble}; rename it"
    else:
        return
    raise Fault(f"{sample.folder}: {text}", kind)


def _doubt(cameras: list[str], samples: list[Found]) -> None:
    """A misspelt name would become a camera of its own, if images may be missing."""
    for camera in cameras:
        count = sum(camera in sample.images for sample in samples)
        if 2 * count < len(samples):
            warnings.warn(
                f"camera {camera!r} has an image in {count} of {len(samples)} samples only: if the "
                "name is misspelt, rename the file, or give 'cameras'",
                stacklevel=3,
            )


def _composed(text: str) -> str:
    """Letters with marks as one sign each; macOS writes two into names of files."""
    return unicodedata.normalize("NFC", text)


def natural(text: str) -> list:
    """A sort key by which cam2 comes before cam10."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", text)]
