"""The OpenAPI document against a server in a process of its own: what it says is what is done."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

import wherry
from wherry.project import Project
from wherry.serve.openapi import openapi

PROGRAM = """
import sys
from wherry.project import Project
Project.open(sys.argv[1]).serve(port=0, on_ready=lambda address: print(address, flush=True))
"""
SCHEMA = schemathesis.openapi.from_dict(openapi(wherry.__version__))
OPERATIONS = {found.ok().label: found.ok() for found in SCHEMA.get_all_operations()}
ASKED = [
    (label, mode)
    for label, operation in OPERATIONS.items()
    for mode in GenerationMode
    if mode is GenerationMode.POSITIVE or len(operation.body) + len(operation.query)
]
"""Each operation with requests that fit and, where there is something to get wrong, others."""

CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("served") / "shop"
    Project.create(folder)
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(Path(__file__).parents[1] / "src"), "PATH": ""},
    )
    assert process.stdout is not None
    yield process.stdout.readline().strip()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 0


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


@pytest.mark.parametrize(("label", "mode"), ASKED)
def test_every_answer_is_one_that_the_document_describes(
    address: str, session: requests.Session, label: str, mode: GenerationMode
) -> None:
    @given(OPERATIONS[label].as_strategy(generation_mode=mode))
    @settings(
        max_examples=10,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: Case) -> None:
        answer = case.call(base_url=address, session=session, timeout=10)
        # The one 5xx is deliberate: nothing has been released yet.
        is_waiting = label.endswith(("/readyz", "/v1/recommend"))
        assert answer.status_code < 500 or (answer.status_code == 503 and is_waiting)
        case.validate_response(answer, checks=CHECKS)

    ask()
