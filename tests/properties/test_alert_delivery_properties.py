"""Whatever happens to alerts, to a receiver and to the clock of an hour: nothing is lost, nothing twice."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from observability.alert_delivery import (
    HOUR,
    Notice,
    Owed,
    RaisedAlert,
    after_told,
    compose,
    follow,
    room,
)
from observability.alert_rules import Rule

START = datetime(2026, 11, 20, tzinfo=UTC)
RULE = Rule(when="", remind=timedelta(hours=2), escalate_after=timedelta(hours=3))


@dataclass
class Street:
    """A box, one address, and all that has happened."""

    per_hour: int
    now: datetime = START
    alerts: dict[str, RaisedAlert] = field(default_factory=dict)
    known: dict[str, Notice] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    sent: list[datetime] = field(default_factory=list)
    told: list[tuple[str, Owed, datetime]] = field(default_factory=list)
    turns: list[int] = field(default_factory=list)
    turn: int = 0

    def change(self, name: str) -> None:
        """Raise it, or clear it if it stands."""
        standing = next((a for a in self.alerts.values() if a.key == name and a.cleared_at is None), None)
        if standing is None:
            alert = RaisedAlert(key=name, severity="error", text="", task=None, raised_at=self.now)
        else:
            alert = replace(standing, cleared_at=self.now)
        self.alerts[alert.identity] = alert

    def acknowledge(self) -> None:
        for key, alert in self.alerts.items():
            if alert.cleared_at is None and alert.acknowledged_at is None:
                self.alerts[key] = replace(alert, acknowledged_at=self.now)

    def deliver(self, takes: int) -> None:
        """Run the job; the receiver takes so many messages and refuses the next."""
        for key, alert in self.alerts.items():
            if key not in self.gone:
                self._follow(key, alert)
        owed = [notice for notice in self.known.values() if notice.owed]
        for message in compose(owed, room(self.sent, self.now, self.per_hour), UTC)[:takes]:
            self.sent.append(self.now)
            for notice in message.notices:
                self._told(notice)

    def _follow(self, key: str, alert: RaisedAlert) -> None:
        before = self.known.get(key)
        after = follow(before, alert, RULE, "phone", self.now)
        if after is None:
            return
        if after.owed and (before is None or not before.owed):
            self.turn += 1
            after = replace(after, turn=self.turn)
        self.known[key] = after

    def _told(self, notice: Notice) -> None:
        key = notice.alert.identity
        assert notice.owed is not None
        self.told.append((key, notice.owed, self.now))
        self.turns.append(notice.turn)
        left = after_told(notice, self.now)
        if left is None:
            self.gone.add(key)
            del self.known[key]
        else:
            self.known[key] = left


events = st.one_of(
    st.sampled_from(["a", "b", "c"]),
    st.just("acknowledge"),
    st.integers(0, 3),  # the job runs, and the receiver takes so many
    st.integers(4, 300).map(lambda minutes: timedelta(minutes=minutes)),
)


@given(st.lists(events, max_size=60), st.integers(1, 12))
def test_each_alert_is_told_once_and_its_end_once_in_order_and_within_the_limit(
    happened: list[str | int | timedelta], per_hour: int
) -> None:
    street = Street(per_hour)

    for event in happened:
        street.now += timedelta(seconds=1)
        if isinstance(event, timedelta):
            street.now += event
        elif isinstance(event, int):
            street.deliver(event)
        elif event == "acknowledge":
            street.acknowledge()
        else:
            street.change(event)
    for _ in range(200):  # everything is well again: the rest arrives, and all ends
        street.now += timedelta(minutes=60)
        street.deliver(100)
        if any(alert.cleared_at is None for alert in street.alerts.values()):
            for name in {a.key for a in street.alerts.values() if a.cleared_at is None}:
                street.change(name)
        elif not street.known:
            break

    counts = Counter((key, owed) for key, owed, _ in street.told)
    for key, alert in street.alerts.items():
        first, end, both = counts[key, Owed.RAISED], counts[key, Owed.RESOLVED], counts[key, Owed.PASSED]
        assert (first, end, both) in ((1, 1, 0), (0, 0, 1))
        louder = [at for k, o, at in street.told if k == key and o in (Owed.REMINDER, Owed.ESCALATED)]
        assert alert.acknowledged_at is None or all(at <= alert.acknowledged_at for at in louder)
        assert counts[key, Owed.ESCALATED] <= 1
    assert street.turns == sorted(street.turns)
    for at in street.sent:
        assert sum(at - HOUR < other <= at for other in street.sent) <= per_hour
