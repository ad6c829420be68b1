"""Other forms of the lessons, from the same source: for Colab and for nbgrader.

    python notebooks/teaching/forms.py colab https://github.com/NAME/REPOSITORY
    python notebooks/teaching/forms.py nbgrader

`colab` writes runs/colab: lessons whose first cell fetches the project from that address (that of
your fork) and installs what is missing. `nbgrader` writes runs/nbgrader, a course folder with one
assignment a lesson: `nbgrader generate_assignment 02_density`, run inside it, makes the student's
release. Exercises with a check are graded by it; the others wait for a person.
"""

import argparse
import re
import sys
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import lessons
from lessons import MARKER, Exercise, tags

RUNS = HERE.parents[1] / "runs"
FETCH = """\
# Colab starts empty: this cell fetches the project and installs what is missing (two minutes).
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

PROJECT = Path.home() / "multi-flow"
if not PROJECT.exists():
    subprocess.run(["git", "clone", "--depth=1", "--quiet", "{repository}", PROJECT], check=True)
if importlib.util.find_spec("mfkit") is None:
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", PROJECT], check=True)
    importlib.invalidate_caches()
os.chdir(PROJECT / "notebooks")
os.environ.setdefault("MFKIT_FAST", "1")  # "0" takes all samples and steps"""
POINTS = 1  # of each exercise
CONFIG = """\
# Read by nbgrader in this folder. It would end every cell after 30 seconds; some train a flow.
c = get_config()
c.Execute.timeout = 1800  # seconds
"""


def colab(name: str, repository: str) -> NotebookNode:
    """A lesson that needs nothing but the address of a repository."""
    book = lessons.lesson(name)
    book.cells.insert(1, new_code_cell(FETCH.format(repository=repository)))
    return lessons.notebook(book.cells)


def nbgrader(name: str) -> NotebookNode:
    """An assignment with its solutions, as `nbgrader generate_assignment` wants it.

    Setup cells are locked. Code with a check is followed by a locked cell that asserts it; an
    exercise without one is graded by hand.
    """
    title = lessons.card(name)[0]
    cells, number = [new_markdown_cell(f"# Exercises to {title}")], 0
    for cell in lessons.read_source(name):
        if not {"setup", "exercise"} & set(tags(cell)):
            continue
        if "exercise" not in tags(cell) or cell.cell_type == "markdown":
            cells.append(cell)
            continue
        number += 1
        exercise = Exercise.read(cell.source)
        answer = new_code_cell(exercise.given + _between_marks(exercise.solution))
        by_hand = not exercise.check
        cells.append(_marked(answer, f"exercise-{number}", solution=True, grade=by_hand))
        if exercise.check:
            asserted = new_code_cell(exercise.check)
            cells.append(_marked(asserted, f"check-{number}", grade=True, locked=True))
    for number, cell in enumerate(cells):
        if "nbgrader" not in cell.metadata:
            _marked(cell, f"text-{number}", locked=True)
    marks = [cell.metadata.nbgrader for cell in cells]
    book = lessons.notebook(cells)
    for cell, mark in zip(book.cells, marks, strict=True):
        cell.metadata = NotebookNode(nbgrader=mark)
    return book


def _between_marks(solution: str) -> str:
    """A solution between the marks that nbgrader cuts at, indented as it is."""
    indent = re.match(r" *", solution)[0]
    text = solution.replace(MARKER, "### BEGIN SOLUTION", 1)
    return f"{text}\n{indent}### END SOLUTION"


def _marked(
    cell: NotebookNode, grade_id: str, solution=False, grade=False, locked=False
) -> NotebookNode:
    """Give a cell nbgrader's mark (schema 3)."""
    mark = {"schema_version": 3, "grade_id": grade_id, "task": False}
    mark |= {"solution": solution, "grade": grade, "locked": locked, "cell_type": cell.cell_type}
    cell.metadata["nbgrader"] = mark | ({"points": POINTS} if grade else {})
    return cell


def write_colab(repository: str, folder: Path) -> list[Path]:
    """Write the Colab form of all lessons into a folder."""
    return [_write(colab(name, repository), folder / f"{name}.ipynb") for name in lessons.names()]


def write_nbgrader(folder: Path) -> list[Path]:
    """Write an assignment for each lesson into nbgrader's folder of sources.

    A configuration is put beside them; one that is there already stays as it is.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not (config := folder / "nbgrader_config.py").exists():
        config.write_text(CONFIG)
    return [
        _write(nbgrader(name), folder / "source" / name / f"{name}.ipynb")
        for name in lessons.names()
    ]


def _write(book: NotebookNode, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(book, path)
    return path


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    forms = parser.add_subparsers(required=True, metavar="FORM")
    part = forms.add_parser("colab", help="lessons that fetch the project by themselves")
    part.add_argument("repository", help="the address of your fork, as `git clone` takes it")
    part.add_argument("--out", type=Path, default=RUNS / "colab", metavar="DIR")
    part.set_defaults(write=lambda options: write_colab(options.repository, options.out))
    part = forms.add_parser("nbgrader", help="assignments, with solutions and checks")
    part.add_argument("--out", type=Path, default=RUNS / "nbgrader", metavar="DIR")
    part.set_defaults(write=lambda options: write_nbgrader(options.out))
    options = parser.parse_args(arguments)
    for path in options.write(options):
        print(path)


if __name__ == "__main__":
    main()
