"""Many machines: categories are independent, so Dask hands each one to a worker that is free.

A worker does one category at a time and writes the same files as `run` does without a cluster, so
all machines must see the data and the results under one path. A worker that dies costs the last
epoch of its category: another one continues from the checkpoint.

Who may talk to a scheduler can have any code executed. Clusters that are started here speak TLS
with a certificate that is made for them and known to nobody else; one that is joined at tcp://
trusts everybody who reaches it.
"""

import os
import shutil
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psutil
import torch

from mfkit.errors import InputError, cannot_write
from mfkit.experiment.cost import estimate
from mfkit.experiment.job import Job

__all__ = ["run_jobs"]

HOST = "127.0.0.1"  # local workers are for this machine alone
KILLED = (
    "its workers died again and again, perhaps for want of memory: look at their logs, then type "
    "the same command again"
)
ONE_AT_A_TIME = threading.Lock()  # PyTorch's global random state belongs to the whole process


def run_jobs(jobs: Mapping[str, Job], where: str) -> Iterator[tuple[str, dict | Exception]]:
    """Hand out jobs and give back what comes of them, as they end.

    A job is sent to a worker that offers a GPU (`--resources GPU=1`) if its device is "cuda", or if
    it is "auto" and there is such a worker. If a category has several jobs, one worker first makes
    the features that they share.

    Arguments:
        jobs: by name; earlier ones come first, as far as workers are free.
        where: "local" starts workers here, one for each GPU or, without one, as many as processors
            and memory allow; "tcp://HOST:PORT" joins the cluster of that scheduler; "slurm" asks
            for one machine a category, as ~/.config/dask/jobqueue.yaml describes it.

    Yields:
        name, and the job's row of results.json or the reason why there is none.

    Raises:
        InputError: Dask is not installed, or there is no such cluster.
    """
    distributed = _package("distributed")
    with _client(distributed, where, jobs) as client:
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        offered = any("GPU" in worker["resources"] for worker in workers)
        auto = any(job.device == "auto" for job in jobs.values())
        needs_gpu = _asks_for_gpu(jobs) or (auto and offered)
        wanted = {"GPU": 1} if needs_gpu else None
        several = Counter(job.category.name for job in jobs.values())
        shared, futures = {}, {}
        for name, job in jobs.items():  # Dask does first what is submitted first
            category = job.category.name
            if several[category] > 1 and category not in shared:
                key = f"features-{name}-{job.out.path}"
                shared[category] = client.submit(_prepare, job, key=key, resources=wanted)
            options = {"key": f"{name}-{job.out.path}", "resources": wanted}
            futures[client.submit(_run, job, shared.get(category), **options)] = name
        what = "categories" if len(jobs) == len(several) else "trials"
        print(f"{len(jobs)} {what}, {len(workers)} workers so far")
        if not (offered if needs_gpu else workers):
            offering = " that offer a GPU (--resources GPU=1)" if needs_gpu else ""
            print(f"waiting for workers{offering}; Ctrl-C and the same command later is fine, too")
        for future in distributed.as_completed(futures):
            name, error = futures[future], future.exception()
            if error is None:
                print(f"{name}: done")
                yield name, future.result()
            elif isinstance(error, distributed.KilledWorker):
                yield name, InputError(KILLED)
            elif cannot_write(error):
                raise error
            else:
                yield name, error


def _asks_for_gpu(jobs: Mapping[str, Job]) -> bool:
    return any(job.device.startswith("cuda") for job in jobs.values())


def _run(job: Job, prepared: None = None) -> dict:
    """On a worker: the job, once what it shares with others is prepared."""
    with _alone():
        return job.run()


def _prepare(job: Job) -> None:
    """On a worker: what the jobs of a category share."""
    with _alone():
        job.prepare()


@contextmanager
def _alone() -> Iterator[None]:
    """One job at a time, also if the worker has several threads."""
    with ONE_AT_A_TIME:
        threads = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
        if threads.isdigit() and int(threads):  # it may have come after PyTorch
            torch.set_num_threads(int(threads))
        yield


