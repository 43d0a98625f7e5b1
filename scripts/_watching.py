"""What a person sees of orders while they are worked: bars on a terminal, lines elsewhere; and tables."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from orchestration.clock import SystemClock
from trading.execution.ledger.ledger import Ledger
from trading.execution.order_records import OrderRecord
from trading.execution.orders import ParentOrder
from trading.execution.replay import Watch
from trading.execution.smart.desk import Desk

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

LOOK_S = 0.5
"""Seconds between two looks into the ledger of a real session."""


class Watcher:
    """Shows how far each order is. On a terminal a bar for each order; else a line when one ends."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._bars: dict[str, TaskID] = {}
        self._progress: Progress | None = None

    def __enter__(self) -> Watcher:
        if sys.stdout.isatty():
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[at]}"),
            )
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def of(self, algorithm: str) -> Watch:
        """Return what a replay by one algorithm tells its turns to."""

        def watch(now: datetime, desks: Sequence[Desk]) -> None:
            for desk in desks:
                self._show(f"{algorithm} {desk.order.symbol}", desk.filled, desk.order, now)

        return watch

    def from_ledger(
        self, ledger: Ledger, orders: Sequence[ParentOrder], clock: SystemClock, stop: Callable[[], bool]
    ) -> Callable[[], bool]:
        """Return `stop` for an executor in real time; each time it is asked, the ledger is looked at."""
        looked = float("-inf")

        def look() -> bool:
            nonlocal looked
            if self._progress is not None and clock.monotonic() - looked >= LOOK_S:
                looked = clock.monotonic()
                for order in orders:
                    self._show(order.parent_id, ledger.filled(order.parent_id), order, clock.now())
            return stop()

        return look

    def ended(self, name: str, records: Sequence[OrderRecord]) -> None:
        """Show that these are done."""
        for record in records:
            order, last = record.order, record.fills[-1].at if record.fills else None
            if self._progress is not None:
                self._show(f"{name} {order.symbol}", record.measures.filled, order, last)
                continue
            when = f", the last at {last.astimezone(self._zone):%H:%M}" if last else ""
            filled = f"{record.measures.filled:,} of {order.quantity:,} filled{when}"
            print(f"{name} {order.symbol}: {order.state}, {filled}", flush=True)

    def _show(self, name: str, filled: int, order: ParentOrder, at: datetime | None) -> None:
        if self._progress is None:
            return
        if name not in self._bars:
            self._bars[name] = self._progress.add_task(name, total=order.quantity, at="")
        clock = f"{at.astimezone(self._zone):%H:%M}" if at else ""
        self._progress.update(self._bars[name], completed=filled, at=clock)


def say_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table: drawn on a terminal, plain columns elsewhere. head: as `report_document.Table`'s, a
    column that begins with '#' is set to the right."""
    if sys.stdout.isatty():
        _draw_table(head, rows)
        return
    names = [name.removeprefix("#") for name in head]
    widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
    for row in (names, *rows):
        cells = (
            cell.rjust(width) if name.startswith("#") else cell.ljust(width)
            for name, cell, width in zip(head, row, widths, strict=True)
        )
        print("  ".join(cells).rstrip(), flush=True)


def _draw_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for name in head:
        table.add_column(name.removeprefix("#"), justify="right" if name.startswith("#") else "left")
    for row in rows:
        table.add_row(*row)
    Console().print(table, markup=False)
