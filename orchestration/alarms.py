"""From facts to the alerts that should stand about the box, the calendar and tasks that wait. Pure.

What changes about its limit all the time is one alert and not twenty: an alert is raised when its condition
has lasted as long as its rule says, and is over when the value is well inside the limit for as long.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, timedelta
from typing import NamedTuple

from hardware.health import BoxHealth
from observability.alert_rules import AlertRules, Rule
from orchestration.decisions import Blocked, RaiseAlert, Reason
from orchestration.slots import spoken

LOOK_EVERY_S = 10.0
"""How often the facts are looked at while the same tasks wait; the box's health is read as often."""
COOL_BY_C = 5.0
"""How far a box must cool before it is no longer too hot, as for `sensors.too_hot`."""
FREED = 1.1
"""How much more than its limit must be free before a disk is no longer full."""
LATE, BY_MEMORY = "late:", "memory:"
OVER_WHEN_SEEN = frozenset({"down", "state:new"})
"""Alerts of what happened once: they are over when a person has acknowledged them."""


class Facts(NamedTuple):
    """What is known at one instant. at_s: monotonic seconds.

    health: of the box. network_up: None: unknown. is_known: whether a session table covers today; horizon:
    the last day that one covers. store_fault: why the state cannot be written. waiting: the tasks that are
    due and passed over; duties: those of them that are trading duties.
    """

    at_s: float
    today: date
    health: BoxHealth
    network_up: bool | None
    is_known: bool
    horizon: date
    store_fault: str | None
    waiting: Mapping[str, Blocked]
    duties: AbstractSet[str]


class Reading(NamedTuple):
    """One condition now. is_over: beyond its limit; is_well: so far inside it that an alert is over; neither:
    about at the limit, or not known. lasts: how long either must last."""

    key: str
    text: str
    is_over: bool
    is_well: bool
    lasts: timedelta = timedelta(0)
    task: str | None = None


class Verdict(NamedTuple):
    """What is to change. over: keys of alerts that stand and should not."""

    fresh: Sequence[RaiseAlert] = ()
    over: Sequence[str] = ()


NOTHING = Verdict()


