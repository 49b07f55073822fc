"""What the commands about keys do."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table
from rich.text import Text

from wherry.cli.output import Output
from wherry.collect.keys import Key, Kind
from wherry.domain import tenant_id
from wherry.errors import UsageError, did_you_mean
from wherry.project.project import Project, utc_now

_KINDS: dict[str, Kind] = {"write": "write", "read": "read"}


def make(folder: Path, kind: str, tenant: str, label: str, output: Output) -> None:
    """Make a key and show it, this once."""
    if kind not in _KINDS:
        raise UsageError(
            f"There is no kind of key {kind!r}.{did_you_mean(kind, _KINDS)} "
            "A write key sends events, a read key asks for recommendations."
        )
    keys = Project.open(folder).keys
    text, key = keys.make(tenant_id(tenant), _KINDS[kind], label=label, now=utc_now())
    output.answer(
        {"key": text, **_public(key)},
        Text(text, style="bold", overflow="ignore", no_wrap=True),
        Text(f"This {kind} key of {tenant} is shown now and never again."),
    )


def list_keys(folder: Path, output: Output) -> None:
    """List the keys, how each begins and whose it is."""
    keys = Project.open(folder).keys.all()
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("key", "kind", "tenant", "label", "made", "revoked"):
        table.add_column(name, no_wrap=name != "label")
    for key in keys:
        table.add_row(
            f"{key.name}…",
            key.kind,
            key.tenant,
            Text(key.label),
            f"{key.created_at:%Y-%m-%d %H:%M}",
            f"{key.revoked_at:%Y-%m-%d %H:%M}" if key.revoked_at else "",
            style="dim" if key.revoked_at else None,
        )
    output.answer(
        [_public(key) for key in keys],
        table if keys else "There is no key yet: wherry keys make write",
    )


def revoke(folder: Path, name: str, output: Output) -> None:
    """Revoke the key that begins so."""
    key = Project.open(folder).keys.revoke(name, now=utc_now())
    output.answer(_public(key), f"{key.name}… ({key.kind}, {key.tenant}) opens nothing any more.")


def _public(key: Key) -> dict[str, object]:
    """A key without its digest, which is nobody's business."""
    return {name: getattr(key, name) for name in key.__struct_fields__ if name != "digest"}
