"""The tracking plan: what an event of a type has to look like, as JSON Schemas of the shop's own.

``plan/purchase.json`` in the shop's folder describes the envelope of a purchase. An event that
breaks its schema is refused with the reason; a type without a schema is taken as it comes.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec

from wherry.collect.delivery import Parsed, Refusal
from wherry.domain import Event
from wherry.errors import SettingsError

_SHOWN_LETTERS = 300
_LARGEST_FILE = 1_000_000


class Plan:
    """The schemas of a shop by event type, compiled once; threads may share it.

    ``mark`` tells one state of the folder from another, and is empty where there is no plan.
    """

    def __init__(self, schemas: dict[str, dict[str, Any] | bool], mark: str = "") -> None:
        self.mark = mark
        self._validators = {name: _compile(name, schema) for name, schema in schemas.items()}

    @classmethod
    def open(cls, folder: Path) -> Plan:
        """Read the schemas of a folder; there need not be one.

        Raises:
            SettingsError: If a file is no JSON Schema; the message names it and the fault.
        """
        schemas = {}
        digest = hashlib.sha256()
        files = sorted(folder.glob("*.json"))
        for file in files:
            schemas[file.stem], content = _read(file)
            digest.update(f"\0{file.name}\0{len(content)}\0".encode() + content)
        return cls(schemas, digest.hexdigest()[:16] if files else "")

    @property
    def event_types(self) -> tuple[str, ...]:
        """The event types that have a schema."""
        return tuple(self._validators)

    def fault(self, event: Event) -> str | None:
        """Why an event breaks the plan; None if it does not.

        Its schema sees the envelope as JSON: times as ISO 8601 texts, nothing where a field is
        empty.
        """
        validator = self._validators.get(event.event_type)
        if validator is None:
            return None
        try:
            envelope = _present(msgspec.to_builtins(event))
            error = next(validator.iter_errors(envelope), None)
        except (ValueError, RecursionError) as error:
            # What JSON can't hold, such as NaN or a nesting without end, satisfies no schema.
            return f"plan {event.event_type}: {str(error)[:_SHOWN_LETTERS]}"
        return None if error is None else _explain(event.event_type, error)


def check(parsed: Parsed, plan: Plan) -> Parsed:
    """Turn the events that break the plan into refusals, at their places in the request.

    The original text of such a refusal is the envelope as JSON: it had been understood.
    """
    if not plan.event_types:
        return parsed
    faults = [plan.fault(event) for event in parsed.events]
    if not any(faults):
        return parsed
    events, refusals = [], list(parsed.refusals)
    where = places(parsed)
    for event, fault, place in zip(parsed.events, faults, where, strict=True):
        if fault is None:
            events.append(event)
        else:
            refusals.append(Refusal(place, fault, envelope_text(event)))
    return Parsed(events, sorted(refusals, key=lambda refusal: refusal.position))


def envelope_text(event: Event) -> str:
    """An event as one line of JSON, which :func:`read_envelope` reads back."""
    return msgspec.json.encode(event).decode()


def read_envelope(text: str) -> Event | None:
    """An event as :func:`envelope_text` wrote it; None for any other text."""
    try:
        return msgspec.json.decode(text, type=Event)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        return None


def places(parsed: Parsed) -> list[int]:
    """Where each event stood in its request: each row became an event or a refusal."""
    refused = {refusal.position for refusal in parsed.refusals}
    rows = range(len(parsed.events) + len(refused))
    free = [place for place in rows if place not in refused]
    # A refusal of the whole, or past the end, leaves places over.
    return free[: len(parsed.events)]


def _present(value: Any) -> Any:
    """An envelope without its empty fields; the shop's own properties stay as they are."""
    envelope = {name: field for name, field in value.items() if field is not None}
    envelope["items"] = [
        {name: field for name, field in item.items() if field is not None}
        for item in envelope["items"]
    ]
    return envelope


def _read(file: Path) -> tuple[Any, bytes]:
    try:
        content = file.read_bytes()
        if len(content) > _LARGEST_FILE:
            raise SettingsError(f"{file} is longer than {_LARGEST_FILE} bytes. Make it smaller.")
        schema = json.loads(content)
        if not isinstance(schema, dict | bool):
            raise ValueError("a schema is an object, or true or false")
        return schema, content
    except (OSError, ValueError, RecursionError) as error:
        raise SettingsError(
            f"{file} can't be read as JSON: {error}. Correct it, or move it out of plan/."
        ) from error


def _compile(name: str, schema: Any) -> jsonschema_rs.Validator:
    try:
        return jsonschema_rs.validator_for(schema, retriever=_refuse)
    except (ValueError, TypeError, jsonschema_rs.ReferencingError) as error:
        fault = getattr(error, "message", "") or str(error).splitlines()[0]
        path = "/".join(str(step) for step in getattr(error, "instance_path", ()))
        raise SettingsError(
            f"plan/{name}.json is no JSON Schema: {path + ': ' if path else ''}{fault}. "
            "Correct it, or move it out of plan/. See docs/tracking-plan.md."
        ) from error


def _refuse(uri: str) -> Any:
    """Nothing is fetched: a plan is the files of one folder, and a server's start asks nobody."""
    raise ValueError(f"{uri} is not part of this file; use $defs within it")


def _explain(event_type: str, error: Any) -> str:
    where = "".join(
        f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.instance_path
    ).lstrip(".")
    place = f"{where}: " if where else ""
    return f"plan {event_type}: {place}{error.message[:_SHOWN_LETTERS]}"
