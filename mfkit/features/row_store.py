"""Rows of numbers in one file that grows as the work goes on, and is read as needed."""

import json
import os
import weakref
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from torch import Tensor
from tqdm.auto import tqdm

from mfkit.errors import InputError
from mfkit.files import clear_drafts, locked, whole_file

__all__ = ["RowStore"]

CHECKSUM = np.dtype("<u4")  # CRC-32 of a row


class RowStore:
    """N rows of one shape and type, a row for each sample, in one memory-mapped file.

    The file grows sample by sample, so its length says how far the work has come: an interrupted
    `fill` continues where it stopped. A description beside it (same name, .json) holds the shape
    and a fingerprint of everything that made the numbers; if that changes, they are made anew, in
    another file of that name: a store that is open keeps its own. A third file (.crc) holds a
    checksum for each row. A row is compared with it when it is read for the first time, so that
    opening takes no longer for many rows; a store of an earlier mfkit has none and is believed.

    Arguments:
        path: the file of rows, written by `fill`.

    Attributes:
        shape: of all rows, N first.
        fingerprint: of everything that made the numbers.
        formerly: what an earlier mfkit called the same fingerprint; None for newer stores.

    Raises:
        InputError: no such file, or it is not complete, or damaged.
    """

    dtype: ClassVar[type]
    contents: ClassVar[str]  # what messages and progress bars call the rows

    def __init__(self, path: str | Path):
        self.path = Path(path)
        maker = f"{type(self).__name__}.build"
        try:
            described = _description(self.path)
            self.file = open(self.path, "rb")
        except FileNotFoundError as error:
            raise InputError(f"{error.filename}: no {self.contents} there; {maker} them") from None
        except OSError as error:
            raise InputError(f"{error.filename}: cannot be read: {error.strerror}") from None
        weakref.finalize(self, self.file.close)
        self.shape = tuple(described["shape"])
        self.fingerprint, self.formerly = described["fingerprint"], described.get("formerly")
        size, row = os.fstat(self.file.fileno()).st_size, _row_size(self.shape, self.dtype)
        if size > len(self) * row:
            raise InputError(f"{self.path}: longer than described; {maker} makes it anew")
        if size < len(self) * row:
            raise InputError(f"{self.path}: not complete; {maker} continues it")
        self._checksums = self._unread = None
        if (expected := described.get("checksums")) is not None:
            kept = _checksums(self.path)
            if len(kept) != len(self) or zlib.crc32(kept.tobytes()) != expected:
                raise InputError(
                    f"{self.path.with_suffix('.crc')} is damaged or missing: delete {self.path}, "
                    f"and {maker} makes both anew"
                )
            self._checksums, self._unread = kept, np.ones(len(self), dtype=bool)
        elif self.path.with_suffix(".crc").exists():  # the last rows may not be on the disk
            raise InputError(f"{self.path}: not complete; {maker} continues it")

    def __len__(self) -> int:
        """Number of samples."""
        return self.shape[0]

    def rows(self, indices: Sequence[int] | Tensor | slice | int) -> np.ndarray:
        """A copy of some rows.

        The file is mapped for this moment only: what has been read would else stay resident, until
        after an epoch all of it did.

        Raises:
            InputError: a row is not what was written.
        """
        if isinstance(indices, slice):
            indices = range(*indices.indices(len(self)))
        mapped = np.memmap(self.file, self.dtype, "r", shape=self.shape)
        indices = np.asarray(indices)
        rows = mapped.take(indices, axis=0)
        if self._unread is not None:
            self._check(indices.reshape(-1), rows.reshape(-1, *self.shape[1:]))
        return rows

    def _check(self, indices: np.ndarray, rows: np.ndarray) -> None:
        """Compare rows with their checksums, unless this has been done before."""
        for index, row in zip(indices, rows, strict=True):
            if self._unread[index]:
                if zlib.crc32(np.ascontiguousarray(row)) != self._checksums[index]:
                    raise InputError(
                        f"{self.path} is damaged: row {index} is not what was written; delete the "
                        f"file, and {type(self).__name__}.build (or the same command) makes it anew"
                    )
                self._unread[index] = False

    @classmethod
    def fill(
        cls,
        path: str | Path,
        shape: Sequence[int],
        fingerprint: str,
        make: Callable[[int], Iterator[np.ndarray]],
        label: str | None = None,
        formerly: Callable[[], str] = str,
    ) -> Self:
        """Compute the rows that are missing, and open the store.

        A complete store is opened without a lock and not written to, so that it may belong to
        someone else.

        Arguments:
            path: the file to write; `path` with the suffixes .json and .crc describe it.
            shape: of all rows, N first.
            fingerprint: of everything that makes the numbers.
            make: called with the number of rows that are there; gives the others in order, some at
                a time.
            label: of the progress bar; None takes the contents' name.
            formerly: what an earlier mfkit would have called this fingerprint; a store of that name
                is kept.
        """
        path = Path(path)
        described = {"shape": list(map(int, shape)), "fingerprint": fingerprint}
        if (whole := cls._whole(path, described)) is not None:
            return whole
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path.with_suffix(".lock"), label or cls.contents):
            clear_drafts(path.parent)
            former = _former(path, described, formerly)
            described |= {} if former is None else {"formerly": former}
            done = _completed(path, described, _row_size(shape, cls.dtype))
            bar = tqdm(total=shape[0], initial=done, desc=label or cls.contents)
            with open(path, "ab") as file, open(path.with_suffix(".crc"), "ab") as checks, bar:
                for rows in make(done):
                    rows = np.ascontiguousarray(rows, dtype=cls.dtype)
                    file.write(rows)
                    checks.write(np.array([zlib.crc32(row) for row in rows], CHECKSUM))
                    bar.update(len(rows))
                for written in (file, checks):  # on the disk before the description says so
                    written.flush()
                    os.fsync(written.fileno())
            sums = zlib.crc32(_checksums(path).tobytes())
            _describe(path, {**described, "checksums": sums})
            return cls(path)  # before another run may make other rows of this name

    @classmethod
    def _whole(cls, path: Path, described: dict) -> Self | None:
        """The store, if it is complete and described so, and stays so while it is opened."""
        try:
            store, now = cls(path), _description(path)
        except (InputError, OSError):
            return None
        same = all(now[key] == value for key, value in described.items())
        return store if same and "checksums" in now else None


