"""Generate and run the notebooks of the course from their sources.

    python notebooks/build.py              generate and run everything, the index and README's table
    python notebooks/build.py 03_score     this lesson and its solutions only (index: the index)
    python notebooks/build.py --text       renew text and navigation of what was run before
    python notebooks/build.py --check      say what generating again would change; exit 1 if any

What a source looks like stands in `lessons.py`. Notebooks are stored as they run under
MFKIT_FAST=1.
"""

import argparse
import os
import sys
import time
from pathlib import Path

import lessons
import nbformat
from lessons import TABLE, course_table, index, lesson, names, solutions
from nbclient import NotebookClient
from nbformat import NotebookNode

README = lessons.HERE.parent / "README.md"


def everything(chosen: list[str]) -> dict[Path, NotebookNode]:
    """The notebooks of these lessons (none named: all, and the index) by their path."""
    made = {}
    for name in chosen or ["index", *names()]:
        if name == "index":
            made[lessons.HERE / "index.ipynb"] = index()
            continue
        made[lessons.HERE / f"{name}.ipynb"] = lesson(name)
        made[lessons.HERE / "solutions" / f"{name}.ipynb"] = solutions(name)
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
            # a widget brings a picture, which is shown where nothing runs
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
            stale.append(str(path.relative_to(lessons.HERE.parent)))
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
            print(f"{path.relative_to(lessons.HERE)}: its code has changed, run it", flush=True)
            continue
        if not arguments.text:
            run(made, path.parent)
        nbformat.write(made, path)
        print(f"{path.relative_to(lessons.HERE)}: {time.perf_counter() - start:.1f} s", flush=True)
    if (not chosen or "index" in chosen) and readme() is not None:
        README.write_text(readme(), encoding="utf-8")


if __name__ == "__main__":
    main()
