"""A room of students: working copies of the lessons, and JupyterLab as a workshop needs it.

Running a lesson changes its notebook. Copies lie where git looks for nothing, and nothing that a
student wrote is ever overwritten.
"""

import filecmp
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from mfkit.errors import InputError
from mfkit.kit.places import find_project

__all__ = ["copy_lessons", "open_lab"]

COPIED = ("notebooks/*.ipynb", "notebooks/solutions/*.ipynb", "notebooks/results/*", "data/*.md")
"""Lessons, their solutions, and what they link to. Pictures are found above the copies."""
QUIET = {
    "@jupyterlab/apputils-extension/notification.jupyterlab-settings": {
        "fetchNews": "false",
        "checkForUpdates": False,
    }
}
"""Settings of JupyterLab, by file: it asks nobody about news and looks for no newer version."""


def copy_lessons(folder: str | Path = "runs/workshop") -> tuple[Path, list[Path]]:
    """Lay out working copies of all lessons; what is there already stays as it is.

    Arguments:
        folder: where to; inside the project, since lessons look for `data/` above them. One for
            each student who shares this computer.

    Returns:
        the folder, and those copies in it that differ from the project's lessons, since somebody
        has worked in them or the lessons are newer. Delete one, and the next call lays it out
        anew.

    Raises:
        InputError: the folder lies outside the project, or where its own lessons are.
    """
    project = find_project()
    target = (project / Path(folder).expanduser()).resolve()
    if target == project or not target.is_relative_to(project):
        raise InputError(
            f"{target} should lie inside {project}, since lessons look for their pictures in the "
            "folders above them: choose a folder such as runs/anna"
        )
    if target.is_relative_to(project / "notebooks"):
        raise InputError(f"{target} lies among the lessons themselves: choose runs/workshop")
    kept = []
    for source in sorted(path for pattern in COPIED for path in project.glob(pattern)):
        copy = target / source.relative_to(project)
        if not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)
        elif not filecmp.cmp(source, copy, shallow=False):
            kept.append(copy)
    return target, kept


def open_lab(folder: Path, fast: bool = True, options: Sequence[str] = ()) -> int:
    """Open JupyterLab on working copies, with the index in front.

    Arguments:
        folder: as `copy_lessons` returns it.
        fast: lessons take fewer samples and steps (MFKIT_FAST=1).
        options: further arguments of `jupyter lab`, such as "--no-browser".

    Returns:
        the exit code of JupyterLab, once it has been closed.
    """
    settings = folder / ".lab"
    for name, values in QUIET.items():
        (settings / name).parent.mkdir(parents=True, exist_ok=True)
        (settings / name).write_text(json.dumps(values))
    environment = {
        **os.environ,
        "MFKIT_FAST": "1" if fast else "0",
        "JUPYTERLAB_SETTINGS_DIR": str(settings),
        "JUPYTERLAB_WORKSPACES_DIR": str(settings / "workspaces"),
    }
    command = [sys.executable, "-m", "jupyter", "lab", f"--ServerApp.root_dir={folder}"]
    command += ["--LabApp.default_url=/lab/tree/notebooks/index.ipynb", *options]
    return subprocess.run(command, env=environment, check=False).returncode
