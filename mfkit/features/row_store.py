"""Rows of numbers in one file that grows as the work goes on, and is read as needed."""

import json
import os
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from filelock import FileLock
from torch import Tensor
from tqdm.auto import tqdm

from mfkit.errors import InputError
from mfkit.files import whole_file

__all__ = ["RowStore"]


class RowStore:
    """N rows of one shape and type, a row for each sample, in one memory-mapped file.

    The file grows sample by sample, so its length says how far the work has come: an interrupted
    `fill` continues where it stopped. A description beside it (same name, .json) holds the shape
    and a fingerprint of everything that made the numbers; if that changes, they are made anew, in
    another file of that name: a store that is open keeps its own.

    Arguments:
        path: the file of rows, written by `fill`.

    Raises:
        InputError: no such file, or it is not complete.
    """

    dtype: ClassVar[type]
    contents: ClassVar[str]  # what messages and progress bars call the rows

    def __init__(self, path: str | Path):
        self.path = Path(path)
        maker = f"{type(self).__name__}.build"
        try:
            described = json.loads(self.path.with_suffix(".json").read_text())
            self.file = open(self.path, "rb")
        except FileNotFoundError as error:
            raise InputError(f"{error.filename}: no {self.contents} there; {maker} them") from None
        weakref.finalize(self, self.file.close)
        self.shape = tuple(described["shape"])
        self.fingerprint = described["fingerprint"]
        if os.fstat(self.file.fileno()).st_size != len(self) * _row_size(self.shape, self.dtype):
            raise InputError(f"{self.path}: not complete; {maker} continues it")

    def __len__(self) -> int:
        """Number of samples."""
        return self.shape[0]

    def rows(self, indices: Sequence[int] | Tensor | slice | int) -> np.ndarray:
        """A copy of some rows.

        The file is mapped for this moment only: what has been read would else stay resident, until
        after an epoch all of it did.
        """
        if isinstance(indices, slice):
            indices = range(*indices.indices(len(self)))
        mapped = np.memmap(self.file, self.dtype, "r", shape=self.shape)
        return mapped.take(np.asarray(indices), axis=0)

    @classmethod
    def fill(
        cls,
        path: str | Path,
        shape: Sequence[int],
        fingerprint: str,
        make: Callable[[int], Iterator[np.ndarray]],
        label: str | None = None,
    ) -> Self:
        """Compute the rows that are missing, and open the store.

        Arguments:
            path: the file to write; `path` with the suffix .json describes it.
            shape: of all rows, N first.
            fingerprint: of everything that makes the numbers.
            make: called with the number of rows that are there; gives the others in order, some at
                a time.
            label: of the progress bar; None takes the contents' name.
        """
        path = Path(path)
        described = {"shape": tuple(shape), "fingerprint": fingerprint}
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):  # a second run that shares the store waits
            done = _completed(path, described, _row_size(shape, cls.dtype))
            bar = tqdm(total=shape[0], initial=done, desc=label or cls.contents)
            with open(path, "ab") as file, bar:
                for rows in make(done):
                    file.write(rows.astype(cls.dtype, copy=False).tobytes())
                    bar.update(len(rows))
            return cls(path)  # before another run may make other rows of this name


def _row_size(shape: Sequence[int], dtype: type) -> int:
    """Bytes of one row."""
    return int(np.prod(shape[1:])) * np.dtype(dtype).itemsize


def _completed(path: Path, described: dict, row: int) -> int:
    """Number of samples that `path` already holds for this description; the rest is cut off."""
    note = path.with_suffix(".json")
    text = json.dumps(described)
    if path.exists() and note.exists() and note.read_text() == text:
        done = path.stat().st_size // row
    else:
        done = 0
        note.unlink(missing_ok=True)  # an old description must never stand beside new numbers
        path.unlink(missing_ok=True)  # who reads the old numbers keeps them
        path.touch()
    with open(path, "rb+") as file:
        file.truncate(done * row)
    with whole_file(note) as draft:
        draft.write_text(text)
    return done
