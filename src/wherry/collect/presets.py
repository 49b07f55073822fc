"""Presets: column mappings of well-known data sets, by name."""

from __future__ import annotations

from wherry.config import Field, Mapping
from wherry.errors import SourceError, did_you_mean

_RETAILROCKET = Mapping(
    aliases={
        "visitorid": ("visitor_id", "user_id"),
        "itemid": ("item_id",),
        "transaction_id": ("transactionid",),
    },
    event_type=Field(
        column="event",
        optional=True,
        value="view",
        values={"addtocart": "add", "transaction": "purchase"},
    ),
    occurred_at="timestamp",
    visitor_id="visitorid",
    session_id=Field(column="session_id", optional=True),
    item_id="itemid",
    properties=("transaction_id",),
)
"""RetailRocket's ``events.csv``, and files of views alone."""

_REES46 = Mapping(
    event_type=Field(column="event_type", values={"cart": "add", "remove_from_cart": "remove"}),
    occurred_at="event_time",
    visitor_id="user_id",
    session_id="user_session",
    item_id="product_id",
    price="price",
    category=Field(sql="coalesce(category_code, CAST(category_id AS VARCHAR))"),
    attributes=("brand",),
)
"""A month of REES46's multi-category or cosmetics shop; its rows tell category and brand."""

_COVEO = Mapping(
    event_type=Field(
        sql="coalesce(product_action, event_type)",
        values={"pageview": "page", "detail": "view"},
    ),
    occurred_at=Field(column="server_timestamp_epoch_ms", unit="ms"),
    session_id="session_id_hash",
    item_id="product_sku_hash",
    properties=("hashed_url",),
)
"""``browsing_train.csv`` of the SIGIR eCom 2021 challenge by Coveo. It knows no visitors."""

_COVEO_SEARCH = Mapping(
    event_type=Field(value="search"),
    occurred_at=Field(column="server_timestamp_epoch_ms", unit="ms"),
    session_id="session_id_hash",
    properties=("clicked_skus_hash", "product_skus_hash"),
)
"""``search_train.csv`` of the same; the query itself is a vector there and is left out."""

_COVEO_ITEMS = Mapping(
    kind="items",
    item_id="product_sku_hash",
    category="category_hash",
    attributes=("price_bucket",),
)
"""``sku_to_content.csv`` of the same, without its vectors."""

_ONLINE_RETAIL = Mapping(
    aliases={
        "invoice": ("InvoiceNo",),
        "stock_code": ("StockCode",),
        "invoice_date": ("InvoiceDate", "invoice_ts"),
        "price": ("UnitPrice",),
        "customer_id": ("Customer ID", "CustomerID"),
        "transaction_id": ("Invoice", "InvoiceNo"),
    },
    event_type=Field(
        sql="CASE WHEN upper(invoice) LIKE 'C%' OR TRY_CAST(quantity AS DOUBLE) < 0 "
        "OR TRY_CAST(price AS DOUBLE) < 0 THEN 'remove' ELSE 'purchase' END"
    ),
    occurred_at=Field(column="invoice_date", format="%m/%d/%Y %H:%M"),
    visitor_id=Field(
        sql="coalesce(regexp_replace(CAST(customer_id AS VARCHAR), '\\.0$', ''), invoice)"
    ),
    session_id="invoice",
    item_id="stock_code",
    price="price",
    quantity=Field(sql="abs(TRY_CAST(quantity AS DOUBLE))"),
    properties=("transaction_id", "country"),
    name=Field(
        sql="CASE WHEN TRY_CAST(quantity AS DOUBLE) > 0 AND TRY_CAST(price AS DOUBLE) > 0 "
        "THEN description END"
    ),
)
"""UCI's Online Retail and Online Retail II: an invoice is a session.

A cancelled invoice (``C…``), a negative quantity or a negative price takes something back: it
is a ``remove`` of so many pieces, the closest of the known words, so that it counts neither
as interest nor as revenue. Where no customer is named, the invoice is the visitor. Only sales
name an item: the text of a correction is a remark ("damaged").
"""

_COMPLETE_JOURNEY = Mapping(
    aliases={"transaction_id": ("basket_id",)},
    event_type=Field(value="purchase"),
    occurred_at="transaction_timestamp",
    visitor_id="household_id",
    session_id="basket_id",
    item_id="product_id",
    price=Field(
        sql="TRY_CAST(sales_value AS DOUBLE) / "
        "CASE WHEN TRY_CAST(quantity AS DOUBLE) > 0 THEN TRY_CAST(quantity AS DOUBLE) ELSE 1 END"
    ),
    quantity="quantity",
    properties=("transaction_id", "store_id"),
)
"""``transactions`` of The Complete Journey: a basket is a session, a household a visitor.
``sales_value`` is what a line came to, so the price of a piece is that over the quantity."""

_COMPLETE_JOURNEY_ITEMS = Mapping(
    kind="items",
    item_id="product_id",
    name=Field(sql="coalesce(product_type, product_category, department)"),
    category=Field(sql="coalesce(product_category, department)"),
    attributes=("brand", "department", "package_size", "manufacturer_id"),
)
"""``products`` of the same. Its products have a type in place of a name."""

_WHERRY = Mapping(
    tenant=Field(column="tenant", optional=True),
    event_id=Field(column="event_id", optional=True),
    event_type="event_type",
    occurred_at="occurred_at",
    received_at=Field(column="received_at", optional=True),
    visitor_id=Field(column="visitor_id", optional=True),
    session_id=Field(column="session_id", optional=True),
    item_id=Field(column="item_id", optional=True),
    price=Field(column="price", optional=True),
    quantity=Field(column="quantity", optional=True),
    items=Field(column="items", optional=True),
    query=Field(column="query", optional=True),
    properties=Field(column="properties", optional=True),
)
"""The envelope under its own names, with one item a row or a list of them."""

_WHERRY_ITEMS = Mapping(
    kind="items",
    tenant=Field(column="tenant", optional=True),
    item_id="item_id",
    name=Field(column="name", optional=True),
    category=Field(column="category", optional=True),
    price=Field(column="price", optional=True),
    available=Field(column="available", optional=True),
)
"""A catalogue under its own names; every other column is an attribute."""

PRESETS: dict[str, Mapping] = {
    "retailrocket": _RETAILROCKET,
    "rees46": _REES46,
    "coveo": _COVEO,
    "coveo-search": _COVEO_SEARCH,
    "coveo-items": _COVEO_ITEMS,
    "online-retail": _ONLINE_RETAIL,
    "complete-journey": _COMPLETE_JOURNEY,
    "complete-journey-items": _COMPLETE_JOURNEY_ITEMS,
    "wherry": _WHERRY,
    "wherry-items": _WHERRY_ITEMS,
}
"""Every preset that ``wherry import`` knows."""


def find_mapping(name: str, own: dict[str, Mapping]) -> Mapping:
    """The mapping of this name: the project's own, or else a preset.

    Raises:
        SourceError: If there is none of this name.
    """
    known = {**PRESETS, **own}
    if name not in known:
        raise SourceError(
            f"There is no import named {name!r}.{did_you_mean(name, known)} "
            f"Known: {', '.join(known)}. Or describe the columns under [imports.{name}] in "
            "wherry.toml; see docs/import.md."
        )
    return known[name]
