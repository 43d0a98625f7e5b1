"""For tests that run a job inside their own process."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def signals_given_back() -> Iterator[None]:
    """A job takes SIGTERM and SIGINT over; give them back after it."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def result_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signals_given_back: None) -> Path:
    """A place for the result file; the handlers that a job installs are taken away again."""
    path = tmp_path / "result.json"
    monkeypatch.setenv("ORCHESTRATOR_RESULT", str(path))
    monkeypatch.delenv("ORCHESTRATOR_DEADLINE", raising=False)
    return path
