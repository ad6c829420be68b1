"""One job after the other on this machine; features of the next category come meanwhile."""

import os
import pickle
import subprocess
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import suppress

from mfkit import escape
from mfkit.errors import Diverged, InputError, cannot_write
from mfkit.experiment.job import Job, backbone_on

__all__ = ["do_here", "prepared_beside", "tell"]

CHILD = "import pickle, sys; sys.path[:], job = pickle.load(sys.stdin.buffer); job.prepare()"


def do_here(jobs: Mapping[str, Job]) -> Iterator[tuple[str, dict | Exception]]:
    """Do one job after the other in this process.

    Where a GPU trains, another process reads the pictures of the next category at the same time. On
    a processor both would wait for the same cores.

    Arguments:
        jobs: by name; those of a category stand together.

    Yields:
        name, and the job's row of results.json or the reason why there is none.
    """
    order, ahead = list(jobs.items()), None
    try:
        for place, (name, job) in enumerate(order):
            backbone_on(job.device, job.settings.backbone)  # without its weights no job can be done
            if not place or order[place - 1][1].category.name != job.category.name:
                train, test = (len(samples) for samples in job.category.splits.values())
                print(f"{job.category.name}: {train} training and {test} test samples")
                if ahead and ahead.wait():
                    print(f"{job.category.name}: its features are not there yet; they are made now")
                later = _next_category(order[place:]) if overlaps(job.device) else None
                ahead = later and prepared_beside(later)
            try:
                row = job.run()
            except Exception as error:  # the other categories may fare better
                if cannot_write(error):
                    raise
                row = error
            yield name, row
    finally:
        if ahead:
            ahead.terminate()
            ahead.wait()


def overlaps(device: str) -> bool:
    """Whether reading pictures and training do not wait for the same processors."""
    return not device.startswith("cpu")


def _next_category(order: list[tuple[str, Job]]) -> Job | None:
    """The first job that is not of the first one's category."""
    category = order[0][1].category.name
    return next((job for _, job in order if job.category.name != category), None)


def prepared_beside(job: Job) -> subprocess.Popen:
    """Begin to prepare a job in a process of its own.

    What goes wrong there goes wrong again, and is told, where the job itself is done.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"TQDM_DISABLE": "1"},
    )
    with suppress(BrokenPipeError), process.stdin as pipe:
        pipe.write(pickle.dumps((sys.path, job)))
    return process


def tell(name: str, trouble: Exception) -> None:
    """Say what went wrong; where, if it is not the user's fault."""
    print(escape.terminal(f"{name}: {trouble}"))
    if not isinstance(trouble, InputError | Diverged):
        where = "".join(traceback.format_exception(trouble))
        print(escape.terminal(where), file=sys.stderr)
