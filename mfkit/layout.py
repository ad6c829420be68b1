"""Real-IAD's layout on disk: where the files lie, and what each row of a JSON file says.

```
ROOT/realiad_1024/audiojack/OK/S0001/audiojack_0001_OK_C1_20231021130235.jpg
ROOT/realiad_1024/audiojack/NG/BX/S0001/audiojack__0001_NG_BX_C2_20231023111538.jpg  (and .png)
ROOT/realiad_jsons/audiojack.json
```

A ROOT without any `realiad_<resolution>` holds the images itself: `ROOT/<category>/...`. Links are
followed, so a folder may lie on another disk; the paths *in the JSON* may not leave the folder of
their category.
"""

import difflib
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from .files import InputError

__all__ = [
    "Fault",
    "View",
    "find_category",
    "image_folder",
    "json_files",
    "locate",
    "raise_fault",
    "read_views",
]

# The data set's official pattern with its parts named; cameras above 9 are allowed.
FILE_NAME = re.compile(
    r"[a-zA-Z][a-zA-Z0-9_]*?_+(?P<sample>(?P<number>[0-9]{4})_(?:NG_)?(?P<code>[A-Z][A-Z_]*[A-Z]))"
    r"_C(?P<camera>[0-9]+)_"
)
RESOLUTION = re.compile(r"realiad_([0-9]+|raw)")
SAMPLE = re.compile(r"[\w.-]+")  # samples name files of results
SPLITS = ("train", "test")


class Fault(InputError):
    """Something is wrong with the data; `kind` names it in a word or two."""

    def __init__(self, message: str, kind: str = "unusable") -> None:
        super().__init__(message)
        self.kind = kind


def raise_fault(fault: Fault) -> None:
    """Stop at the first fault."""
    raise fault


@dataclass(frozen=True)
class View:
    """One row of a JSON file: one image, taken by one camera.

    Attributes:
        row: where it stands in the file, such as "test[12]".
        split: "train" or "test".
        sample: what the views of one object share, such as "0001_NG_BX".
        number: the sample's number under its code, such as "0001".
        filed: the code in the file name, such as "BX"; None if the row names its own sample.
        camera: the camera's number.
        code: `anomaly_class`: "OK" where no defect shows.
        image: None if the row's path may not be used.
        mask: None where no defect shows.
    """

    row: str
    split: str
    sample: str
    number: str
    filed: str | None
    camera: int
    code: str
    image: Path | None
    mask: Path | None


def json_files(folder: Path) -> list[Path]:
    """The JSON files in a folder, sorted; hidden ones, as macOS leaves them, do not count."""
    return sorted(file for file in folder.glob("*.json") if not file.name.startswith("."))


def locate(
    root: str | Path, resolution: int | str | None = None, jsons: str = "realiad_jsons"
) -> tuple[Path, Path]:
    """Find the folder of JSON files and the folder of images.

    Arguments:
        root: what holds the two; or one of the two, which chooses it among several.
        resolution: 256, 512, 1024 or "raw"; None takes the only one there is.
        jsons: the name of the folder of JSON files.

    Raises:
        InputError: one of them is missing, or there are several resolutions and none is named.
    """
    root = Path(root)
    name = root.absolute().name
    if name.startswith("realiad_jsons"):
        jsons, root = name, root.absolute().parent
        root = root.parent if root.name == name else root  # the nested one
    elif RESOLUTION.fullmatch(name) and not (root / jsons).is_dir():
        resolution, root = resolution or name, root.absolute().parent
    folder = next((f for f in (root / jsons, root / jsons / jsons) if json_files(f)), None)
    if folder is None:
        others = sorted(path.name for path in root.glob("realiad_jsons*") if path.is_dir())
        raise Fault(
            f"{root / jsons}: "
            + ("no JSON file there" if root.is_dir() else f"the folder {root} does not exist")
            + (f" (but there is {', '.join(others)})" if others and jsons not in others else "")
            + "; give the folder that holds realiad_jsons/<category>.json and the images in "
            "realiad_<resolution>/<category>",
            "no data",
        )
    return folder, image_folder(root, resolution)


def image_folder(root: Path, resolution: int | str | None = None) -> Path:
    """The `realiad_<resolution>` of `root`, or `root` itself if it holds none.

    Raises:
        InputError: it is missing, or there are several and none is named.
    """
    there = sorted(p.name for p in root.iterdir() if RESOLUTION.fullmatch(p.name) and p.is_dir())
    if resolution is not None:
        wanted = f"realiad_{str(resolution).removeprefix('realiad_')}"
        if wanted not in there:
            raise Fault(
                f"{root / wanted}: no such folder of images; "
                f"name one that is there: {', '.join(there) or 'none is'}",
                "no data",
            )
        return root / wanted
    if len(there) > 1:
        raise Fault(
            f"{root} holds {', '.join(there)}: give the one to use, for example {root / there[0]}",
            "no data",
        )
    return root / there[0] if there else root


