"""How far a long command is: bars on stderr, where that is a terminal; nothing where it is not."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[[], None]
"""Told that one more step of the present work is done."""
Reach = Callable[[float], None]
"""Told the share of the present work that is done, 0 to 1."""


class Bars:
    """Bars below one another, one for each piece of work; gone when all is done."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self.progress = Progress(
            *columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()
        )

    @contextmanager
    def work(self, what: str, steps: int | None) -> Iterator[Advance]:
        """Show a piece of work while it is done. steps: None if no one knows how many: the bar only moves."""
        task = self.progress.add_task(what, total=steps)
        yield lambda: self.progress.advance(task)
        self.progress.update(task, total=steps or 1, completed=steps or 1)

    @contextmanager
    def share(self, what: str, steps: int) -> Iterator[Reach]:
        """The same for work that tells how far it is."""
        task = self.progress.add_task(what, total=steps)
        yield lambda share: self.progress.update(task, completed=round(share * steps))
        self.progress.update(task, completed=steps)


@contextmanager
def bars() -> Iterator[Bars]:
    """Show bars as long as the command works."""
    made = Bars()
    with made.progress:
        yield made
