"""Where trained models are kept: a small file for each, by the day of its newest bar."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import date
from pathlib import Path

from trading.backtest.learning.errors import LearningError
from trading.backtest.learning.model import LearnedModel
from trading.backtest.learning.training import Score, TrainedModel
from trading.marketdata.files import replace_file

PREFIX = "direction-"


class ModelStore:
    """data_dir/models/direction-YYYY-MM-DD.json: written once a training, never changed by a later one.

    A model of some kilobytes is kept for ever, so that a replay of a past day finds the one that stood then.
    """

    def __init__(self, data_dir: Path | str) -> None:
        self.folder = Path(data_dir) / "models"

    def days(self) -> list[date]:
        """Return the days of the newest bars of the models that are kept, rising."""
        found = []
        for path in self.folder.glob(f"{PREFIX}*.json"):
            try:
                found.append(date.fromisoformat(path.stem.removeprefix(PREFIX)))
            except ValueError:
                continue  # Somebody's copy.
        return sorted(found)

    def path(self, day: date) -> Path:
        """Return the file of the model whose newest bar is of `day`."""
        return self.folder / f"{PREFIX}{day}.json"

    def newest(self, before: date | None = None) -> TrainedModel | None:
        """Return the newest model that has seen no bar of `before` or later (None: the newest); None if there
        is none.

        Raises:
            LearningError: if its file cannot be read.
        """
        known = [day for day in self.days() if before is None or day < before]
        return self.read(known[-1]) if known else None

    def read(self, day: date) -> TrainedModel:
        """Return the model whose newest bar is of `day`. Raises LearningError if it cannot be read."""
        path = self.path(day)
        try:
            saved = json.loads(path.read_text(encoding="utf-8"))
            return TrainedModel(
                model=LearnedModel.from_dict(saved["model"]),
                in_sample=Score.from_dict(saved["in_sample"]),
                out_of_sample=Score.from_dict(saved["out_of_sample"]),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise LearningError(
                f"{path}: cannot be read as a model ({error}); remove it, or run scripts/train_models.py"
            ) from error

    def write(self, trained: TrainedModel) -> Path:
        """Keep a model; return its path. Raises OSError; then nothing has changed."""
        path = self.path(date.fromisoformat(trained.model.last[:10]))
        saved = {
            "model": trained.model.to_dict(),
            "in_sample": asdict(trained.in_sample),
            "out_of_sample": asdict(trained.out_of_sample),
        }
        replace_file(path, (json.dumps(saved, indent=1, allow_nan=False) + "\n").encode())
        return path
