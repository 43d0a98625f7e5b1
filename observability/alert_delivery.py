"""What each address is to be told now, from how the alerts stand and what it knows. Pure, standard library.

An address is told of an alert when it is raised, again while it stands, when nobody has acknowledged it for
long, and when it is over; one message says both where it came and went before anyone was told. How many
messages an hour are sent is bounded: beyond that, what waits is gathered into one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum

from observability.alert_rules import SEVERITIES, Rule

HOUR = timedelta(hours=1)

MOST_CHARACTERS = 3500
"""Of a message's text: the strictest receivers (Telegram, ntfy) take 4096 with the title."""

LINE_CHARACTERS = 160
"""Of one alert among others."""

TIMES = " (1000 times)"

STORM = 25
"""So many waiting alerts are gathered into every message, not into the last one alone."""

STEPS = tuple(timedelta(minutes=m) for m in (0, 0, 4, 9, 14))
"""How long an address that took nothing is left alone, after the first, second... time; then as at last.
A little under multiples of the five minutes at which the job runs."""


class Owed(StrEnum):
    """What an address is to be told about an alert."""

    RAISED = "raised"
    REMINDER = "reminder"
    ESCALATED = "escalated"
    RESOLVED = "resolved"
    PASSED = "passed"  # it came and went before this address was told


@dataclass(frozen=True, slots=True, kw_only=True)
class RaisedAlert:
    """An alert as the daemon keeps it. cleared_at: None while it stands; acknowledged_at: None until a person
    has seen it."""

    key: str
    severity: str
    text: str
    task: str | None
    raised_at: datetime
    cleared_at: datetime | None = None
    acknowledged_at: datetime | None = None

    @property
    def identity(self) -> str:
        """What tells it from every other one, of the same key too."""
        return f"{self.key}@{self.raised_at.isoformat()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What one address knows of an alert, and what it is owed.

    told: the severity it was told last, told_at: when; None: nothing yet. escalated: whether that is told or
    owed. owed: None: nothing at present. turn: its place among what is owed to the address.
    """

    alert: RaisedAlert
    told: str | None = None
    told_at: datetime | None = None
    escalated: bool = False
    owed: Owed | None = None
    turn: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message. severity: the worst in it. notices: what it tells; none: it is a digest."""

    title: str
    text: str
    severity: str = "info"
    notices: tuple[Notice, ...] = ()


def follow(
    notice: Notice | None, alert: RaisedAlert, rule: Rule | None, tag: str, now: datetime
) -> Notice | None:
    """Return what an address is owed now that the alert stands as it does; None: nothing, now or ever.

    notice: what it knew so far; None: nothing. rule: None: by the rules it is no alert. tag: the channel of
    the address. `turn` is left as it is.
    """
    known = Notice(alert=alert) if notice is None else replace(notice, alert=alert)
    if alert.cleared_at is not None:
        return _cleared(known, rule, tag)
    if rule is None:
        return known if known.told else None
    escalates = not known.escalated and _escalates(alert, rule, now) and _is_among(tag, rule.escalate_to)
    if known.told is None:
        concerned = known.owed is not None or escalates or _is_told(rule, tag)
        escalated = known.escalated or escalates
        return replace(known, owed=Owed.RAISED, escalated=escalated) if concerned else None
    if known.owed is not None:  # again or louder, which is moot once a person has seen it
        return known if alert.acknowledged_at is None else replace(known, owed=None)
    if escalates or _rank(alert.severity) > _rank(known.told):
        return replace(known, owed=Owed.ESCALATED, escalated=known.escalated or escalates)
    return replace(known, owed=Owed.REMINDER) if _is_due_again(known, rule, tag, now) else known


def after_told(notice: Notice, now: datetime) -> Notice | None:
    """Return what the address knows once it has taken what it was owed; None: it will hear no more of it."""
    if notice.owed in (Owed.RESOLVED, Owed.PASSED):
        return None
    return replace(notice, told=notice.alert.severity, told_at=now, owed=None)


def reachable(rule: Rule, tags: Collection[str]) -> Rule:
    """Return the rule with the channels that have an address; where none has, all are told."""
    return replace(
        rule,
        channels=tuple(tag for tag in rule.channels if tag in tags),
        escalate_to=tuple(tag for tag in rule.escalate_to if tag in tags),
    )


def _cleared(known: Notice, rule: Rule | None, tag: str) -> Notice | None:
    if known.told is not None:
        return replace(known, owed=Owed.RESOLVED)
    concerned = known.owed is not None or (rule is not None and _is_told(rule, tag))
    return replace(known, owed=Owed.PASSED) if concerned else None


def _is_told(rule: Rule, tag: str) -> bool:
    return not rule.digest_only and _is_among(tag, rule.channels)


def _is_among(tag: str, channels: Sequence[str]) -> bool:
    return not channels or tag in channels


def _escalates(alert: RaisedAlert, rule: Rule, now: datetime) -> bool:
    if rule.escalate_after is None or alert.acknowledged_at is not None:
        return False
    return now - alert.raised_at >= rule.escalate_after


