"""Which pages there are to look at: those of the app's own list, and those that it shows besides."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from observability.dashboard.pages import PAGES
from tests.browser.servers import Served

LOGIN = "/login"
ADDRESSES = (*(page.path for page in PAGES), LOGIN)
"""As the app has them, with parameters in braces."""


def _query(database: str, query: str) -> Callable[[Served], str]:
    return lambda box: box.value(database, query)


A_CANDIDATE = _query("ledger.db", "SELECT candidate_id FROM verdicts ORDER BY number")
EXAMPLES: Mapping[str, Callable[[Served], str]] = MappingProxyType(
    {
        "/task/{task}": lambda box: "run_nightly_research",
        "/run/{run_id}": _query(
            "performance.db", "SELECT run_id FROM task_runs WHERE outcome = 'failed' ORDER BY planned_at"
        ),
        "/trading/orders/{parent_id}": _query(
            "ledger.db", "SELECT parent_id FROM parents ORDER BY session, parent_id"
        ),
        "/trading/candidates/{candidate_id}": A_CANDIDATE,
    }
)
"""What stands in the place of a page's parameter, by the page's address."""


def address_in(box: Served, path: str) -> str:
    """Return the whole address of a page, its parameter filled in."""
    if "{" not in path:
        return box.address + path
    assert path in EXAMPLES, f"say in tests/browser/shown.py what {path} is to show"
    return box.address + re.sub(r"\{[^}]*\}", lambda _: EXAMPLES[path](box), path)
