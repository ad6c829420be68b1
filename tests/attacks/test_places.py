"""Where things are looked for and put: homes, folders of data, torch's cache."""

import hashlib
import os
import pickle
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
import torch
from torchvision.models import EfficientNet_B5_Weights
from trees import edit, tree

from mfkit.__main__ import main
from mfkit.data.check import check
from mfkit.errors import InputError
from mfkit.experiment import read_results
from mfkit.experiment.run import run
from mfkit.experiment.tables import table
from mfkit.features import load_backbone


@pytest.mark.usefixtures("tiny_preset")
def test_a_run_says_what_check_says_and_finds_its_places(tmp_path, monkeypatch, capsys):
    """A home with an equals sign before it, a sample in both splits, two runs of one name."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    file = tree(tmp_path / "data")
    edit(file, lambda rows: rows["test"].extend(rows["train"][:5]))
    command = ["run", "--data=~/data", "--category", "audiojack"]
    assert main([*command, "--out=~/a/wheel"]) == 0
    printed = "".join(capsys.readouterr())
    assert (tmp_path / "a" / "wheel" / "results.json").exists() and not Path("~").exists()
    told = "audiojack_0001_OK is in train and in test; take it out of one"
    assert f"warning: audiojack: {told}" in printed
    assert told in str(check(tmp_path / "data", progress=False))
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    runs = table(["a/wheel", "b/wheel"]).index.unique("run")
    assert runs.tolist() == ["a/wheel", "b/wheel"]


@pytest.mark.usefixtures("tiny_preset")
def test_each_result_says_with_which_versions_it_was_made(tmp_path, monkeypatch):
    """Also from a folder of sources, in which mfkit is not installed."""
    for name in ("audiojack", "tape"):
        tree(tmp_path / "data", name)
    run(tmp_path / "data", tmp_path / "out", "audiojack")

    def later(package: str) -> str:
        if package == "mfkit":
            raise PackageNotFoundError(package)
        return "9.9"

    monkeypatch.setattr("mfkit.experiment.results.version", later)
    results = run(tmp_path / "data", tmp_path / "out")
    first, second = (results["categories"][name]["versions"] for name in ("audiojack", "tape"))
    assert first["torch"] == version("torch") and second["torch"] == "9.9"
    assert second["mfkit"] == "not installed" and results["versions"] == second


@pytest.mark.parametrize("out", ["data", "data/realiad_jsons", "data/realiad_jsons/wheel"])
def test_results_do_not_go_among_the_data(out, tmp_path, capsys):
    tree(tmp_path / "data")
    status = main(["run", "--data", str(tmp_path / "data"), "--out", str(tmp_path / out)])
    assert status == 2
    assert "lies in the data set" in capsys.readouterr().err
    assert check(tmp_path / "data", progress=False).ok


@pytest.mark.usefixtures("tiny_preset")
def test_a_closed_folder_costs_its_own_category_alone(tmp_path, monkeypatch, capsys):
    """As another user's folder, which root could enter: so the system's answers are made up."""
    for name in ("gears", "nuts"):
        tree(tmp_path / "data", name)
    closed = tmp_path / "data" / "realiad_256" / "gears" / "OK" / "S0001"
    listdir, access, isfile = os.listdir, os.access, os.path.isfile

    def listed(path="."):
        if Path(path) == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return listdir(path)

    monkeypatch.setattr(os, "listdir", listed)
    monkeypatch.setattr(
        os.path, "isfile", lambda path: closed not in Path(path).parents and isfile(path)
    )
    monkeypatch.setattr(os, "access", lambda path, way: Path(path) != closed and access(path, way))
    command = ["run", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")]
    assert main(command) == 2
    said = capsys.readouterr().err
    assert f"gears: {tmp_path / 'data' / 'realiad_jsons' / 'gears.json'}, row train[0]" in said
    assert f"{closed} is closed to you (permission denied); let yourself in" in said
    assert "another --out" not in said
    assert list(read_results(tmp_path / "out")["categories"]) == ["nuts"]


class Deed:
    """What a pickle does when it is read."""

    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)


@pytest.mark.parametrize("named", ["as the published file", "as its own digest says"])
def test_nothing_in_the_cache_of_weights_is_executed(named, tmp_path, monkeypatch):
    """Neither if the file is another one than it says, nor if its name was made to fit."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    deed = pickle.dumps(Deed(tmp_path / "trace"), protocol=2)
    url = EfficientNet_B5_Weights.IMAGENET1K_V1.url
    if named == "as its own digest says":
        url = f"{url.rpartition('-')[0]}-{hashlib.sha256(deed).hexdigest()[:8]}.pth"
        monkeypatch.setattr("mfkit.features.backbone.B5_WEIGHTS", url)
    path = tmp_path / "checkpoints" / Path(url).name
    path.parent.mkdir()
    path.write_bytes(deed)
    with pytest.raises(InputError, match=f"{path.name}: .*delete it"):
        load_backbone("efficientnet_b5")
    assert path.read_bytes() == deed and not (tmp_path / "trace").exists()
    pickle.loads(deed)  # a control: it would have been done
    assert (tmp_path / "trace").exists()
