"""Other forms of the lessons: for Colab, and for nbgrader with its own grader at work."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import forms
import lessons
import nbformat
import pytest
from traitlets.config import PyFileConfigLoader

ROOT = Path(__file__).resolve().parents[2]
ADDRESS = "https://example.org/fork.git"
each = pytest.mark.parametrize("name", lessons.names())


@each
def test_colab_begins_with_the_cell_that_fetches(name):
    plain, colab = lessons.lesson(name), forms.colab(name, ADDRESS)
    assert ADDRESS in colab.cells[1].source
    ast.parse(colab.cells[1].source)
    rest = [colab.cells[0], *colab.cells[2:]]
    assert [cell.source for cell in rest] == [cell.source for cell in plain.cells]
    nbformat.validate(colab)


@each
def test_every_exercise_is_graded_by_its_check_or_by_hand(name):
    book = forms.nbgrader(name)
    nbformat.validate(book)
    marks = [cell.metadata.nbgrader for cell in book.cells]
    assert len({mark.grade_id for mark in marks}) == len(marks)
    questions = sum(
        cell.cell_type == "code" and "exercise" in lessons.tags(cell)
        for cell in lessons.read_source(name)
    )
    assert sum(mark.solution for mark in marks) == questions
    assert sum(mark.get("points", 0) for mark in marks) == questions * forms.POINTS
    for cell, mark in zip(book.cells, marks, strict=True):
        if mark.solution:
            assert "### BEGIN SOLUTION" in cell.source and "### END SOLUTION" in cell.source
        assert lessons.CHECK not in cell.source and lessons.MARKER not in cell.source
        assert mark.solution or mark.locked


def test_cells_that_train_get_their_time_and_a_teachers_settings_stay(tmp_path):
    forms.write_nbgrader(tmp_path)
    config = PyFileConfigLoader("nbgrader_config.py", str(tmp_path))
    assert config.load_config().Execute.timeout >= 600
    (tmp_path / "nbgrader_config.py").write_text("c = get_config()\n")
    forms.write_nbgrader(tmp_path)
    assert "timeout" not in config.load_config().get("Execute", {})


def nbgrader(course, *arguments):
    """Run nbgrader in a course folder; its log."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", *arguments],
        cwd=course,
        env={**os.environ, "MFKIT_FAST": "1", "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stderr


def points(course):
    """{student: points} of all that was graded."""
    nbgrader(course, "export", "--to", "grades.csv")
    lines = (course / "grades.csv").read_text().splitlines()
    columns = lines[0].split(",")
    rows = [dict(zip(columns, line.split(","), strict=True)) for line in lines[1:]]
    return {row["student_id"]: float(row["score"]) for row in rows}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "checks"),
    [
        pytest.param(name, checks, marks=() if name == "02_density" else pytest.mark.kit)
        for name, checks in zip(lessons.names(), (5, 5, 4, 4, 4, 4, 4), strict=True)
    ],
)
def test_the_released_notebook_with_the_solutions_pasted_in_passes(
    name, checks, tmp_path, monkeypatch
):
    """nbgrader releases a lesson, two students hand in: one has all answers, one has none."""
    course = ROOT / "runs" / "nbgrader-test" / tmp_path.name  # so that lessons find their data
    shutil.rmtree(course, ignore_errors=True)  # of an earlier run
    monkeypatch.setattr(lessons, "names", lambda: [name])
    source = nbformat.read(forms.write_nbgrader(course)[0], 4)
    nbgrader(course, "generate_assignment", name, "--create", "--IncludeHeaderFooter.header=")
    released = nbformat.read(course / "release" / name / f"{name}.ipynb", 4)
    text = "".join(cell.source for cell in released.cells)
    assert "SOLUTION" not in text and "class MendedCoupling" not in text
    solved = {cell.metadata.nbgrader.grade_id: cell.source for cell in source.cells}
    for student in ("diligent", "idle"):
        handed_in = course / "submitted" / student / name / f"{name}.ipynb"
        handed_in.parent.mkdir(parents=True)
        nbformat.write(released, handed_in)
        for cell in released.cells:
            cell.source = cell.source.replace("raise NotImplementedError()", "pass")
    book = nbformat.read(course / "submitted" / "diligent" / name / f"{name}.ipynb", 4)
    for cell in book.cells:
        if cell.metadata.nbgrader.solution:
            cell.source = solved[cell.metadata.nbgrader.grade_id]
    nbformat.write(book, course / "submitted" / "diligent" / name / f"{name}.ipynb")
    nbgrader(course, "autograde", name, "--create")
    assert points(course) == {"diligent": checks * forms.POINTS, "idle": 0}
