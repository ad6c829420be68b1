"""Thirty categories on one process, on two workers, and with a worker killed: one result."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import dask
import dask_jobqueue
import distributed
import pandas as pd
import psutil
import pytest
import tiny
from dask.system import cpu_count
from distributed import LocalCluster
from tiny import tiny_world
from trees import shrunk, tree

from mfkit.__main__ import main
from mfkit.data import FLIPS, DataSet, read_category
from mfkit.errors import InputError
from mfkit.experiment import METRICS, Job, choose_preset, cluster
from mfkit.experiment.run import run
from mfkit.experiment.run_folder import CategoryFolder, FeatureFolder

EPOCHS = 8


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """30 small categories from the renderer's pictures, shrunk; defects are red squares."""
    root = tmp_path_factory.mktemp("real")
    for number, category in enumerate(FLIPS):
        draw = shrunk(3 * number, "red", (0, 0, 8, 8))
        tree(root, category, train=2, sound=1, codes={"BX": 1}, draw=draw)
    return root


@pytest.fixture(scope="module")
def alone(data, tmp_path_factory, small) -> Path:
    """The same on one process: what the workers must reproduce."""
    out = tmp_path_factory.mktemp("alone")
    run(data, out, epochs=EPOCHS, foreground="border")
    return out


@pytest.fixture(scope="module")
def small():
    """The tiny preset here, and its backbone in every worker; two workers on any machine."""
    with tiny_world() as patch:
        patch.setattr("dask.system.cpu_count", lambda: 2)
        preload = [str(Path(tiny.__file__).with_name("tiny_worker.py"))]
        with dask.config.set({"distributed.worker.preload": preload}):
            yield


def rows(results: dict) -> pd.DataFrame:
    """Metrics of the categories. Compared to 1e-9: some processors divide vectors of float64 only
    to 1e-11 while they are busy, so P-AP is not the same to the last bit."""
    return pd.DataFrame(results["categories"]).loc[list(METRICS)].astype(float)


def history(out: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(out / name / "history.csv")


@pytest.mark.slow
def test_two_workers_leave_what_one_process_leaves(data, alone, small, tmp_path, capsys):
    results = run(data, tmp_path, epochs=EPOCHS, foreground="border", cluster="local")
    assert "30 categories, 2 workers" in capsys.readouterr().out
    expected = run(data, alone, epochs=EPOCHS, foreground="border")
    assert list(results["categories"]) == sorted(FLIPS)
    pd.testing.assert_frame_equal(rows(results), rows(expected), rtol=1e-9)
    assert results["mean"] == pytest.approx(expected["mean"], rel=1e-9)
    for name in ("zipper", "pcb"):
        for file in ("scores.csv", "maps.npy"):
            assert (tmp_path / name / file).read_bytes() == (alone / name / file).read_bytes()
        assert (tmp_path / name / "overview.png").exists()


@pytest.mark.slow
def test_a_killed_worker_costs_the_last_epoch_of_its_category(data, alone, small, tmp_path):
    """A real SIGKILL while a category trains; another worker goes on from its checkpoint.

    With eight of the thirty, since a test has to end; with all it has been done by hand.
    """
    names = list(FLIPS)[:8]
    settings = {"epochs": EPOCHS, "foreground": "border"}
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run, data, tmp_path, names, cluster="local", **settings)
        name, pid = victim(tmp_path, running)
        os.kill(pid, signal.SIGKILL)
        before = history(tmp_path, name)
        results = running.result(timeout=600)
    assert 1 <= len(before) < EPOCHS
    after = history(tmp_path, name)
    assert len(after) == EPOCHS
    pd.testing.assert_frame_equal(after[: len(before)], before)  # the seconds too: not done again
    expected = rows(run(data, alone, **settings))
    pd.testing.assert_frame_equal(rows(results), expected[sorted(names)], rtol=1e-9)


def victim(out: Path, running) -> tuple[str, int]:
    """A category that trains at this moment, and the process that holds its lock."""
    while not running.done():
        for path in out.glob("*/history.csv"):
            if (path.parent / "model.pt").exists():
                continue
            lock = str(path.with_name(".lock"))
            for process in psutil.Process().children(recursive=True):
                files = process.open_files() if process.is_running() else []
                if (
                    lock in {file.path for file in files}
                    and len(history(out, path.parent.name)) < 6
                ):
                    return path.parent.name, process.pid
        time.sleep(0.01)
    raise AssertionError(f"no category could be met while it trained: {running.exception()}")


@pytest.mark.slow
def test_a_running_cluster_is_joined_and_a_bad_category_does_not_stop_it(
    data, small, tmp_path, capsys
):
    """Workers that offer a GPU get the jobs; errors come back as sentences."""
    broken = tmp_path / "data"
    for name in ("gears", "nuts"):
        tree(broken, name)
    image = next((broken / "realiad_256" / "gears" / "OK" / "S0001").glob("*_C1_*"))
    image.write_bytes(image.read_bytes()[:100])
    options = {"n_workers": 1, "threads_per_worker": 2, "dashboard_address": None}
    with LocalCluster(**options, resources={"GPU": 1}) as workers:
        command = ["run", "--data", str(broken), "--out", str(tmp_path / "out")]
        assert main([*command, "--cluster", workers.scheduler_address]) == 2
    printed = capsys.readouterr()
    assert "nuts: done" in printed.out
    assert f"gears: {image}: cannot be read as an image" in printed.err


