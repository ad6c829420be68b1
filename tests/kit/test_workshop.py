"""Working copies: laid out where git looks for nothing, and what a student wrote stays."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mfkit.__main__ import main
from mfkit.errors import InputError
from mfkit.kit import copy_lessons, find_project, open_lab, workshop

ROOT = Path(__file__).resolve().parents[2]
LESSON = "notebooks/01_look.ipynb"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A small copy of the project: two lessons, what they link to, and their pictures."""
    for name in ("notebooks/index.ipynb", LESSON, "notebooks/solutions/01_look.ipynb"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / "notebooks" / "results").mkdir()
    (tmp_path / "notebooks" / "results" / "wires.md").write_text("measured")
    (tmp_path / "data" / "mini-iad").mkdir(parents=True)
    (tmp_path / "data" / "README.md").write_text("data sheet")
    monkeypatch.chdir(tmp_path / "data")
    return tmp_path


def test_copies_are_laid_out_and_what_is_written_in_them_stays(project, capsys):
    folder, kept = copy_lessons()
    assert folder == project / "runs" / "workshop" and kept == []
    for name in (LESSON, "notebooks/solutions/01_look.ipynb", "notebooks/results/wires.md"):
        assert (folder / name).read_bytes() == (project / name).read_bytes()
    assert (folder / "data" / "README.md").exists() and not (folder / "data/mini-iad").exists()
    (folder / LESSON).write_text("my answers")
    assert main(["workshop", "--copy-only"]) == 0
    assert f"kept as it is: {LESSON}" in capsys.readouterr().out
    assert (folder / LESSON).read_text() == "my answers"
    assert (project / LESSON).read_bytes() == (ROOT / LESSON).read_bytes()


@pytest.mark.parametrize(
    ("out", "mend"),
    [("{}/../elsewhere", "runs/anna"), (".", "runs/anna"), ("notebooks/mine", "runs/workshop")],
)
def test_copies_that_would_not_work_are_refused(out, mend, project, capsys):
    assert main(["workshop", "--copy-only", "--out", out.format(project)]) == 2
    assert mend in capsys.readouterr().err


def test_outside_of_a_project_it_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="git clone"):
        find_project()


@pytest.mark.parametrize("fast", [True, False])
def test_lab_opens_quietly_in_the_chosen_setting(fast, project, monkeypatch):
    calls = []

    def run(command, env, check):
        calls.append((command, env))
        return subprocess.CompletedProcess(command, 7)

    monkeypatch.setattr(workshop.subprocess, "run", run)
    folder, _ = copy_lessons("runs/anna")
    assert open_lab(folder, fast, ["--no-browser"]) == 7
    ((command, environment),) = calls
    assert command[:4] == [sys.executable, "-m", "jupyter", "lab"] and "--no-browser" in command
    assert f"--ServerApp.root_dir={folder}" in command
    assert environment["MFKIT_FAST"] == ("1" if fast else "0")
    (news,) = Path(environment["JUPYTERLAB_SETTINGS_DIR"]).rglob("notification*")
    assert json.loads(news.read_text())["fetchNews"] == "false"


def test_git_sees_nothing_of_a_workshop():
    """The default folder is one that git ignores."""
    done = subprocess.run(
        ["git", "check-ignore", "runs/workshop/notebooks/01_look.ipynb"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
