"""A plugin for pytest with nbval: two workers that start kernels at once do not take a port twice.

jupyter_client looks for free ports and closes them before the kernel opens them again. In between
another worker may find the same ones, and its kernel dies before it answers. Here kernels listen on
sockets in the file system; each worker has a folder of its own for them.
"""

import atexit
import itertools
import os
import shutil
import tempfile

import nbval.kernel
from jupyter_client.manager import KernelManager

SOCKETS = tempfile.mkdtemp(prefix="nb-")  # short: a socket's path may have 107 letters at most
NUMBERS = itertools.count()
atexit.register(shutil.rmtree, SOCKETS, ignore_errors=True)


def manager(**options) -> KernelManager:
    """What nbval starts a kernel with."""
    place = os.path.join(SOCKETS, f"kernel-{next(NUMBERS)}")
    return KernelManager(transport="ipc", ip=place, **options)


if os.name == "posix":
    nbval.kernel.KernelManager = manager
