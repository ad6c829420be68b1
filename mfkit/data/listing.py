"""Which of the files that an index names are there, and may be read."""

import os
import stat
import unicodedata
from pathlib import Path, PureWindowsPath

from mfkit.data.names import quoted
from mfkit.errors import Fault

__all__ = ["Listing", "closed_to", "regular", "stays"]


class Listing:
    """Which files exist, from one look into each folder instead of one at each file."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.names: dict[str, set[str]] = {}
        self.closed: dict[str, str] = {}  # why a folder cannot be looked into

    def find(self, key: str, text: object, faults: list[tuple[str, str]]) -> Path | None:
        """The path that a row names, or None and one more fault."""
        if not isinstance(text, str) or not stays(text):
            mend = "give a path relative to it, without '..'"
            text = f"{key} {quoted(text)} leaves {self.base}; {mend}"
            faults.append(("path leaves folder", text))
            return None
        text = PureWindowsPath(text).as_posix()
        folder, _, name = text.rpartition("/")
        if folder not in self.names:
            place = self.base / folder
            try:
                self.names[folder] = set(os.listdir(place))
                closed = not os.access(place, os.X_OK)  # its files can be named, but not read
            except (OSError, ValueError) as error:  # no such folder, or no possible name of one
                self.names[folder] = set()
                closed = isinstance(error, PermissionError)
            if closed:
                self.closed[folder], self.names[folder] = closed_to(place), set()
        path = self.base / text
        if name not in self.names[folder] and not os.path.isfile(path):
            closed = self.closed.get(folder)
            what = closed or f"{path} does not exist{self._like(folder, name)}"
            mend = "let yourself in (chmod)" if closed else "put the file there"
            mend += ", or take the sample out of the JSON file"
            faults.append(("closed folder" if closed else "missing file", f"{what}; {mend}"))
            return None
        return path

    def _like(self, folder: str, name: str) -> str:
        """A file that bears almost this name, and in what it differs."""
        wanted = unicodedata.normalize("NFC", name)
        for other in sorted(self.names[folder]):
            found = unicodedata.normalize("NFC", other)
            if found == wanted:
                return " (but a file whose name is composed of other letters, as macOS writes them)"
            if found.casefold() == wanted.casefold():
                return f" (but {other} does: upper and lower case differ)"
        return ""


def closed_to(folder: Path) -> str:
    """That a folder may not be entered, if so: the outermost one that is closed."""
    for place in (*reversed(folder.parents), folder):
        rights = os.X_OK | os.R_OK if place == folder else os.X_OK
        if os.path.isdir(place) and not os.access(place, rights):
            return f"{place} is closed to you (permission denied)"
    return ""


def stays(path: str) -> bool:
    """Does a path of either kind of slash stay below the folder it starts from?"""
    pure = PureWindowsPath(path)
    return "\0" not in path and not pure.anchor and ".." not in pure.parts


def regular(path: str | Path) -> os.stat_result:
    """The state of a regular file; links are followed.

    Raises:
        InputError: it is missing, out of reach, or something else: a pipe or a device would be
            waited for.
    """
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):  # listed, but a link that leads nowhere
        raise Fault(f"{path} does not exist; put the file there", "missing file") from None
    except PermissionError:
        raise Fault(f"{path} is closed to you; let yourself in (chmod)", "closed file") from None
    except OSError as error:
        raise Fault(
            f"{path}: {error.strerror}; put the file itself there", "unreadable file"
        ) from None
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe or a device"
        raise Fault(
            f"{path} is no regular file but {kind}; copy it again from the source",
            "unreadable file",
        )
    return status
