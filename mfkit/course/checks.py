"""Whether an answer to an exercise is right, said in words."""

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["check"]


@contextmanager
def check() -> Iterator[None]:
    """Say whether what stands inside holds, and go on in either case.

    An exercise that nobody has solved yet should not stop "Run All".

    Example:
        >>> with check():
        ...     assert 1 + 1 == 3, "add again"
        Not yet: add again
    """
    try:
        yield
    except AssertionError as wrong:
        print(f"Not yet: {wrong}" if str(wrong) else "Not yet.")
    except Exception as error:  # whatever an unfinished answer may raise
        print(f"Not yet: {type(error).__name__}: {error}")
    else:
        print("Right.")
