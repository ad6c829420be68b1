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
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from mfkit.data.listing import closed_to
from mfkit.errors import Fault, InputError

__all__ = ["DataSet", "image_folder", "may_lack_views"]

RESOLUTION = re.compile(r"realiad_([0-9]+|raw)")


def json_files(folder: Path) -> list[Path]:
    """The JSON files in a folder, sorted; hidden ones, as macOS leaves them, do not count."""
    return sorted(file for file in folder.glob("*.json") if not file.name.startswith("."))


class DataSet:
    """A folder in Real-IAD's layout, opened once: it knows where everything lies.

    Arguments:
        root: the folder that holds `realiad_jsons` and the images, or one of the two itself.
        resolution: 256, 512, 1024 or "raw"; None takes the only one there is.
        jsons: the folder of JSON files; "realiad_jsons_sv", "realiad_jsons_fuiad_0.1" for others.
        missing_views: "allow" takes samples that lack some views; "error" does not.

    Attributes:
        root: the folder that was given.
        jsons: the folder of JSON files.
        categories: their names, sorted.
        allows_missing: may samples lack views?

    Raises:
        InputError: there is no such folder, or no JSON file in it.
    """

    def __init__(
        self,
        root: str | Path,
        resolution: int | str | None = None,
        jsons: str = "realiad_jsons",
        missing_views: str = "error",
    ):
        self.allows_missing = may_lack_views(missing_views)
        self.root = Path(root)
        self.jsons = json_folder(root, jsons)
        self.categories = [file.stem for file in json_files(self.jsons)]
        self._home, inside, _ = _split(root, jsons)
        self._resolution = resolution or inside

    @cached_property
    def images(self) -> Path:
        """The folder of images.

        Raises:
            InputError: it is missing, or there are several resolutions and none is named.
        """
        return image_folder(self._home, self._resolution)

    def chosen(self, category: str | Sequence[str] | None) -> list[str]:
        """The names that are asked for; None: all categories.

        Raises:
            InputError: there is no such category.
        """
        names = [category] if isinstance(category, str) else list(category or self.categories)
        for name in names:
            self.file(name)
        return names

    def file(self, category: str) -> Path:
        """A category's JSON file.

        Raises:
            InputError: there is no such category; the message lists those there are.
        """
        if category not in self.categories:
            near = difflib.get_close_matches(category.lower(), self.categories, n=1)
            raise Fault(
                f"no category {category!r} in {self.jsons}"
                + (f"; did you mean {near[0]!r}?" if near else "")
                + f"; name one of: {', '.join(self.categories)}",
                "no data",
            )
        return self.jsons / f"{category}.json"


def may_lack_views(missing_views: str) -> bool:
    """Whether samples may lack views: "allow" or "error".

    Raises:
        InputError: another word.
    """
    if missing_views not in ("error", "allow"):
        raise InputError(f"missing_views should be 'error' or 'allow', got {missing_views!r}")
    return missing_views == "allow"


def json_folder(root: str | Path, jsons: str = "realiad_jsons") -> Path:
    """Find the folder of JSON files, which may lie in another of the same name.

    Raises:
        InputError: it is missing or empty.
    """
    root, _, jsons = _split(root, jsons)
    if closed := closed_to(root) or closed_to(root / jsons):
        raise Fault(f"{closed}; let yourself in (chmod), or give another folder", "no data")
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
