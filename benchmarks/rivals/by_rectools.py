"""RecTools' SASRec: its data set, its model, Lightning's trainer, its softmax over a sample.

Smaller than its defaults (256 factors, 100 items a session, a softmax over all items), so that a
budget of minutes on a processor trains it at all: of the training sessions 95% have 12 items or
fewer; over all items a step takes four times as long. RecTools pads each session to the longest
and works out the loss of what is padded, to multiply it by 0: six steps in ten. Those are left
out here, which changes no figure and makes a step half as long.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from pytorch_lightning import Callback, Trainer, seed_everything
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel
from rectools.models.nn.transformers.lightning import TransformerLightningModule
from rival import SEED, Budget, Meter, Prefix, Scores, Told, curve, run

FACTORS = 64
LONGEST = 12
NEGATIVES = 256


class SASRec:
    def fit(self, told: Told, budget: Budget) -> str:
        seed_everything(SEED)
        self._model = SASRecModel(
            n_factors=FACTORS,
            session_max_len=LONGEST,
            loss="sampled_softmax",
            n_negatives=NEGATIVES,
            lightning_module_type=Unpadded,
            get_trainer_func=lambda: Trainer(
                max_epochs=budget.epochs,
                accelerator="cpu",
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                callbacks=[Stop(Meter(budget))],
            ),
        )
        self._model.fit(Dataset.construct(interactions(told)))
        # RecTools trains with a copy of the trainer, and of what it counts by.
        stop = next(c for c in self._model.fit_trainer.callbacks if isinstance(c, Stop))
        network = self._model.lightning_model.torch_model
        network.eval()
        with torch.inference_mode():
            self._items = network.item_model.get_all_embeddings()
        # What stands in the cut-off part of a long session only, RecTools doesn't know: -1.
        known = self._model.data_preparator.item_id_map.to_internal
        self._columns = known.reindex(np.arange(told.n_items), fill_value=-1).to_numpy(np.int64)
        return (
            f"{stop.meter}, {FACTORS} factors, {NEGATIVES} negatives, the last {LONGEST} items, "
            f"{curve(stop.losses)}"
        )

    @torch.inference_mode()
    def score(self, prefixes: list[Prefix]) -> Scores:
        asked = torch.zeros((len(prefixes), LONGEST), dtype=torch.long)
        for row, prefix in enumerate(prefixes):
            inner = self._columns[prefix]
            inner = inner[inner >= 0][-LONGEST:]
            asked[row, LONGEST - len(inner) :] = torch.from_numpy(inner)
        network = self._model.lightning_model.torch_model
        last = network.encode_sessions({"x": asked}, self._items)[:, -1, :]
        rows = (last @ self._items.T).numpy()[:, self._columns]
        rows[:, self._columns < 0] = -np.inf
        return rows


class Unpadded(TransformerLightningModule):
    """RecTools' training step, in which all steps that are real are those of one session."""

    def training_step(self, batch: dict[str, torch.Tensor], batch_idx: int) -> torch.Tensor:
        network = self.torch_model
        items = network.item_model.get_all_embeddings()
        states = network.encode_sessions(batch, items)
        real = batch["y"] != 0
        candidates = torch.cat([batch["y"].unsqueeze(-1), batch["negatives"]], dim=-1)[real]
        logits = network.similarity_module(states[real][None], items, candidates[None])
        loss = self.loss_calculator(
            logits / self.logits_t, batch["y"][real][None], batch["yw"][real][None]
        )
        self.log(self.train_loss_name, loss, on_step=False, on_epoch=True)
        return loss


class Stop(Callback):
    """Ends Lightning's training where the budget ends, and keeps what each epoch's loss was."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self.losses: list[float] = []

    def on_train_start(self, *_) -> None:
        self.meter.start()

    def on_train_batch_end(self, trainer: Trainer, *_) -> None:
        self.meter.epochs += 1 / trainer.num_training_batches
        trainer.should_stop = self.meter.is_spent

    def on_train_epoch_end(self, trainer: Trainer, *_) -> None:
        self.losses.append(float(trainer.callback_metrics["train_loss"]))


def interactions(told: Told) -> pd.DataFrame:
    """RecTools' table; the sessions have an order and no clock, so a second an event."""
    lengths = [len(session) for session in told.sessions]
    items = np.concatenate(told.sessions)
    return pd.DataFrame(
        {
            Columns.User: np.repeat(np.arange(len(lengths)), lengths),
            Columns.Item: items,
            Columns.Weight: 1.0,
            Columns.Datetime: pd.to_datetime(np.arange(len(items)), unit="s"),
        }
    )


if __name__ == "__main__":
    run({"sasrec": SASRec})
