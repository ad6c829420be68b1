"""Errors that a user can mend, and what is wrong with data."""

import errno
from collections.abc import Sequence

from mfkit import escape

__all__ = ["NO_ROOM", "Diverged", "Fault", "InputError", "cannot_write", "few", "raise_fault"]

NO_ROOM = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room",
    errno.EACCES: "change its permissions",
    errno.EROFS: "mount it for writing",
    errno.ENOLCK: "mount it with locks (flock)",
    errno.EOPNOTSUPP: "mount it with locks (flock)",
}
"""Why nothing at all can be written any more, and what to do."""


class InputError(ValueError):
    """Something the user gave is wrong; the message names it and says how to mend it.

    The command line prints the message without a traceback and ends with exit code 2. Names in it
    come from data, so it is shown as a terminal may show it, by whomever.
    """

    def __str__(self) -> str:
        return escape.terminal(super().__str__())


def cannot_write(error: BaseException) -> bool:
    """Whether no other category would fare better: the disk is full or read-only."""
    return isinstance(error, OSError) and error.errno in NO_ROOM


class Fault(InputError):
    """Something is wrong with the data; `kind` names it in a word or two.

    Only the message is needed to make one, so that it survives the worker of a `DataLoader`.
    """

    def __init__(self, message: str, kind: str = "unusable") -> None:
        super().__init__(message)
        self.kind = kind


def few(lines: Sequence[object], total: int | None = None, most: int = 20) -> list[str]:
    """The first lines, and how many more there are: a million of them would help nobody.

    Arguments:
        lines: what to say, a line each.
        total: how many there are in all; None: as many as `lines`.
        most: how many are said.

    Example:
        >>> few(["one", "two", "three"], most=2)
        ['one', 'two', '... and 1 more']
    """
    more = (len(lines) if total is None else total) - min(most, len(lines))
    return [*map(str, lines[:most]), *([f"... and {more:,} more"] if more else [])]


def raise_fault(fault: Fault) -> None:
    """Stop at the first fault."""
    raise fault


class Diverged(ArithmeticError):
    """The loss is not a finite number any more."""
