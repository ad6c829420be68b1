"""The rows of a category's JSON file: one view each, with all that is wrong with them.

The paths in a row start from the file's prefix and may not leave that folder.
"""

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from mfkit.data.listing import Listing, closed_to, regular, stays
from mfkit.data.names import category_trouble, name_trouble, path_trouble, quoted
from mfkit.errors import Fault, raise_fault

__all__ = ["FILE_NAME", "Row", "camera_names", "read_rows"]

# The data set's official pattern with its parts named; cameras above 9 are allowed. Nothing in it
# can be matched in two ways, so a long name takes no longer than its length.
FILE_NAME = re.compile(
    r"[a-zA-Z][a-zA-Z0-9_]*?_(?P<sample>(?P<number>[0-9]{4})_(?:NG_)?(?P<code>[A-Z][A-Z_]*[A-Z]))"
    r"_C(?P<camera>[0-9]{1,4})_"
)
CAMERAS = range(10_000)
SAMPLE = re.compile(r"[\w.-]+")  # names of samples become names of files
SPLITS = ("train", "test")
TROUBLES = {  # what a row may not say
    "image_path": path_trouble,
    "mask_path": path_trouble,
    "anomaly_class": name_trouble,
    "sample": name_trouble,
    "filed": name_trouble,
}


@dataclass(frozen=True)
class Row:
    """One row of a JSON file: one image, taken by one camera.

    Attributes:
        row: where it stands in the file, such as "test[12]".
        split: "train" or "test".
        sample: what the views of one object share, such as "0001_NG_BX".
        number: the sample's number under its code, such as "0001".
        own: does the row name its sample itself? Else the file's name does, as in Real-IAD.
        filed: the code under which the whole sample is filed, such as "BX": that of the file name,
            or the row's own `filed`; None if it has none.
        camera: the camera's number.
        code: `anomaly_class`: "OK" where no defect shows.
        image: None if the row's path may not be used.
        mask: None where no defect shows.
    """

    row: str
    split: str
    sample: str
    number: str
    own: bool
    filed: str | None
    camera: int
    code: str
    image: Path | None
    mask: Path | None


def read_rows(
    file: Path,
    images: Path,
    found: Callable[[Fault], None] = raise_fault,
    labelled: bool = True,
) -> list[Row]:
    """Read all rows of a category's JSON file and look whether their files exist.

    Arguments:
        file: `<category>.json`.
        images: the folder that the file's `prefix` starts from.
        found: called with each fault; by default the first one stops.
        labelled: False takes every view for a sound one, whatever its row says: the file may do
            without labels, masks, categories and the training split.

    Returns:
        a view per row that names its sample and camera, in the order of the file.
    """
    try:
        if trouble := category_trouble(file.stem):
            raise Fault(
                f"{file}: the category {quoted(file.stem)} {trouble}; give the file another name",
                "name",
            )
        table, base, normal = _load(file, images, labelled)
    except Fault as fault:
        found(fault)
        return []
    views = []
    rows: dict[tuple[str, Path], str] = {}
    listing = Listing(base)
    for split in SPLITS:
        for index, row in enumerate(table[split]):
            where = f"{split}[{index}]"
            if not labelled and isinstance(row, dict):
                blank = {"category": file.stem, "anomaly_class": normal, "mask_path": None}
                row = {**row, **blank, "filed": normal}
            view, faults = _row(row, where, split, listing, normal)
            for kind, text in faults:
                found(Fault(f"{file}, row {where}: {text}", kind))
            if view is None:
                continue
            first = rows.setdefault((split, view.image), where) if view.image else where
            if first == where:
                views.append(view)
            else:
                text = f"{file}, rows {first} and {where}: both list {view.image}; take one out"
                found(Fault(text, "duplicate row"))
    return views


def camera_names(file: Path, cameras: Sequence[int]) -> tuple[str, ...]:
    """What the cameras of a category are called: as `write_index` noted it, else "C1", "C2" ...

    Arguments:
        file: `<category>.json`.
        cameras: their numbers.
    """
    names = json.loads(file.read_text(encoding="utf-8-sig"))["meta"].get("cameras")
    if isinstance(names, list) and all(0 < number <= len(names) for number in cameras):
        return tuple(str(names[number - 1]) for number in cameras)
    return tuple(f"C{number}" for number in cameras)


