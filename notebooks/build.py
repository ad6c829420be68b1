"""Generate and run the notebooks of the course from their sources.

    python notebooks/build.py              generate and run everything, the index and README's table
    python notebooks/build.py 03_score     this lesson and its solutions only (index: the index)
    python notebooks/build.py --text       renew text and navigation of what was run before
    python notebooks/build.py --check      say what generating again would change; exit 1 if any

`source/NN_name.py` (jupytext's percent format) becomes a lesson without solutions, `NN_name.ipynb`,
and `solutions/NN_name.ipynb`: the setup cells and the solved exercises. Both are stored as they run
under MFKIT_FAST=1. Cells bear these tags and no others:

    card      the first cell. "# 3 Score every position", then the paragraphs "**You build** ...",
              "**You will be able to** ...", "**You need** ...", "**Time and memory** 40 minutes",
              "**From mfkit** ...". Title, "You build" and the first "N minutes" go into the table
              of the course.
    setup     imports, seeds, data; also part of the solutions. A lesson runs in notebooks/, its
              solutions in notebooks/solutions/: `mfkit.course.places.find_data()` works in both.
    exercise  a question (markdown), or its code: given lines, MARKER, the solution.
    nbval-ignore-output   for an output that differs from run to run.
"""

import argparse
import os
import re
import sys
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell, new_notebook

HERE = Path(__file__).resolve().parent
README = HERE.parent / "README.md"
TAGS = {"card", "setup", "exercise", "nbval-ignore-output"}
MARKER = "# --- solution ---"
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
    """Title, what one builds and minutes of a lesson, from its top card."""
    text = read_source(name)[0].source
    parts = (r"^# (.+)$", r"\*\*You build\*\*:? (.+?)\.?$", r"(\d+) minutes")
    paragraphs = re.sub(r"(?<=\S)\n(?=\w)", " ", text)
    found = [re.search(part, paragraphs, re.MULTILINE) for part in parts]
    if not all(found):
        sys.exit(f"source/{name}.py: the first cell should be a card as build.py describes it")
    return tuple(match[1] for match in found)


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
    rows = ["| lesson | you build | minutes |", "|---|---|---|"]
    for name in names():
        title, built, minutes = card(name)
        rows.append(f"| [{title}]({folder}{name}.ipynb) | {built} | {minutes} |")
    return "\n".join(rows) + "\n"


def lesson(name: str) -> NotebookNode:
    """The lesson, its exercises without their solutions."""
    cells = read_source(name)
    for cell in cells:
        if "exercise" in tags(cell) and cell.cell_type == "code":
            given = cell.source.split(MARKER)[0].rstrip()
            gap = "\n\n\n" if given.split("\n")[-1].startswith(" ") else "\n\n"  # as ruff formats
            cell.source = f"{given}{gap}{BLANK}".lstrip()
    bar = navigation(name)
    return notebook([new_markdown_cell(bar), *cells, new_markdown_cell(bar)])


def solutions(name: str) -> NotebookNode:
    """The setup cells and the exercises with their solutions."""
    chosen = [cell for cell in read_source(name) if {"setup", "exercise"} & set(tags(cell))]
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
        cell.metadata = NotebookNode({"tags": tags(cell)} if tags(cell) else {})
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return new_notebook(
        cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}}
    )


def everything(chosen: list[str]) -> dict[Path, NotebookNode]:
    """The notebooks of these lessons (none named: all, and the index) by their path."""
    made = {}
    for name in chosen or ["index", *names()]:
        if name == "index":
            made[HERE / "index.ipynb"] = index()
            continue
        made[HERE / f"{name}.ipynb"] = lesson(name)
        made[HERE / "solutions" / f"{name}.ipynb"] = solutions(name)
    return made


def run(made: NotebookNode, folder: Path) -> None:
    """Execute a notebook in place; leave out what differs from run to run."""
    os.environ["MFKIT_FAST"] = "1"
    client = NotebookClient(
        made,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
        store_widget_state=False,
        coalesce_streams=True,
        extra_arguments=["--IPKernelApp.log_level=40"],
    )
    client.execute()
    made.metadata.language_info = NotebookNode(name="python")
    for cell in made.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data:  # a widget that brings a picture: shown where nothing runs
                data.pop("application/vnd.jupyter.widget-view+json", None)


def bare(stored: NotebookNode) -> NotebookNode:
    """A notebook without outputs."""
    for cell in stored.cells:
        if cell.cell_type == "code":
            cell.update(outputs=[], execution_count=None)
    return stored


def renew_text(made: NotebookNode, path: Path) -> bool:
    """Take over the outputs of the stored notebook; False if there is none with the same code."""
    if not path.exists():
        return False
    code, old = (
        [cell for cell in book.cells if cell.cell_type == "code"]
        for book in (made, nbformat.read(path, 4))
    )
    if [cell.source for cell in code] != [cell.source for cell in old]:
        return False
    for cell, before in zip(code, old, strict=True):
        cell.update(outputs=before.outputs, execution_count=before.execution_count)
    return True


def readme() -> str | None:
    """README with a new course table, or None while it has no place for one."""
    text = README.read_text(encoding="utf-8")
    return TABLE.sub(lambda _: course_table("notebooks/"), text) if TABLE.search(text) else None


def check(chosen: list[str]) -> list[str]:
    """What generating again would change, apart from outputs."""
    stale = []
    for path, made in everything(chosen).items():
        if not path.exists() or bare(nbformat.read(path, 4)) != made:
            stale.append(str(path.relative_to(HERE.parent)))
    if not chosen and readme() not in (None, README.read_text(encoding="utf-8")):
        stale.append("README.md")
    return stale


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", help="lessons, such as 03_score; none: all")
    parser.add_argument("--text", action="store_true", help="keep the stored outputs")
    parser.add_argument("--check", action="store_true", help="change nothing, exit 1 if stale")
    arguments = parser.parse_args()
    chosen = [Path(name).stem for name in arguments.names]
    if arguments.check:
        stale = check(chosen)
        sys.exit(f"stale, run notebooks/build.py: {', '.join(stale)}" if stale else 0)
    for path, made in everything(chosen).items():
        start = time.perf_counter()
        path.parent.mkdir(exist_ok=True)
        if arguments.text and not renew_text(made, path):
            print(f"{path.relative_to(HERE)}: its code has changed, run it", flush=True)
            continue
        if not arguments.text:
            run(made, path.parent)
        nbformat.write(made, path)
        print(f"{path.relative_to(HERE)}: {time.perf_counter() - start:.1f} s", flush=True)
    if (not chosen or "index" in chosen) and readme() is not None:
        README.write_text(readme(), encoding="utf-8")


if __name__ == "__main__":
    main()
