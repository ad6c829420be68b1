"""Files that are whole or absent."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["whole_file"]


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Write a file under a temporary name and rename it once it is whole.

    A reader never meets half a file: if the block raises, the temporary file is removed and an
    older `path` stays as it was.

    Arguments:
        path: the final name; its folder is created when missing.

    Yields:
        the temporary path to write to, in the same folder and with the same suffix.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with whole_file(folder / "note.txt") as draft:
        ...     _ = draft.write_text("done")
        >>> [file.name for file in folder.iterdir()]
        ['note.txt']
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield draft
        with open(draft, "rb+") as file:
            os.fsync(file.fileno())  # the content must be on disk before the name is
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
