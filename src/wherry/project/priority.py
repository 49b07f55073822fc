"""Priority: what can wait steps back behind what answers, on the same processors.

Linux may share the processors among sessions first (sched(7), autogroup), and the figure of
nice(1) counts only within one. A session has a figure of its own then, so both are set.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import threading
import time
from pathlib import Path

_THREADS = Path("/proc/self/task")
_SESSION = "/proc/{}/autogroup"
_NICE = re.compile(r" nice (-?\d+)$")


def step_back(nice: int) -> None:
    """Let this process, and those that it starts, rank behind others by ``nice`` (0 to 19).

    It is the figure of nice(1), and only ever rises: who was started further back stays there.
    """
    if hasattr(os, "setpriority"):  # which Windows has not
        threads = [int(path.name) for path in _THREADS.iterdir()] if _THREADS.is_dir() else [0]
        for thread in threads:  # Linux counts by the thread
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                _rank(thread, nice)
        _step_back_as_session(nice)


def _step_back_as_session(nice: int) -> None:
    """The session as well, if this process leads it: nobody else is in it then but what it
    started, as under cron, systemd or in a container."""
    is_leader = os.getsid(0) == os.getpid()
    tries = 20  # two seconds: somebody else's may have been set just now
    while is_leader and nice > session_nice(os.getpid()) and tries:
        if rank_session(os.getpid(), nice):
            return
        time.sleep(0.1)
        tries -= 1


def session_nice(pid: int) -> int:
    """How far the session of a process ranks behind others; 0 where sessions have no rank."""
    try:
        found = _NICE.search(Path(_SESSION.format(pid)).read_text().rstrip())
    except OSError:
        return 0
    return int(found[1]) if found else 0


def rank_session(pid: int, nice: int) -> bool:
    """Let the session of a process rank behind others by ``nice``, or (0) no further.

    False: not now, since the system lets users set no more than ten a second, all together.
    Nothing happens where sessions have no rank, or the process has ended.
    """
    try:
        Path(_SESSION.format(pid)).write_text(str(nice))
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def step_back_alone(nice: int) -> None:
    """Let this thread, and those that it starts, rank behind others, where the system can."""
    if sys.platform == "linux":
        _rank(threading.get_native_id(), nice)


def _rank(thread: int, nice: int) -> None:
    if os.getpriority(os.PRIO_PROCESS, thread) < nice:
        os.setpriority(os.PRIO_PROCESS, thread, nice)
