"""The daemon's values as JSON-able dicts and back. Pure: standard library only.

Each class is written field by field; how a field is written follows from its annotation, and an annotation
that `KINDS` does not know is an error at import, so that a new field is never lost silently. Fields that
hold their default are left out; reading ignores unknown keys (written by a newer version) and takes the
default for missing ones (written by an older one). `v` is the format's version, for the day a field changes
its meaning.
Instants are ISO-8601 UTC with six decimals and a Z, so that their text sorts as they do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any, Final, Generic, NamedTuple, TypeVar

from orchestration.decisions import (
    Action,
    Blocked,
    Decision,
    Gate,
    Prediction,
    RaiseAlert,
    Reason,
    SkipSlot,
    StartRun,
    StopRun,
)
from orchestration.errors import StoreError
from orchestration.runs import ActiveRun, Estimate, Outcome, RunKey, RunStatus, StopCause, TaskRecord
from orchestration.types import OperatingMode, Phase, ResearchBudget, Session, Stretch, TimeWindow

VERSION = 1

RECORD_PREFIX: Final = "record/"
"""Under `record/<task>` of scheduler_state lie the daemon's own records; their estimates are a table."""

E = TypeVar("E", bound=StrEnum)
T = TypeVar("T")


def to_instant(at: datetime) -> str:
    """Return `at` as text that sorts as instants do, `2026-11-20T23:00:00.000000Z`.

    Raises:
        ValueError: if `at` has no zone.
    """
    if at.tzinfo is None:
        raise ValueError(f"{at!r} has no zone; every stored instant is aware UTC")
    return at.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def from_instant(text: str) -> datetime:
    """Return the aware UTC instant that `text` names. Raises ValueError."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"{text!r} has no zone; expected e.g. 2026-11-20T23:00:00Z")
    return at.astimezone(UTC)


def optional_instant(at: datetime | None) -> str | None:
    """Return `to_instant(at)`, None for None."""
    return None if at is None else to_instant(at)


def from_optional_instant(text: str | None) -> datetime | None:
    """Return `from_instant(text)`, None for None."""
    return None if text is None else from_instant(text)


def check_key(key: str) -> None:
    """Raise StoreError if `key` of scheduler_state is one of the records' own."""
    if key.startswith(RECORD_PREFIX):
        raise StoreError(f"key {key!r} of scheduler_state belongs to a task's record; save it as RecordSaved")


def read_stop_cause(text: str | None) -> StopCause | None:
    """Return the cause `text` names; one that only a newer version knows reads as OPERATOR."""
    return None if text is None else _enum_or(StopCause, StopCause.OPERATOR)(text)


class Kind(NamedTuple):
    """How one field is written and read; None is written as null and never reaches these."""

    write: Callable[[Any], object]
    read: Callable[[Any], Any]


def _enum_or(enum: type[E], otherwise: E) -> Callable[[Any], E]:
    def read(text: Any) -> E:
        try:
            return enum(text)
        except ValueError:
            return otherwise

    return read


def _same(value: Any) -> Any:
    return value


KINDS: dict[str, Kind] = {
    "str": Kind(_same, str),
    "int": Kind(_same, int),
    "float": Kind(float, float),
    "bool": Kind(_same, bool),
    "date": Kind(date.isoformat, date.fromisoformat),
    "datetime": Kind(to_instant, from_instant),
    "tuple[datetime, ...]": Kind(
        lambda instants: [to_instant(at) for at in instants],
        lambda texts: tuple(from_instant(text) for text in texts),
    ),
    # What a newer version ended with and this one cannot name is no success.
    "Outcome": Kind(str, _enum_or(Outcome, Outcome.FAILED)),
    "StopCause": Kind(str, _enum_or(StopCause, StopCause.OPERATOR)),
    "OperatingMode": Kind(str, OperatingMode),
    "Phase": Kind(str, Phase),
    "RunStatus": Kind(str, RunStatus),
    "RunKey": Kind(list, lambda parts: RunKey(*parts)),
    "Prediction": Kind(list, lambda parts: Prediction(*parts)),
}


class Codec(Generic[T]):
    """Writes and reads one dataclass."""

    def __init__(self, of: type[T]) -> None:
        self.of = of
        self._fields: list[tuple[str, Kind, object]] = []
        for field in fields(of):  # type: ignore[arg-type]  # every `of` below is a dataclass
            kind = KINDS.get(str(field.type).removesuffix(" | None"))
            if kind is None:
                raise TypeError(f"{of.__name__}.{field.name}: KINDS does not say how {field.type} is written")
            self._fields.append((field.name, kind, field.default))

    def to_dict(self, value: T) -> dict[str, object]:
        """Return `value` as a dict of JSON types, without the fields that hold their default."""
        written: dict[str, object] = {"v": VERSION}
        for name, kind, default in self._fields:
            of = getattr(value, name)
            if of is default or (default is not MISSING and of == default):
                continue
            written[name] = None if of is None else kind.write(of)
        return written

    def from_dict(self, raw: Mapping[str, Any]) -> T:
        """Return the value `raw` describes.

        Raises:
            ValueError: if a field without a default is missing, or one cannot be read; it names the field.
        """
        found: dict[str, object] = {}
        for name, kind, default in self._fields:
            if name in raw:
                found[name] = self._read(name, kind, raw[name])
            elif default is MISSING:
                raise ValueError(f"{self.of.__name__} without {name!r}: {dict(raw)!r}")
        return self.of(**found)

    def _read(self, name: str, kind: Kind, value: Any) -> object:
        try:
            return None if value is None else kind.read(value)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{self.of.__name__}.{name} = {value!r} cannot be read: {error}") from error


