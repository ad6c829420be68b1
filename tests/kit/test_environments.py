"""The recipes of TEACHING.md from nothing: a room without network, and Colab (`make test-kit`).

They take gigabytes of wheels and many minutes, and a network to fetch the wheels.
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import forms
import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.kit
linux = pytest.mark.skipif(sys.platform != "linux", reason="namespaces without network: Linux")
BARE = {"PIP_CONFIG_FILE": os.devnull, "MFKIT_FAST": "1"}
KEPT = ("PATH", "LANG", "SSL_CERT_FILE", "OMP_NUM_THREADS")
RUN = (  # a lesson, where it lies
    "import sys, nbformat; from nbclient import NotebookClient; from pathlib import Path\n"
    "path = Path(sys.argv[1]); book = nbformat.read(path, 4)\n"
    "where = {'metadata': {'path': str(path.parent)}}\n"
    "NotebookClient(book, timeout=900, kernel_name='python3', resources=where).execute()\n"
    "nbformat.write(book, path)"
)


def run(command, cwd, **environment):
    """Run a command with next to nothing in its environment; its output."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    done = subprocess.run(
        command, cwd=cwd, env=kept | {"HOME": str(cwd)} | environment, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}"
    return done.stdout


def verdicts(path):
    """What the cells of a notebook that was run call true or false."""
    said = "".join(
        output.get("text", "")
        for cell in nbformat.read(path, 4).cells
        if cell.cell_type == "code"
        for output in cell.outputs
    )
    return re.findall(r"\b(True|False)\b", said)


@pytest.fixture(scope="module")
def wheelhouse():
    """All wheels, by the command of TEACHING.md; what is there already is not fetched again."""
    subprocess.run(["make", "wheelhouse", f"PYTHON={sys.executable}"], cwd=ROOT, check=True)
    return ROOT / "runs" / "wheelhouse"


@pytest.fixture
def project(tmp_path):
    """A clone, as a student gets it."""
    subprocess.run(["git", "clone", "--quiet", ROOT, tmp_path / "project"], check=True)
    return tmp_path / "project"


@linux
def test_a_room_without_network(wheelhouse, project):
    """TEACHING.md's commands in a namespace without a network; then lesson 2, which must hold."""
    (project / "runs").mkdir()
    (project / "runs" / "wheelhouse").symlink_to(wheelhouse)
    text = (ROOT / "TEACHING.md").read_text(encoding="utf-8").split("## Rooms without")[-1]
    block = re.findall(r"```\n(.+?)```", text, re.DOTALL)[1]
    *commands, doctor, workshop = block.splitlines()
    assert workshop == ".venv/bin/python -m mfkit workshop"
    commands[0] = commands[0].replace("python", sys.executable, 1)
    commands.append(f"{doctor} || true")  # the machine may be a busy one, and slow
    lesson = "runs/workshop/notebooks/02_density.ipynb"
    commands += [f"{workshop} --copy-only", shlex.join([".venv/bin/python", "-c", RUN, lesson])]
    alone = ["unshare", "--net", "--map-root-user", "sh", "-ec"]
    cut_off = "if ip route get 192.0.2.1 2>/dev/null; then exit 9; fi"
    script = "\n".join(["ip link set lo up", cut_off, *commands])
    said = run([*alone, script], project, **BARE)
    assert re.search("This computer is ready|not ready: training\n", said), said
    stored = verdicts(ROOT / "notebooks" / "02_density.ipynb")
    assert len(stored) > 5 and verdicts(project / lesson) == stored


def test_the_colab_form_of_lesson_2_in_a_fresh_environment(wheelhouse, tmp_path):
    """Like Colab: a kernel, widgets, git and pip; the first cell does the rest."""
    run([sys.executable, "-m", "venv", "fresh"], tmp_path)
    python = tmp_path / "fresh" / "bin" / "python"
    run([python, "-m", "pip", "install", "--quiet", "ipykernel", "ipywidgets", "nbclient"],
        tmp_path, PIP_FIND_LINKS=str(wheelhouse))  # fmt: skip
    lesson = tmp_path / "02_density.ipynb"
    nbformat.write(forms.colab("02_density", str(ROOT)), lesson)
    run([python, "-c", RUN, lesson], tmp_path, PIP_FIND_LINKS=str(wheelhouse))
    assert (tmp_path / "multi-flow" / "notebooks").is_dir()
    found = run([python, "-c", "import mfkit; print(mfkit.__file__)"], tmp_path)
    assert str(tmp_path / "fresh") in found
    assert verdicts(lesson) == verdicts(ROOT / "notebooks" / "02_density.ipynb")
