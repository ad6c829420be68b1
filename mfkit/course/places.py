"""Where the data of the course lie."""

import os
from pathlib import Path

from mfkit.data import FLIPS, categories
from mfkit.errors import InputError

__all__ = ["find_data", "find_realiad"]


def find_data(name: str = "mini-iad") -> Path:
    """The folder `data/<name>` of the project, looked for from here upwards.

    Raises:
        InputError: it is not there; the message says how to mend that.
    """
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "data" / name).is_dir():
            return folder / "data" / name
    raise InputError(
        f"there is no folder data/{name} in {here} or above it: open the notebook inside a copy of "
        "the project (git clone), where data/ lies beside notebooks/"
    )


def find_realiad() -> tuple[Path, bool]:
    """The data set to work on, and whether it is Real-IAD.

    Real-IAD if the environment variable REALIAD_ROOT names its folder, else `data/mini-iad`.

    Raises:
        InputError: REALIAD_ROOT names no folder of Real-IAD, or there is no data at all.
    """
    if not os.environ.get("REALIAD_ROOT"):
        return find_data(), False
    root = Path(os.environ["REALIAD_ROOT"]).expanduser().absolute()
    if not root.is_dir():
        raise InputError(
            f"REALIAD_ROOT is {root}, which is no folder: let it name the folder that holds "
            "realiad_jsons/ and realiad_1024/ (or another resolution), or leave it unset"
        )
    if not set(categories(root)) & set(FLIPS):
        raise InputError(
            f"REALIAD_ROOT is {root}, which holds none of Real-IAD's 30 categories: leave it unset "
            "to work on mini-iad"
        )
    return root, True
