"""Where the project lies."""

from pathlib import Path

from mfkit.errors import InputError

__all__ = ["find_project"]


def find_project() -> Path:
    """The folder of the project, looked for from here upwards: it holds lessons and pictures.

    Raises:
        InputError: it is not there; the message says how to mend that.
    """
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "notebooks" / "index.ipynb").is_file() and (folder / "data").is_dir():
            return folder
    raise InputError(
        f"{here} lies in no copy of the project: go to the folder that holds notebooks/ and data/ "
        "(git clone brings it), and type the command again"
    )
