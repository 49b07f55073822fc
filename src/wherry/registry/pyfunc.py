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

    def predict(self, context: Any, model_input: Any, params: Any = None) -> list[Any]:
        """Recommend for each row; see the module's docstring."""
        if isinstance(model_input, pd.DataFrame):
            model_input = model_input.to_dict("records")
        return [self._answer(row) for row in model_input]

    def _answer(self, row: dict[str, Any]) -> list[dict[str, Any]]:
        query = Query(session=tuple(row["items"]), k=int(row.get("k", 10)))
        answer = self.answerer.answer(query)
        ids = self.answerer.vocabulary.ids
        return [
            {"item": ids[code], "score": score}
            for code, score in zip(answer.items.tolist(), answer.scores.tolist(), strict=True)
        ]


set_model(RecommenderModel())
