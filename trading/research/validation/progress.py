"""What a validation has found so far, kept so that one that was stopped does nothing twice. Light."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trading.marketdata.files import replace_file
from trading.research.validation.outcome import TestOutcome


class Progress:
    """The finished tests of one candidate, in a file.

    path: of that file; it need not exist. basis: all that the outcomes depend on, as values that JSON knows:
    what was found on another basis is forgotten. A file that cannot be read is as good as none.
    """

    def __init__(self, path: Path, basis: Mapping[str, Any]) -> None:
        self._path = path
        self._key = hashlib.sha256(json.dumps(dict(basis), sort_keys=True).encode()).hexdigest()
        self.done: dict[str, TestOutcome] = self._read()

    def keep(self, outcome: TestOutcome) -> None:
        """Add an outcome. Raises OSError."""
        self.done[outcome.name] = outcome
        tests = [each.to_dict() for each in self.done.values()]
        replace_file(self._path, json.dumps({"key": self._key, "tests": tests}).encode())

    def _read(self) -> dict[str, TestOutcome]:
        try:
            saved = json.loads(self._path.read_text())
            if saved["key"] != self._key:
                return {}
            found = [TestOutcome.from_dict(each) for each in saved["tests"]]
        except (OSError, ValueError, KeyError, TypeError):
            return {}
        return {each.name: each for each in found}
