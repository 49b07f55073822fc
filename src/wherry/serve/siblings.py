"""Siblings: the worker processes of one server, asked by one of them for all their figures."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.registry import Collector

logger = logging.getLogger("wherry.serve")

_ASK_SECONDS = 1.0
_SUFFIX = ".sock"


class _Sample(msgspec.Struct, frozen=True, array_like=True):
    name: str
    labels: dict[str, str]
    value: float


class _Family(msgspec.Struct, frozen=True, array_like=True):
    name: str
    documentation: str
    kind: str
    samples: list[_Sample]


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(list[_Family])


class Siblings:
    """Answers the other workers what this one has counted, and asks them the same.

    Each worker listens on a socket of its number in ``folder``, which only this user may enter.
    """

    def __init__(self, folder: Path, number: int, registry: CollectorRegistry) -> None:
        self._folder = folder
        self._number = number
        self._registry = registry
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen; what a worker of this number left behind when it was killed is replaced."""
        path = self._path
        path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._tell, path)

    async def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)

    @property
    def _path(self) -> Path:
        return self._folder / f"{self._number}{_SUFFIX}"

    async def _tell(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):  # whoever asked has gone
            writer.write(encode(self._registry))
            await writer.drain()
        writer.close()

    async def text(self) -> bytes:
        """The figures of all workers in Prometheus' text format, each sample with its ``worker``.

        One that does not answer within a second is left out this time.
        """
        numbers = sorted(int(path.stem) for path in self._folder.glob(f"*{_SUFFIX}"))
        found = await asyncio.gather(*(self._ask(number) for number in numbers))
        told = {n: families for n, families in zip(numbers, found, strict=True) if families}
        registry = CollectorRegistry()
        registry.register(_Told(merge(told)))
        return generate_latest(registry)

    async def _ask(self, number: int) -> list[_Family] | None:
        if number == self._number:
            return _DECODER.decode(encode(self._registry))
        try:
            async with asyncio.timeout(_ASK_SECONDS):
                path = self._folder / f"{number}{_SUFFIX}"
                reader, writer = await asyncio.open_unix_connection(path)
                try:
                    return _DECODER.decode(await reader.read(-1))
                finally:
                    writer.close()
        except (OSError, TimeoutError, msgspec.DecodeError) as error:
            logger.warning("Worker %d does not tell its figures: %s", number, error)
            return None


def encode(registry: CollectorRegistry) -> bytes:
    """All figures of a registry, to be sent to a sibling."""
    return _ENCODER.encode(
        [
            _Family(
                family.name,
                family.documentation,
                family.type,
                [_Sample(each.name, dict(each.labels), each.value) for each in family.samples],
            )
            for family in registry.collect()
        ]
    )


def merge(told: dict[int, list[_Family]]) -> list[Metric]:
    """The families of all workers, by their number, as one list; ``worker`` tells them apart."""
    merged: dict[str, Metric] = {}
    for number, families in told.items():
        for family in families:
            metric = merged.setdefault(
                family.name, Metric(family.name, family.documentation, family.kind)
            )
            for each in family.samples:
                labels = {**each.labels, "worker": str(number)}
                metric.add_sample(each.name, labels, each.value)
    return list(merged.values())


class _Told(Collector):
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        yield from self._metrics
