"""The training flow: every candidate is fitted and judged as a task of its own, side by side.

Metaflow runs this file as a script, once a task. What passes between the steps are names and
paths: the arrays lie in the folder of the plan. Only the step that fits imports what fitting
takes, so that the others start at once.
"""

from __future__ import annotations

import json
from pathlib import Path

from metaflow import FlowSpec, Parameter, step


class LearnFlow(FlowSpec):  # type: ignore[misc]
    """Fit the candidates of a plan in parallel."""

    folder = Parameter("folder", help="The folder that holds plan.json.", required=True)

    @step
    def start(self) -> None:
        """Read the plan and fan out over its candidates."""
        plan = json.loads((Path(self.folder) / "plan.json").read_bytes())
        self.names = [entry["name"] for entry in plan["entries"]]
        self.next(self.fit, foreach="names")

    @step
    def fit(self) -> None:
        """Fit and judge one candidate."""
        from wherry.learn.fitting import fit_candidate
        from wherry.learn.plan import Plan

        folder = Path(self.folder)
        fit_candidate(Plan.load(folder), self.input, folder / self.input)
        self.name = self.input
        self.next(self.join)

    @step
    def join(self, inputs: list[LearnFlow]) -> None:
        """Gather the names of what was made."""
        self.made = [task.name for task in inputs]
        self.next(self.end)

    @step
    def end(self) -> None:
        """Nothing is left to do: the candidates lie in their folders."""


if __name__ == "__main__":
    LearnFlow()
