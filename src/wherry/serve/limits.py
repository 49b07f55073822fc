"""The rate limit: a bucket of tokens for each key, in bounded memory."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

_MOST_BUCKETS = 10_000


class RateLimit:
    """Lets each key spend ``rate`` tokens a second, and ``burst`` at once after a rest.

    A token is whatever the caller counts: a request, an event. A ``rate`` of 0 sets no limit.
    At most ``most_buckets`` keys are remembered. One that is forgotten, the longest unused,
    begins again with a full bucket, so that strangers can't lock out those who are known.
    It belongs to one event loop; every worker process counts by itself.
    """

    def __init__(
        self,
        rate: float,
        burst: float,
        *,
        most_buckets: int = _MOST_BUCKETS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rate = rate
        self._burst = max(burst, 1.0)
        self._most = most_buckets
        self._clock = clock
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def take(self, key: Hashable, tokens: float = 1.0) -> int:
        """Take tokens from a key's bucket; 0, or in how many whole seconds to ask again.

        Nothing is taken where there are too few. A request for more than a full bucket holds
        is let through when the bucket is full, and leaves it in debt: a large batch waits for
        its turn and is not refused for ever.
        """
        if self._rate <= 0:
            return 0
        now = self._clock()
        left, at = self._buckets.get(key, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._rate)
        needed = min(tokens, self._burst)
        if left < needed:
            self._keep(key, left, now)
            return max(1, math.ceil((needed - left) / self._rate))
        self._keep(key, left - tokens, now)
        return 0

    def _keep(self, key: Hashable, left: float, now: float) -> None:
        self._buckets[key] = (left, now)
        self._buckets.move_to_end(key)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
