"""Priority: what can wait steps back, with all of its threads and whatever it starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from wherry.project.priority import rank_session, session_nice

LOOKS = """
import json, os, subprocess, sys, threading
from wherry.project.priority import step_back, step_back_alone

def ranks():
    threads = [threading.main_thread(), waiting]
    return {os.getpriority(os.PRIO_PROCESS, each.native_id) for each in threads}

def of_child():
    return int(subprocess.run(["nice"], capture_output=True, text=True, check=True).stdout)

done = threading.Event()
waiting = threading.Thread(target=done.wait)
waiting.start()
seen = []

def alone():
    step_back_alone(3)
    seen.append(of_child())

thread = threading.Thread(target=alone)
thread.start()
thread.join()
found = {"alone": seen[0], "others": sorted(ranks())}
step_back(7)
found |= {"all": sorted(ranks()), "child": of_child()}
step_back(5)
found["again"] = sorted(ranks())
done.set()
print(json.dumps(found))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux ranks by the thread")
def test_a_thread_or_a_process_steps_back_with_what_it_starts_and_never_forward() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOOKS], capture_output=True, text=True, check=True, timeout=60
    )
    found = json.loads(done.stdout)
    before = found["others"]
    assert len(before) == 1
    assert found == {
        "alone": max([3, *before]),
        "others": before,
        "all": [max([7, *before])],
        "child": max([7, *before]),
        "again": [max([7, *before])],
    }


LEADS = """
import json, os
from wherry.project.priority import rank_session, session_nice, step_back

step_back(0)
found = [session_nice(os.getpid())]
step_back(7)
found.append(session_nice(os.getpid()))
step_back(5)
found.append(session_nice(os.getpid()))
if os.getsid(0) == os.getpid():
    while not rank_session(os.getpid(), 0):
        pass
found.append(session_nice(os.getpid()))
print(json.dumps(found))
"""


@pytest.mark.skipif(
    not os.access("/proc/self/autogroup", os.W_OK), reason="sessions have no rank here"
)
@pytest.mark.parametrize("leads", [True, False])
def test_who_leads_a_session_steps_back_with_it_and_nobody_else_does(leads: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LEADS],
        capture_output=True, text=True, check=True, timeout=60, start_new_session=leads,
    )  # fmt: skip
    before = 0 if leads else session_nice(os.getpid())
    assert json.loads(done.stdout) == ([0, 7, 7, 0] if leads else [before] * 4)


def test_a_process_that_has_ended_has_no_rank() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert rank_session(process.pid, 3)
    assert session_nice(process.pid) == 0
