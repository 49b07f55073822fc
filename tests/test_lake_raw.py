from __future__ import annotations

from pathlib import Path

from wherry.lake import TABLES, Lake, create_raw_tables, has_raw_tables

FIRST = {"events": "delivery_id", "items": "", "rejected": "delivery_id", "loads": ""}


def test_a_lake_from_before_deliveries_is_widened_and_keeps_its_rows(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    with lake.writer() as con:
        con.execute("CREATE SCHEMA lake.raw")
        for table, later in FIRST.items():
            columns = [f"{name} {kind}" for name, kind in TABLES[table].items() if name != later]
            con.execute(f"CREATE TABLE lake.raw.{table} ({', '.join(columns)})")
        con.execute("INSERT INTO lake.raw.events (event_id) SELECT range FROM range(5)")
    with lake.writer() as con:
        assert has_raw_tables(con)
        create_raw_tables(con)
        create_raw_tables(con)
        for table, columns in TABLES.items():
            described = con.execute(f"DESCRIBE lake.raw.{table}").fetchall()
            assert {row[0]: row[1] for row in described} == columns
        rows = con.execute("SELECT count(*), count(delivery_id) FROM lake.raw.events").fetchall()
        assert rows == [(5, 0)]


def test_a_lake_without_a_log_says_so(tmp_path: Path) -> None:
    with Lake(tmp_path / "lake").writer() as con:
        assert not has_raw_tables(con)
        create_raw_tables(con)
        assert has_raw_tables(con)


def test_rows_of_one_load_are_no_file_each_and_any_item_id_can_be_read(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    with lake.writer() as con:
        create_raw_tables(con)
        con.execute("INSERT INTO lake.raw.inbox VALUES ('a', 1, 1)")
        con.execute("INSERT INTO lake.raw.events (items) VALUES ([{'id': 'x}]', 'price': 1}])")
    assert not list(lake.data_path.glob("raw/inbox/*"))
    with lake.reader() as con:
        assert con.execute("SELECT page FROM lake.raw.inbox").fetchall() == [(1,)]
        assert con.execute("SELECT items[1].id FROM lake.raw.events").fetchall() == [("x}]",)]
