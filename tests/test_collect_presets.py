"""Each preset takes the file that it is named for, as its publisher wrote it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from collect_shop import load, write
from wherry.collect import PRESETS, find_mapping
from wherry.config import Mapping
from wherry.errors import SourceError
from wherry.lake import Lake


@pytest.fixture
def con(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with Lake(tmp_path / "lake").writer() as connection:
        yield connection


def take(con: duckdb.DuckDBPyConnection, folder: Path, preset: str, text: str) -> list[Any]:
    """Load a text by a preset; the events as words."""
    loaded = load(con, write(folder / f"{preset}.csv", text), PRESETS[preset])
    assert (loaded.known, loaded.rejected) == (0, 0)
    return events(con)


def events(con: duckdb.DuckDBPyConnection) -> list[Any]:
    return con.execute(
        "SELECT strftime(occurred_at, '%Y-%m-%d %H:%M:%S'), event_type, visitor_id, session_id, "
        "items[1].id, items[1].price, items[1].quantity, properties "
        "FROM lake.raw.events ORDER BY occurred_at, event_type"
    ).fetchall()


def items(con: duckdb.DuckDBPyConnection) -> list[Any]:
    return con.execute(
        "SELECT item_id, name, category, price, attributes FROM lake.raw.items ORDER BY 1"
    ).fetchall()


def test_retailrocket(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    text = (
        "timestamp,visitorid,event,itemid,transactionid\n"
        "1433221332117,257597,view,355908,\n"
        "1433221999827,111016,addtocart,318965,\n"
        "1433222276276,599528,transaction,356475,4000\n"
    )
    assert take(con, tmp_path, "retailrocket", text) == [
        ("2015-06-02 05:02:12", "view", "257597", None, "355908", None, None, None),
        ("2015-06-02 05:13:19", "add", "111016", None, "318965", None, None, None),
        ("2015-06-02 05:17:56", "purchase", "599528", None, "356475", None, None,
         '{"transaction_id":"4000"}'),
    ]  # fmt: skip


def test_retailrocket_views_alone(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    rows = {"timestamp": [1442004589], "user_id": [0], "item_id": [285930], "session_id": [0]}
    pq.write_table(pa.table(rows), tmp_path / "views.parquet")
    load(con, tmp_path / "views.parquet", PRESETS["retailrocket"])
    assert events(con) == [
        ("2015-09-11 20:49:49", "view", "0", "0", "285930", None, None, None),
    ]


def test_rees46(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    text = (
        "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,"
        "user_session\n"
        "2019-10-01 00:00:00 UTC,view,44600062,2103807459595387724,,shiseido,35.79,541312140,s1\n"
        "2019-10-01 00:00:01 UTC,cart,3900821,20530,appliances.heater,,33.20,554748717,s2\n"
        "2019-10-01 00:00:02 UTC,remove_from_cart,3900821,20530,appliances.heater,aqua,33.20,5,s2\n"
    )
    assert [e[:7] for e in take(con, tmp_path, "rees46", text)] == [
        ("2019-10-01 00:00:00", "view", "541312140", "s1", "44600062", 35.79, None),
        ("2019-10-01 00:00:01", "add", "554748717", "s2", "3900821", 33.2, None),
        ("2019-10-01 00:00:02", "remove", "5", "s2", "3900821", 33.2, None),
    ]
    assert items(con) == [
        ("3900821", None, "appliances.heater", 33.2, '{"brand":"aqua"}'),
        ("44600062", None, "2103807459595387724", 35.79, '{"brand":"shiseido"}'),
    ]


def test_coveo(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    text = (
        "session_id_hash,event_type,product_action,product_sku_hash,server_timestamp_epoch_ms,"
        "hashed_url\n"
        "aa,pageview,,,1550885210881,u1\n"
        "aa,event_product,detail,sku1,1550885210882,u1\n"
        "aa,event_product,purchase,sku1,1550885213307,u2\n"
    )
    assert [e[1:5] for e in take(con, tmp_path, "coveo", text)] == [
        ("page", "aa", "aa", None),
        ("view", "aa", "aa", "sku1"),
        ("purchase", "aa", "aa", "sku1"),
    ]


def test_coveo_search_and_items(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    text = (
        "session_id_hash,query_vector,clicked_skus_hash,product_skus_hash,"
        "server_timestamp_epoch_ms\n"
        "aa,\"[0.1, -0.2]\",['x'],\"['x', 'y']\",1548575194779\n"
    )
    (search,) = take(con, tmp_path, "coveo-search", text)
    assert search[1:4] == ("search", "aa", "aa")
    assert search[7] == ('{"clicked_skus_hash":"[\'x\']","product_skus_hash":"[\'x\', \'y\']"}')
    catalogue = (
        "product_sku_hash,description_vector,category_hash,image_vector,price_bucket\n"
        'x,"[1, 2]",c1/c2,,3.0\n'
    )
    load(con, write(tmp_path / "items.csv", catalogue), PRESETS["coveo-items"])
    assert items(con) == [("x", None, "c1/c2", None, '{"price_bucket":"3.0"}')]


RETAIL_ROWS = [
    ("489434", "85048", "GLASS BALL", "12", "6.95", "13085"),
    ("C489449", "85048", "GLASS BALL", "-2", "6.95", "13085"),
    ("489464", "21733", "damaged", "-96", "0.0", ""),
    ("489465", "21733", "CANDLE", "1", "2.55", ""),
]


@pytest.mark.parametrize(
    ("header", "time", "suffix"),
    [
        ("Invoice,StockCode,Description,Quantity,InvoiceDate,Price,Customer ID,Country",
         "2009-12-01 07:45:00", ".0"),
        ("InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country",
         "12/1/2009 7:45", ""),
        ("invoice,stock_code,description,quantity,invoice_ts,price,customer_id,country",
         "2009-12-01 07:45:00", ""),
    ],
)  # fmt: skip
def test_online_retail_under_each_of_its_headers(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, header: str, time: str, suffix: str
) -> None:
    lines = [
        ",".join([invoice, code, text, quantity, time, price, who and who + suffix, "UK"])
        for invoice, code, text, quantity, price, who in RETAIL_ROWS
    ]
    found = take(con, tmp_path, "online-retail", "\n".join([header, *lines]))
    assert {e[0] for e in found} == {"2009-12-01 07:45:00"}
    assert sorted(e[1:7] for e in found) == [
        ("purchase", "13085", "489434", "85048", 6.95, 12.0),
        ("purchase", "489465", "489465", "21733", 2.55, 1.0),
        ("remove", "13085", "C489449", "85048", 6.95, 2.0),
        ("remove", "489464", "489464", "21733", 0.0, 96.0),
    ]
    assert [e[7] for e in found if e[3] == "489434"] == [
        '{"transaction_id":"489434","country":"UK"}'
    ]
    assert items(con) == [
        ("21733", "CANDLE", None, 2.55, None),
        ("85048", "GLASS BALL", None, 6.95, None),
    ]


def test_the_complete_journey(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    text = (
        "household_id,store_id,basket_id,product_id,quantity,sales_value,retail_disc,coupon_disc,"
        "coupon_match_disc,week,transaction_timestamp\n"
        "900,330,31198570044,1095275,2,1.00,0.0,0.0,0.0,1,2017-01-01 11:53:26\n"
        "900,330,31198570047,9878513,0,0.59,0.0,0.0,0.0,1,2017-01-01 12:10:28\n"
    )
    assert take(con, tmp_path, "complete-journey", text) == [
        ("2017-01-01 11:53:26", "purchase", "900", "31198570044", "1095275", 0.5, 2.0,
         '{"transaction_id":"31198570044","store_id":"330"}'),
        ("2017-01-01 12:10:28", "purchase", "900", "31198570047", "9878513", 0.59, 0.0,
         '{"transaction_id":"31198570047","store_id":"330"}'),
    ]  # fmt: skip
    catalogue = (
        "product_id,manufacturer_id,department,brand,product_category,product_type,package_size\n"
        "25671,2,GROCERY,National,FRZN ICE,ICE - CRUSHED/CUBED,22 LB\n"
        "26081,2,MISCELLANEOUS,National,,,\n"
    )
    load(con, write(tmp_path / "items.csv", catalogue), PRESETS["complete-journey-items"])
    assert [i[:3] for i in items(con)] == [
        ("25671", "ICE - CRUSHED/CUBED", "FRZN ICE"),
        ("26081", "MISCELLANEOUS", "MISCELLANEOUS"),
    ]


def test_the_envelope_itself_with_one_item_a_row(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    text = (
        "tenant,event_id,event_type,occurred_at,visitor_id,session_id,item_id,price,quantity,query\n"
        "north,e1,add,2026-01-01 10:00:00,v,s,x,1.5,2,\n"
        "north,e2,search,2026-01-01 10:00:01,v,s,,,,red shoes\n"
    )
    found = take(con, tmp_path, "wherry", text)
    assert found[0][1:] == ("add", "v", "s", "x", 1.5, 2.0, None)
    kept = con.execute("SELECT tenant, event_id, query FROM lake.raw.events ORDER BY 2").fetchall()
    assert kept == [("north", "e1", None), ("north", "e2", "red shoes")]


def test_a_project_s_own_mapping_comes_before_a_preset() -> None:
    own = Mapping(event_type="a", occurred_at="b", visitor_id="c")
    assert find_mapping("rees46", {"rees46": own}) is own
    assert find_mapping("coveo", {"rees46": own}) is PRESETS["coveo"]


def test_an_unknown_name_is_refused_with_the_closest() -> None:
    with pytest.raises(SourceError, match=r"named 'retailrokcet'\. Did you mean 'retailrocket'"):
        find_mapping("retailrokcet", {})