@contextmanager
def _client(distributed, where: str, jobs: Mapping[str, Job]) -> Iterator:
    """A client of the cluster; what was started for it ends with it."""
    if where == "local":
        with _local(distributed, jobs) as cluster, distributed.Client(cluster) as client:
            client.wait_for_workers(len(cluster.worker_spec), timeout=120)
            yield client
    elif where == "slurm":
        with _slurm(distributed, _asks_for_gpu(jobs)) as cluster:
            cluster.scale(jobs=len(jobs))
            with distributed.Client(cluster) as client:
                yield client
    elif "://" in where:
        try:
            client = distributed.Client(where, timeout=10)
        except (OSError, ValueError) as error:
            raise InputError(
                f"--cluster {where}: no scheduler answers there ({error}); start one with "
                "'dask scheduler' and give the address that it prints"
            ) from None
        with client:
            yield client
    else:
        raise InputError(f"--cluster should be local, slurm or tcp://HOST:PORT, got {where!r}")


def _secret(distributed):
    """A certificate for this cluster alone, and TLS for all that is said in it."""
    _package("cryptography")
    return distributed.Security.temporary()


def _slurm(distributed, gpu: bool):
    """A cluster whose workers a queue starts, each for one category at a time."""
    queue, dask = _package("dask_jobqueue", "dask-jobqueue"), _package("dask")
    if shutil.which("sbatch") is None:
        raise InputError("--cluster slurm: no sbatch here; start this on a machine that has SLURM")
    secret = _secret(distributed)
    shared = dask.config.get("jobqueue.slurm.shared-temp-directory", None) or "~"
    arguments = [*(dask.config.get("jobqueue.slurm.worker-extra-args", None) or []), "--nthreads 1"]
    try:
        return queue.SLURMCluster(
            processes=1,
            worker_extra_args=[*arguments, *(["--resources GPU=1"] if gpu else [])],
            security=secret,
            scheduler_options={"dashboard_address": f"{HOST}:0"},  # a page for this machine alone
            shared_temp_directory=shared,  # for the certificate, readable by this user alone
        )
    except ValueError as error:
        raise InputError(
            f"--cluster slurm: {error}; describe a machine of the queue (cores, memory, walltime) "
            "under jobqueue: slurm: in ~/.config/dask/jobqueue.yaml"
        ) from None


def _local(distributed, jobs: Mapping[str, Job]):
    """Workers on this machine: one for each GPU that alone sees it, or some that share the CPU."""
    processors = _package("dask.system").system.cpu_count()  # those that this process may use
    secure = {"host": HOST, "security": _secret(distributed), "protocol": "tls://"}
    gpus = [str(number) for number in range(torch.cuda.device_count())]
    if os.environ.get("CUDA_VISIBLE_DEVICES"):  # numbers are those of all GPUs of the machine
        gpus = os.environ["CUDA_VISIBLE_DEVICES"].split(",")[: len(gpus)]
    if gpus and any(job.device.startswith(("cuda", "auto")) for job in jobs.values()):
        places = [{"env": {"CUDA_VISIBLE_DEVICES": gpu}, "resources": {"GPU": 1}} for gpu in gpus]
    else:
        room = psutil.virtual_memory().available // estimate(jobs.values()).memory
        places = [{"env": {}}] * max(1, min(processors, room))
    workers, places = {}, places[: len(jobs)]
    threads = str(max(1, processors // len(places)))  # without a word Dask gives each only one
    env = {"TQDM_DISABLE": "1", "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    for number, place in enumerate(places):
        place = {**place, "env": {**env, **place["env"]}}
        options = {**secure, "nthreads": 1, "memory_limit": 0, **place}
        workers[number] = {"cls": distributed.Nanny, "options": options}
    scheduler = {
        "cls": distributed.Scheduler,
        "options": {**secure, "dashboard": False, "dashboard_address": f"{HOST}:0"},
    }
    return distributed.SpecCluster(
        workers=workers, scheduler=scheduler, security=secure["security"], name="mfkit"
    )


def _package(module: str, name: str | None = None):
    """A package of the extra `cluster`."""
    try:
        return __import__(module)
    except ModuleNotFoundError:
        raise InputError(
            f"--cluster needs the package {name or module}, which is not installed: "
            "pip install 'mfkit[cluster]'"
        ) from None
