"""The released recommender, as plain MLflow loads it: ``models:/recommender@champion``.

MLflow runs this script when it loads the model (a model from code: nothing is pickled).
``predict`` takes rows with a field ``items`` (ids, the latest last) and optionally ``k``, and
returns for each row the list of recommended items with their scores.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from wherry.learn.answer import Answerer, Query
from wherry.learn.models import load_released_model


class RecommenderModel(PythonModel):  # type: ignore[misc]
    """A released recommender behind MLflow's ``predict``."""

    def load_context(self, context: Any) -> None:
        """Read the arrays of the release."""
        self.answerer = Answerer.load(Path(context.artifacts["recommender"]), load_released_model)

    # MLflow warns of a missing hint, and of those that it can't make a schema from; this one it
    # takes as it is. A list of rows does as well.
    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> list[Any]:
        """Recommend for each row; see the module's docstring."""
        is_frame = isinstance(model_input, pd.DataFrame)
        rows = model_input.to_dict("records") if is_frame else model_input
        return [self._answer(row) for row in rows]

    def _answer(self, row: dict[str, Any]) -> list[dict[str, Any]]:
        query = Query(session=tuple(row["items"]), k=int(row.get("k", 10)))
        answer = self.answerer.answer(query)
        ids = self.answerer.vocabulary.ids
        return [
            {"item": ids[code], "score": score}
            for code, score in zip(answer.items.tolist(), answer.scores.tolist(), strict=True)
        ]


set_model(RecommenderModel())
