"""From a JSON file to samples: one image per camera, with masks and labels."""

import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from mfkit.data.index import Row, read_rows
from mfkit.data.layout import DataSet
from mfkit.data.real_iad import FLIPS
from mfkit.data.sample import Category, Sample
from mfkit.errors import Fault, raise_fault

__all__ = ["categories", "group_rows", "read_category"]


def categories(root: str | Path, jsons: str = "realiad_jsons") -> list[str]:
    """List the categories that have a JSON file, sorted by name.

    Arguments:
        root: the folder that holds `realiad_jsons` and the images, or one of the two itself.
        jsons: the folder of JSON files; "realiad_jsons_sv", "realiad_jsons_fuiad_0.1" for others.

    Raises:
        InputError: there is no such folder, or no JSON file in it.
    """
    return DataSet(root, jsons=jsons).categories


def read_category(
    root: str | Path | DataSet,
    category: str,
    views: int | None = None,
    resolution: int | str | None = None,
    jsons: str = "realiad_jsons",
    missing_views: str = "error",
) -> Category:
    """Read which images, masks and labels make up a category; pixels are not read.

    Rows belong to one sample if their file names agree up to the camera's number, in any order.
    Labels come from `anomaly_class`, not from the folder. Those of the training split are passed
    on but not judged: the fuiad splits hide defects there on purpose.

    Arguments:
        root: the folder that holds `realiad_jsons` and the images, or one of the two itself.
        category: such as "audiojack".
        views: how many cameras there must be; None takes those that most samples have.
        resolution: 256, 512, 1024 or "raw"; None takes the only one there is.
        jsons: the folder of JSON files.
        missing_views: "allow" reads samples that lack some views, with a warning that counts them;
            by default the first one is an error.

    Returns:
        the category; its samples are sorted by code, "OK" first, and number.

    Raises:
        InputError: at the first fault. The message names the file, the row and the mend.

    Source: the official naming pattern of Real-IAD (CVPR 2024).
    """
    data = root if isinstance(root, DataSet) else DataSet(root, resolution, jsons, missing_views)
    file = data.file(category)
    return group_rows(file, read_rows(file, data.images), views, data.allows_missing)


def group_rows(
    file: Path,
    rows: list[Row],
    count: int | None = None,
    allows_missing: bool = False,
    found: Callable[[Fault], None] = raise_fault,
) -> Category:
    """Put the rows of each sample together, in the order of the cameras.

    Arguments:
        file: the JSON file, for messages; its name is the category's.
        rows: what `read_rows` returned.
        count: how many cameras there must be; None takes those that most samples have.
        allows_missing: may samples lack views?
        found: called with each fault; by default the first one stops.
    """
    objects: dict[tuple[str, str], dict[int, Row]] = {}
    for row in rows:
        seen = objects.setdefault((row.split, row.sample), {})
        first = seen.setdefault(row.camera, row)
        if first is not row:
            found(
                Fault(
                    f"{file}, rows {first.row} and {row.row}: two images for camera "
                    f"{row.camera} of sample {file.stem}_{row.sample}, {first.image} and "
                    f"{row.image}; take one of the two rows out",
                    "two images",
                )
            )
    cameras = _cameras(file, objects, count, found, 0 if allows_missing else 0.5)
    samples = []
    for (split, name), seen in objects.items():
        missing = [camera for camera in cameras if camera not in seen]
        surplus = [camera for camera in seen if camera not in cameras]
        if surplus or (missing and not allows_missing):
            what = "no image of" if missing else "an image that the others lack, of"
            numbers = ", ".join(map(str, missing or sorted(surplus)))
            found(
                Fault(
                    f"{file}: sample {file.stem}_{name} ({split}) has {what} camera {numbers}; "
                    f"every sample needs the cameras {', '.join(map(str, cameras))}: "
                    "complete it, or take its rows out",
                    "missing view" if missing else "surplus view",
                )
            )
        elif all(row.image is not None for row in seen.values()):
            samples.append(_sample(file.stem, cameras, seen))
    samples.sort(key=lambda sample: (sample.code != "OK", sample.code, sample.name))
    splits = {split: [s for s in samples if s.split == split] for split in ("train", "test")}
    if not any(row.split == "train" for row in rows):
        found(
            Fault(
                f"{file}: the training split is empty; list sound samples under 'train'",
                "empty split",
            )
        )
    absent = sum(sample.present.count(False) for sample in samples)
    if absent:
        lacking = sum(not all(sample.present) for sample in samples)
        warnings.warn(
            f"{file}: {lacking} of {len(samples)} samples lack views, {absent} images in all",
            stacklevel=3,
        )
    return Category(file.stem, splits["train"], splits["test"], cameras)


def _cameras(
    file: Path,
    objects: dict[tuple[str, str], dict[int, Row]],
    count: int | None,
    found: Callable[[Fault], None],
    share: float,
) -> tuple[int, ...]:
    """The cameras that at least a share of the samples have, checked against how many must be."""
    seen = Counter(camera for views in objects.values() for camera in views)
    cameras = tuple(sorted(c for c, times in seen.items() if times >= share * len(objects)))
    if count is None or not objects or len(cameras) == count:
        return cameras
    if set(cameras) < set(range(1, count + 1)):
        return tuple(range(1, count + 1))  # the samples will be told which camera they lack
    found(
        Fault(
            f"{file}: the samples have {len(cameras)} cameras "
            f"({', '.join(map(str, cameras))}), {count} are expected; set views to "
            f"{len(cameras)}, or complete the data",
            "number of cameras",
        )
    )
    return cameras


def _sample(category: str, cameras: tuple[int, ...], seen: dict[int, Row]) -> Sample:
    views = [seen.get(camera) for camera in cameras]
    first = next(iter(seen.values()))
    codes = tuple(view.code if view else "OK" for view in views)
    flips = "" if first.own else FLIPS.get(category, "")
    return Sample(
        name=f"{category}_{first.sample}",
        category=category,
        code=first.filed or next((code for code in codes if code != "OK"), "OK"),
        number=first.number,
        split=first.split,
        images=tuple(view.image if view else None for view in views),
        masks=tuple(view.mask if view else None for view in views),
        codes=codes,
        flips=tuple(flips[camera - 1 : camera] == "1" for camera in cameras),
        cameras=cameras,
    )
