"""Lessons 2 and 3 as `make lab` runs them: what is true in the fast setting is true here."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
RUN = (
    "import sys, nbformat; from nbclient import NotebookClient\n"
    "book = nbformat.read(sys.argv[1], 4)\n"
    "where = {'metadata': {'path': sys.argv[2]}}\n"
    "NotebookClient(book, timeout=1200, kernel_name='python3', resources=where).execute()\n"
    "nbformat.write(book, sys.argv[3])"
)


def verdicts(path):
    """True and False in what each cell prints, by the cell's id."""
    found = {}
    for cell in nbformat.read(path, 4).cells:
        text = "".join(output.get("text", "") for output in cell.get("outputs", []))
        if words := re.findall(r"\b(?:True|False)\b", text):
            found[cell.id] = words
    return found


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("02_density", marks=pytest.mark.slow),
        pytest.param("03_score", marks=pytest.mark.kit),  # minutes: `make test-kit` asks for it
    ],
)
def test_verdicts_are_the_same_in_the_full_setting(name, tmp_path):
    path, full = NOTEBOOKS / f"{name}.ipynb", tmp_path / "full.ipynb"
    environment = {key: value for key, value in os.environ.items() if key != "MFKIT_FAST"}
    subprocess.run([sys.executable, "-c", RUN, path, NOTEBOOKS, full], env=environment, check=True)
    stored = verdicts(path)
    assert len(stored) >= 7
    assert verdicts(full) == stored
