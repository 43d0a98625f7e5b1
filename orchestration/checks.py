"""What `--check` and `orchestratorctl check` look at: settings, tasks, calendar, memory, database, backups.

Reads, and leaves nothing behind; a database is only opened for reading, so that a check of new code beside an
old daemon changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from orchestration.decisions import Policy
from orchestration.errors import OrchestratorError, StoreError
from orchestration.market_calendar import Calendars
from orchestration.memory_ladder import check_memory_rung
from orchestration.ports import Clock, Sensors
from orchestration.registry import Registry
from orchestration.state import backups

if TYPE_CHECKING:
    from config import Settings

HORIZON_WARNING = timedelta(days=30)
BACKUP_WARNING = timedelta(days=3)
"""A weekend and a night: then a backup should have been made again."""
OK, WARNING, PROBLEM = "ok", "warning", "problem"
SHOWN_DAYS = 4


class Finding(NamedTuple):
    """What a look at one thing found. level: "ok", "warning" (it runs, but look at it) or "problem"."""

    topic: str
    level: str
    text: str

    def __str__(self) -> str:
        mark = "" if self.level == OK else f"{self.level.upper()}: "
        return f"{self.topic:<11} {mark}{self.text}"


class CheckedBox(Protocol):
    """What is checked: the daemon's parts, or orchestratorctl's."""

    @property
    def settings(self) -> Settings: ...

    @property
    def clock(self) -> Clock: ...

    @property
    def sensors(self) -> Sensors: ...

    @property
    def policy(self) -> Policy: ...

    @property
    def calendars(self) -> Calendars: ...

    @property
    def registry(self) -> Registry: ...


def check(box: CheckedBox) -> list[Finding]:
    """Return what a start depends on, one finding per thing that was looked at.

    Raises:
        SpecError, CalendarError, StoreError, OSError: where the daemon would not start.
    """
    return [finding for look in LOOKS.values() for finding in look(box)]


def check_thoroughly(box: CheckedBox) -> list[Finding]:
    """Return what `check` does, what is worth knowing besides, and as a problem what it would raise."""
    findings: list[Finding] = []
    said: set[str] = set()
    for topic, look in {**LOOKS, **MORE_LOOKS}.items():
        try:
            findings += look(box)
        except (OrchestratorError, OSError) as error:
            if str(error) not in said:
                findings.append(Finding(topic, PROBLEM, str(error)))
            said.add(str(error))
    return findings


def has_problem(findings: Sequence[Finding]) -> bool:
    """Whether something must be mended."""
    return any(finding.level == PROBLEM for finding in findings)


def _settings(box: CheckedBox) -> list[Finding]:
    state_dir = box.settings.state_dir
    state_dir.mkdir(parents=True, exist_ok=True)
    probe = state_dir / ".writable"
    try:
        probe.write_text("")
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)
    return [Finding("settings", OK, f"in order; policy {box.policy.name}, state in {state_dir}")]


def _tasks(box: CheckedBox) -> list[Finding]:
    registry, own = box.registry, box.settings.tasks_file
    text = f"{len(registry)} in order, {len(registry.enabled)} enabled"
    return [Finding("tasks", OK, text + (f", own tasks from {own}" if own else ""))]


def _alerts(box: CheckedBox) -> list[Finding]:
    from orchestration.assembly import alert_rules_of

    own, rules = box.settings.alerts_file, alert_rules_of(box.settings)
    doubts = rules.doubts(box.registry.specs.keys())
    text = f"the shipped rules, and {len(rules.own)} of your own from {own}" if own else "the shipped rules"
    return [Finding("alerts", OK, text), *(Finding("alerts", WARNING, doubt) for doubt in doubts)]


def _calendar(box: CheckedBox) -> list[Finding]:
    now, horizon = box.clock.now(), box.calendars.horizon()
    stretch = box.calendars.stretch(now)
    text = (
        f"{box.settings.exchange} known to {horizon}; now {stretch.mode.upper()}"
        f" ({stretch.phase}), window {stretch.window.id}"
    )
    if not stretch.is_known:
        return [Finding("calendar", WARNING, f"{text}; today is NOT covered: no trading task starts")]
    if horizon - now.date() < HORIZON_WARNING:
        return [Finding("calendar", WARNING, f"{text}; that is soon: orchestratorctl run refresh_sessions")]
    return [Finding("calendar", OK, text)]


def _memory(box: CheckedBox) -> list[Finding]:
    rung, advice = check_memory_rung()
    text = f"limited per run by: {rung}" + (f". {advice}" if advice else "")
    return [Finding("memory", OK, text)]


def _clock(box: CheckedBox) -> list[Finding]:
    synced = box.sensors.read({}).clock_synced
    if synced:
        return [Finding("clock", OK, "known to be right")]
    how = "not synchronised" if synced is False else "not known to be right"
    return [
        Finding(
            "clock",
            WARNING,
            f"{how}: no trading task starts. Enable systemd-timesyncd (timedatectl set-ntp true), or give"
            " your word with ORCHESTRATOR_ASSUME_CLOCK_SYNCED=true",
        )
    ]


def _database(box: CheckedBox) -> list[Finding]:
    """Return whether the database is whole and understood; nothing where there is none yet."""
    from orchestration.state.engine import damaged, file_of, to_url

    path = file_of(to_url(box.settings.state_url))
    if path is None:
        return [Finding("database", OK, "on a server; it checks itself")]
    if not path.exists():
        return []
    damage = backups.find_damage(path, quick=True)
    if damage is not None:
        raise damaged(str(path), damage, path, box.settings.backup_dir)
    return [_understood(path, box.settings.backup_dir)]


def _understood(path: Path, backup_dir: Path) -> Finding:
    from orchestration.state.engine import damaged
    from orchestration.state.history import load_readonly, load_stored, revision
    from orchestration.state.schema import HEAD, REVISIONS
    from orchestration.state.unread import said

    engine = load_readonly(path)
    found = revision(engine)
    if found not in REVISIONS:
        what = "holds no state of ours" if found is None else f"is of a newer version (revision {found})"
        raise StoreError(f"{path} {what}; this version knows up to {HEAD}. Upgrade, or restore a backup")
    if found != HEAD:
        text = f"whole, of an older version (revision {found}); the next start brings it to {HEAD}"
        return Finding("database", OK, text)
    try:
        stored = load_stored(engine)
    except StoreError as error:
        raise damaged(str(path), said(error.__cause__ or error), path, backup_dir) from error
    size = path.stat().st_size / 1e3
    return Finding("database", OK, f"in order, {size:,.0f} kB, {len(stored.records)} tasks remembered")


def _empty_windows(box: CheckedBox) -> list[Finding]:
    return [
        Finding("windows", OK, f"{task} has none on {_days(days)}")
        for task, days in box.registry.empty_days.items()
    ]


def _days(days: Sequence[date]) -> str:
    shown = ", ".join(str(day) for day in days[:SHOWN_DAYS])
    rest = len(days) - SHOWN_DAYS
    return shown + (f" and {rest} more of the next 400 days" if rest > 0 else "")


def _disabled(box: CheckedBox) -> list[Finding]:
    off = [spec.name for spec in box.registry if not spec.enabled]
    return [Finding("disabled", OK, ", ".join(off))] if off else []


def _backups(box: CheckedBox) -> list[Finding]:
    kept = backups.list_backups(box.settings.backup_dir, "performance")
    if not kept:
        return [Finding("backups", WARNING, "none yet; make one with orchestratorctl run backup_databases")]
    newest = kept[-1]
    made = datetime.strptime(newest.stem.rpartition("-")[2], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    age = box.clock.now() - made
    text = f"{len(kept)} kept, the newest {age / timedelta(hours=1):.1f} h old: {newest}"
    return [Finding("backups", WARNING if age > BACKUP_WARNING else OK, text)]


def _network(box: CheckedBox) -> list[Finding]:
    resources = box.sensors.read({})
    found = []
    if resources.network_up is False:
        found.append(Finding("network", WARNING, "no default route; tasks that need it wait"))
    if resources.too_hot:
        found.append(Finding("heat", WARNING, f"{resources.temperature_c:.0f} C; no research starts"))
    return found


LOOKS: Mapping[str, Callable[[CheckedBox], list[Finding]]] = {
    "settings": _settings,
    "tasks": _tasks,
    "alerts": _alerts,
    "calendar": _calendar,
    "memory": _memory,
    "clock": _clock,
    "database": _database,
}
MORE_LOOKS: Mapping[str, Callable[[CheckedBox], list[Finding]]] = {
    "windows": _empty_windows,
    "disabled": _disabled,
    "backups": _backups,
    "box": _network,
}
