"""How far a deep refresh of all symbols has come, in data_dir/bars/history-pass.jsonl. Standard library only.

The first line says of which source and when the pass began; each further one is a symbol that is done. A line
is on the disk before the next symbol begins, so that a stopped or killed pass goes on behind it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from trading.marketdata.files import replace_file
from trading.marketdata.refresh import Status, SymbolRefresh

PASS_LASTS = timedelta(days=4)
"""For so long an unfinished pass is gone on with: over a long weekend, but not from one to the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What became of one symbol in the pass; counts of bars as in `Difference`.

    first: the earliest changed date; largest: the largest relative change of a price. gaps: sessions that
    are still missing. Of a symbol that was not stored before, only `added` and `gaps` tell.
    """

    symbol: str
    status: Status
    added: int = 0
    filled: int = 0
    revised: int = 0
    readjusted: int = 0
    rebooked: int = 0
    first: date | None = None
    largest: float = 0.0
    gaps: int = 0

    @property
    def is_bad(self) -> bool:
        """Whether a person must act: the bars stored are not what they should be."""
        return self.status in (Status.REFUSED, Status.FAILED)

    @property
    def is_changed(self) -> bool:
        """Whether bars that had been stored are others now, or gaps between them have closed."""
        return self.filled + self.revised + self.readjusted + self.rebooked > 0

    def as_json(self) -> dict[str, object]:
        """Return it as plain JSON values."""
        return asdict(self) | {"first": self.first.isoformat() if self.first else None}

    @classmethod
    def of(cls, result: SymbolRefresh) -> Done:
        """Return what is kept of a symbol's refresh."""
        gaps = sum(int(f.value or 0) for f in result.findings if f.check == "gap" and f.day is not None)
        found = result.difference
        if found is None:
            return cls(symbol=result.symbol, status=result.status, added=result.added, gaps=gaps)
        return cls(
            symbol=result.symbol,
            status=result.status,
            added=found.added,
            filled=found.filled,
            revised=found.revised,
            readjusted=found.readjusted,
            rebooked=found.rebooked,
            first=found.first,
            largest=found.largest,
            gaps=gaps,
        )

    @classmethod
    def from_json(cls, plain: Mapping[str, object]) -> Done:
        """Return what `as_json` wrote. Raises KeyError, ValueError or TypeError if it is not that."""
        counts = {name: int(str(plain[name])) for name in _COUNTS}
        first = plain["first"]
        return cls(
            symbol=str(plain["symbol"]),
            status=Status(str(plain["status"])),
            first=date.fromisoformat(str(first)) if first else None,
            largest=float(str(plain["largest"])),
            **counts,
        )


_COUNTS = ("added", "filled", "revised", "readjusted", "rebooked", "gaps")


class HistoryPass:
    """One pass over all symbols of `source`; goes on with an unfinished one begun less than PASS_LASTS ago.

    now: aware UTC. Methods that write raise OSError (a full disk, no permission).
    """

    def __init__(self, data_dir: Path, source: str, now: datetime) -> None:
        self.path = Path(data_dir) / "bars" / "history-pass.jsonl"
        self.source = source
        self.began = now
        self.done: dict[str, Done] = {}
        self._is_begun = False
        self._go_on(now)

    def add(self, done: Done) -> None:
        """Note that a symbol is done; it is on the disk when this returns."""
        self.done[done.symbol] = done
        if not self._is_begun:
            self._write(self.done.values())
            return
        with open(self.path, "ab") as file:
            file.write(_line(done.as_json()))
            file.flush()
            os.fsync(file.fileno())

    def end(self, symbols: Collection[str]) -> None:
        """End the pass, all `symbols` being done. Those that went wrong are left to be tried again, alone."""
        if any(self.done[symbol].is_bad for symbol in symbols):
            self._write(done for done in self.done.values() if not done.is_bad)
        else:
            self.path.unlink(missing_ok=True)

    def _write(self, done: Iterable[Done]) -> None:
        header = _line({"source": self.source, "began": self.began.isoformat()})
        replace_file(self.path, header + b"".join(_line(one.as_json()) for one in done))
        self._is_begun = True

    def _go_on(self, now: datetime) -> None:
        """Take over what an unfinished pass has done. A line torn by a power cut was not done."""
        try:
            lines = self.path.read_bytes().splitlines(keepends=True)
            header = json.loads(lines[0])
            began = datetime.fromisoformat(header["began"])
            if header["source"] != self.source or not timedelta(0) <= now - began < PASS_LASTS:
                return
            found = [Done.from_json(json.loads(line)) for line in lines[1:] if line.endswith(b"\n")]
        except (OSError, ValueError, KeyError, TypeError, IndexError):
            return
        self.began = began
        self.done = {done.symbol: done for done in found}
        # Written anew with the first symbol, so that nothing is appended to a torn line.
        self._is_begun = False


def _line(plain: Mapping[str, object]) -> bytes:
    return (json.dumps(plain, sort_keys=True) + "\n").encode()
