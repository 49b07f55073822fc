"""Learning: run the flow over a plan, and read the leaderboard."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from wherry.domain import Candidate
from wherry.errors import ModelError
from wherry.learn.plan import Plan, read_candidate

LOG = "flow.log"

_ENVIRONMENT = {
    "METAFLOW_USER": "wherry",
    "METAFLOW_DEFAULT_DATASTORE": "local",
    "METAFLOW_DEFAULT_METADATA": "local",
    # The folder of the script would shadow packages with modules of the same names.
    "PYTHONSAFEPATH": "1",
}


def learn(
    plan: Plan, folder: Path, *, metaflow_home: Path, workers: int, with_options: Iterable[str] = ()
) -> tuple[Candidate, ...]:
    """Fit the candidates of a plan as tasks of a Metaflow flow, ``workers`` at a time.

    ``with_options`` are handed to Metaflow's ``--with`` (``kubernetes``, ``batch``).

    Raises:
        ModelError: If the flow itself breaks; its log lies in the folder.
    """
    plan.save(folder)
    flow = Path(__file__).with_name("flow.py")
    command = [sys.executable, str(flow), "--no-pylint", "--quiet", "run", "--folder", str(folder)]
    command += ["--max-workers", str(workers or os.cpu_count() or 1)]
    command += [word for option in with_options for word in ("--with", option)]
    places = {"METAFLOW_DATASTORE_SYSROOT_LOCAL": metaflow_home, "METAFLOW_HOME": metaflow_home}
    environment = {**os.environ, **_ENVIRONMENT, **{k: str(v) for k, v in places.items()}}
    metaflow_home.mkdir(parents=True, exist_ok=True)
    with (folder / LOG).open("wb") as log:
        done = subprocess.run(
            command,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode != 0:
        tail = (folder / LOG).read_text(errors="replace").strip().splitlines()[-5:]
        raise ModelError(
            f"The training flow broke (exit code {done.returncode}). Its log is "
            f"{folder / LOG} and ends with:\n" + "\n".join(tail)
        )
    return tuple(read_candidate(folder / entry.name) for entry in plan.entries)


def best(candidates: Iterable[Candidate], metric: str) -> Candidate:
    """The candidate with the highest figure, the first of equals, of those not excluded.

    Raises:
        ModelError: If every candidate failed, or the bounds of ``[learn.slo]`` exclude it.
    """
    candidates = tuple(candidates)
    able = [candidate for candidate in candidates if not candidate.error]
    if not able:
        named: dict[str, list[str]] = {}  # one fault often is everybody's: too few sessions
        for each in candidates:
            named.setdefault(each.error, []).append(each.name)
        faults = "; ".join(f"{', '.join(names)}: {fault}" for fault, names in named.items())
        raise ModelError(f"No candidate could be fitted. {faults}")
    kept = [candidate for candidate in able if not candidate.excluded]
    if not kept:
        breaches = "; ".join(f"{each.name}: {each.excluded}" for each in able)
        raise ModelError(
            f"No candidate keeps the bounds of [learn.slo]. {breaches}. Widen them, or add a "
            "candidate that is cheaper."
        )
    return max(kept, key=lambda candidate: candidate.metrics[metric].value)