def _load(file: Path, images: Path, labelled: bool) -> tuple[dict, Path, str]:
    """The table, the folder its paths start from, and the name of the normal class."""
    try:
        regular(file)
        text = file.read_text(encoding="utf-8-sig")
        table = json.loads(text, object_pairs_hook=_once)
    except (OSError, ValueError, RecursionError) as error:
        raise Fault(
            f"{file}: not valid JSON ({error}); copy or make the file again", "invalid JSON"
        ) from None
    if not labelled and isinstance(table, dict):
        table = {"train": [], **table}
    kinds = {"meta": dict, **dict.fromkeys(SPLITS, list)}
    for key, kind in kinds.items():
        if not isinstance(table, dict) or not isinstance(table.get(key), kind):
            raise Fault(
                f"{file}: key {key!r} is missing or is no {kind.__name__}; the file needs "
                "meta (an object with a prefix), train and test (lists of rows)",
                "JSON key",
            )
    prefix, normal = table["meta"].get("prefix"), table["meta"].get("normal_class", "OK")
    if not isinstance(prefix, str):
        raise Fault(
            f"{file}: key 'prefix' is missing in meta; add the folder that the paths start from, "
            f"such as '{file.stem}/'",
            "JSON key",
        )
    if not isinstance(normal, str):
        raise Fault(f"{file}: normal_class {quoted(normal)} is no text; give a code", "JSON key")
    if trouble := path_trouble(prefix) or name_trouble(normal):
        raise Fault(f"{file}: prefix or normal_class in meta {trouble}; write another one", "name")
    if not stays(prefix):
        raise Fault(
            f"{file}: the prefix {prefix!r} leaves the data folder {images}; give a folder in it, "
            f"such as '{file.stem}/'",
            "path leaves folder",
        )
    base = images / PureWindowsPath(prefix).as_posix()
    if closed := closed_to(base):
        mend = "let yourself in (chmod), or name only categories that you may read"
        raise Fault(f"{closed}, and {file} takes its images from there; {mend}", "closed folder")
    if not os.path.isdir(base):
        raise Fault(
            f"{base}: no such folder, and {file} takes its images from there; unpack them there "
            "or name only categories whose images you have",
            "missing file",
        )
    return table, base, normal


def _row(
    row: object, where: str, split: str, listing: "Listing", normal: str
) -> tuple[Row | None, list[tuple[str, str]]]:
    """One row as a view, and what is wrong with it as pairs of kind and text."""
    if not isinstance(row, dict):
        return None, [("JSON key", "is no object; write it as {...} with the keys of the others")]
    for key in ("category", "anomaly_class", "image_path"):
        if not isinstance(row.get(key), str) or not row[key]:
            return None, [
                (
                    "JSON key",
                    f"key {key!r} is missing or is no text; every row needs category, "
                    "anomaly_class, image_path and mask_path (null for a normal view)",
                )
            ]
    for key, trouble_with in TROUBLES.items():
        text = row.get(key)
        if isinstance(text, str) and (trouble := trouble_with(text)):
            return None, [("name", f"{key} {quoted(text)} {trouble}; rename it")]
    faults: list[tuple[str, str]] = []
    image = listing.find("image_path", row["image_path"], faults)
    name = PureWindowsPath(row["image_path"]).name
    match = FILE_NAME.match(name)
    parts = match.groupdict() if match else {}
    sample = row.get("sample", parts.get("sample"))
    camera = row.get("camera", int(parts["camera"]) if parts else None)
    named = isinstance(sample, str) and SAMPLE.fullmatch(sample)
    if not named or type(camera) is not int or camera not in CAMERAS:
        return None, [fault for fault in faults if fault[0] == "path leaves folder"] or [
            (
                "file name",
                f"no sample and camera in the file name {quoted(name)}; name it like "
                "part_0001_OK_C1_20231021130235.jpg or give the row the keys 'sample' (letters, "
                f"digits, '_', '.', '-') and 'camera' (a number up to {CAMERAS[-1]})",
            )
        ]
    code = "OK" if row["anomaly_class"] == normal else row["anomaly_class"]
    mask = row.get("mask_path") or None
    if split == "test" and code != "OK" and mask is None:
        mend = "give its mask, or label it 'OK' if no defect shows in this view"
        faults.append(("label", f"{name} is labelled {code!r} but has no mask_path; {mend}"))
    if split == "test" and code == "OK" and mask is not None:
        mend = "set mask_path to null, or give the code of the defect"
        faults.append(("label", f"{name} is labelled 'OK' but has the mask {quoted(mask)}; {mend}"))
    own = "sample" in row
    filed = row.get("filed") if own else parts["code"]
    if filed is not None and not isinstance(filed, str):
        return None, [
            ("JSON key", f"key 'filed' is no text: {quoted(filed)}; give the sample's code")
        ]
    view = Row(
        row=where,
        split=split,
        sample=sample,
        number=sample if own else parts["number"],
        own=own,
        filed="OK" if own and filed == normal else filed,
        camera=camera,
        code=code,
        image=image,
        mask=listing.find("mask_path", mask, faults) if mask is not None else None,
    )
    return view, faults


def _once(pairs: list[tuple[str, object]]) -> dict:
    """An object of a JSON file, in which every key stands once."""
    table = dict(pairs)
    if len(table) < len(pairs):
        times = Counter(key for key, _ in pairs)
        twice = max(times, key=times.get)
        raise ValueError(f"the key {quoted(twice)} stands twice in one object")
    return table
