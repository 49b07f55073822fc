"""Wherry: from raw shop events to live, tested recommendations, on one machine."""

import os

__version__ = "0.1.0"

# Nothing phones home. The parts read these when they are first imported, so they are set
# before any of them can be; whoever wants a part's telemetry sets its variable beforehand.
for _variable, _value in {
    "DO_NOT_TRACK": "1",
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",  # our own progress is shown
}.items():
    os.environ.setdefault(_variable, _value)
