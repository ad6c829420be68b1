"""The files of a result are taken together or not at all.

They are written into a folder of their own, then the row in results.json names them with their
digests, and then they get their names. Between these steps a process may be killed: the row is what
counts. A file that it names is either in its place or still in that folder.
"""

import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from mfkit.data import Digests, digest_lines
from mfkit.errors import InputError
from mfkit.experiment.run_folder import CategoryFolder
from mfkit.files import clear_drafts

__all__ = ["adopt", "clear_stages", "files_of", "mark_of", "settle", "tidy"]

KEPT = ("model", "scores", "maps", "overview")  # that every earlier mfkit left


def mark_of(*parts: object) -> str:
    """A short digest of everything that decides a result."""
    return digest_lines(map(str, parts)).removeprefix("contents-")[:16]


def files_of(folder: Path) -> dict[str, str]:
    """The digests of the files in a folder, by name."""
    paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    return {path.name: digest for path, digest in Digests()(paths).items()}


def adopt(folder: CategoryFolder) -> dict[str, str] | None:
    """The same of the files that an earlier mfkit left; None if some are missing."""
    paths = [getattr(folder, name) for name in KEPT]
    if not all(path.is_file() for path in paths):
        return None
    return {path.name: digest for path, digest in Digests()(paths).items()}


def settle(folder: CategoryFolder, row: dict) -> list[str]:
    """Let a row's files take their places, if they have not done so.

    Arguments:
        folder: of the category.
        row: of results.json; an older one that names no files is believed.

    Returns:
        what is wrong with files that are neither here nor there; nothing if all is well.
    """
    wrong = []
    stage = folder.stage(row.get("mark", "none")).path
    for name, digest in row.get("files", {}).items():
        place = folder.path / name
        if _digest(place) == digest:
            continue
        if _digest(stage / name) == digest:
            os.replace(stage / name, place)
        else:
            wrong.append(f"{place} is {'not what the run wrote' if place.exists() else 'missing'}")
    with suppress(OSError):  # there is none, or there still are files in it
        stage.rmdir()
    return wrong


def clear_stages(stages: Iterable[CategoryFolder]) -> None:
    """Remove files that no row names, of processes that were killed or failed.

    Only for who holds the category's lock, and has settled its row or knows whose they are.
    """
    for stage in stages:
        shutil.rmtree(stage.path, ignore_errors=True)


def tidy(folder: CategoryFolder) -> None:
    """Remove what killed processes left beside a result that is done, unless one works there."""
    with suppress(Timeout, OSError), FileLock(folder.lock, timeout=0):
        clear_stages(folder.stages)
        clear_drafts(folder.path)


def _digest(path: Path) -> str | None:
    try:
        return Digests()([path])[path]
    except InputError:
        return None
