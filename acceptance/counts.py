"""How many events, sessions and items real data sets hold, counted by pandas alone.

Nothing of Wherry's is used here. What the counts mean:

- *events*: rows that differ in what an event says (who, when, what kind, which item, price,
  quantity, session, and the properties that the preset keeps). Two rows that agree in all of
  it are one event: an export that holds a row twice can't be told from a visitor who did the
  same twice in one instant. Columns that only describe the item, such as its name, don't count.
- *sessions*: distinct session ids; of rows without one (a single one, in REES46), visits of
  their visitor that 30 idle minutes end.
- *items*: distinct items with at least one view, click, add or purchase. An item that was only
  ever taken back is not among them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

Counts = dict[str, int]


def expected(folder: Path) -> Counts:
    """Count the events, sessions and items of a data set, by its folder's name."""
    return _COUNTERS[folder.name](folder)


def _rees46(folder: Path) -> Counts:
    rows = pd.read_parquet(folder / "events.parquet")
    said = ["event_time", "event_type", "product_id", "price", "user_id", "user_session"]
    counts = _count(rows, said, session="user_session", item="product_id")
    counts["sessions"] += _idle_sessions(rows[rows["user_session"].isna()])
    return counts


def _idle_sessions(rows: pd.DataFrame) -> int:
    """Sessions of the rows that name none: a visitor's, until 30 minutes go by without one."""
    ordered = rows.sort_values(["user_id", "event_time"])
    idle = ordered.groupby("user_id")["event_time"].diff() > pd.Timedelta(minutes=30)
    return int(ordered["user_id"].nunique() + idle.sum())


def _retailrocket(folder: Path) -> Counts:
    rows = pd.read_parquet(folder / "views.parquet")
    said = ["timestamp", "user_id", "item_id", "session_id"]
    return _count(rows, said, session="session_id", item="item_id")


def _online_retail(folder: Path) -> Counts:
    """Both years as they come: invoices that stand in both count once.

    A cancelled invoice (``C…``), a negative quantity or a negative price takes back so many
    pieces, and is no purchase.
    """
    years = [pd.read_parquet(path) for path in sorted(folder.glob("*.parquet"))]
    rows = pd.concat(
        [year.assign(invoice_ts=year["invoice_ts"].astype("datetime64[us]")) for year in years]
    )
    cancelled = rows["invoice"].str.upper().str.startswith("C")
    rows["back"] = cancelled | (rows["quantity"] < 0) | (rows["price"] < 0)
    rows["quantity"] = rows["quantity"].abs()
    rows["stock_code"] = rows["stock_code"].str.strip()
    said = ["invoice", "stock_code", "back", "quantity", "invoice_ts", "price", "customer_id"]
    return _count(
        rows, [*said, "country"], session="invoice", item="stock_code", wanted=~rows["back"]
    )


def _count(
    rows: pd.DataFrame,
    said: list[str],
    *,
    session: str,
    item: str,
    wanted: pd.Series | None = None,
) -> Counts:
    interactions = rows if wanted is None else rows[wanted]
    return {
        "events": len(rows.drop_duplicates(said)),
        "sessions": int(rows[session].nunique()),
        "items": int(interactions[item].nunique()),
    }


_COUNTERS: dict[str, Callable[[Path], Counts]] = {
    "rees46_sample": _rees46,
    "retailrocket_sample10k": _retailrocket,
    "online_retail_ii": _online_retail,
}
