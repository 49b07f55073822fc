"""Pairs: what the champion answered and what its shadow would have, request by request."""

from __future__ import annotations

import duckdb
import msgspec

from wherry.domain import Rollout

_PAIRS = """
CREATE OR REPLACE TEMP TABLE pairs AS
SELECT
    c.batch_id, c.place, c.items AS shown, s.items AS unseen,
    c.latency_us AS shown_us, s.latency_us AS unseen_us,
    CASE WHEN len(c.session) = 0 THEN 'no item' WHEN len(c.session) = 1 THEN '1 item'
         WHEN len(c.session) < 5 THEN '2 to 4 items' ELSE '5 items or more' END AS session,
    CASE WHEN s.from_model >= len(s.items) THEN 'the model' ELSE 'filled up' END AS source
FROM lake.raw.answers AS c JOIN lake.raw.answers AS s USING (tenant, rollout, request_id)
WHERE tenant = ? AND rollout = ? AND c.role = 'champion' AND s.role = 'shadow'
  AND coalesce(c.error, '') = '' AND coalesce(s.error, '') = ''
QUALIFY row_number() OVER (PARTITION BY c.batch_id, c.place ORDER BY s.batch_id, s.place) = 1
"""

_ALIKE = """
WITH parts AS (
    SELECT *, slice FROM pairs, unnest(['all', 'session: ' || session, 'answer: ' || source])
        AS of(slice)
),
ranks AS (
    SELECT slice, batch_id, place, list_position(shown, item) AS a, list_position(unseen, item) AS b
    FROM (SELECT *, unnest(list_intersect(shown, unseen)) AS item FROM parts)
),
correlations AS (
    SELECT slice, corr(a, b) AS rho FROM ranks GROUP BY slice, batch_id, place
    HAVING count(*) > 1
),
means AS (SELECT slice, avg(rho) AS rho FROM correlations GROUP BY slice)
SELECT
    slice, count(*),
    avg(len(list_intersect(shown, unseen)) / greatest(len(shown), len(unseen), 1)),
    avg((shown[1] IS NOT DISTINCT FROM unseen[1])::INTEGER),
    any_value(rho),
    quantile_cont(shown_us, 0.5) / 1000, quantile_cont(unseen_us, 0.5) / 1000,
    quantile_cont(shown_us, 0.99) / 1000, quantile_cont(unseen_us, 0.99) / 1000
FROM parts LEFT JOIN means USING (slice)
GROUP BY slice ORDER BY slice <> 'all', slice
"""


class Pairs(msgspec.Struct, frozen=True):
    """Requests that both answered, in one slice: how alike the answers are and how long they took.

    ``overlap`` is the mean share of items in both, ``same_first`` of requests with the same item
    in the first place, ``rank_correlation`` the mean of that over the places of common items (None
    where there were never two). Milliseconds: the shadow's with what the request took beside it.
    """

    slice: str
    requests: int
    overlap: float
    same_first: float
    rank_correlation: float | None
    champion_p50_ms: float
    shadow_p50_ms: float
    champion_p99_ms: float
    shadow_p99_ms: float


def read_pairs(con: duckdb.DuckDBPyConnection, rollout: Rollout) -> tuple[Pairs, ...]:
    """Compare what has been loaded of a shadow's answers with the champion's; the whole first."""
    con.execute(_PAIRS, [rollout.tenant, rollout.label])
    return tuple(Pairs(*row) for row in con.execute(_ALIKE).fetchall())
