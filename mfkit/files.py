"""Files that are whole or absent, also if others write at the same time or are killed."""

import os
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

__all__ = ["clear_drafts", "locked", "whole_file"]

HOST = re.sub(r"\W+", "-", socket.gethostname())[:40]
DRAFT = re.compile(r"\..*\.((?P<host>[\w-]*)-)?(?P<process>[0-9]+)\.part(\.\w+)?")


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
    draft = path.with_name(f".{path.stem}.{HOST}-{os.getpid()}.part{path.suffix}")
    try:
        yield draft
        with open(draft, "rb+") as file:
            os.fsync(file.fileno())  # the content must be on disk before the name is
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def clear_drafts(folder: str | Path) -> None:
    """Remove what `whole_file` could not, since its process was killed.

    Drafts of other machines stay, since it cannot be known here whether they are still written.
    """
    folder = Path(folder)
    with suppress(OSError):  # the folder may not be there, or belong to someone else
        for path in folder.iterdir():
            found = DRAFT.fullmatch(path.name)
            if found and found["host"] in (None, HOST) and not _writes(found["process"], path):
                path.unlink(missing_ok=True)


def _writes(process: str, draft: Path) -> bool:
    """Whether the process that began a draft is still there; its number may be another's now."""
    try:
        return psutil.Process(int(process)).create_time() <= draft.stat().st_mtime + 1
    except psutil.AccessDenied:
        return True
    except (psutil.NoSuchProcess, FileNotFoundError, OverflowError):
        return False


@contextmanager
def locked(path: str | Path, what: str) -> Iterator[None]:
    """Hold a lock; say so if another process holds it, and wait.

    A lock ends with its process, also if that is killed.

    Arguments:
        path: the file of the lock, which stays.
        what: is waited for, for the message: "audiojack".

    Raises:
        OSError: the file system knows no locks, or does not allow this one; it names `path`.
    """
    path, lock = Path(path), FileLock(path)
    try:
        try:
            lock.acquire(timeout=0.5)
        except Timeout:
            print(
                f"{what}: waiting for {_holder(path)}, which holds {path}; Ctrl-C ends the wait",
                file=sys.stderr,
                flush=True,
            )
            lock.acquire()
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    try:
        if not hasattr(lock, "pid"):  # without flock, filelock itself writes who holds it
            with suppress(OSError):
                path.write_text(f"process {os.getpid()} on {socket.gethostname()}")
        yield
    finally:
        lock.release()


def _holder(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")[:100] or "another process"
    except OSError:
        return "another process"
