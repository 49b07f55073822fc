"""What became of the events that a pump sent, counted in bounded memory."""

from __future__ import annotations

from collections import Counter

import msgspec

from wherry.simulate.latencies import Latencies, Latency
from wherry.simulate.protocols import Settled

_KEPT_WORDS = 20
_OTHERS = "others"


class Pumped(msgspec.Struct, frozen=True, kw_only=True):
    """What a pump sent and what became of it.

    ``events`` were sent, each once however often its request had to be repeated; they are
    ``taken``, ``known``, ``refused`` (``reasons`` counts why), ``failed`` (the answer was an
    error of the request, or its counts don't add up) or ``unanswered`` (it ended too early).
    ``put_off`` counts the answers 429 and 503, and ``errors`` whatever else went wrong, by what
    it was. ``latency`` counts from when a request was due to the answer that settled it, and
    ``recommend_latency`` the same of recommendations. ``problem`` says why it ended early.
    """

    url: str
    events: int
    taken: int
    known: int
    refused: int
    failed: int
    unanswered: int
    requests: int
    recommendations: int
    reasons: dict[str, int]
    put_off: dict[str, int]
    errors: dict[str, int]
    seconds: float
    events_per_second: float
    latency: Latency
    recommend_latency: Latency
    is_interrupted: bool
    problem: str | None


class Tally:
    """The counts while a pump is at work; ``answers`` are those to requests of any kind."""

    def __init__(self) -> None:
        self.sent = self.taken = self.known = self.refused = self.failed = 0
        self.answers = self.recommendations = 0
        self.reasons, self.put_off, self.errors = Words(), Words(), Words()
        self.latencies, self.recommend_latencies = Latencies(), Latencies()

    @property
    def settled(self) -> int:
        """Of how many events it is known what became of them."""
        return self.taken + self.known + self.refused + self.failed

    def settle(self, settled: Settled) -> None:
        """Count what an answer says of each event of its request."""
        self.taken += settled.taken
        self.known += settled.known
        self.refused += len(settled.refused)
        for reason in settled.refused.values():
            self.reasons.add(reason)

    def summary(
        self, url: str, *, seconds: float, is_interrupted: bool, problem: str | None
    ) -> Pumped:
        """The report."""
        return Pumped(
            url=url,
            events=self.sent,
            taken=self.taken,
            known=self.known,
            refused=self.refused,
            failed=self.failed,
            unanswered=self.sent - self.settled,
            requests=self.answers,
            recommendations=self.recommendations,
            reasons=dict(self.reasons.counts),
            put_off=dict(self.put_off.counts),
            errors=dict(self.errors.counts),
            seconds=round(seconds, 3),
            events_per_second=round(self.settled / seconds, 1),
            latency=self.latencies.summary(),
            recommend_latency=self.recommend_latencies.summary(),
            is_interrupted=is_interrupted,
            problem=problem,
        )


class Words:
    """Counts texts; of the first twenty each by itself, all others together."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def add(self, word: str, times: int = 1) -> None:
        """Count a text."""
        is_kept = word in self.counts or len(self.counts) < _KEPT_WORDS
        self.counts[word if is_kept else _OTHERS] += times
