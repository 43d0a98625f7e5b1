"""What the readers of CSV files share: opening them, names of columns, numbers, complaints. Light."""

from __future__ import annotations

import gzip
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

MAX_PROBLEMS = 100


def opened(path: Path) -> TextIO:
    """Return the file as text, unpacked if its name ends in .gz."""
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return open(path, encoding="utf-8-sig", newline="")


def column_name(cell: str, aliases: Mapping[str, str]) -> str:
    """Return a header's cell in lower case with _ between words, or the name that `aliases` has for it."""
    name = re.sub(r"[^a-z0-9]+", "_", cell.strip().lower()).strip("_")
    return aliases.get(name, name)


def number(name: str, text: str) -> float:
    """Return the cell's number. Raises ValueError if it is none, or not finite."""
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{name} {text!r} is not a number") from None
    if not math.isfinite(value):
        raise ValueError(f"{name} {text!r} is not a finite number")
    return value


class Problems(list[str]):
    """What is wrong with one file, line by line: the first MAX_PROBLEMS, and that there are more."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def note(self, line: int, what: object) -> None:
        """Add a complaint about `line`, unless there are enough."""
        if len(self) < MAX_PROBLEMS:
            self.append(f"{self.name}:{line}: {what}")
        elif len(self) == MAX_PROBLEMS:
            self.append(f"{self.name}: more lines are bad; the first {MAX_PROBLEMS} are listed")
