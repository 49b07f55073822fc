"""The records of runs, as they lie in ``.wherry/runs``."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec

from wherry.domain import RunId, RunRecord
from wherry.errors import ProjectError
from wherry.lake import write_whole

RECORD = "run.json"
CARD = "card.html"


def new_run_id(now: datetime) -> RunId:
    """A name for a run that sorts by time: ``20261124-031500-9f3a``."""
    return RunId(f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}")


def write_record(folder: Path, record: RunRecord) -> None:
    """Keep a run's record in its folder."""
    write_whole(folder / RECORD, msgspec.json.format(msgspec.json.encode(record)))


def read_record(folder: Path) -> RunRecord:
    """Read the record of one run.

    Raises:
        ProjectError: If there is none, or it can't be read.
    """
    try:
        return msgspec.json.decode((folder / RECORD).read_bytes(), type=RunRecord)
    except FileNotFoundError:
        raise ProjectError(
            f"There is no run {folder.name!r}. See .wherry/runs, or make one: wherry run"
        ) from None
    except msgspec.MsgspecError as error:
        raise ProjectError(f"The record of run {folder.name} can't be read: {error}") from error


def run_folders(runs: Path) -> Iterator[Path]:
    """The folders of the runs that left a record, the newest first."""
    if runs.exists():
        yield from sorted((p.parent for p in runs.glob(f"*/{RECORD}")), reverse=True)
