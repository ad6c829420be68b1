"""The house is in order: versions in one place, names explained, imports in one direction."""

import ast
import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MODULES = sorted((ROOT / "mfkit").glob("*.py"))

# What a module may import from mfkit. Everything may use files.
ALLOWED = {
    "__init__": "*",
    "__main__": "*",
    "answers": {"flow", "score"},
    "border": set(),
    "check": {"data", "layout", "rows"},
    "course": {"plot", "views"},
    "cluster": {"job", "needs"},
    "controls": set(),
    "coupling": {"messages", "views"},
    "data": {"images", "layout", "rows"},
    "deploy": {"evaluation", "flow", "results", "score", "train"},
    "devices": set(),
    "evaluation": {"data", "devices", "features", "flow", "foreground", "metrics", "score"},
    "explore": {"controls", "latents", "plot", "scene"},
    "features": {"data", "store"},
    "files": set(),
    "flow": {"coupling", "views"},
    "foreground": {"border", "data", "masks", "store"},
    "images": {"layout"},
    "job": {
        "data",
        "devices",
        "evaluation",
        "features",
        "flow",
        "foreground",
        "masks",
        "plot",
        "presets",
        "train",
    },
    "latents": {
        "answers",
        "data",
        "features",
        "flow",
        "foreground",
        "patches",
        "score",
        "train",
        "views",
    },
    "layout": set(),
    "masks": {"border", "data", "layout", "rows", "store"},
    "messages": {"views"},
    "metrics": set(),
    "needs": {"features", "job", "presets"},
    "own": {"layout", "rows"},
    "panels": {"answers", "plot", "sheets", "views"},
    "patches": {"data", "features"},
    "plot": {"data", "score", "views"},
    "probe": {"flow", "score", "metrics"},
    "presets": {"devices", "flow", "messages", "train", "views"},
    "published": {"data", "results"},
    "rows": {"layout"},
    "results": {"data", "evaluation", "score"},
    "run": {
        "cluster",
        "data",
        "devices",
        "job",
        "layout",
        "needs",
        "presets",
        "results",
        "train",
    },
    "scene": {"answers", "latents", "metrics", "panels", "patches", "plot", "sheets"},
    "score": set(),
    "sheets": {"answers", "plot", "score"},
    "store": {"data"},
    "train": {"devices", "features", "flow", "foreground", "score"},
    "views": {"plot"},
}


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


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_public_names_are_explained(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{path.name}: {node.name} has no docstring"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_imports_point_one_way(path):
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.ImportFrom):
            continue
        module = node.module or ""
        if node.level:
            imported |= {module} if module else {alias.name for alias in node.names}
        elif module == "mfkit":
            imported |= {alias.name for alias in node.names}
        elif module.startswith("mfkit."):
            imported.add(module.removeprefix("mfkit."))
    allowed = ALLOWED[path.stem]
    assert allowed == "*" or imported - {"files"} <= allowed


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_files_are_short_enough_to_read(path):
    assert len(path.read_text().splitlines()) <= 400


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
