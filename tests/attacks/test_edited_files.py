"""Files of a run that somebody edited, cut or replaced: a sentence, never a traceback."""

import copy
import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from tiny import tiny_world
from trees import tree

from mfkit.__main__ import main
from mfkit.errors import InputError
from mfkit.experiment import adeval
from mfkit.experiment.run import run

WRONG = [None, True, -1, 10**400, 1.5, "", "x", "../x", [], [1], {}, {"a": {"b": []}}]
ROOM = 300e6  # bytes that an attack may take beyond what was taken before


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    with tiny_world():
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A finished run beside its data."""
    root = tmp_path_factory.mktemp("whole")
    tree(root / "data", train=2, sound=1, codes={"BX": 1}, cameras=2, hidden=())
    run(root / "data", root / "out")
    return root


@pytest.fixture
def place(whole, tmp_path) -> Path:
    """A copy to attack; the data stay where they are."""
    shutil.copytree(whole / "out", tmp_path / "out")
    return tmp_path / "out"


def attacked(command: list[str], capsys, codes: tuple[int, ...] = (0, 2)) -> str:
    """What a command says; it must not raise, end with another code or take much memory."""
    before = psutil.Process().memory_info().rss
    code = main(command)
    said = capsys.readouterr()
    assert psutil.Process().memory_info().rss - before < ROOM
    assert code in codes, said
    lines = said.err.strip().splitlines() or [""]
    assert (lines[-1].startswith("error: ")) == (code == 2), said.err
    return said.err


def places_in(value: object, path: tuple = ()) -> Iterator[tuple]:
    """Where in a JSON value something can be replaced."""
    yield path
    if isinstance(value, list):
        value = dict(enumerate(value))
    for key, part in value.items() if isinstance(value, dict) else ():
        yield from places_in(part, (*path, key))


def replaced(value: object, path: tuple, new: object) -> object:
    if not path:
        return new
    value = copy.copy(value)
    if new is DELETED and len(path) == 1:
        del value[path[0]]
    else:
        value[path[0]] = replaced(value[path[0]], path[1:], new)
    return value


DELETED = object()


def test_results_with_any_value_replaced(place, capsys):
    """Each value by all wrong ones, and left out: at least a thousand files."""
    results = json.loads((place / "results.json").read_text())
    tried, refused = 0, set()
    for path in list(places_in(results))[1:]:
        for new in (DELETED, *WRONG):
            text = json.dumps(replaced(results, path, new))
            (place / "results.json").write_text(text)
            said = attacked(["table", str(place)], capsys)
            refused |= {path} if said else set()
            tried += 1
    assert tried > 500
    for key in ("s_auroc", "samples", "epochs", "mark", "files"):
        assert ("categories", "audiojack", key) in refused
    assert {("config", "data"), ("config", "training", "epochs"), ("mean", "s_auroc")} <= refused


@pytest.mark.parametrize("command", ["export", "run", "table"])
@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff\xfe\0", b"[" * 100_000, b'{"categories": {}}', "cut"],
    ids=lambda content: str(content[:8]),
)
def test_results_that_were_cut_or_replaced(place, whole, capsys, command, content):
    path = place / "results.json"
    path.write_bytes(path.read_bytes()[:-200] if content == "cut" else content)
    arguments = {
        "export": ["--run", str(place), "--category", "audiojack"],
        "run": ["--data", str(whole / "data"), "--out", str(place)],
        "table": [str(place)],
    }
    said = attacked([command, *arguments[command]], capsys, codes=(2,))
    assert "results.json" in said and ("delete it" in said or "move it away" in said)


def test_a_row_does_not_lead_out_of_its_folder(place, capsys):
    results = json.loads((place / "results.json").read_text())
    row = results["categories"]["audiojack"]
    (place / "secret.pt").write_bytes(b"x")
    for changes in ({"mark": "../.."}, {"files": {"../secret.pt": "0"}}, {"files": {"..": "0"}}):
        results["categories"]["audiojack"] = {**row, **changes}
        (place / "results.json").write_text(json.dumps(results))
        said = attacked(["export", "--run", str(place), "--category", "audiojack"], capsys, (2,))
        assert "names something outside its folder" in said
    assert (place / "secret.pt").exists()


def checkpoints(state: dict) -> Iterator[object]:
    """What a checkpoint may be instead."""
    yield from ([], {}, 7, {"settings": {}}, torch.zeros(3))
    for key in state:
        yield {name: value for name, value in state.items() if name != key}
        for new in (None, [], {}, "x", [{"epoch": 1}], {"flow": None}):
            yield {**state, key: new}
    yield {**state, "history": state["history"][1:]}
    yield {**state, "flow": {key: value.flatten()[:1] for key, value in state["flow"].items()}}


def test_checkpoints_that_were_edited(place, whole, capsys):
    path = place / "audiojack" / "checkpoint.pt"
    state, content = torch.load(path, weights_only=True), path.read_bytes()
    command = ["run", "--data", str(whole / "data"), "--out", str(place), "--epochs", "3"]
    flipped = bytearray(content)
    with zipfile.ZipFile(path) as archive:
        part = archive.read(max(archive.infolist(), key=lambda part: part.file_size).filename)
    flipped[content.find(part) + len(part) // 2] ^= 1
    for new in [*checkpoints(state), b"", b"PK", content[:999], bytes(flipped), b"\x80\x04K."]:
        if isinstance(new, bytes):
            path.write_bytes(new)
        else:
            torch.save(new, path)
        said = attacked(command, capsys, codes=(2,))
        assert ("checkpoint.pt" in said and "delete it" in said) or "another flow" in said, new
    path.unlink()
    attacked(command, capsys, codes=(0,))


@pytest.mark.parametrize(
    "new",
    [
        np.zeros((2, 2, 4, 4)),
        np.zeros((1, 2, 4, 4), np.float32),
        np.zeros(3, np.float32),
        np.array([{}], dtype=object),
        b"",
        b"\x93NUMPY",
        b"\x93NUMPY\x01\0v\0"
        + b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2, 400000, 4000000), }".ljust(117)
        + b"\n",
        b"\x93NUMPY\x01\0v\0" + b"{'descr': '<f4', __import__('os')}".ljust(117) + b"\n",
        "cut",
    ],
    ids=str,
)
def test_maps_that_are_no_maps(place, capsys, new):
    """A row knows its files; a result of an earlier mfkit does not, so the reader looks itself."""
    path = place / "audiojack" / "maps.npy"
    content = path.read_bytes()
    path.unlink()
    if isinstance(new, np.ndarray):
        np.save(path, new, allow_pickle=True)
    else:
        path.write_bytes(content[:-7] if new == "cut" else new)
    said = attacked(["export", "--run", str(place), "--category", "audiojack"], capsys, (2,))
    assert "maps.npy is not what the run wrote" in said
    with pytest.raises(InputError, match=r"maps.npy does not hold the maps of the run"):
        adeval._read_maps(path, 2, 2)
