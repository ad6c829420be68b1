"""Build the course as a web book: python notebooks/teaching/book.py [--out runs/site]

Sphinx reads the notebooks with their outputs (MyST-NB) and writes pages that open from disk.
`book/conf.py` holds its settings, `book/index.md` the table of contents. A warning, such as a link
that leads nowhere, ends the build.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import nbformat
from sphinx.cmd.build import main as sphinx

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
EXPLORER = "notebooks/explorer.html"  # what `python -m mfkit explore` makes
PAGES = (
    "notebooks/*.ipynb",
    "notebooks/solutions/*.ipynb",
    "notebooks/results/*",
    "notebooks/teaching/*.md",
    "data/README.md",
    "TEACHING.md",
)


def stage(folder: Path) -> None:
    """Lay out what Sphinx reads: settings, contents and pages, where their links expect them."""
    shutil.copytree(HERE / "book", folder, dirs_exist_ok=True)
    (folder / "extra").mkdir()
    if (ROOT / EXPLORER).exists():
        for where in ("", "extra"):  # where links look for it, and what is copied as it is
            copy = folder / where / EXPLORER
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / EXPLORER, copy)
        with (folder / "index.md").open("a", encoding="utf-8") as index:
            index.write(
                f'\nTo play with: <a href="{EXPLORER}">the explorer</a>, a page by itself.\n'
            )
    for page in sorted(path for pattern in PAGES for path in ROOT.glob(pattern)):
        copy = folder / page.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if page.suffix == ".ipynb":
            nbformat.write(described(nbformat.read(page, 4)), copy)
        else:
            shutil.copyfile(page, copy)


def described(book: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """A notebook in which MyST-NB finds what a cell's `alt` says about its pictures."""
    for cell in book.cells:
        if "alt" in cell.metadata:
            cell.metadata["mystnb"] = {"image": {"alt": cell.metadata["alt"]}}
    return book


def build(out: Path) -> Path:
    """Write the web book into a folder; the path of its first page."""
    with tempfile.TemporaryDirectory() as folder:
        stage(Path(folder))
        options = ["-b", "html", "-W", "--keep-going", "-q", "-d", f"{folder}/_build"]
        if sphinx([*options, folder, str(out)]):
            sys.exit("the book was not built: see the warnings above")
    return out / "index.html"


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "site", metavar="DIR")
    print(f"open {build(parser.parse_args(arguments).out)}")


if __name__ == "__main__":
    main()
