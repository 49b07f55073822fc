"""dbt, run inside this process; imported only when there is something to build: it takes long."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner, dbtRunnerResult

from wherry.domain import Severity
from wherry.errors import TransformError
from wherry.transform.project import Batch, DbtProject
from wherry.transform.results import DataTest, ModelRun


def run_dbt(
    project: DbtProject, batch: Batch, *, on_progress: Callable[[str], None] | None
) -> tuple[list[ModelRun], list[DataTest]]:
    """Build every model, seed and snapshot, then run every test, packaged and the shop's own.

    Tests wait until all models stand: within ``dbt build`` a failed one would leave the
    models after it as they were. One that fails is no exception. ``on_progress`` is told each
    model as it is done.

    Raises:
        TransformError: Naming the model, its file and what the database said.
    """

    def tell(event: Any) -> None:
        if on_progress is not None and event.info.name == "NodeFinished":
            on_progress(str(event.data.node_info.node_name))

    kinds = ["--exclude-resource-type", "test", "--exclude-resource-type", "unit_test"]
    refresh = ["--full-refresh"] if batch.is_full else []
    arguments = project.arguments(batch)
    with _no_connection_left():
        manifest = _output(dbtRunner().invoke(["parse", *project.arguments()]))
        dbt = dbtRunner(manifest=manifest, callbacks=[tell])
        built = _output(dbt.invoke(["build", *kinds, *refresh, *arguments])).results
        _raise_first_error(built)
        tested = _output(dbtRunner(manifest=manifest).invoke(["test", *arguments])).results
    return [_model_run(r) for r in built if r.status == "success"], [_data_test(r) for r in tested]


def _raise_first_error(results: list[Any]) -> None:
    for result in results:
        if result.status in ("error", "runtime error"):
            raise TransformError(
                f"The model {result.node.name!r} ({result.node.original_file_path}) failed: "
                f"{_plain(result.message)} Correct it and run again; the lake is as it was."
            )


def _model_run(result: Any) -> ModelRun:
    return ModelRun(result.node.name, round(result.execution_time, 3))


def _data_test(result: Any) -> DataTest:
    node = result.node
    attached = getattr(node, "attached_node", None) or ""
    broke = result.status not in ("pass", "fail", "warn")
    warns = result.status == "warn" or str(node.config.severity).lower() == "warn"
    return DataTest(
        name=node.name,
        model=attached.rsplit(".", 1)[-1],
        severity=Severity.WARN if warns else Severity.BLOCK,
        passed=result.status == "pass",
        failures=int(result.failures or 0),
        sql=(getattr(node, "compiled_code", "") or "").strip(),
        error=_plain(result.message) if broke else "",
    )


def _output(report: dbtRunnerResult) -> Any:
    if isinstance(report.exception, KeyboardInterrupt):
        raise report.exception  # dbt hands it over as a fault of the project
    if report.exception is not None or report.result is None:
        raise TransformError(
            f"dbt can't read the project: {_plain(report.exception)} Correct it and run again."
        )
    return report.result


@contextmanager
def _no_connection_left() -> Iterator[None]:
    # dbt-duckdb keeps an in-memory database, and so the lake attached to it, open for good.
    try:
        yield
    finally:
        environment = DuckDBConnectionManager._ENV
        if environment is not None:
            environment.close()
        DuckDBConnectionManager.close_all_connections()


def _plain(message: object) -> str:
    text = " ".join(str(message).split())
    return text if text.endswith(".") else f"{text}."