def _row_size(shape: Sequence[int], dtype: type) -> int:
    """Bytes of one row."""
    return int(np.prod(shape[1:], dtype=object)) * np.dtype(dtype).itemsize


def _description(path: Path) -> dict:
    """What is written beside a file of rows: shape, fingerprint, and when it is whole, checksums.

    Raises:
        InputError: the description is damaged.
        OSError: it is missing or cannot be read.
    """
    note = path.with_suffix(".json")
    try:
        described = json.loads(note.read_bytes())
        sizes, texts = described["shape"], [described["fingerprint"], described.get("formerly", "")]
        fits = isinstance(sizes, list) and len(sizes) > 1 and all(type(n) is int for n in sizes)
        fits &= all(isinstance(text, str) for text in texts)
        fits = fits and min(sizes) > 0 and type(described.get("checksums", 0)) is int
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        fits = False
    if not fits:
        raise InputError(
            f"{note} does not describe {path.name} (damaged or edited): delete both, and the same "
            "command makes them anew"
        )
    return described


def _describe(path: Path, described: dict) -> None:
    with whole_file(path.with_suffix(".json")) as draft:
        draft.write_text(json.dumps(described))


def _checksums(path: Path) -> np.ndarray:
    """The checksums beside a file of rows; none if there are none."""
    try:
        kept = path.with_suffix(".crc").read_bytes()
    except OSError:
        return np.empty(0, CHECKSUM)
    return np.frombuffer(kept[: len(kept) // CHECKSUM.itemsize * CHECKSUM.itemsize], CHECKSUM)


def _former(path: Path, described: dict, formerly: Callable[[], str]) -> str | None:
    """The fingerprint under which an earlier mfkit wrote the same rows, if it did."""
    try:
        there = _description(path)
    except (InputError, OSError):
        return None
    if there["fingerprint"] == described["fingerprint"]:
        return there.get("formerly")
    same = there["shape"] == described["shape"] and there["fingerprint"] == formerly()
    return there["fingerprint"] if same else None


def _completed(path: Path, described: dict, row: int) -> int:
    """How many rows `path` already holds for this description; what follows them is cut off.

    Rows without a checksum are believed only if an earlier mfkit wrote them; they get theirs. What
    goes by another name as well (a link) is never written to, but begun anew.
    """
    try:
        there = _description(path)
        same = there["shape"] == described["shape"] and there["fingerprint"] in (
            described["fingerprint"],
            described.get("formerly"),
        )
        whole = same and path.is_file()
    except (InputError, OSError):
        whole = False
    files = [path, path.with_suffix(".crc")]
    shared = [file for file in files if file.is_symlink() or _names(file) > 1]
    if not whole or shared:
        path.with_suffix(".json").unlink(missing_ok=True)  # an old one must not describe new rows
        for file in files:
            file.unlink(missing_ok=True)  # who reads the old numbers keeps them
            file.touch()
        _describe(path, described)
        return 0
    held = min(path.stat().st_size // row, described["shape"][0])
    if not files[1].exists() and "checksums" not in there:
        sums = _sums(path, row, held)
        files[1].write_bytes(sums.tobytes())
    kept = _checksums(path)[:held]
    right = kept == _sums(path, row, len(kept))
    done = len(kept) if right.all() else int(right.argmin())
    os.truncate(path, done * row)
    os.truncate(files[1], done * CHECKSUM.itemsize)
    _describe(path, described)
    return done


def _sums(path: Path, row: int, count: int) -> np.ndarray:
    """Checksums of the first rows of a file."""
    with open(path, "rb") as file:
        return np.array([zlib.crc32(file.read(row)) for _ in range(count)], CHECKSUM)


def _names(path: Path) -> int:
    """How many names a file has."""
    return path.stat().st_nlink if path.exists() else 0
