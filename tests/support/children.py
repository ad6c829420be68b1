"""Commands in processes of their own that need not import PyTorch again: forks of this one."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from mfkit.__main__ import main


class Child:
    """A command line that runs in a fork of this process.

    Arguments:
        arguments: of `python -m mfkit`.
        log: where its output and errors go.
    """

    def __init__(self, arguments: list[str], log: Path):
        self.log = log
        self.pid = os.fork()
        if self.pid == 0:
            code = 99  # a traceback
            try:
                signal.signal(signal.SIGINT, signal.default_int_handler)
                signal.signal(signal.SIGHUP, signal.SIG_DFL)  # `nohup make test` leaves it ignored
                file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
                os.dup2(file, 1)
                os.dup2(file, 2)
                sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)
                code = main(arguments)
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(code)

    def ended(self) -> bool:
        """Whether it is over."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None

    def wait(self) -> int:
        """Its exit code once it is over; -9 if it was killed."""
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def until(holds: Callable[[], bool], child: Child, seconds: float = 120) -> None:
    """Wait for something that a child does."""
    end = time.monotonic() + seconds
    while not holds():
        assert not child.ended(), child.log.read_text()
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)
