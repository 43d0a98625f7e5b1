"""What a limit that is hit leads to: one decision, until it gets worse. Pure and light.

A decision is committed before it is carried out, and marked as done afterwards: a process that dies in
between leaves it to the next one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from trading.portfolio.limits import WITHOUT_BOUND, Action, Kind, Standing, named, percent

WORSE_BY: Final = Decimal("0.25")
"""Of the limit: how much worse than when it was last decided a breach must be to be decided again. A person
who has resumed trading has room for that much before the next halt."""

TOLD_DOWN_TO: Final = Decimal("0.9")
"""Of the limit: what was beyond it is told until it is below this, so that a value which wavers around its
limit is not an alert, its end and an alert again with every minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A limit that was hit. number: of its row, 0: none yet. done_at: when it was carried out, None: not yet.

    session: in which it was decided. The others are those of the `Standing`.
    """

    session: date
    kind: Kind
    subject: str
    episode: str
    value_pct: Decimal
    bound_pct: Decimal
    action: Action
    at: datetime
    done_at: datetime | None = None
    number: int = 0

    def __str__(self) -> str:
        bound = f"the limit is {self.bound_pct.normalize():f} %"
        return f"{named(self.kind, self.subject)} {percent(self.value_pct)} of equity, {bound}"


def decided_again_at(standing: Standing, earlier: Iterable[Decision]) -> Decimal | None:
    """Return the value [%] from which on a breach that was decided is decided again; None: it was not.

    earlier: decisions; those of other limits and episodes are passed over.
    """
    same = (standing.kind, standing.subject, standing.episode, standing.action)
    worst = max(
        (each.value_pct for each in earlier if (each.kind, each.subject, each.episode, each.action) == same),
        default=None,
    )
    return None if worst is None or standing.bound_pct is None else worst + WORSE_BY * standing.bound_pct


def is_told(standing: Standing, decisions: Iterable[Decision]) -> bool:
    """Whether a person is to be told: the limit is passed, or was in this episode and is still near."""
    if standing.is_breached or standing.bound_pct is None:
        return standing.is_breached
    was_passed = decided_again_at(standing, decisions) is not None
    return was_passed and standing.value_pct > TOLD_DOWN_TO * standing.bound_pct


def due(standing: Standing, earlier: Iterable[Decision], session: date, at: datetime) -> Decision | None:
    """Return the decision that a standing asks for now; None: it is within its limit, or decided already.

    earlier: decisions of the same episodes (others are passed over). A breach is decided when it begins, and
    again each time it is worse than the worst decided one by a quarter of the limit.
    """
    if not standing.is_breached or standing.bound_pct is None:
        return None
    again_at = decided_again_at(standing, earlier)
    # What was without bound cannot get worse.
    if again_at is not None and (standing.value_pct < again_at or again_at == WITHOUT_BOUND):
        return None
    return Decision(
        session=session,
        kind=standing.kind,
        subject=standing.subject,
        episode=standing.episode,
        value_pct=standing.value_pct,
        bound_pct=standing.bound_pct,
        action=standing.action,
        at=at,
        # An alert is told with the job's result; nothing else is to be done.
        done_at=at if standing.action is Action.ALERT else None,
    )
