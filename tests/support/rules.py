"""The rules of the rooms of mfkit, as functions from a package's folder to complaints."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

EXPERIMENT = {"data", "errors", "escape", "features", "files", "flow", "plot", "score"}
ABOVE = EXPERIMENT | {"experiment"}  # of rooms that stand upon it
# who may import whom; what stands further up uses what stands further down
ALLOWED = {
    "__main__": {"endings", "errors", "escape", "explore_command", "kit", "options"},
    "explore_command": {"errors", "escape"},
    "kit": {"errors", "escape"},
    "course": {"data", "errors", "flow", "palette"},
    "explore": ABOVE | {"inspection", "palette"},
    "inspection": ABOVE,
    "study": ABOVE,
    "experiment": EXPERIMENT,
    "plot": {"data", "escape", "files", "palette", "score"},
    "score": {"flow"},
    "flow": {"errors", "files", "palette"},
    "features": {"data", "errors", "files"},
    "data": {"errors", "escape", "files"},
    "palette": set(),
    "files": set(),
    "endings": set(),
    "options": set(),
    "errors": {"escape"},
    "escape": set(),
}
FILE, FUNCTION = 300, 80  # lines at most; a function's without its docstring


def modules(package: Path) -> dict[str, ast.Module]:
    """Syntax trees by name: "plot", "flow.views"; a face bears its room's name: "flow"."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def room(name: str) -> str:
    """The room of a module, or the module itself if it stands beside the rooms."""
    return name.split(".")[0]


def imported(tree: ast.AST) -> Iterator[tuple[str, list[str]]]:
    """What is imported from mfkit: module ("" for mfkit itself) and names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and re.match(r"mfkit(\.|$)", node.module or ""):
            module = node.module.partition(".")[2]
            yield module, [alias.name for alias in node.names]


def sources(tree: ast.AST, known: set[str]) -> set[str]:
    """The modules that are imported; `from mfkit.flow import views` is `flow.views`."""
    found = set()
    for module, names in imported(tree):
        inside = {f"{module}.{name}".lstrip(".") for name in names} & known
        found |= inside or {module}
    return found - {""}


def upwards(package: Path) -> list[str]:
    """Imports that the table does not allow."""
    trees = modules(package)
    return [
        f"{name} imports {other}"
        for name, tree in trees.items()
        for other in sorted(sources(tree, set(trees)))
        if name and room(other) != room(name) and room(other) not in ALLOWED.get(room(name), ())
    ]


def circles(package: Path) -> list[str]:
    """Modules that import themselves by way of others."""
    trees = modules(package)
    graph = {name: sources(tree, set(trees)) & set(trees) for name, tree in trees.items()}

    def reach(name: str, seen: set[str]) -> set[str]:
        for other in graph[name] - seen:
            seen.add(other)
            reach(other, seen)
        return seen

    return [f"{name} is part of a circle" for name in graph if name in reach(name, set())]


def hidden(package: Path) -> list[str]:
    """Imports from mfkit inside a function."""
    return [
        f"{name}: {function.name} imports mfkit.{module}"
        for name, tree in modules(package).items()
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for module, _ in imported(function)
    ]


def behind_faces(package: Path) -> list[str]:
    """Imports out of another room that do not go through its face.

    A function that bears the name of its file cannot be handed on by a face: the one would hide the
    other.
    """
    trees = modules(package)
    return [
        f"{name} imports {name_} from {module}, not from {room(module)}"
        for name, tree in trees.items()
        for module, names in imported(tree)
        for name_ in names
        if name and "." in module and room(module) != room(name) and module in trees
        if name_ != module.split(".")[1]
    ]


def incomplete_faces(package: Path) -> list[str]:
    """Faces whose `__all__` is not what they import, or that do not name all of their files."""
    trees, found = modules(package), []
    for face in {room(name) for name in trees if "." in name}:
        names = {name for _, names in imported(trees[face]) for name in names}
        listed = next(
            (
                {element.value for element in node.value.elts}
                for node in trees[face].body
                if isinstance(node, ast.Assign) and node.targets[0].id == "__all__"
            ),
            set(),
        )
        found += [f"{face}: {name} is not in __all__ and imported" for name in names ^ listed]
        text = ast.get_docstring(trees[face]) or ""
        files = {name.split(".")[1] for name in trees if name.startswith(f"{face}.")}
        found += [
            f"{face}: its text does not name {file}" for file in files if f"`{file}`" not in text
        ]
    return sorted(found)


def long(package: Path) -> list[str]:
    """Files and functions that do not fit into one sitting, or on one screen and a half."""
    found = []
    for path in sorted(package.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        if len(source.splitlines()) > FILE:
            found.append(f"{path.name}: {len(source.splitlines())} lines")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef):
                lines = node.end_lineno - node.lineno + 1
                if ast.get_docstring(node):
                    lines -= node.body[0].end_lineno - node.body[0].lineno + 1
                if lines > FUNCTION:
                    found.append(f"{path.name}: {node.name} has {lines} lines")
    return found


RULES = (upwards, circles, hidden, behind_faces, incomplete_faces, long)
