"""Errors that a user can mend, and what is wrong with data."""

import errno

__all__ = ["NO_ROOM", "Diverged", "Fault", "InputError", "cannot_write", "raise_fault"]

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

    The command line prints the message without a traceback and ends with exit code 2.
    """


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


def raise_fault(fault: Fault) -> None:
    """Stop at the first fault."""
    raise fault


class Diverged(ArithmeticError):
    """The loss is not a finite number any more."""
