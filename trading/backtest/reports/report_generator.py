"""The report of a backtest: JSON, Markdown, a self-contained web page, a picture."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from observability.report_document import Document, as_html, as_markdown
from trading.backtest.orchestrator_result import OrchestratorResult
from trading.backtest.reports import facts
from trading.backtest.reports.document import compose
from trading.backtest.result import BacktestResult
from trading.marketdata.files import replace_file

SUFFIXES = (".json", ".md", ".html", ".png")


class ReportGenerator:
    """Makes a report of one strategy's result or of several strategies' together.

    The same result gives the same bytes. made_at: when it was made,
    None to say nothing of it. rerun: the command that would run it again, None if there was none. log_scale:
    whether the axis of the equity is logarithmic, None where the range is so wide that it tells more.
    """

    def __init__(
        self,
        result: OrchestratorResult | BacktestResult,
        *,
        made_at: datetime | None = None,
        rerun: str | None = None,
        log_scale: bool | None = None,
    ) -> None:
        self.result = result
        self.run = facts.reported(result)
        self.made_at = None if made_at is None else made_at.isoformat()
        self.rerun = rerun
        self.log_scale = log_scale

    def to_json(self) -> str:
        """Return the whole result and what the report says of it, as JSON: what `backtest compare` and
        `backtest rerun` read."""
        return json.dumps({"report": self._facts(), **self.result.to_dict()}, allow_nan=False) + "\n"

    def to_markdown(self) -> str:
        """Return the report as GitHub-flavoured Markdown, its pictures in words."""
        return as_markdown(self._document())

    def to_html(self) -> str:
        """Return the report as one page, light or dark as the reader has it, that loads nothing."""
        return as_html(self._document())

    def to_png(self, path: Path | str) -> None:
        """Draw equity and drawdowns into a file. Raises OSError if it cannot be written."""
        replace_file(Path(path), self._png())

    def write(self, path: Path | str) -> Path:
        """Write the form that the path's suffix names, whole or not at all; return the path.

        Raises:
            ValueError: for a suffix that names none.
            OSError: if it cannot be written.
        """
        target, suffix = Path(path), checked_suffix(path)
        made = {".json": self.to_json, ".md": self.to_markdown, ".html": self.to_html}
        replace_file(target, self._png() if suffix == ".png" else made[suffix]().encode())
        return target

    def _png(self) -> bytes:
        from trading.backtest.reports.png import png

        return png(self.run, self.log_scale)

    def _document(self) -> Document:
        return compose(
            self.run,
            is_log=self.log_scale,
            made_at=self.made_at,
            how_to_rerun=self.rerun,
        )

    def _facts(self) -> dict[str, Any]:
        run = self.run
        best, worst = facts.best_and_worst(run)
        return {
            "made_at": self.made_at,
            "rerun": self.rerun,
            "kind": "portfolio" if isinstance(self.result, OrchestratorResult) else "strategy",
            "drawdowns": [asdict(each) for each in facts.falls(run.equity, run.stamps, run.initial_capital)],
            "months": [asdict(each) for each in facts.months(run)],
            "trades": {
                "all": asdict(facts.summed_up(run.trades)),
                "by_strategy": {
                    name: asdict(facts.summed_up(result.trades)) for name, result in run.strategies.items()
                },
                "best": [{"strategy_id": name, **trade.to_dict()} for name, trade in best],
                "worst": [{"strategy_id": name, **trade.to_dict()} for name, trade in worst],
            },
            "rejections": [asdict(each) for each in facts.refusals(run)],
            "failures": {
                name: {"at": when, "error": why} for name, (when, why) in facts.failures(run).items()
            },
            "capital": {name: asdict(facts.capital(run, name)) for name in run.strategies},
            "costs": {
                "all": asdict(facts.costs(run.strategies.values())),
                "by_strategy": {
                    name: asdict(facts.costs([result])) for name, result in run.strategies.items()
                },
            },
        }


def checked_suffix(path: Path | str) -> str:
    """Return the suffix, in small letters, of a file that a report can be written to.

    Raises:
        ValueError: for one that names no form of it.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"path is {str(path)!r}: expected a file that ends in one of {', '.join(SUFFIXES)}")
    return suffix
