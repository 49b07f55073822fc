"""Options that many commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ProjectOption = Annotated[
    Path, typer.Option("--project", "-C", help="The project's folder, or one inside it.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer with one JSON document.")]
TenantOption = Annotated[str, typer.Option("--tenant", help="The tenant, where there are several.")]
WaitOption = Annotated[
    float, typer.Option("--wait", min=0, help="Seconds to queue behind another writer.")
]

HERE = Path()
"""The folder that a command is called in."""
