"""RecBole's sequential models: its data set, its model, its trainer, its cross-entropy.

The settings are RecBole's own but for the batch (2,048 there) and the longest session (50
there): a row costs as much in a small batch, whose steps get further in a budget of minutes, and
98% of the sessions are that short; and the learning rate (0.001 there), which is one of those that
RecBole's own searches try: chosen on the tail of the training sessions.
Nothing is held out, so the last epoch is what is judged.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import torch
from recbole.config import Config
from recbole.data import create_dataset
from recbole.data.interaction import cat_interactions
from recbole.data.utils import get_dataloader
from recbole.utils import get_model, get_trainer, init_seed
from rival import SEED, Budget, Meter, Prefix, Scores, Told, curve, run

BATCH = 128
POOL = 16
LONGEST = 20
RATES = {"GRU4Rec": 0.005, "SASRec": 0.003}
SETTINGS = {
    "data_path": str(Path.cwd()),
    "USER_ID_FIELD": "session_id",
    "load_col": {"inter": ["session_id", "item_id_list", "item_id"]},
    "alias_of_item_id": ["item_id_list"],
    "benchmark_filename": ["train", "valid", "test"],
    "MAX_ITEM_LIST_LENGTH": LONGEST,
    "train_batch_size": BATCH,
    "train_neg_sample_args": None,
    "loss_type": "CE",
    "use_gpu": False,
    "seed": SEED,
    "eval_args": {"order": "TO", "split": {"LS": "valid_and_test"}},
    "show_progress": False,
    "save_dataset": False,
    "save_dataloaders": False,
    "log_wandb": False,
    "checkpoint_dir": str(Path.cwd() / "checkpoints"),
}


class RecBole:
    def __init__(self, name: str) -> None:
        self._name = name

    def fit(self, told: Told, budget: Budget) -> str:
        write(told, Path.cwd() / "sessions")
        settings = {**SETTINGS, "learning_rate": RATES[self._name]}
        config = Config(model=self._name, dataset="sessions", config_dict=settings)
        init_seed(SEED, reproducibility=True)
        dataset = create_dataset(config)
        train, *_ = dataset.build()
        loader = get_dataloader(config, "train")(config, train, None, shuffle=True)
        self._model = get_model(self._name)(config, train)
        tokens = dataset.field2token_id["item_id"]
        self._columns = np.array([tokens.get(str(i), -1) for i in range(told.n_items)])
        trainer = get_trainer(config["MODEL_TYPE"], self._name)(config, self._model)
        meter = Meter(budget)
        losses = []
        for epoch in range(budget.epochs):
            if not meter.is_spent:
                done = meter.epochs
                total = trainer._train_epoch(Metered(loader, meter), epoch)
                losses.append(total / (len(loader) * (meter.epochs - done)))
        self._model.eval()
        return (
            f"{meter}, batches of {BATCH}, the last {LONGEST} items, "
            f"rate {RATES[self._name]}, {curve(losses)}"
        )

    @torch.inference_mode()
    def score(self, prefixes: list[Prefix]) -> Scores:
        lists = torch.zeros((len(prefixes), LONGEST), dtype=torch.long)
        lengths = torch.zeros(len(prefixes), dtype=torch.long)
        for row, prefix in enumerate(prefixes):
            known = self._columns[prefix]
            known = known[known >= 0][-LONGEST:]
            lists[row, : len(known)] = torch.from_numpy(known)
            lengths[row] = max(len(known), 1)
        asked = {"item_id_list": lists[:, : lengths.max()], "item_length": lengths}
        rows = self._model.full_sort_predict(asked).numpy()[:, self._columns]
        rows[:, self._columns < 0] = -np.inf
        return rows


class Metered:
    """RecBole's loader, whose batches end when the budget is spent.

    RecBole fills every row up to the longest session. Of each ``POOL`` of its batches the rows
    are dealt again by their length, and a batch is as wide as its longest row: the same rows
    once an epoch, and nothing worked out for the empty ends of short ones.
    """

    def __init__(self, loader, meter: Meter) -> None:
        self._loader, self._meter = loader, meter

    def __getattr__(self, name: str):
        return getattr(self._loader, name)

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self):
        return self._meter.batches(self._dealt(), len(self._loader))

    def _dealt(self):
        batches = iter(self._loader)
        while pool := list(itertools.islice(batches, POOL)):
            rows = cat_interactions(pool)
            order = torch.argsort(rows["item_length"])
            for place in torch.randperm(len(pool)):
                batch = rows[order[BATCH * place : BATCH * (place + 1)]]
                width = int(batch["item_length"].max())
                batch["item_id_list"] = batch["item_id_list"][:, :width]
                yield batch


def write(told: Told, folder: Path) -> None:
    """RecBole's atomic files: every prefix of every session with what came next."""
    folder.mkdir(exist_ok=True)
    rows = ["session_id:token\titem_id_list:token_seq\titem_id:token"]
    for number, session in enumerate(told.sessions):
        words = [str(item) for item in session]
        for end in range(1, len(words)):
            seen = " ".join(words[max(end - LONGEST, 0) : end])
            rows.append(f"{number}\t{seen}\t{words[end]}")
    (folder / "sessions.train.inter").write_text("\n".join(rows))
    # RecBole wants two more parts; nothing here reads them.
    for part in ("valid", "test"):
        (folder / f"sessions.{part}.inter").write_text("\n".join(rows[:2]))


if __name__ == "__main__":
    run({"GRU4Rec": lambda: RecBole("GRU4Rec"), "SASRec": lambda: RecBole("SASRec")})
