"""From the one source of a lesson to its notebooks, without outputs.

`source/NN_name.py` (jupytext's percent format) becomes a lesson without solutions, `NN_name.ipynb`,
and `solutions/NN_name.ipynb`: the setup cells and the solved exercises. Cells bear these tags and
no others:

    card      the first cell. "# 3 Score every position", then the paragraphs "**You build** ...",
              "**You will be able to** ...", "**You need** ...", "**Time and memory** 40 minutes
              ..., 75 with the exercises", "**From mfkit** ...". Title, "You build" and minutes go
              into the table of the course.
    setup     imports, seeds, data; also part of the solutions. A lesson runs in notebooks/, its
              solutions in notebooks/solutions/: `mfkit.course.places.find_data()` works in both.
    exercise  a question (markdown), or its code: given lines, MARKER, the solution; then, if a
              program can judge the answer, CHECK and what asserts that it is right. The lesson
              keeps the check, inside `with course.check():`, which says "Right." or "Not yet".
    nbval-ignore-output   for an output that differs from run to run.

A cell that draws says what one sees: `# %% alt="Two rows of pictures ..."`.
"""

import re
import sys
import textwrap
from pathlib import Path
from typing import NamedTuple

import jupytext
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell, new_notebook

HERE = Path(__file__).resolve().parent
TAGS = {"card", "setup", "exercise", "nbval-ignore-output"}
MARKER = "# --- solution ---"
CHECK = "# --- check ---"
BLANK = "# your code here"
TABLE = re.compile(r"(?<=<!-- course -->\n).*?(?=<!-- /course -->)", re.DOTALL)


def names() -> list[str]:
    """The lessons that have a source, in order."""
    return sorted(path.stem for path in (HERE / "source").glob("[0-9][0-9]_*.py"))


def read_source(name: str) -> list[NotebookNode]:
    """The cells of a source, their tags checked."""
    cells = jupytext.read(HERE / "source" / f"{name}.py").cells
    for cell in cells:
        unknown = set(tags(cell)) - TAGS
        if unknown:
            sys.exit(f"source/{name}.py: unknown tags {sorted(unknown)} at {cell.source[:60]!r}")
        if "exercise" in tags(cell) and cell.cell_type == "code" and MARKER not in cell.source:
            sys.exit(f"source/{name}.py: no line {MARKER!r} in exercise {cell.source[:60]!r}")
    return cells


def tags(cell: NotebookNode) -> list[str]:
    """The tags of a cell."""
    return cell.metadata.get("tags", [])


def card(name: str) -> tuple[str, str, str]:
    """Title, what one builds and minutes of a lesson, from its top card.

    Minutes are "40", or "40 / 75" where the card says how many they are with the exercises.
    """
    text = read_source(name)[0].source
    parts = (r"^# (.+)$", r"\*\*You build\*\*:? (.+?)\.?$", r"(\d+) minutes")
    paragraphs = re.sub(r"(?<=\S)\n(?=\w)", " ", text)
    found = [re.search(part, paragraphs, re.MULTILINE) for part in parts]
    if not all(found):
        sys.exit(f"source/{name}.py: the first cell should be a card as lessons.py describes it")
    title, built, minutes = (match[1] for match in found)
    longer = re.search(r"(\d+) with the exercises", paragraphs)
    return title, built, f"{minutes} / {longer[1]}" if longer else minutes


def navigation(name: str, folder: str = "") -> str:
    """Links to the lesson before, the index, the solutions or the lesson, and the lesson after."""
    order = names()
    place = order.index(name)
    up = "../" if folder else ""
    links = [f"[Course]({up}index.ipynb)"]
    if place > 0:
        before = order[place - 1]
        links.insert(0, f"← [{card(before)[0]}]({folder and './'}{before}.ipynb)")
    if folder:
        links.append(f"[Lesson](../{name}.ipynb)")
    else:
        links.append(f"[Solutions](solutions/{name}.ipynb)")
    if place + 1 < len(order):
        after = order[place + 1]
        links.append(f"[{card(after)[0]}]({folder and './'}{after}.ipynb) →")
    return " &nbsp;|&nbsp; ".join(links)


def course_table(folder: str = "") -> str:
    """The lessons as a markdown table; `folder` is where they lie, seen from the reader."""
    rows = ["| lesson | you build | minutes / with exercises |", "|---|---|---|"]
    for name in names():
        title, built, minutes = card(name)
        rows.append(f"| [{title}]({folder}{name}.ipynb) | {built} | {minutes} |")
    return "\n".join(rows) + "\n"


class Exercise(NamedTuple):
    """An exercise's code in its parts; the solution begins with MARKER, indented as it stands."""

    given: str
    solution: str
    check: str

    @classmethod
    def read(cls, source: str) -> "Exercise":
        """Cut the code of an exercise at its marks."""
        code, _, check = source.partition(f"{CHECK}\n")
        given = re.split(rf"(?m)^ *{MARKER}", code)[0]
        return cls(given, code[len(given) :].rstrip(), check.strip())

    def unsolved(self) -> str:
        """What a student gets; the blank is indented as the solution, inside its function."""
        indent = self.solution[: self.solution.find(MARKER)]
        given = f"{self.given.rstrip()}\n{indent}{BLANK}" if indent else self.given.rstrip()
        return _joined(given, "" if indent else BLANK, self.judged())

    def solved(self) -> str:
        """What the solutions show."""
        return _joined(self.given + self.solution, self.judged())

    def judged(self) -> str:
        """The check, which says whether an answer is right and stops nobody."""
        return self.check and "with course.check():\n" + textwrap.indent(self.check, "    ")


def _joined(*parts: str) -> str:
    """Parts of a cell, with as many empty lines between them as ruff wants."""
    text = ""
    for part in filter(None, parts):
        gap = "\n\n\n" if text.split("\n")[-1].startswith(" ") else "\n\n"
        text = f"{text}{gap if text else ''}{part}"
    return text


def lesson(name: str) -> NotebookNode:
    """The lesson, its exercises without their solutions."""
    cells = read_source(name)
    for cell in cells:
        if "exercise" in tags(cell) and cell.cell_type == "code":
            cell.source = Exercise.read(cell.source).unsolved()
    bar = navigation(name)
    return notebook([new_markdown_cell(bar), *cells, new_markdown_cell(bar)])


def solutions(name: str) -> NotebookNode:
    """The setup cells and the exercises with their solutions."""
    chosen = [cell for cell in read_source(name) if {"setup", "exercise"} & set(tags(cell))]
    for cell in chosen:
        if "exercise" in tags(cell) and cell.cell_type == "code":
            cell.source = Exercise.read(cell.source).solved()
    bar = navigation(name, "solutions")
    title = f"# Solutions to {card(name)[0]}"
    return notebook([new_markdown_cell(f"{bar}\n\n{title}"), *chosen, new_markdown_cell(bar)])


def index() -> NotebookNode:
    """The front page."""
    cells = read_source("index")
    for cell in cells:
        cell.source = TABLE.sub(lambda _: course_table(), cell.source)
    return notebook(cells)


def notebook(cells: list[NotebookNode]) -> NotebookNode:
    """A notebook without outputs; what is the same every time, and nothing else."""
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number:02d}"
        kept = {key: cell.metadata[key] for key in ("tags", "alt") if cell.metadata.get(key)}
        cell.metadata = NotebookNode(kept)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return new_notebook(
        cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}}
    )
