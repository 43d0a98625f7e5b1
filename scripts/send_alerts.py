"""Tell the addresses that are set up of the alerts they have not been told of, and once a day the digest.

Addresses (apprise's, each with TAG= before it or without) come from the credential `alert_urls`, else from
ORCHESTRATOR_ALERT_URLS; who is told of what, and how often, from the rules for alerts (docs/alerts.md).
What each address knows and is owed is kept in alerts.db of the state directory: nothing is lost while a
receiver or the network is down, and nothing that was taken is sent again.

SIGTERM: no further message is begun, those under way get a few seconds more, and the rest waits.

Exit codes: 0 done, or what could not be sent waits for the next run; 1 the outbox cannot be used;
2 wrong arguments or settings. The result file says by address what was sent, waits and failed.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from observability import alert_addresses
from observability.alert_addresses import find_addresses
from observability.alert_delivery import Message, Notice, RaisedAlert, follow, reachable
from observability.alert_outbox import NAME, Address, Outbox, hold, open_outbox
from observability.alert_receiver import NO_APPRISE, NOT_UNDERSTOOD, Receiver, leave
from observability.alert_rules import AlertRules, load_rules
from observability.report_facts import stamp
from orchestration.clock import SystemClock
from orchestration.errors import OrchestratorError, SpecError
from orchestration.sessions import ZONES, mic
from orchestration.state.backups import connect_readonly
from scripts._alert_post import Delivered, Send, deliver
from scripts._job import StopRequest, finish, parse, parser, settings

if TYPE_CHECKING:
    from config import Settings
    from orchestration.ports import Clock

FAILING_FOR = timedelta(hours=1)
"""An address that has taken nothing for so long is itself an alert, for the others to tell."""

OLDEST_DIGEST = timedelta(days=8)
LAST_ALERT, LAST_DIGEST = "last_alert", "last_digest"
COLUMNS = "id, key, severity, text, task, raised_at, cleared_at, acknowledged_at"


def main(argv: list[str] | None = None) -> int:
    """Run the job; return its exit code."""
    made = parser(__doc__, "state_dir")
    state_dir: Path = parse(made, argv).state_dir
    given, clock = settings(made), SystemClock()
    stop = StopRequest(clock.now)
    addresses = find_addresses(os.environ)
    if not addresses:
        return finish(0, {}, f"no address is set up: {alert_addresses.SETTING} says where alerts go")
    try:
        with hold(state_dir) as ours:
            if not ours:
                return finish(0, {}, "another send_alerts is at work")
            outbox, damage = open_outbox(state_dir / NAME)
            with closing(outbox):
                job = Job(given, state_dir / "performance.db", outbox, clock)
                if damage is not None:
                    job.alerts["outbox"] = (
                        f"{NAME} was damaged ({damage}) and is begun anew; what stands is told again"
                    )
                report = job.run(addresses, stop)
    except (sqlite3.Error, OSError) as error:
        return finish(1, {"error": str(error)}, f"send_alerts: {state_dir / NAME} cannot be used ({error})")
    return finish(0, report, _summary(report))


class Job:
    """One look at the alerts and one round to the addresses. alerts: what it has itself to say, by name."""

    def __init__(self, given: Settings, database: Path, outbox: Outbox, clock: Clock) -> None:
        self._settings, self._database = given, database
        self._outbox, self._clock = outbox, clock
        self.home = ZoneInfo(ZONES.get(mic(given.exchange), "UTC"))
        self.alerts: dict[str, str] = {}

    def run(
        self, addresses: Sequence[alert_addresses.Address], stop: Callable[[], bool] = lambda: False
    ) -> dict[str, object]:
        """Note what is owed, send what may be sent; return the report."""
        now = self._clock.now()
        self._outbox.begin({a.name: (a.tag, a.fingerprint) for a in addresses}, now)
        rules = self.rules({address.tag for address in addresses})
        self.note(rules, now)
        self._outbox.prune(now)
        by_name = {address.name: address for address in addresses}

        def connect(address: Address) -> Send | str:
            receiver = Receiver.open(by_name[address.name])
            return receiver if isinstance(receiver, str) else receiver.send

        done = deliver(self._outbox, connect, self._clock, per_hour=rules.per_hour, zone=self.home, stop=stop)
        return self._report(done, self._clock.now())

    def rules(self, tags: set[str]) -> AlertRules:
        """Return the rules, with only such channels as have an address."""
        try:
            rules = load_rules(self._settings.alerts_file)
        except SpecError as error:
            self.alerts["rules"] = f"the shipped rules hold, as yours cannot be used: {error}"
            rules = load_rules()
        named = {tag for rule in rules.rules for tag in (*rule.channels, *rule.escalate_to)}
        if named - tags:
            missing = ", ".join(sorted(named - tags))
            self.alerts["channels"] = f"no address has the tag {missing}, which your rules name"
        return replace(rules, rules=tuple(reachable(rule, tags) for rule in rules.rules))

    # --- what is owed -------------------------------------------------------------------------------------

    def note(self, rules: AlertRules, now: datetime) -> None:
        """Write down what each address is owed now."""
        self._note_alerts(rules, now)
        self._note_digest(rules, now)

    def _note_alerts(self, rules: AlertRules, now: datetime) -> None:
        outbox = self._outbox
        known = {address: outbox.notices(address.name) for address in outbox.addresses()}
        tracked = {key: notice.alert for notices in known.values() for key, notice in notices.items()}
        seen = outbox.fact(LAST_ALERT)
        try:
            alerts, last = read_alerts(self._database, tracked, None if seen is None else int(seen), now)
        except sqlite3.Error as error:
            self.alerts["unread"] = f"{self._database.name} cannot be read ({error}); new alerts are not told"
            return
        fitting = {alert.identity: rules.rule_for(alert.key, alert.task) for alert in alerts}
        turn = outbox.next_turn()
        changes: list[tuple[str, str, Notice | None]] = []
        for alert in alerts:
            for address, notices in known.items():
                before = notices.get(alert.identity)
                after = follow(before, alert, fitting[alert.identity], address.tag, now)
                if after is not None and after.owed and (before is None or not before.owed):
                    after, turn = replace(after, turn=turn), turn + 1
                if after != before:
                    changes.append((address.name, alert.identity, after))
        if changes or str(last) != seen:
            outbox.keep(changes, {LAST_ALERT: str(last)})

    def _note_digest(self, rules: AlertRules, now: datetime) -> None:
        """Write down a digest once a day."""
        if rules.digest is None:
            return
        local = now.astimezone(self.home if rules.digest.zone is None else ZoneInfo(rules.digest.zone))
        today, is_time = local.date(), local.time() >= rules.digest.at
        kept = self._outbox.fact(LAST_DIGEST)
        last = None if kept is None else date.fromisoformat(kept)
        if last is None or last > today:  # the first run, or the clock was ahead
            day = today if is_time else today - timedelta(days=1)
            self._outbox.keep((), {LAST_DIGEST: day.isoformat()})
        elif is_time and last < today:
            self._write_digest(today, now)

    def _write_digest(self, today: date, now: datetime) -> None:
        """Write down for each address what came since the last digest that it took."""
        composed: dict[datetime, Message] = {}
        digests = []
        for address in self._outbox.addresses():
            since = max(address.digest_until or now - timedelta(days=1), now - OLDEST_DIGEST)
            if since not in composed:
                composed[since] = self._digest(since, now)
            digests.append((address.name, composed[since], now))
        self._outbox.keep((), {LAST_DIGEST: today.isoformat()}, digests)

    def _digest(self, since: datetime, now: datetime) -> Message:
        from scripts._alert_digest import compose_digest

        try:
            return compose_digest(self._settings, self._database, since, now)
        except OrchestratorError as error:
            return Message(title="Daily digest", text=f"It could not be put together: {error}")

    # --- what came of it ----------------------------------------------------------------------------------

    def _report(self, done: Delivered, now: datetime) -> dict[str, object]:
        waiting: dict[str, int] = {}
        for address in self._outbox.addresses():
            owed = [notice for notice in self._outbox.notices(address.name).values() if notice.owed]
            count = len(owed) + (self._outbox.digest(address.name) is not None)
            waiting |= {address.name: count} if count else {}
            since = address.failing_since
            if address.problem in (NOT_UNDERSTOOD, NO_APPRISE):
                self.alerts[f"way {address.name}"] = f"{address.name} gets no alerts: {address.problem}"
            elif since is not None and now - since >= FAILING_FOR:
                text = f"{address.name} has taken nothing since {since:%Y-%m-%d %H:%MZ}: {address.problem}"
                self.alerts[f"way {address.name}"] = text
        report = {"sent": dict(done.sent), "waiting": waiting, "failed": done.failed}
        return report | ({"alerts": self.alerts} if self.alerts else {})


def read_alerts(
    database: Path, tracked: Mapping[str, RaisedAlert], seen: int | None, now: datetime
) -> tuple[list[RaisedAlert], int]:
    """Return the alerts to look at, in the order of what became of them, and the number of the newest.

    They are those that stand, those that came after number `seen` (None: the first look), and those that
    addresses were told of or are to be (tracked, by identity). One of these that is no longer on record is
    over. Raises sqlite3.Error.
    """
    if not database.exists():
        return [], 0
    with closing(connect_readonly(database)) as connection:
        last = int(connection.execute("SELECT coalesce(max(id), 0) FROM alerts").fetchone()[0])
        # A number beyond the newest: the database was replaced, and what is over in it is old.
        since = last if seen is None or seen > last else seen
        query = f"SELECT {COLUMNS} FROM alerts WHERE cleared_at IS NULL OR id > ? ORDER BY id"
        found = [_alert(row) for row in connection.execute(query, (since,))]
        there = {alert.identity for alert in found}
        for identity, alert in tracked.items():
            if identity not in there:
                query = f"SELECT {COLUMNS} FROM alerts WHERE key = ? AND raised_at = ?"
                row = connection.execute(query, (alert.key, stamp(alert.raised_at))).fetchone()
                found.append(_alert(row) if row else replace(alert, cleared_at=alert.cleared_at or now))
    return sorted(found, key=lambda alert: alert.cleared_at or alert.raised_at), last


def _alert(row: Sequence[Any]) -> RaisedAlert:
    _, key, severity, text, task, *instants = row
    raised, cleared, acknowledged = (None if at is None else datetime.fromisoformat(at) for at in instants)
    return RaisedAlert(
        key=key,
        severity=severity,
        text=text,
        task=task,
        raised_at=raised or datetime.min.replace(tzinfo=UTC),
        cleared_at=cleared,
        acknowledged_at=acknowledged,
    )


def _summary(report: Mapping[str, Any]) -> str:
    """One line for each address that had anything to get; the steady state is quiet."""
    names = sorted({*report["sent"], *report["waiting"], *report["failed"]})
    return "\n".join(
        f"{name}: {report['sent'].get(name, 0)} sent, {report['waiting'].get(name, 0)} wait"
        + (f"; {report['failed'][name]}" if name in report["failed"] else "")
        for name in names
    )


if __name__ == "__main__":
    leave(main)