def _is_due_again(known: Notice, rule: Rule, tag: str, now: datetime) -> bool:
    if rule.remind is None or known.alert.acknowledged_at is not None or known.told_at is None:
        return False
    return (known.escalated or _is_told(rule, tag)) and now - known.told_at >= rule.remind


def _rank(severity: str) -> int:
    return SEVERITIES.index(severity) if severity in SEVERITIES else SEVERITIES.index("warning")


# --- how much, and in which words -------------------------------------------------------------------------


def room(sent: Sequence[datetime], now: datetime, per_hour: int) -> int:
    """Return how many messages an address may get now. sent: when it got the last ones.

    Never more than `per_hour` in an hour: the first half as they come, the others spread over the hour, so
    that a storm does not keep what comes after it waiting.
    """
    recent = sorted(at for at in sent if now - HOUR < at <= now)
    burst = max(1, per_hour // 2)
    if len(recent) < burst:
        return burst - len(recent)
    if len(recent) >= per_hour:
        return 0
    return int(now - recent[-1] >= HOUR / (per_hour - burst))


def rest(failures: int) -> timedelta:
    """Return how long to leave an address alone that took nothing `failures` times in a row."""
    return STEPS[min(failures, len(STEPS)) - 1] if failures > 0 else timedelta(0)


def compose(owed: Sequence[Notice], most: int, zone: tzinfo) -> list[Message]:
    """Return the next messages of an address, `most` at most, in order. What they leave out waits.

    owed: what it is owed. zone: in which instants are shown. Where there are more than messages, the last one
    gathers what it can name; in a storm each does.
    """
    waiting = sorted(owed, key=lambda notice: notice.turn)
    messages: list[Message] = []
    while waiting and len(messages) < most:
        left = most - len(messages)
        gathers = len(waiting) > left and (left == 1 or len(waiting) > STORM)
        message = _gathered(waiting) if gathers else _single(waiting[0], zone)
        messages.append(message)
        waiting = waiting[len(message.notices) :]
    return messages


def _single(notice: Notice, zone: tzinfo) -> Message:
    alert = notice.alert
    times = [f"raised {_shown(alert.raised_at, zone)}"]
    if alert.cleared_at is not None:
        times.append(f"over {_shown(alert.cleared_at, zone)}")
    text = f"{alert.text[:MOST_CHARACTERS]}\n\n{', '.join(times)}"
    title = f"[{_state(notice)}] {alert.key[:LINE_CHARACTERS]}"
    return Message(title=title, text=text, severity=_severity(notice), notices=(notice,))


def _gathered(waiting: Sequence[Notice]) -> Message:
    lines = [f"[{_state(n)}] {n.alert.key}: {n.alert.text}"[:LINE_CHARACTERS] for n in waiting]
    text, told = "\n".join(lines), len(waiting)
    if len(text) > MOST_CHARACTERS:
        text, told = _by_name(waiting)
    notices = tuple(waiting[:told])
    counts = Counter(_state(notice) for notice in notices)
    title = f"{told} more: {', '.join(f'{count} {state}' for state, count in counts.most_common())}"
    worst = max((_severity(notice) for notice in notices), key=_rank)
    return Message(title=title, text=text, severity=worst, notices=notices)


def _by_name(waiting: Sequence[Notice]) -> tuple[str, int]:
    """Return a text that names as many of the first alerts as it can, by kind, and how many these are."""
    groups: dict[str, Counter[str]] = {}
    length = told = 0
    for notice in waiting:
        kind, _, name = notice.alert.key[:LINE_CHARACTERS].partition(":")
        head = f"[{_state(notice)}] {kind}"
        again = name in groups.get(head, ())
        length += len(TIMES) if again else len(name) + 2 + (len(head) + 3 if head not in groups else 0)
        if told and length > MOST_CHARACTERS:
            break
        groups.setdefault(head, Counter())[name] += 1
        told += 1
    return "\n".join(_group(head, names) for head, names in groups.items()), told


def _group(head: str, names: Counter[str]) -> str:
    shown = [f"{name} ({count} times)".lstrip() if count > 1 else name for name, count in names.items()]
    return f"{head}: {', '.join(shown)}" if shown != [""] else head


def _state(notice: Notice) -> str:
    """The words in front of a message."""
    match notice.owed:
        case Owed.REMINDER:
            return f"{notice.alert.severity}, still"
        case Owed.ESCALATED:
            return f"{notice.alert.severity}, {'not acknowledged' if notice.escalated else 'worse'}"
        case Owed.RESOLVED:
            return "cleared"
        case Owed.PASSED:
            return f"{notice.alert.severity}, over"
        case _:
            return notice.alert.severity


def _severity(notice: Notice) -> str:
    """How severe a message about it is: that something is over is news."""
    return "info" if notice.owed in (Owed.RESOLVED, Owed.PASSED) else notice.alert.severity


def _shown(instant: datetime, zone: tzinfo) -> str:
    return instant.astimezone(zone).strftime("%a %Y-%m-%d %H:%M %Z")
