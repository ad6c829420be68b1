"""The command `explore`: its options, and what it does."""

import os

import mfkit
from mfkit import escape
from mfkit.errors import InputError

__all__ = ["add_explore"]

PATH = os.path.expanduser  # a shell leaves the ~ of --out=~/page.html as it is


def add_explore(commands) -> None:
    """Add the command to a parser's commands."""
    part = commands.add_parser("explore", help="a page that shows what a model makes of its parts")
    part.set_defaults(command=_explore)
    part.add_argument(
        "--model",
        dest="models",
        required=True,
        nargs="+",
        metavar="[NAME=]DIR",
        help="what a run leaves for a category, OUT/NAME; several to compare, the main one last",
    )
    part.add_argument(
        "--data", required=True, metavar="ROOT", type=PATH, help="folder in Real-IAD's layout"
    )
    part.add_argument("--out", default="explorer.html", metavar="FILE", type=PATH)
    part.add_argument(
        "--features",
        default="runs/features",
        metavar="DIR",
        type=PATH,
        help="where features lie or are put; default: runs/features",
    )
    part.add_argument("--title", default="", help="of the page; default: the category's name")
    part.add_argument("--about", default="", help="how the models were made, for the page's help")


def _explore(models: list[str], data: str, out: str, features: str, title: str, about: str) -> int:
    try:
        latents = mfkit.load_latents(_folders(models), data, features)
    except ModuleNotFoundError as missing:
        raise InputError(
            f"the package {missing.name} is missing: pip install -e '.[course]'"
        ) from None
    path = mfkit.write_page(latents, out, title=title, about=about)
    print(escape.terminal(f"{path}: {path.stat().st_size / 1e6:.1f} MB; open it in a browser"))
    return 0


def _folders(models: list[str]) -> list[str] | dict[str, str]:
    """Folders, by name if they were given names."""
    pairs = [_named(text) for text in models]
    names = [name for name, _ in pairs]
    if not any(names):
        return [folder for _, folder in pairs]
    if not all(names) or len(set(names)) < len(names):
        raise InputError("--model: give each folder a name of its own, or none of them")
    return dict(pairs)


def _named(text: str) -> tuple[str, str]:
    """NAME=DIR taken apart; a folder may have = in its own name."""
    name, sign, folder = text.partition("=")
    if not sign or os.path.exists(PATH(text)):
        return "", PATH(text)
    return name, PATH(folder)
