"""Which processes of ranks are still there."""

from __future__ import annotations

import contextlib
import os

import psutil


def ranks_alive() -> list[int]:
    """Return the processes of ranks: the server that forks them stays, its children must not."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended
            above = process.parent()
            if above is not None and above.pid != os.getpid() and "forkserver" in " ".join(above.cmdline()):
                found.append(process.pid)
    return found