def find_category(
    root: str | Path,
    category: str,
    resolution: int | str | None = None,
    jsons: str = "realiad_jsons",
) -> tuple[Path, Path]:
    """Find a category's JSON file and the folder of images.

    Raises:
        InputError: there is no such category; the message lists those there are.
    """
    folder, images = locate(root, resolution, jsons)
    known = [file.stem for file in json_files(folder)]
    if category not in known:
        near = difflib.get_close_matches(category.lower(), known, n=1)
        raise Fault(
            f"no category {category!r} in {folder}"
            + (f"; did you mean {near[0]!r}?" if near else "")
            + f"; name one of: {', '.join(known)}",
            "no data",
        )
    return folder / f"{category}.json", images


def read_views(
    file: Path, images: Path, found: Callable[[Fault], None] = raise_fault
) -> list[View]:
    """Read all rows of a category's JSON file and look whether their files exist.

    Arguments:
        file: `<category>.json`.
        images: the folder that the file's `prefix` starts from.
        found: called with each fault; by default the first one stops.

    Returns:
        a view per row that names its sample and camera, in the order of the file.
    """
    try:
        table, base, normal = _load(file, images)
    except Fault as fault:
        found(fault)
        return []
    views = []
    rows: dict[tuple[str, Path], str] = {}
    listing = _Listing(base)
    for split in SPLITS:
        for index, row in enumerate(table[split]):
            where = f"{split}[{index}]"
            view, faults = _view(row, where, split, listing, normal)
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


def _load(file: Path, images: Path) -> tuple[dict, Path, str]:
    """The table, the folder its paths start from, and the name of the normal class."""
    try:
        table = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise Fault(
            f"{file}: not valid JSON ({error}); copy or make the file again", "invalid JSON"
        ) from None
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
    if not _stays(prefix):
        raise Fault(
            f"{file}: the prefix {prefix!r} leaves the data folder {images}; give a folder in it, "
            f"such as '{file.stem}/'",
            "path leaves folder",
        )
    base = images / PureWindowsPath(prefix).as_posix()
    if not base.is_dir():
        raise Fault(
            f"{base}: no such folder, and {file} takes its images from there; unpack them there "
            "or name only categories whose images you have",
            "missing file",
        )
    return table, base, normal


def _view(
    row: object, where: str, split: str, listing: "_Listing", normal: str
) -> tuple[View | None, list[tuple[str, str]]]:
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
    name = PureWindowsPath(row["image_path"]).name
    match = FILE_NAME.match(name)
    parts = match.groupdict() if match else {}
    sample = row.get("sample", parts.get("sample"))
    camera = row.get("camera", int(parts["camera"]) if match else None)
    if not isinstance(sample, str) or not SAMPLE.fullmatch(sample) or type(camera) is not int:
        return None, [
            (
                "file name",
                f"no sample and camera in the file name {name!r}; name it like "
                "part_0001_OK_C1_20231021130235.jpg or give the row the keys 'sample' (letters, "
                "digits, '_', '.', '-') and 'camera' (a number)",
            )
        ]
    faults: list[tuple[str, str]] = []
    code = "OK" if row["anomaly_class"] == normal else row["anomaly_class"]
    mask = row.get("mask_path") or None
    if split == "test" and code != "OK" and mask is None:
        mend = "give its mask, or label it 'OK' if no defect shows in this view"
        faults.append(("label", f"{name} is labelled {code!r} but has no mask_path; {mend}"))
    if split == "test" and code == "OK" and mask is not None:
        mend = "set mask_path to null, or give the code of the defect"
        faults.append(("label", f"{name} is labelled 'OK' but has the mask {mask}; {mend}"))
    own = "sample" in row
    view = View(
        row=where,
        split=split,
        sample=sample,
        number=sample if own else parts["number"],
        filed=None if own else parts["code"],
        camera=camera,
        code=code,
        image=listing.find("image_path", row["image_path"], faults),
        mask=listing.find("mask_path", mask, faults) if mask is not None else None,
    )
    return view, faults


class _Listing:
    """Which files exist, from one look into each folder instead of one at each file."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.names: dict[str, set[str]] = {}

    def find(self, key: str, text: object, faults: list[tuple[str, str]]) -> Path | None:
        """The path that a row names, or None and one more fault."""
        if not isinstance(text, str) or not _stays(text):
            mend = "give a path relative to it, without '..'"
            faults.append(("path leaves folder", f"{key} {text!r} leaves {self.base}; {mend}"))
            return None
        text = PureWindowsPath(text).as_posix()
        folder, _, name = text.rpartition("/")
        if folder not in self.names:
            try:
                self.names[folder] = set(os.listdir(self.base / folder))
            except OSError:
                self.names[folder] = set()
        path = self.base / text
        if name not in self.names[folder] and not path.is_file():
            mend = "put the file there, or take the sample out of the JSON file"
            faults.append(("missing file", f"{path} does not exist; {mend}"))
            return None
        return path


def _stays(path: str) -> bool:
    """Does a path of either kind of slash stay below the folder it starts from?"""
    pure = PureWindowsPath(path)
    return "\0" not in path and not pure.anchor and ".." not in pure.parts
