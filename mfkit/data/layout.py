"""Real-IAD's layout on disk: where images and JSON files lie.

```
ROOT/realiad_1024/audiojack/OK/S0001/audiojack_0001_OK_C1_20231021130235.jpg
ROOT/realiad_1024/audiojack/NG/BX/S0001/audiojack__0001_NG_BX_C2_20231023111538.jpg  (and .png)
ROOT/realiad_jsons/audiojack.json
```

A ROOT without any `realiad_<resolution>` holds the images itself: `ROOT/<category>/...`. Links are
followed, so a folder may lie on another disk.
"""

import difflib
import re
from pathlib import Path

from mfkit.errors import Fault, InputError

__all__ = ["allows_missing", "find_category", "image_folder", "json_files", "json_folder", "locate"]

RESOLUTION = re.compile(r"realiad_([0-9]+|raw)")


def allows_missing(missing_views: str) -> bool:
    """Whether samples may lack views: "allow" or "error".

    Raises:
        InputError: another word.
    """
    if missing_views not in ("error", "allow"):
        raise InputError(f"missing_views should be 'error' or 'allow', got {missing_views!r}")
    return missing_views == "allow"


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
    folder = json_folder(root, jsons)
    root, inside, _ = _split(root, jsons)
    return folder, image_folder(root, resolution or inside)


def json_folder(root: str | Path, jsons: str = "realiad_jsons") -> Path:
    """Find the folder of JSON files, which may lie in another of the same name.

    Raises:
        InputError: it is missing or empty.
    """
    root, _, jsons = _split(root, jsons)
    for folder in (root / jsons, root / jsons / jsons):
        if json_files(folder):
            return folder
    others = sorted(path.name for path in root.glob("realiad_jsons*") if path.is_dir())
    raise Fault(
        f"{root / jsons}: "
        + ("no JSON file there" if root.is_dir() else f"the folder {root} does not exist")
        + (f" (but there is {', '.join(others)})" if others and jsons not in others else "")
        + "; give the folder that holds realiad_jsons/<category>.json and the images in "
        "realiad_<resolution>/<category>",
        "no data",
    )


def _split(root: str | Path, jsons: str) -> tuple[Path, str | None, str]:
    """ROOT, resolution and the JSON folder's name, if `root` may be one of the folders in ROOT."""
    root = Path(root)
    path = root.absolute()
    if path.name.startswith("realiad_jsons"):
        nested = path.parent.name == path.name
        return (path.parent.parent if nested else path.parent), None, path.name
    if RESOLUTION.fullmatch(path.name) and not (root / jsons).is_dir():
        return path.parent, path.name, jsons
    return root, None, jsons


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
