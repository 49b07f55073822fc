from __future__ import annotations

import pytest

from wherry.config import Registry, Settings
from wherry.project.stages import settings_record


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("", ""),
        ("sqlite:////srv/mlflow.db", "sqlite:////srv/mlflow.db"),
        ("https://mlflow.example:5000", "https://mlflow.example:5000"),
        ("https://team:secret@mlflow.example", "https://…@mlflow.example"),
        ("postgresql://team:se@cret@db/mlflow", "postgresql://…@db/mlflow"),
    ],
)
def test_no_password_is_kept_in_the_record_of_a_run(given: str, kept: str) -> None:
    record = settings_record(Settings(shop="s", registry=Registry(tracking_uri=given)))
    assert isinstance(record["registry"], dict)
    assert record["registry"]["tracking_uri"] == kept
