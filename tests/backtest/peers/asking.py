"""Ask a peer's script from our side, where no peer is installed."""

from __future__ import annotations

import csv
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from tests.backtest.peers.asked import Answer

ROOT = Path(__file__).resolve().parents[3]
ENVIRONMENT = ROOT / ".venv-peers"
REMEDY = "make setup-peers"
PACKAGES = {"backtrader": "backtrader", "backtesting": "backtesting", "bt": "bt", "raptorbt": "raptorbt"}
"""What each script, run_<name>.py, imports."""


def has(package: str) -> bool:
    """Return whether the peers' environment is complete and has this package (not every Python gets all)."""
    complete = (ENVIRONMENT / ".setup-peers").is_file()
    return complete and any(ENVIRONMENT.glob(f"lib/python3.*/site-packages/{package}"))


def write_bars(path: Path, frame: pd.DataFrame) -> Path:
    """Write open, high, low, close and volume by date as the scripts read them, every digit of them."""
    with path.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(("date", "open", "high", "low", "close", "volume"))
        columns = [frame[name].tolist() for name in ("open", "high", "low", "close", "volume")]
        stamps = np.datetime_as_string(frame.index.to_numpy(), unit="s").tolist()
        lines.writerows(zip(stamps, *columns, strict=True))
    return path


def ask(peer: str, questions: Sequence[Mapping[str, Any]], timeout_s: float = 600.0) -> list[Answer]:
    """Return a peer's answers, in one process of its own (asked.py says what a question is).

    Raises:
        RuntimeError: with what the script wrote, if it fails.
    """
    with TemporaryDirectory() as home:
        done = subprocess.run(
            [str(ENVIRONMENT / "bin" / "python"), "-m", f"tests.backtest.peers.run_{peer}"],
            input="".join(json.dumps(question) + "\n" for question in questions),
            cwd=ROOT,
            # What plotting packages keep goes with the folder; raptorbt would ask the network for an update.
            env={"PATH": os.defpath, "HOME": home, "RAPTORBT_NO_VERSION_CHECK": "1"},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            start_new_session=True,
        )
    if done.returncode != 0:
        raise RuntimeError(f"{peer} failed with exit code {done.returncode}:\n{done.stderr}")
    answers = [Answer(**json.loads(line)) for line in done.stdout.splitlines()]
    if len(answers) != len(questions):
        raise RuntimeError(f"{peer}: {len(answers)} answers to {len(questions)} questions\n{done.stderr}")
    return answers