class Alarms:
    """Remembers since when what was so: the same facts are judged by how long they have held."""

    def __init__(self) -> None:
        self._looked_s: float | None = None
        self._began_s = 0.0
        self._seen: object = None
        self._since: dict[str, float] = {}
        self._waits: dict[str, tuple[float, int]] = {}
        self._long_waits: dict[str, list[float]] = {}

    def is_due(self, at_s: float, waiting: object) -> bool:
        """Whether to look again. waiting: whatever is another object when other tasks wait."""
        is_new = waiting is not self._seen
        self._seen = waiting
        return is_new or self._looked_s is None or at_s - self._looked_s >= LOOK_EVERY_S

    def look(self, facts: Facts, rules: AlertRules, standing: AbstractSet[str]) -> Verdict:
        """Return which alerts are to be raised, and which of those `standing` are over."""
        if self._looked_s is None:
            self._began_s = facts.at_s
        self._looked_s = facts.at_s
        fresh: list[RaiseAlert] = []
        over: list[str] = []
        for reading in (*of_the_box(facts, rules), *self._late(facts, rules, standing)):
            if not self._turns(reading, reading.key in standing, facts.at_s):
                continue
            if reading.key in standing:
                over.append(reading.key)
            else:
                fresh.append(RaiseAlert(key=reading.key, text=reading.text, task=reading.task))
        self._note_waits_for_memory(facts, rules)
        fresh += self._held_by_memory(facts, rules, standing)
        over += self._had_memory(facts, rules, standing)
        return Verdict(fresh, over) if fresh or over else NOTHING

    def _turns(self, reading: Reading, stands: bool, at_s: float) -> bool:
        """Whether the opposite of what is said has lasted long enough."""
        if not (reading.is_well if stands else reading.is_over):
            self._since.pop(reading.key, None)
            return False
        if at_s - self._since.setdefault(reading.key, at_s) < reading.lasts.total_seconds():
            return False
        del self._since[reading.key]
        return True

    # --- tasks that wait ----------------------------------------------------------------------------------

    def _late(self, facts: Facts, rules: AlertRules, standing: AbstractSet[str]) -> Iterator[Reading]:
        """Yield a reading for each duty that waits, and for each of which that was said or noted."""
        known = {key.removeprefix(LATE) for key in (*standing, *self._since) if key.startswith(LATE)}
        for task in sorted(facts.duties | known):
            key = LATE + task
            rule = rules.rule_for(key, task)
            if rule is None:
                continue
            blocked, text = facts.waiting.get(task), ""
            if task in facts.duties and blocked is not None:
                text = f"{task} is due and has waited for {spoken(rule.span('for'))}: {blocked.reason}"
                yield Reading(key, text, True, False, rule.span("for"), task)
            else:
                yield Reading(key, text, False, True, task=task)

    def _note_waits_for_memory(self, facts: Facts, rules: AlertRules) -> None:
        """Count each time that a task has waited for memory as long as its rule says."""
        waits = {}
        for task, blocked in facts.waiting.items():
            rule = rules.rule_for(BY_MEMORY + task, task)
            if rule is None or all(gate.reason is not Reason.MEMORY for gate in blocked.failures):
                continue
            since, counted = self._waits.get(task, (facts.at_s, 0))
            full = int((facts.at_s - since) // rule.span("for").total_seconds())
            if full > counted:
                self._long_waits.setdefault(task, []).extend([facts.at_s] * (full - counted))
            waits[task] = since, full
        self._waits = waits

    def _held_by_memory(
        self, facts: Facts, rules: AlertRules, standing: AbstractSet[str]
    ) -> Iterator[RaiseAlert]:
        for task, times in list(self._long_waits.items()):
            rule = rules.rule_for(BY_MEMORY + task, task)
            if rule is None:
                continue
            within = rule.span("within").total_seconds()
            recent = self._long_waits[task] = [at for at in times if facts.at_s - at < within]
            if not recent:
                del self._long_waits[task]
            elif len(recent) >= rule.number("times") and BY_MEMORY + task not in standing:
                yield RaiseAlert(
                    key=BY_MEMORY + task, text=_short_of_memory(task, len(recent), rule), task=task
                )

    def _had_memory(self, facts: Facts, rules: AlertRules, standing: AbstractSet[str]) -> Iterator[str]:
        """Yield the alerts of tasks that have not waited long for as long as long waits are counted."""
        for key in sorted(standing):
            task = key.removeprefix(BY_MEMORY)
            if not key.startswith(BY_MEMORY) or task in self._long_waits or task in self._waits:
                continue
            rule = rules.rule_for(key, task)
            if rule is None or facts.at_s - self._began_s >= rule.span("within").total_seconds():
                yield key


def _short_of_memory(task: str, times: int, rule: Rule) -> str:
    return (
        f"{task} was due and waited for memory {times} times {spoken(rule.span('for'))} within "
        f"{spoken(rule.span('within'))} (orchestratorctl why {task})"
    )


def of_the_box(facts: Facts, rules: AlertRules) -> Iterator[Reading]:
    """Yield the readings of everything that is no task's matter."""
    for key, judge in JUDGES.items():
        rule = rules.rule_for(key)
        if rule is not None:
            yield judge(key, facts, rule)


def _disk(key: str, facts: Facts, rule: Rule) -> Reading:
    mb, pct = facts.health.disk_free_mb, facts.health.disk_free_pct
    least_mb, least_pct = rule.number("free_mb"), rule.number("free_percent")
    if mb is None or pct is None:
        return Reading(key, "", False, False)
    least = f"{least_mb:,.0f} MB and {least_pct:g} %"
    text = f"{mb:,.0f} MB ({pct:.0f} %) of the disk are free; there should be {least}"
    is_well = mb >= FREED * least_mb and pct >= FREED * least_pct
    return Reading(key, text, mb < least_mb or pct < least_pct, is_well)


def _temperature(key: str, facts: Facts, rule: Rule) -> Reading:
    celsius, most = facts.health.temperature_c, rule.number("celsius")
    if celsius is None:
        return Reading(key, "", False, False)
    lasts = rule.span("for")
    text = f"the box has been at {most:g} C or more for {spoken(lasts)}; now {celsius:.0f} C"
    return Reading(key, text, celsius >= most, celsius < most - COOL_BY_C, lasts)


def _undervoltage(key: str, facts: Facts, rule: Rule) -> Reading:
    low = facts.health.under_voltage
    text = "the supply's voltage is too low: a stronger one, or a shorter cable"
    return Reading(key, text, low is True, low is False, rule.span("for"))


def _clock(key: str, facts: Facts, rule: Rule) -> Reading:
    is_right = facts.health.clock_synced is True
    how = "not synchronised" if facts.health.clock_synced is False else "not known to be right"
    text = f"the clock has been {how} for {spoken(rule.span('for'))}: no trading task starts (timedatectl)"
    return Reading(key, text, not is_right, is_right, rule.span("for"))


def _network(key: str, facts: Facts, rule: Rule) -> Reading:
    up = facts.network_up
    text = f"there has been no network for {spoken(rule.span('for'))}"
    return Reading(key, text, up is False, up is True, rule.span("for"))


def _horizon(key: str, facts: Facts, rule: Rule) -> Reading:
    days = (facts.horizon - facts.today).days
    text = (
        f"the calendar is known to {facts.horizon} only, {max(0, days)} days ahead "
        "(orchestratorctl run refresh_sessions)"
    )
    return Reading(key, text, days < rule.number("days"), days >= rule.number("days"))


def _session(key: str, facts: Facts, rule: Rule) -> Reading:
    text = f"no session table covers {facts.today}: no trading task starts (orchestratorctl check)"
    return Reading(key, text, not facts.is_known, facts.is_known)


def _store(key: str, facts: Facts, rule: Rule) -> Reading:
    fault = facts.store_fault
    text = f"the state cannot be written, and nothing starts: {fault}"
    return Reading(key, text, fault is not None, fault is None, rule.span("for"))


JUDGES = {
    "disk": _disk,
    "temperature": _temperature,
    "undervoltage": _undervoltage,
    "clock": _clock,
    "network": _network,
    "horizon": _horizon,
    "no_session": _session,
    "store": _store,
}
