"""The house is in order: versions in one place, names explained, imports in one direction."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import rooms
import rules
import yaml

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MODULES = sorted((ROOT / "mfkit").rglob("*.py"))


def test_conda_gets_its_versions_from_pyproject():
    """The course extra comes through pip; conda brings only python, of the version asked for."""
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *conda, pip = environment["dependencies"]
    assert conda == [f"python{PROJECT['requires-python']}", "pip"]
    assert pip == {"pip": ["-e .[course]"]}
    assert "course" in PROJECT["optional-dependencies"]


def test_citation_has_the_version_of_the_package():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    assert "2504.03306" in str(citation["preferred-citation"])


def test_no_other_file_names_a_version():
    names = [re.split(r"[<>=\[]", line)[0] for line in PROJECT["dependencies"]]
    pinned = re.compile(rf"\b({'|'.join(map(re.escape, names))})\s*[=<>~]=", re.IGNORECASE)
    for name in ("environment.yml", "Makefile", "README.md", ".ci/run"):
        assert pinned.findall((ROOT / name).read_text()) == [], name


@pytest.mark.parametrize("path", MODULES, ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_public_names_are_explained(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{path.name}: {node.name} has no docstring"


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_the_rules_of_the_rooms_hold(rule):
    assert rule(ROOT / "mfkit") == []


@pytest.mark.parametrize(
    ("rule", "file", "line"),
    [
        (rules.upwards, "data/sample.py", "from mfkit.features import Split"),
        (rules.upwards, "flow/views.py", "from mfkit import plot"),
        (rules.circles, "flow/views.py", "from mfkit.flow.messages import CrossViewNet"),
        (rules.hidden, "plot.py", "def f():\n    from mfkit.flow import ViewGraph"),
        (rules.behind_faces, "score/probe.py", "from mfkit.flow.multiflow import MultiFlow"),
        (rules.incomplete_faces, "score/__init__.py", "from mfkit.score.scores import unknown"),
        (rules.incomplete_faces, "score/newcomer.py", "x = 1"),
        (rules.long, "score/probe.py", "x = 1\n" * 300),
        (rules.long, "score/probe.py", "def f():\n" + "    x = 1\n" * 80),
    ],
)
def test_a_planted_break_is_noticed(rule, file, line, tmp_path):
    package = shutil.copytree(ROOT / "mfkit", tmp_path / "mfkit")
    path = package / file
    path.write_text((path.read_text() if path.exists() else "") + "\n" + line + "\n")
    assert rule(package)


def test_the_picture_of_the_rooms_is_true():
    """Drawn from the imports: `python tests/support/rooms.py` draws it again."""
    assert rooms.PICTURE.read_text() == rooms.draw(ROOT / "mfkit")
    assert rooms.overlaps(ROOT / "mfkit") == []


@pytest.mark.parametrize(
    "command", ["import mfkit", "main(['--help'])", "main(['check', '--data', {data!r}])"]
)
def test_who_lists_files_need_not_wait_for_torch(command):
    """Neither the names of mfkit, nor its command line, nor `check` load PyTorch."""
    code = (
        "import contextlib, io, sys\nfrom mfkit.__main__ import main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n    "
        + command.format(data=str(ROOT / "data" / "mini-iad"))
        + "\nprint('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "False", done.stderr


def test_the_readme_names_only_commands_and_files_that_exist():
    readme = (ROOT / "README.md").read_text()
    for target in re.findall(r"`?make ([a-z-]+)", readme):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), target
    for link in re.findall(r"\]\(([^)#]+?)\)", readme):
        assert "://" in link or (ROOT / link).exists(), link


def test_the_readme_example_runs(capsys):
    """The block with the flow; `write_index` needs a folder of pictures: see test_own."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    example = next(block for block in blocks if "MultiFlow(" in block)
    scope = {}
    exec(example, scope)
    assert scope["nll"].shape == (2, 5, 16, 16)
    assert (scope["x_again"] - scope["x"]).abs().max() < 1e-4
    assert "tensor" in capsys.readouterr().out