def _nested(codec: Codec[Any]) -> Kind:
    return Kind(codec.to_dict, codec.from_dict)


ESTIMATE = Codec(Estimate)
KINDS["Estimate"] = _nested(ESTIMATE)
RECORD = Codec(TaskRecord)
ACTIVE_RUN = Codec(ActiveRun)
SESSION = Codec(Session)
WINDOW = Codec(TimeWindow)
KINDS["TimeWindow"] = _nested(WINDOW)
STRETCH = Codec(Stretch)
BUDGET = Codec(ResearchBudget)


def gate_to_dict(gate: Gate) -> dict[str, object]:
    """Return `gate` as a dict of JSON types; numbers and instants that are None are left out."""
    written: dict[str, object] = {"reason": str(gate.reason), "passed": gate.passed}
    if gate.detail:
        written["detail"] = gate.detail
    if gate.needed is not None:
        written["needed"] = gate.needed
    if gate.available is not None:
        written["available"] = gate.available
    if gate.clears_at is not None:
        written["clears_at"] = to_instant(gate.clears_at)
    if gate.skips:
        written["skips"] = gate.skips
    return written


def gate_from_dict(raw: Mapping[str, Any]) -> Gate:
    """Return the gate `raw` describes; a reason of a newer version reads as NOT_DUE with its name."""
    text, detail = str(raw["reason"]), str(raw.get("detail", ""))
    known = text in Reason.__members__
    return Gate(
        reason=Reason(text) if known else Reason.NOT_DUE,
        passed=bool(raw.get("passed", False)),
        detail=detail if known else f"{text}: {detail}",
        needed=raw.get("needed"),
        available=raw.get("available"),
        clears_at=from_optional_instant(raw.get("clears_at")),
        skips=str(raw.get("skips", "")),
    )


def blocked_to_dict(blocked: Blocked) -> dict[str, object]:
    """Return `blocked` as a dict of JSON types."""
    return {
        "v": VERSION,
        "task": blocked.task,
        "failures": [gate_to_dict(gate) for gate in blocked.failures],
        "until": optional_instant(blocked.until),
    }


def blocked_from_dict(raw: Mapping[str, Any]) -> Blocked:
    """Return what `blocked_to_dict` wrote."""
    return Blocked(
        task=str(raw["task"]),
        failures=tuple(gate_from_dict(gate) for gate in raw.get("failures", ())),
        until=from_optional_instant(raw.get("until")),
    )


KINDS["Gate"] = Kind(gate_to_dict, gate_from_dict)
ACTIONS: dict[str, Codec[Any]] = {
    "start": Codec(StartRun),
    "stop": Codec(StopRun),
    "skip": Codec(SkipSlot),
    "alert": Codec(RaiseAlert),
}
ACTION_NAMES: dict[type, str] = {codec.of: name for name, codec in ACTIONS.items()}


def action_to_dict(action: Action) -> dict[str, object]:
    """Return `action` as a dict of JSON types; `kind` is start, stop, skip or alert."""
    kind = ACTION_NAMES[type(action)]
    return {"kind": kind, **ACTIONS[kind].to_dict(action)}


def action_from_dict(raw: Mapping[str, Any]) -> Action:
    """Return what `action_to_dict` wrote. Raises ValueError if the kind is none of ours."""
    codec = ACTIONS.get(str(raw.get("kind")))
    if codec is None:
        raise ValueError(f"an action of kind {raw.get('kind')!r}; expected one of {', '.join(ACTIONS)}")
    action: Action = codec.from_dict(raw)
    return action


def decision_to_dict(decision: Decision) -> dict[str, object]:
    """Return `decision` as a dict of JSON types, as `orchestratorctl` and the dashboard read it."""
    return {
        "v": VERSION,
        "at": to_instant(decision.at),
        "stretch": STRETCH.to_dict(decision.stretch),
        "budget": BUDGET.to_dict(decision.budget),
        "actions": [action_to_dict(action) for action in decision.actions],
        "blocked": {task: blocked_to_dict(blocked) for task, blocked in decision.blocked.items()},
        "wake_at": to_instant(decision.wake_at),
        "polls": decision.polls,
    }


def decision_from_dict(raw: Mapping[str, Any]) -> Decision:
    """Return what `decision_to_dict` wrote; actions of a kind this version does not know are left out."""
    return Decision(
        at=from_instant(raw["at"]),
        stretch=STRETCH.from_dict(raw["stretch"]),
        budget=BUDGET.from_dict(raw["budget"]),
        actions=tuple(action_from_dict(a) for a in raw.get("actions", ()) if a.get("kind") in ACTIONS),
        blocked={task: blocked_from_dict(value) for task, value in raw.get("blocked", {}).items()},
        wake_at=from_instant(raw["wake_at"]),
        polls=bool(raw.get("polls", False)),
    )
