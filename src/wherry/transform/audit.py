"""The audit: whether a tenant's data is fit to be published and learned from."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import duckdb

from wherry.config.settings import Audit
from wherry.domain import Check, TenantId, Verdict
from wherry.lake import quote
from wherry.transform.audit_rules import RULES, Subject
from wherry.transform.results import DataTest


def audit(
    con: duckdb.DuckDBPyConnection,
    tenant: TenantId,
    rules: Audit,
    tests: Iterable[DataTest],
    now: datetime,
) -> Verdict:
    """Hold one tenant's data against the rules of ``[audit]`` and the dbt tests.

    ``con`` reads the snapshot that would be published; ``tests`` are those of the transform
    that made it; ``now`` is UTC without a zone. A failed dbt test counts for the tenants that its
    rows name, or for all where the rows have no column ``tenant``. No figure depends on
    the events of another tenant.
    """
    subject = Subject(con, tenant, rules, now)
    ruled = [check for rule in RULES if (check := rule(subject)) is not None]
    tested = [_dbt_check(subject, test) for test in tests]
    return Verdict(subject="audit", tenant=tenant, checks=(*ruled, *tested))


def _dbt_check(subject: Subject, test: DataTest) -> Check:
    name = f"dbt: {test.name}"
    if test.passed:
        return Check(name=name, passed=True, figure=0, bound="no rows", severity=test.severity)
    if test.error:
        return Check(
            name=name,
            passed=False,
            bound="no rows",
            severity=test.severity,
            message=f"The test could not be run: {test.error} Correct it in transforms/.",
            sql=test.sql,
        )
    sql = _rows_of_tenant(subject, test)
    count = subject.figure(f"SELECT count(*) FROM ({sql})")
    where = f" in {test.model}" if test.model else ""
    return Check(
        name=name,
        passed=count == 0,
        figure=count,
        bound="no rows",
        severity=test.severity,
        message=""
        if count == 0
        else f"{count:,.0f} rows{where} fail this test. Correct their source and import it anew, "
        "leaving out the bad load with transform.exclude_loads.",
        sample=subject.sample(sql) if count else (),
        sql=sql,
    )


def _rows_of_tenant(subject: Subject, test: DataTest) -> str:
    found = f"SELECT * FROM ({test.sql}\n)"
    columns = [column[0] for column in subject.con.execute(f"{found} LIMIT 0").description or []]
    if "tenant" not in columns:
        return found
    return f"{found} WHERE tenant = '{quote(subject.tenant)}'"
