"""A study on two workers, one of which is killed, leaves the page of one process.

python tests/study/test_on_workers.py 30      # the same by hand, with 30 categories, three seeds
"""

import os
import signal
import sys
import tempfile
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import psutil
import pytest

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import dask
import tiny
from tiny import tiny_study
from trees import shrunk, tree

from mfkit.data import FLIPS
from mfkit.study import run_study

EPOCHS = 8


@contextmanager
def small():
    """Tiny models here and in the workers, and no pictures that take longer than them."""
    with tiny_study() as patch:
        patch.setattr("dask.system.cpu_count", lambda: 2)
        patch.setenv("PLAIN_OVERVIEW", "1")
        preload = [str(Path(tiny.__file__).with_name("tiny_worker.py"))]
        with dask.config.set({"distributed.worker.preload": preload}):
            yield


def write(root: Path, names: list[str]) -> None:
    """Categories from the renderer's pictures, shrunk; defects are small and reddish."""
    for number, category in enumerate(names):
        draw = shrunk(3 * number, (160, 90, 90), (0, 0, 5, 4))
        tree(root, category, train=4, sound=3, codes={"BX": 2, "HS": 1}, draw=draw)


def compare(folder: Path, names: list[str], seeds: tuple[int, ...]) -> None:
    """One process; two workers, one killed; the same rows and the same page."""
    write(folder / "data", names)
    recipe = {"preset": "workshop", "epochs": EPOCHS, "foreground": "border", "seeds": seeds}
    with small():
        alone = run_study(folder / "data", folder / "alone", **recipe)
        with ThreadPoolExecutor(1) as pool:
            two = {**recipe, "cluster": "local"}
            running = pool.submit(run_study, folder / "data", folder / "two", **two)
            home, pid = victim(folder / "two", running)
            os.kill(pid, signal.SIGKILL)
            before = pd.read_csv(home / "history.csv")
            rows = running.result(timeout=3600)
    assert len(rows) == len(names) * (3 * len(seeds) + 1)
    pd.testing.assert_frame_equal(rows, alone, rtol=1e-9)
    after = pd.read_csv(home / "history.csv")
    assert 1 <= len(before) < len(after) == EPOCHS
    pd.testing.assert_frame_equal(after[: len(before)], before)  # the seconds too: not done again
    pages = [(folder / name / "results.html").read_bytes() for name in ("alone", "two")]
    assert pages[0] == pages[1]
    assert all(name.encode() in pages[0] for name in names)


def victim(out: Path, running: Future) -> tuple[Path, int]:
    """Where a trial trains at this moment, and the process that holds its lock."""
    while not running.done():
        for history in out.glob("*/*/*/history.csv"):
            home = history.parent
            if (home / "model.pt").exists() or len(pd.read_csv(history)) > EPOCHS - 3:
                continue
            for process in psutil.Process().children(recursive=True):
                files = process.open_files() if process.is_running() else []
                if str(home / ".lock") in {file.path for file in files}:
                    return home, process.pid
        time.sleep(0.01)
    raise AssertionError(f"no trial could be met while it trained: {running.exception()}")


@pytest.mark.slow
def test_a_killed_worker_changes_nothing_on_the_page(tmp_path):
    compare(tmp_path, list(FLIPS)[:2], (0,))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        start = time.perf_counter()
        compare(Path(place), list(FLIPS)[: int(sys.argv[1])], (0, 1, 2))
        print(f"the same page, {time.perf_counter() - start:.0f} s")
