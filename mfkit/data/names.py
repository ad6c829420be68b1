"""What may be a name: names of data become folders, cells of tables and titles of figures.

What cannot be carried there is refused where the index is read, before any work starts.
"""

import os
import reprlib
import unicodedata

__all__ = ["LONGEST", "LONGEST_PATH", "category_trouble", "name_trouble", "path_trouble", "quoted"]

LONGEST = 100  # characters of a name: of a category, a code, a sample
LONGEST_PATH = 1000  # characters of a path below the folder of images
TAKEN = {  # names, in lower case, that a run or a table gives to something else
    "all": "the sum of all categories in the tables of check",
    "features": "the folder of features in that of a run",
    "mean": "the mean of all categories in tables",
    "results.json": "the file of results in the folder of a run",
}

_short = reprlib.Repr()
_short.maxstring = _short.maxother = LONGEST


def quoted(value: object) -> str:
    """A value from a file as Python writes it, shortened, for a message."""
    return _short.repr(value)


def name_trouble(text: str) -> str | None:
    """Why a text cannot be carried as a name; None: it can.

    Example:
        >>> name_trouble("BX"), name_trouble("a" * 50_000)
        (None, 'has 50,000 characters, at most 100 can be carried')
    """
    if len(text) > LONGEST:
        return f"has {len(text):,} characters, at most {LONGEST} can be carried"
    return None if text.isprintable() else "holds characters that cannot be printed"


def path_trouble(text: str) -> str | None:
    r"""Why a text cannot be carried as a path; None: it can.

    Letters that no font has are none of our business, lines and orders to a terminal are.

    Example:
        >>> path_trouble("OK/S0001/top.jpg"), path_trouble("OK\nno faults")
        (None, 'holds control characters')
    """
    if len(text) > LONGEST_PATH:
        return f"has {len(text):,} characters, at most {LONGEST_PATH:,} can be carried"
    if not text.isprintable() and any(unicodedata.category(letter) == "Cc" for letter in text):
        return "holds control characters"
    return None


def category_trouble(category: str) -> str | None:
    """Why a category cannot be called so; None: it can.

    Example:
        >>> category_trouble("mean")
        'would take the name of the mean of all categories in tables'
    """
    if category.lower() in TAKEN:
        return f"would take the name of {TAKEN[category.lower()]}"
    if len(os.fsencode(category)) > LONGEST:
        return f"has {len(os.fsencode(category)):,} bytes, at most {LONGEST} can be carried"
    return name_trouble(category)
