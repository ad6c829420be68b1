"""Is this computer ready for the course? What is not, and what to do about it, in words."""

import importlib
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import NamedTuple

import mfkit
from mfkit.kit.places import find_project

__all__ = ["Finding", "doctor"]

GIGABYTE = 1e9
MEMORY = 2.0  # gigabytes that a lesson may take, as the lessons' cards say
DISK = 2.0  # gigabytes: features and flows that lessons 5 to 7 keep in runs/
STEP = 2.0  # seconds: a training step that takes longer makes lesson 5 longer than an hour
INSTALL = (
    f'type "{sys.executable}" -m pip install -e ".[course]" in the folder of the project '
    "(make workshop does it, too)"
)


class Finding(NamedTuple):
    """What was looked at, what was found, and what to do ("" if all is well)."""

    what: str
    found: str
    todo: str = ""


def doctor() -> Iterator[Finding]:
    """Look at everything the lessons need, one thing after the other.

    Yields:
        a finding for each of `CHECKS`, also for one that ends in an error.
    """
    for what, look in CHECKS.items():
        try:
            yield Finding(what, *look())
        except ImportError as error:
            yield Finding(what, f"{error}", INSTALL)
        except Exception as error:  # whatever is broken here is what was asked for
            yield Finding(what, f"{type(error).__name__}: {error}", "mend what it names, or ask")


def _python() -> tuple[str, str]:
    found = f"{sys.version.split()[0]}, {sys.executable}"
    wanted = "install Python 3.11 or newer, and make the environment with it"
    return found, "" if sys.version_info >= (3, 11) else wanted


def _packages() -> tuple[str, str]:
    """Versions of all that `mfkit[course]` asks for."""
    from packaging.requirements import Requirement

    wrong, shown = [], []
    for line in requires("mfkit") or ():
        wanted = Requirement(line)
        if wanted.marker and not wanted.marker.evaluate({"extra": "course"}):
            continue
        try:
            found = version(wanted.name)
        except PackageNotFoundError:
            wrong.append(f"{wanted.name} is missing")
            continue
        if not wanted.specifier.contains(found, prereleases=True):
            wrong.append(f"{wanted.name} is {found}, needed is {wanted.specifier}")
        if wanted.name in ("torch", "FrEIA", "jupyterlab", "ipywidgets"):
            shown.append(f"{wanted.name} {found}")
    return ", ".join(wrong or shown), INSTALL if wrong else ""


def _memory() -> tuple[str, str]:
    free = importlib.import_module("psutil").virtual_memory().available / GIGABYTE
    mend = f"close other programs: a lesson needs up to {MEMORY:.0f} GB, and stops without them"
    return f"{free:.1f} GB free", "" if free >= MEMORY else mend


def _disk() -> tuple[str, str]:
    free = shutil.disk_usage(find_project()).free / GIGABYTE
    mend = f"make room: lessons 5 to 7 keep up to {DISK:.0f} GB in the folder runs"
    return f"{free:.1f} GB free", "" if free >= DISK else mend


def _pictures() -> tuple[str, str]:
    project = find_project()
    names = mfkit.categories(project / "data" / "mini-iad")
    return f"{len(names)} categories in {project / 'data' / 'mini-iad'}", ""


def _models() -> tuple[str, str]:
    """Each category comes with a trained model."""
    project = find_project()
    names = mfkit.categories(project / "data" / "mini-iad")
    missing = [n for n in names if not (project / "data" / "models" / n / "model.pt").is_file()]
    command = f"python data/models/make.py --category {' '.join(missing)}"
    found = f"{len(names) - len(missing)} of {len(names)} trained models in data/models"
    return found, f"fetch the project again, or type {command}" if missing else ""


def _backbone() -> tuple[str, str]:
    """The frozen network's weights come with a package; one picture goes through."""
    torch = importlib.import_module("torch")
    picture = torch.zeros(1, 256, 256, 3, dtype=torch.uint8)
    shape = tuple(mfkit.load_backbone("efficientnet_lite0")(picture).shape[1:])
    return "weights are here; a picture of 256 px becomes {} x {} x {}".format(*shape), ""


def _training() -> tuple[str, str]:
    """The second of two training steps of lesson 5's flow, batch of 4 objects."""
    torch = importlib.import_module("torch")
    flow = mfkit.MultiFlow(112, 16, 16, mfkit.ViewGraph.wheel(), blocks=4, hidden=32)
    optimizer = torch.optim.AdamW(flow.parameters(), lr=1e-3)
    x = torch.randn(4, 5, 112, 16, 16, generator=torch.Generator().manual_seed(0))
    for _ in range(2):
        begin = time.perf_counter()
        mfkit.nll_map(*flow(x)).mean().backward()
        optimizer.step()
        seconds = time.perf_counter() - begin
    mend = "stay in the fast setting (python -m mfkit workshop): the full one is slow here"
    return f"{seconds:.2f} seconds a step", "" if seconds <= STEP else mend


def _kernel() -> tuple[str, str]:
    """Notebooks run in the Python that has the packages."""
    client = importlib.import_module("jupyter_client.kernelspec")
    python = Path(client.KernelSpecManager().get_kernel_spec("python3").argv[0])
    if python.name == str(python):  # "python" alone means this one, whatever the PATH says
        python = Path(sys.executable)
    same = python.parent.resolve() == Path(sys.executable).parent.resolve()
    mend = (
        "a kernel of your own named python3 hides this environment's: type "
        "jupyter kernelspec remove python3"
    )
    return f"notebooks run in {python}", "" if same else mend


def _widget() -> tuple[str, str]:
    """A slider answers in Python, and JupyterLab knows how to draw it."""
    slider, seen = importlib.import_module("ipywidgets").IntSlider(value=1), []
    slider.observe(seen.append, "value")
    slider.value = 2
    folders = importlib.import_module("jupyter_core.paths").jupyter_path("labextensions")
    drawn = any((Path(f) / "@jupyter-widgets" / "jupyterlab-manager").is_dir() for f in folders)
    mend = "" if drawn else "type python -m pip install --force-reinstall jupyterlab_widgets"
    answer = "answers" if seen else "does not answer"
    return f"a slider {answer}, JupyterLab {'draws' if drawn else 'cannot draw'} it", mend


CHECKS: dict[str, Callable[[], tuple[str, str]]] = {
    "Python": _python,
    "packages": _packages,
    "memory": _memory,
    "disk": _disk,
    "pictures": _pictures,
    "models": _models,
    "backbone": _backbone,
    "training": _training,
    "kernel": _kernel,
    "widgets": _widget,
}
"""What is looked at, in this order: each returns what it found and what to do."""
