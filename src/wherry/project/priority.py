"""Priority: what can wait steps back behind what answers, on the same processors."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from pathlib import Path

_THREADS = Path("/proc/self/task")


def step_back(nice: int) -> None:
    """Let this process, and those that it starts, rank behind others by ``nice`` (0 to 19).

    It is the figure of nice(1), and only ever rises: who was started further back stays there.
    """
    if hasattr(os, "setpriority"):  # which Windows has not
        threads = [int(path.name) for path in _THREADS.iterdir()] if _THREADS.is_dir() else [0]
        for thread in threads:  # Linux counts by the thread
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                _rank(thread, nice)


def step_back_alone(nice: int) -> None:
    """Let this thread, and those that it starts, rank behind others, where the system can."""
    if sys.platform == "linux":
        _rank(threading.get_native_id(), nice)


def _rank(thread: int, nice: int) -> None:
    if os.getpriority(os.PRIO_PROCESS, thread) < nice:
        os.setpriority(os.PRIO_PROCESS, thread, nice)
