"""One process that works the orders of a folder in virtual time and ends itself by SIGKILL at a step: a child
of `test_executor_real_kills`.

The world outside stands still while no process is there: the virtual instant is kept in a file.
python -m tests.integration.killed_worker FOLDER KILL_AT faults|none   (KILL_AT 0: not at all)
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from tests.integration.test_executor_kills import FAULTY, plentiful
from tests.trading_floor import Floor, Through
from trading.execution.brokers.broker import BrokerOrder, Ticket
from trading.execution.brokers.paper.config import PaperConfig


class Killer:
    """Notes the virtual instant of each step, and kills this process at number `kill_at`."""

    def __init__(self, floor: Floor, kill_at: int) -> None:
        self._floor, self._left = floor, kill_at
        self._instant = floor.folder / "instant"

    def __call__(self, name: str) -> None:
        self._instant.write_text(self._floor.clock.now().isoformat())
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


class Door(Through):
    """Notes in a file what comes to the broker's door, before it is let in."""

    path = Path()

    async def submit(self, ticket: Ticket) -> BrokerOrder:
        with open(self.path, "a") as file:
            file.write(ticket.client_order_id + "\n")
        return await super().submit(ticket)


def main(folder: Path, kill_at: int, faults: bool) -> None:
    floor = plentiful(folder, FAULTY if faults else PaperConfig())
    with suppress(FileNotFoundError):
        stood_at = datetime.fromisoformat((folder / "instant").read_text())
        floor.clock.advance(stood_at - floor.clock.now())
    Door.path, floor.wrap = folder / "door", Door
    floor.run(Killer(floor, kill_at))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "faults")
