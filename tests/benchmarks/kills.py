"""kill -9 at random moments: is anything lost?

Two processes work on three small generated categories in one --out; both are killed, one after the
other, at random moments, and begun again, until all kills are done. Then the command is let through
and compared with a run that nobody disturbed.

    python tests/benchmarks/kills.py [--kills 30] [--seed 0]
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from children import Child
from tiny import tiny_backbone, tiny_settings
from trees import tree

from mfkit.experiment import PRESETS, read_results
from mfkit.features import BACKBONES

NAMES = ("audiojack", "gears", "mint")
WORDS = ("index", "masks", "features", "training", "evaluation", "waiting", "done before")
SAME = ("scores.csv", "maps.npy")  # to the bit; model.pt holds the same weights, see below


def main() -> None:
    """Kill, resume, compare, print the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)  # a fork of a process with more of them could wait for ever
    BACKBONES["tiny"] = lambda pretrained: tiny_backbone()
    PRESETS["workshop"] = tiny_settings()
    with tempfile.TemporaryDirectory() as folder:
        home, luck = Path(folder), random.Random(options.seed)
        for name in NAMES:
            tree(home / "data", name)
        started = time.perf_counter()
        assert Child(command(home, "whole"), home / "whole.log").wait() == 0
        whole = time.perf_counter() - started
        killed = kill(home, options.kills, luck, whole)
        code = Child(command(home, "out"), home / "last.log").wait()
        assert code == 0, (home / "last.log").read_text()
        compare(home)
    print(
        f"{sum(killed.values())} kills, of these "
        + ", ".join(f"{count} at {last!r}" for last, count in killed.items())
        + f": results identical, {len(NAMES)} of {len(NAMES)} rows, no leftovers"
    )


def command(home: Path, out: str) -> list[str]:
    """A run over all categories."""
    return ["run", "--data", str(home / "data"), "--out", str(home / out), "--epochs", "6"]


def kill(home: Path, kills: int, luck: random.Random, whole: float) -> dict[str, int]:
    """Kill both processes again and again; how often, by what the process did last."""
    found: dict[str, int] = {}
    children = [Child(command(home, "out"), home / f"{n}.log") for n in range(2)]
    while sum(found.values()) < kills:
        time.sleep(luck.uniform(0, 0.5 * whole))
        number = luck.randrange(2)
        if children[number].ended():
            code = children[number].wait()
            assert code == 0, (home / f"{number}.log").read_text()
            fresh(home, luck)
        else:
            os.kill(children[number].pid, signal.SIGKILL)
            children[number].wait()
            last = moment(home / f"{number}.log")
            found[last] = found.get(last, 0) + 1
        children[number] = Child(command(home, "out"), home / f"{number}.log")
    for child in children:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    return dict(sorted(found.items()))


def fresh(home: Path, luck: random.Random) -> None:
    """All is done: let a category begin again, with or without its features and checkpoint."""
    name = luck.choice(NAMES)
    (home / "out" / name / "model.pt").unlink(missing_ok=True)
    if luck.random() < 0.7:
        (home / "out" / name / "checkpoint.pt").unlink(missing_ok=True)
    if luck.random() < 0.5:
        for path in (home / "out" / "features").rglob(f"{name}/train.f16"):
            path.unlink(missing_ok=True)  # the other process may be at it


def moment(log: Path) -> str:
    """What a killed process did last, by what it had said."""
    text = log.read_text(errors="replace")
    last = max(WORDS, key=text.rfind)
    return last if last in text else "begin"


def compare(home: Path) -> None:
    """The same rows and files, and no others."""
    whole, out = home / "whole", home / "out"
    rows = [read_results(folder)["categories"] for folder in (whole, out)]
    for row in (row for part in rows for row in part.values()):
        del row["seconds"], row["files"]
    assert rows[0] == rows[1], rows
    for name in NAMES:
        for file in SAME:
            assert (whole / name / file).read_bytes() == (out / name / file).read_bytes(), file
        ours, theirs = (
            torch.load(folder / name / "model.pt", weights_only=True)["state"]
            for folder in (out, whole)
        )
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    files = [{path.relative_to(f) for path in f.rglob("*")} for f in (whole, out)]
    assert files[0] == files[1], files[0] ^ files[1]


if __name__ == "__main__":
    main()
