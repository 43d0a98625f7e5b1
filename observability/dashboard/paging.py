"""Long lists in pages: which rows are shown, and the addresses before and after. Values in, text out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    """Page `number` (from 1) of `pages`, of `count` rows, `size` each; `path` with `kept` in its query."""

    number: int
    pages: int
    count: int
    size: int
    path: str
    kept: Mapping[str, str]

    @classmethod
    def of(cls, wanted: Mapping[str, str], count: int, size: int, path: str, **kept: str) -> Paging:
        """Return the page that `wanted["page"]` asks for; 1 where it asks for none.

        Raises:
            LookupError: for a page that is not there. An empty list has one page.
        """
        text, pages = wanted.get("page", "1"), max(1, -(-count // size))
        if not re.fullmatch(r"[1-9]\d{0,8}", text, re.ASCII) or int(text) > pages:
            raise LookupError(f"there is no page {text[:20]!r}: expected 1 to {pages}")
        return cls(number=int(text), pages=pages, count=count, size=size, path=path, kept=kept)

    @property
    def offset(self) -> int:
        """Rows before the first one shown."""
        return (self.number - 1) * self.size

    @property
    def first(self) -> int:
        """The first row shown, counted from 1; 0 for an empty list."""
        return min(self.offset + 1, self.count)

    @property
    def last(self) -> int:
        return min(self.offset + self.size, self.count)

    @property
    def newer(self) -> str | None:
        """The address of the page before this one."""
        return self._address(self.number - 1) if self.number > 1 else None

    @property
    def older(self) -> str | None:
        """The address of the page after this one."""
        return self._address(self.number + 1) if self.number < self.pages else None

    def _address(self, number: int) -> str:
        return f"{self.path}?{urlencode({**self.kept, 'page': number})}"