def test_what_is_missing_is_said(tmp_path, monkeypatch):
    tree(tmp_path / "data", "gears")
    category = read_category(tmp_path / "data", "gears")
    settings = choose_preset("workshop")
    home = CategoryFolder(tmp_path / "out"), FeatureFolder(tmp_path / "features")
    job = Job(category, DataSet(tmp_path / "data"), settings, 0, "cpu", *home)

    def start(where):
        return next(cluster.run_jobs({"gears": job}, where))

    with pytest.raises(InputError, match="should be local, slurm or tcp://HOST:PORT, got 'moon'"):
        start("moon")
    monkeypatch.setitem(sys.modules, "dask_jobqueue", None)
    with pytest.raises(InputError, match=r"package dask-jobqueue, .* pip install 'mfkit\[cluster"):
        start("slurm")
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match="package distributed, which is not installed"):
        start("local")


def test_slurm_is_asked_as_its_file_says_or_the_file_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="no sbatch here"):
        start("slurm", device="cpu")
    (tmp_path / "sbatch").write_text("#!/bin/sh")
    (tmp_path / "sbatch").chmod(0o755)
    with pytest.raises(InputError, match=r"cores.*describe a machine .*jobqueue.yaml"):
        start("slurm", device="cpu")
    described = {"cores": 4, "memory": "8 GB", "worker-extra-args": ["--lifetime", "55m"]}
    scripts, pages = [], []

    def asked(machines, jobs):
        scripts.append(machines.job_script())
        pages.append(machines.scheduler_spec["options"]["dashboard_address"])
        raise Enough

    monkeypatch.setattr(dask_jobqueue.SLURMCluster, "scale", asked)
    with dask.config.set({f"jobqueue.slurm.{key}": value for key, value in described.items()}):
        with pytest.raises(Enough):
            start("slurm", device="cuda")
    for part in ("--lifetime 55m", "--nthreads 1", "--resources GPU=1", "tls://", "--tls-key"):
        assert part in scripts[0]
    assert set(pages) == {"127.0.0.1:0"}  # whoever else is in the network sees no page of state


class Enough(Exception):
    """What had to be seen has been seen."""


def start(where: str, device: str) -> None:
    """Begin to hand out three jobs."""
    next(cluster.run_jobs(dict.fromkeys("abc", SimpleNamespace(device=device)), where))


def local_environments(monkeypatch, device: str) -> list[dict[str, str]]:
    """Of the workers that would be started here for three jobs."""
    places = {}

    def planned(workers, **options):
        places.update(workers)
        raise Enough

    monkeypatch.setattr(distributed, "SpecCluster", planned)
    with pytest.raises(Enough):
        start("local", device)
    return [worker["options"]["env"] for worker in places.values()]


def test_every_local_worker_sees_a_gpu_that_this_process_may_use(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "6,7")
    seen = local_environments(monkeypatch, "auto")
    assert [env["CUDA_VISIBLE_DEVICES"] for env in seen] == ["6", "7"]


def test_local_workers_share_the_processors(monkeypatch):
    monkeypatch.setattr("dask.system.cpu_count", lambda: 16)
    monkeypatch.setattr(cluster, "estimate", lambda jobs: SimpleNamespace(memory=1))
    seen = local_environments(monkeypatch, "cpu")
    assert [env["OMP_NUM_THREADS"] for env in seen] == ["5", "5", "5"]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_processors_that_are_not_ours_are_not_counted(monkeypatch):
    """As a queue allots them, or `taskset`."""
    before = os.sched_getaffinity(0)
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    monkeypatch.setattr("dask.system.cpu_count", cpu_count)  # `small` may have replaced it
    monkeypatch.setattr(cluster, "estimate", lambda jobs: SimpleNamespace(memory=1))
    try:
        os.sched_setaffinity(0, {min(before)})
        seen = local_environments(monkeypatch, "cpu")
    finally:
        os.sched_setaffinity(0, before)
    assert [env["OMP_NUM_THREADS"] for env in seen] == ["1"]


def listening() -> set[tuple[str, int]]:
    """Address and port of each socket on which this process or a child of it listens."""
    ours = [psutil.Process(), *psutil.Process().children(recursive=True)]
    ours = {process.pid for process in ours}
    return {
        tuple(c.laddr)
        for c in psutil.net_connections("inet")
        if c.pid in ours and c.status == "LISTEN"
    }


def test_a_local_scheduler_knows_only_its_own_workers():
    """Without the certificate nobody gets in, with it the work is done."""
    jobs = {"a": SimpleNamespace(device="cpu")}
    before = listening()  # what earlier tests in this process have left
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster, "estimate", lambda jobs: SimpleNamespace(memory=1))
        machines = cluster._local(distributed, jobs)
    with machines, distributed.Client(machines) as client:
        assert machines.scheduler_address.startswith("tls://127.0.0.1:")
        assert client.submit(sum, (1, 2)).result(timeout=600) == 3
        ports = listening() - before
        assert len(ports) >= 3 and {ip for ip, _ in ports} == {"127.0.0.1"}
        plain = machines.scheduler_address.replace("tls://", "tcp://")
        with pytest.raises(OSError):
            distributed.Client(plain, timeout=3)
        stranger = distributed.Security.temporary()
        with pytest.raises(OSError):
            distributed.Client(machines.scheduler_address, security=stranger, timeout=3)


def test_without_dask_everything_else_works():
    """Dask is imported only when it is asked for."""
    code = "import sys, mfkit.experiment.run; sys.exit('distributed' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
