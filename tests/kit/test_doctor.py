"""The doctor: what is well is called well, what is broken is named with its mend."""

import importlib
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import jupyter_core.paths
import pytest
from jupyter_client import kernelspec

import mfkit
from mfkit.__main__ import main

doctor = importlib.import_module("mfkit.kit.doctor")
ROOT = Path(__file__).resolve().parents[2]


def test_this_computer_is_ready(monkeypatch, capsys):
    monkeypatch.chdir(ROOT / "notebooks")  # also from inside the project
    monkeypatch.setattr(doctor, "STEP", 600)  # the machine that runs tests may be a busy one
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert "TO DO" not in said and "ready" in said
    for what in doctor.CHECKS:
        assert f"{what} " in said
    assert "112 x 16 x 16" in said  # a picture did go through the backbone


Room = namedtuple("Room", "available free")


@pytest.mark.parametrize(
    ("what", "target", "value", "mend"),
    [
        ("Python", (sys, "version_info"), (3, 10), "3.11"),
        ("packages", (doctor, "requires"), lambda name: ["torch>=99"], "pip install"),
        ("packages", (doctor, "requires"), lambda name: ["no-such-package"], "pip install"),
        ("memory", (doctor, "MEMORY"), 1e6, "close other programs"),
        ("disk", (shutil, "disk_usage"), lambda path: Room(0, 1e6), "make room"),
        ("training", (doctor, "STEP"), 0, "fast setting"),
        ("widgets", (jupyter_core.paths, "jupyter_path"), lambda name: [], "jupyterlab_widgets"),
    ],
)
def test_what_is_broken_is_named_with_its_mend(what, target, value, mend, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(*target, value)
    found, todo = doctor.CHECKS[what]()
    assert found and mend in todo


def test_models_that_did_not_come_along_are_named(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "index.ipynb").touch()
    (tmp_path / "data" / "models" / "wire_plug").mkdir(parents=True)
    (tmp_path / "data" / "models" / "wire_plug" / "model.pt").touch()
    (tmp_path / "data" / "mini-iad").symlink_to(ROOT / "data" / "mini-iad")
    monkeypatch.chdir(tmp_path)
    found, todo = doctor.CHECKS["models"]()
    assert found.startswith("1 of 4")
    assert "make.py --category" in todo and "cast_flange" in todo and "wire_plug" not in todo


def test_a_kernel_that_hides_this_environment_is_named(monkeypatch):
    spec = kernelspec.KernelSpec(argv=["/opt/other/bin/python", "-m", "ipykernel_launcher"])
    monkeypatch.setattr(kernelspec.KernelSpecManager, "get_kernel_spec", lambda *_: spec)
    found, todo = doctor.CHECKS["kernel"]()
    assert "/opt/other" in found and "kernelspec remove" in todo


def test_a_package_that_cannot_be_imported_ends_no_examination(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)  # no project here, either
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(mfkit, "load_backbone", None, raising=False)
    assert main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert "git clone" in said
    assert "import of torch halted" in said and "pip install" in said
    assert "not ready: " in said and "widgets" in said.split("not ready")[0]


@pytest.mark.parametrize("missing", ["torch", "numpy", "psutil", "IPython"])
def test_the_doctor_can_be_called_where_packages_are_missing(missing, tmp_path):
    """Nothing but the standard library is imported before it says what is missing."""
    code = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "import mfkit.kit.doctor as d; d.CHECKS = {'Python': d._python}\n"
        "print([finding.what for finding in d.doctor()])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "['Python']", done.stderr
