"""Train the model of the learned strategy on all stored daily bars, and say what it is worth.

    python -m scripts.train_models
    python -m scripts.train_models --until 2019-02-13     (as if it were that evening, for a replay)

The model foretells whether a symbol rises from the next open to that day's close. It goes to
models/direction-DAY.json in the data directory, DAY its newest bar, beside those of earlier trainings, with
its figures: in sample, and of models made in the same way on bars they had not seen. `run_execution
--use-ml-enhanced` reads it. Exit codes: 0 written, or skipped: scikit-learn is not installed, or the bars are
too few; 1 none of the stored bars can be used, or the file not written; 2 wrong arguments; 75 asked to stop
(nothing is written, earlier models stay).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import date
from pathlib import Path

from scripts._job import EX_TEMPFAIL, StopRequest, finish, parse, parser
from trading.backtest.errors import HistoryError
from trading.backtest.historical_data import HistoricalDataManager
from trading.backtest.history import PriceHistory
from trading.backtest.learning.errors import LearningError, NotInstalledError
from trading.backtest.learning.model import check_installed
from trading.backtest.learning.model_store import ModelStore
from trading.backtest.learning.training import TrainedModel, train

HORIZON = 1
"""Bars foretold: the next session, from open to close, in which an order is worked."""
PENALTY = 10.0
BARS = 2520
"""Of each symbol, the newest: ten years. Older markets were others, and memory is bounded by it."""


def main(argv: list[str] | None = None) -> int:
    """Run the job; return its exit code."""
    arguments = parse(command_line(), argv)
    stop = StopRequest()
    try:
        check_installed()
        history, left_out = read_bars(arguments.data_dir, arguments.until, stop)
        for symbol, why in left_out.items():
            print(f"left out: {symbol}: {why}", flush=True)
        if history is None and left_out and not stop():
            text = "none of the stored bars can be used"
            return finish(1, {"error": text, "left_out": left_out}, text)
        if history is None and not stop():
            raise LearningError(f"no daily bars are stored in {arguments.data_dir}")
        trained = None if history is None else train(history, horizon=HORIZON, penalty=PENALTY, stop=stop)
        if trained is None:
            return finish(EX_TEMPFAIL, {"stopped": True}, "asked to stop; earlier models stay")
        return conclude(ModelStore(arguments.data_dir), trained, left_out)
    except (NotInstalledError, LearningError) as error:
        return finish(0, {"skipped": str(error), "remark": f"skipped: {error}"}, f"skipped: {error}")
    except OSError as error:
        return finish(1, {"error": str(error)}, f"train_models: {error}")


def command_line() -> argparse.ArgumentParser:
    """Return the parser."""
    made = parser(__doc__, "data_dir")
    made.add_argument(
        "--until",
        type=date.fromisoformat,
        metavar="DAY",
        help="leave out bars after this day (default: none)",
    )
    return made


def read_bars(
    data_dir: Path, until: date | None, stop: Callable[[], bool]
) -> tuple[PriceHistory | None, dict[str, str]]:
    """Return the bars of every stored symbol, and by symbol why its own cannot be used.

    until: the last day; None: all. No bars: there are none, or `stop`, asked before each symbol, said so.
    """
    stored, found = HistoricalDataManager(data_dir), []
    left_out: dict[str, str] = {}
    for symbol in stored.symbols():
        if stop():
            return None, left_out
        try:
            bars = stored.load([symbol], end=until).bars[symbol]
        except HistoryError as error:
            left_out[symbol] = str(error)
        else:
            found.append(bars.part(max(len(bars) - BARS, 0), len(bars)))
    return PriceHistory(found) if found else None, left_out


def conclude(store: ModelStore, trained: TrainedModel, left_out: dict[str, str]) -> int:
    """Keep the model, say what it is worth, return the exit code."""
    model, before = trained.model, store.days()
    path = store.write(trained)
    report = {
        "file": path,
        "kept": [str(day) for day in before],
        "bars": {"symbols": len(model.symbols), "first": model.first, "last": model.last},
        "fingerprint": model.fingerprint,
        "in_sample": asdict(trained.in_sample),
        "out_of_sample": asdict(trained.out_of_sample),
        "is_better_than_chance": trained.out_of_sample.is_better_than_chance,
        "left_out": left_out,
    }
    verdict = (
        "it beat the base rate on bars it had not seen: run_execution --use-ml-enhanced acts on it"
        if trained.out_of_sample.is_better_than_chance
        else "on bars it had not seen it was no better than the base rate: run_execution --use-ml-enhanced "
        "shows its forecasts and does not act on them"
    )
    lines = [
        f"{len(model.symbols)} symbols, {model.first} to {model.last}",
        f"in sample:     {trained.in_sample}",
        f"out of sample: {trained.out_of_sample}",
        f"written: {path}; {verdict}",
    ]
    return finish(0, report, "\n".join(lines))


if __name__ == "__main__":
    sys.exit(main())
