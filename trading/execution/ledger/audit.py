"""Whether the tables of a ledger agree with each other, and with its event log. Light."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from trading.execution.ledger.events import event_of, replay
from trading.execution.ledger.file import LedgerFile
from trading.execution.ledger.rows import child_of, fill_of, parent_of
from trading.execution.ledger.schema import ENDED_CHILD

_CHECKS: Final = (
    # Children and their fills.
    """
    SELECT 'child ' || c.client_order_id || ' has ' || c.filled || ' shares filled, its fills sum to '
        || coalesce(sum(f.quantity), 0)
    FROM children c LEFT JOIN fills f USING (client_order_id)
    GROUP BY c.client_order_id HAVING c.filled <> coalesce(sum(f.quantity), 0)
    """,
    """
    SELECT 'fill ' || f.execution_id || ' is of another symbol or side than child ' || c.client_order_id
    FROM fills f JOIN children c USING (client_order_id) WHERE f.symbol <> c.symbol OR f.side <> c.side
    """,
    """
    SELECT 'child ' || client_order_id || ' has ' || filled || ' shares filled of ' || quantity
    FROM children WHERE filled > quantity
    """,
    """
    SELECT 'child ' || client_order_id || ' has more shares filled (' || filled || ') than reported ('
        || reported_filled || ')'
    FROM children WHERE reported_filled < filled
    """,
    f"""
    SELECT 'child ' || client_order_id || ' is ' || state
        || iif(closed_at IS NULL, ' without an end', ' with an end')
    FROM children WHERE ({ENDED_CHILD}) <> (closed_at IS NOT NULL)
    """,
    # Children and their parents.
    """
    SELECT 'child ' || c.client_order_id || ' is of another symbol or side than its parent'
    FROM children c JOIN parents p USING (parent_id) WHERE c.symbol <> p.symbol OR c.side <> p.side
    """,
    """
    SELECT 'child ' || c.client_order_id || ' has number ' || c.sequence || ', its parent gave '
        || p.last_sequence
    FROM children c JOIN parents p USING (parent_id)
    WHERE c.sequence > p.last_sequence OR c.client_order_id <> printf('%s-%04d', c.parent_id, c.sequence)
    """,
    f"""
    SELECT 'parent ' || p.parent_id || ' is for ' || p.quantity || ' shares, ' || sum(c.filled)
        || ' are filled and ' || sum(c.leaves) || ' may still be'
    FROM parents p JOIN (
        SELECT parent_id, filled, max(0, iif({ENDED_CHILD}, reported_filled, quantity) - filled) AS leaves
        FROM children
    ) c USING (parent_id)
    GROUP BY p.parent_id HAVING sum(c.filled) + sum(c.leaves) > p.quantity
    """,
    """
    SELECT 'parent ' || p.parent_id || ' is ' || p.state || ' with ' || coalesce(sum(c.filled), 0) || ' of '
        || p.quantity || ' shares filled'
    FROM parents p LEFT JOIN children c USING (parent_id)
    WHERE p.state IN ('completed', 'rejected')
    GROUP BY p.parent_id
    HAVING coalesce(sum(c.filled), 0) < iif(p.state = 'completed', p.quantity, 0)
        OR (p.state = 'rejected' AND sum(c.filled) > 0)
    """,
    """
    SELECT 'parent ' || parent_id || ' is ' || state
        || iif(completed_at IS NULL, ' without an end', ' with an end')
    FROM parents
    WHERE (state IN ('completed', 'expired', 'cancelled', 'killed', 'rejected')) <> (completed_at IS NOT NULL)
    """,
    """
    SELECT 'parent ' || parent_id || ' has ' || count(*) || ' plans, numbered ' || min(number) || ' to '
        || max(number)
    FROM plans GROUP BY parent_id HAVING min(number) <> 1 OR max(number) <> count(*)
    """,
)


def findings(file: LedgerFile) -> list[str]:
    """Return what is wrong, a sentence each; in one transaction of the caller's. Raises LedgerError."""
    damage = [row["integrity_check"] for row in file.rows("PRAGMA integrity_check(10)")]
    if damage != ["ok"]:
        return [f"the file is damaged: {line}" for line in damage]
    orphans = [
        f"a row of {row['table']} belongs to none of {row['parent']}"
        for row in file.rows("PRAGMA foreign_key_check")
    ]
    wrong = [sentence for check in _CHECKS for row in file.rows(check) for sentence in row.values()]
    return [*orphans, *wrong, *_log_differences(file)]


def _log_differences(file: LedgerFile) -> Iterator[str]:
    try:
        replayed = replay(map(event_of, file.rows("SELECT * FROM events ORDER BY number")))
        parents = {row["parent_id"]: parent_of(row) for row in file.rows("SELECT * FROM parents")}
        children = {row["client_order_id"]: child_of(row) for row in file.rows("SELECT * FROM children")}
        fills = [fill_of(row) for row in file.rows("SELECT * FROM fills")]
    except ValueError as error:
        yield f"what is stored cannot be read: {error}"
        return
    yield from _differences("parent", parents, replayed.parents)
    yield from _differences("child", children, replayed.children)
    yield from _differences("fill", {(f.broker, f.execution_id): f for f in fills}, replayed.fills)


def _differences(kind: str, stored: Mapping[Any, object], logged: Mapping[Any, object]) -> Iterator[str]:
    for name in sorted(stored.keys() | logged.keys()):
        if stored.get(name) != logged.get(name):
            yield f"{kind} {name} is not what the event log makes it"
