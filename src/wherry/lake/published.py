"""The published snapshot of each tenant: what readers, models and answers are made from."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from pathlib import Path

import msgspec

from wherry.domain import RunId, TenantId
from wherry.errors import LakeError
from wherry.lake.files import write_whole


class Published(msgspec.Struct, frozen=True):
    """The snapshot that a tenant's readers see, the run that published it and when (UTC)."""

    snapshot: int
    run_id: RunId
    published_at: datetime


def read_published(path: Path) -> dict[TenantId, Published]:
    """Read every tenant's published snapshot; an absent file means that there is none yet.

    Raises:
        LakeError: If the file says something else.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[TenantId, Published])
    except FileNotFoundError:
        return {}
    except msgspec.MsgspecError as error:
        raise LakeError(
            f"{path} can't be read: {error}. Remove it, then publish again: "
            "wherry run --from publish"
        ) from error


def publish(path: Path, tenant: TenantId, published: Published) -> None:
    """Move one tenant to a new snapshot, at once and whole."""
    write_whole(path, msgspec.json.encode({**read_published(path), tenant: published}))


def withdraw(path: Path, tenants: Collection[TenantId]) -> None:
    """Let nothing be published for some tenants, until a run publishes again."""
    kept = read_published(path)
    if kept.keys() & set(tenants):
        left = {tenant: each for tenant, each in kept.items() if tenant not in tenants}
        write_whole(path, msgspec.json.encode(left))
