"""Why a task waits, in a sentence; codes (`WONT_FIT`) are for the terminal and the logs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Any

from orchestration.ctl import words
from orchestration.decisions import Gate, Reason
from orchestration.slots import with_instants
from orchestration.state.codec import gate_from_dict

SENTENCES: Mapping[Reason, str] = {
    Reason.DISABLED: "switched off: {detail}",
    Reason.QUARANTINED: "set aside, it {detail}",
    Reason.DEADLINE_PASSED: "too late, {detail}",
    Reason.WRONG_MODE: "it {detail}",
    Reason.WRONG_PHASE: "it {detail}",
    Reason.OUTSIDE_WINDOW: "not its hours: {detail}",
    Reason.ALREADY_RAN: "it {detail}",
    Reason.NOT_DUE: "not due yet: {detail}",
    Reason.BACKOFF: "it {detail}",
    Reason.DEPENDENCY_FAILED: "what it depends on {detail}",
    Reason.DEPENDENCY: "it {detail}",
    Reason.CONFLICT: "not beside what is {detail}",
}
"""By reason, where the detail is not already the sentence: what is said around it."""

COUNTED: Mapping[Reason, str] = {
    # An older daemon's row; the detail now has how long it takes.
    Reason.DEADLINE_PASSED: "too late, {detail}: it takes {takes}",
    Reason.THERMAL: "the box is too hot: {available} °C, the limit is {needed} °C",
    Reason.WONT_FIT: "it would not end before PREP: it needs {needed} min, {available} min are left",
    Reason.MEMORY: "too little memory: it needs {needed} MB, {available} MB are free{kept}",
    Reason.SLOTS: "no free slot: it takes {needed}, {available} are free{kept}",
    Reason.RESERVED: "{detail}: it takes up to {needed} min, {available} min are left",
}
"""The same where two numbers were compared."""
PHRASES: Mapping[Reason, str] = {
    Reason.DEADLINE_PASSED: "its deadline had passed",
    Reason.THERMAL: "the box was too hot",
    Reason.WONT_FIT: "it would not have ended before PREP",
    Reason.MEMORY: "too little memory",
    Reason.SLOTS: "no free slot",
}
"""By reason, what is the same of it each time, where the detail is of numbers."""
ENDS: Mapping[Reason, str] = {
    Reason.ALREADY_RAN: "again from",
    Reason.NOT_DUE: "next",
    Reason.OUTSIDE_WINDOW: "next",
    Reason.CONFLICT: "expected until",
}
"""What is said before the instant at which it ends, where that is not "until"."""
UNITS = (" (minutes until it starts)", " (minutes)")
"""What a detail ends with where the sentence names the unit at each number."""
PRESSURE = "memory pressure"
"""What the detail begins with where memory is short by its pressure and not by its size."""


def reason(raw: Mapping[str, Any], zone: tzinfo, now: datetime | None = None) -> str:
    """Return a failing condition as a sentence, with its numbers and, where known, until when it holds.

    raw: as `orchestration.state.codec.gate_to_dict` writes it. zone: what instants are shown in, those of its
    detail too; now: from which an instant is so far off that it needs its date, None: always.
    """
    gate = gate_from_dict(raw)
    text = _said(gate, zone, now)
    if gate.clears_at is not None:
        text += f", {ENDS.get(gate.reason, 'until')} {words.instant(gate.clears_at, zone, now)}"
    return text[0].upper() + text[1:]


def phrase(gate: Gate, zone: tzinfo) -> str:
    """Return what held a task back, without what differs each time: the numbers, and until when."""
    if gate.reason is Reason.MEMORY and gate.detail.startswith(PRESSURE):
        return "memory was under pressure"
    bare = gate._replace(needed=None, available=None)
    return PHRASES.get(gate.reason) or _said(bare, zone, None)


def _said(gate: Gate, zone: tzinfo, now: datetime | None) -> str:
    if gate.reason is Reason.MEMORY and gate.detail.startswith(PRESSURE):
        return f"memory is under pressure: {_number(gate.available)} %, it starts at {_number(gate.needed)} %"
    is_counted = gate.needed is not None and gate.available is not None
    pattern = COUNTED.get(gate.reason) if is_counted else None
    detail = gate.detail or gate.reason.replace("_", " ").lower()
    for unit in UNITS:
        detail = detail.removesuffix(unit)
    detail = with_instants(detail, lambda at: words.instant(at, zone, now))
    return (pattern or SENTENCES.get(gate.reason, "{detail}")).format(
        detail=detail,
        needed=_number(gate.needed),
        available=_number(gate.available),
        takes=words.duration(None if gate.needed is None else 60 * gate.needed),
        kept=", " + kept if (kept := gate.detail.partition(", ")[2]) else "",
    )


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
