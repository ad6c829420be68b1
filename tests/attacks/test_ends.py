"""However a command ends: its word, its exit code, and nothing left lying about."""

import errno
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from children import Child, until
from trees import tree

from mfkit.__main__ import main
from mfkit.experiment.run import run
from mfkit.files import HOST, clear_drafts, whole_file

ROOT = Path(__file__).parents[2]


def leftovers(folder: Path) -> list[Path]:
    return [path for path in folder.rglob(".*") if ".part" in path.name or "result-" in path.name]


@pytest.mark.usefixtures("tiny_preset")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_an_end_from_outside_is_said_and_leaves_nothing(tmp_path, number):
    """With several categories: an end is no fault of one of them, the others are not begun."""
    for name in ("audiojack", "gears"):
        tree(tmp_path / "data", name)
    command = ["run", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")]
    child = Child([*command, "--epochs", "1000"], tmp_path / "log")
    until((tmp_path / "out" / "audiojack" / "checkpoint.pt").exists, child)
    os.kill(child.pid, number)
    assert child.wait() == 130
    said = (tmp_path / "log").read_text()
    assert "stopped; the same command continues where it stopped" in said
    assert "Traceback" not in said and not (tmp_path / "out" / "gears").exists()
    assert leftovers(tmp_path) == []


@pytest.mark.usefixtures("tiny_preset")
def test_what_a_kill_left_is_cleared_and_what_lives_is_not(tmp_path):
    tree(tmp_path / "data")
    out = tmp_path / "out" / "audiojack"
    out.mkdir(parents=True)
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"],
                          capture_output=True, text=True, check=True).stdout.strip()  # fmt: skip
    dead = [f".checkpoint.{gone}.part.pt", f".model.{HOST}-{gone}.part.pt"]
    alive = [f".maps.{HOST}-{os.getpid()}.part.npy", f".maps.elsewhere-{gone}.part.npy"]
    for name in dead + alive:
        (out / name).write_bytes(b"x")
    (out / ".result-0123").mkdir()
    run(tmp_path / "data", tmp_path / "out")
    assert sorted(path.name for path in leftovers(tmp_path)) == sorted(alive)
    run(tmp_path / "data", tmp_path / "out")  # done before: looked at, too
    (out / dead[0]).write_bytes(b"x")
    run(tmp_path / "data", tmp_path / "out")
    assert sorted(path.name for path in leftovers(tmp_path)) == sorted(alive)


def test_a_number_that_another_process_has_now_keeps_no_draft(tmp_path):
    draft = tmp_path / f".model.{HOST}-{os.getpid()}.part.pt"
    draft.write_bytes(b"x")
    clear_drafts(tmp_path)
    assert draft.exists()
    os.utime(draft, (1, 1))  # long before this process began
    clear_drafts(tmp_path)
    assert not draft.exists()
    clear_drafts(tmp_path / "nowhere")


def test_a_draft_that_fails_leaves_the_old_file(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(KeyboardInterrupt), whole_file(tmp_path / "a.txt") as draft:
        draft.write_text("new")
        raise KeyboardInterrupt
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.txt", "old")]


@pytest.mark.parametrize("streams", ["stdout", "both"])
def test_a_reader_that_leaves_ends_it_quietly(tmp_path, streams):
    """As `| head -1` does, and `2>&1 | head -1`."""
    tree(tmp_path / "data")
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "mfkit", "check", "--data", str(tmp_path / "data")]
    errors = write if streams == "both" else subprocess.PIPE
    done = subprocess.run(command, stdout=write, stderr=errors, cwd=ROOT, text=True, check=False)
    assert done.returncode == 141
    assert "Error" not in (done.stderr or "")


STRANGE = """
import sys
from mfkit.__main__ import _environment, main
_environment()
sys.path.insert(0, "tests/support")
import tiny_worker, tiny
from mfkit.experiment import PRESETS
PRESETS["workshop"] = tiny.tiny_settings()
sys.exit(main(sys.argv[1:]))
"""


def test_a_strange_environment_is_no_trouble(tmp_path):
    """Variables that mean nothing, the C locale, an umlaut and bytes that are no Unicode."""
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/M\xc3\xbcll \xe9"))
    tree(folder / "data")
    variables = {"OMP_NUM_THREADS": "", "TQDM_MININTERVAL": "abc", "MPLBACKEND": "nonsense"}
    environment = {**os.environ, **variables, "LC_ALL": "C", "PYTHONPATH": str(ROOT)}
    command = ["run", "--data", str(folder / "data"), "--out", str(folder / "out")]
    done = subprocess.run(
        [sys.executable, "-c", STRANGE, *command],
        env=environment, cwd=ROOT, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    assert b"TQDM_MININTERVAL is left out of account" in done.stderr
    assert b"Traceback" not in done.stderr and b"overview.png" in done.stdout
    for part in (["table", str(folder / "out")], ["check", "--data", str(folder / "data")]):
        done = subprocess.run(
            [sys.executable, "-m", "mfkit", *part],
            env={**environment, "PYTHONIOENCODING": "ascii:strict"},
            cwd=ROOT, capture_output=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0 and b"Traceback" not in done.stderr, done.stderr


@pytest.mark.usefixtures("tiny_preset")
def test_a_file_system_without_locks_is_said(tmp_path, monkeypatch, capsys):
    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    tree(tmp_path / "data")
    monkeypatch.setattr(fcntl, "flock", refuse)
    assert main(["run", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert re.search(r"error: .*audiojack/.lock: No locks available; mount it with locks", said)


@pytest.mark.usefixtures("tiny_preset")
def test_a_disk_that_is_full_when_a_model_is_deployed(tmp_path):
    """PyTorch's own writer aborted the whole process (SIGABRT)."""
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(small)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small tmpfs needs root, as CI has it")
    try:
        tree(tmp_path / "data")
        run(tmp_path / "data", small / "out")
        room = shutil.disk_usage(small).free
        (small / "full").write_bytes(bytes(room - 8192))
        command = ["deploy", "--run", str(small / "out"), "--category", "audiojack"]
        child = Child(command, tmp_path / "log")
        assert child.wait() == 2
        said = (tmp_path / "log").read_text().strip().splitlines()[-1]
        assert said.startswith("error: ") and "No space left on device; make room" in said
        assert leftovers(small) == [] and not list(small.rglob("score.pt2"))
    finally:
        subprocess.run(["umount", "--lazy", str(small)], check=True)
