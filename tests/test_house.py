"""The house is in order: versions in one place, names explained, imports in one direction."""

import ast
import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MODULES = sorted((ROOT / "mfkit").rglob("*.py"))


def _name(path: Path) -> str:
    """Of a module inside mfkit: "views", "explore.scene"; a package has its folder's name."""
    parts = path.relative_to(ROOT / "mfkit").with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


# What a module may import from mfkit. Everything may use files.
ALLOWED = {
    "__init__": "*",
    "__main__": "*",
    "border": set(),
    "check": {"data", "layout", "rows"},
    "cluster": {"job", "needs"},
    "coupling": {"messages", "views"},
    "course": {"data", "plot", "views"},
    "data": {"images", "layout", "rows"},
    "deploy": {"evaluation", "flow", "results", "saved", "score"},
    "devices": set(),
    "evaluation": {"data", "devices", "features", "flow", "foreground", "metrics", "score"},
    "explore": {"explore.explorer", "explore.latents"},
    "explore.answers": {"flow", "score"},
    "explore.controls": set(),
    "explore.explorer": {"explore.controls", "explore.latents", "explore.scene", "plot"},
    "explore.latents": {
        "data",
        "explore.answers",
        "explore.patches",
        "features",
        "flow",
        "foreground",
        "saved",
        "score",
        "views",
    },
    "explore.panels": {"explore.answers", "explore.sheets", "plot", "views"},
    "explore.patches": {"data", "features"},
    "explore.scene": {
        "explore.answers",
        "explore.latents",
        "explore.panels",
        "explore.patches",
        "explore.sheets",
        "metrics",
        "plot",
    },
    "explore.sheets": {"explore.answers", "plot", "score"},
    "features": {"data", "store"},
    "files": set(),
    "flow": {"coupling", "standardize", "views"},
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
        "saved",
        "store",
        "train",
    },
    "layout": set(),
    "masks": {"border", "data", "layout", "rows", "store"},
    "messages": {"views"},
    "metrics": set(),
    "needs": {"features", "job", "presets"},
    "own": {"layout", "rows"},
    "plot": {"data", "score", "views"},
    "presets": {"devices", "flow", "messages", "train", "views"},
    "probe": {"flow", "metrics", "score"},
    "published": {"data", "results"},
    "results": {"data", "evaluation", "score", "store"},
    "rows": {"layout"},
    "run": {
        "cluster",
        "data",
        "devices",
        "job",
        "layout",
        "needs",
        "presets",
        "results",
        "store",
        "train",
    },
    "score": set(),
    "standardize": {"coupling"},
    "store": {"data", "layout"},
    "saved": {"flow"},
    "train": {"devices", "features", "flow", "foreground", "saved", "score"},
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


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_public_names_are_explained(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{path.name}: {node.name} has no docstring"


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_imports_point_one_way(path):
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.ImportFrom):
            continue
        assert not node.level, f"{path.name}: write imports in full, from mfkit.{node.module}"
        package, _, module = (node.module or "").partition(".")
        if package == "mfkit":  # of a folder, its modules are imported by their names
            names = {f"{module}.{alias.name}".lstrip(".") for alias in node.names}
            inside = ROOT / "mfkit" / module in path.parents
            imported |= names if inside else {module}
    allowed = ALLOWED[_name(path)]
    assert allowed == "*" or imported - {"files"} <= allowed


@pytest.mark.parametrize("path", MODULES, ids=_name)
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
