"""Carries what the outbox holds to the addresses: several at once, each in order, each message in its time.

A message is written into the outbox before it is sent and marked after; an address that does not take one is
left alone for a while, and what it is owed waits. Standard library only.
"""

from __future__ import annotations

import math
import queue
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Protocol

from observability.alert_delivery import HOUR, Message, after_told, compose, rest, room
from observability.alert_outbox import Address, Outbox

if TYPE_CHECKING:
    from orchestration.ports import Clock

LIMIT_S = 60.0
"""How long a message may take before its address is given up for this time."""

BUDGET_S = 150.0
"""After this no further message is begun; the next job goes on."""

STOP_S = 5.0
"""How long the messages under way may still take once the job is to end."""

LOOK_S = 0.5
"""How often is looked whether it is: a signal does not end the wait for an answer."""

AT_ONCE = 4


class Send(Protocol):
    """Hands a message over; returns why it was not taken, None if it was. Blocks."""

    def __call__(self, title: str, text: str, severity: str) -> str | None: ...


@dataclass(slots=True)
class Delivered:
    """What came of it: messages taken, by address; why an address took none, by address."""

    sent: Counter[str] = field(default_factory=Counter)
    failed: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Parcel:
    address: str
    message: Message
    until: datetime | None  # of a digest


@dataclass(frozen=True, slots=True)
class _Flight:
    number: int
    parcel: _Parcel
    limit: float  # monotonic


def deliver(
    outbox: Outbox,
    connect: Callable[[Address], Send | str],
    clock: Clock,
    *,
    per_hour: int,
    zone: tzinfo,
    stop: Callable[[], bool] = lambda: False,
    limit_s: float = LIMIT_S,
    budget_s: float = BUDGET_S,
) -> Delivered:
    """Send what may be sent now. connect: opens an address, or says why it cannot; asked only for those that
    get something."""
    rounds: dict[str, tuple[Send, Iterator[_Parcel]]] = {}
    done = Delivered()
    now = clock.now()
    for address in outbox.addresses():
        if address.tried_at is not None and now - address.tried_at < rest(address.failures):
            continue
        parcels = _parcels(outbox, address, now, per_hour, zone)
        if not parcels:
            continue
        send = connect(address)
        if isinstance(send, str):
            outbox.failed(None, address.name, send, now)
            done.failed[address.name] = send
        else:
            rounds[address.name] = (send, iter(parcels))
    _Carrier(outbox, clock, done, limit_s).carry(rounds, stop, clock.monotonic() + budget_s)
    return done


def _parcels(outbox: Outbox, address: Address, now: datetime, per_hour: int, zone: tzinfo) -> list[_Parcel]:
    most = room(outbox.sent_since(address.name, now - HOUR), now, per_hour)
    owed = [notice for notice in outbox.notices(address.name).values() if notice.owed is not None]
    parcels = [_Parcel(address.name, message, None) for message in compose(owed, most, zone)]
    digest = outbox.digest(address.name)
    if digest is not None and len(parcels) < most:
        parcels.append(_Parcel(address.name, *digest))
    return parcels


class _Carrier:
    """The messages on their way: a thread each, at most one for an address."""

    def __init__(self, outbox: Outbox, clock: Clock, done: Delivered, limit_s: float) -> None:
        self._outbox, self._clock, self._done, self._limit_s = outbox, clock, done, limit_s
        self._answers: queue.SimpleQueue[tuple[int, str | None]] = queue.SimpleQueue()
        self._flights: dict[int, _Flight] = {}
        self._overdue: dict[int, _Flight] = {}
        self._last = math.inf  # monotonic; nothing is waited for longer

    def carry(
        self, rounds: Mapping[str, tuple[Send, Iterator[_Parcel]]], stop: Callable[[], bool], until: float
    ) -> None:
        """Send each address its parcels in order, as long as it takes them, no new one after `until`."""
        ready = list(rounds)
        while ready or self._flights:
            if self._last == math.inf and stop():
                self._last = self._clock.monotonic() + STOP_S
            while ready and len(self._flights) < AT_ONCE:
                send, parcels = rounds[ready.pop(0)]
                parcel = next(parcels, None)
                if parcel is not None and not stop() and self._clock.monotonic() < until:
                    self._start(send, parcel)
            address = self._landed() if self._flights else None
            if address is not None:
                ready.append(address)
        for flight in self._overdue.values():
            if flight.limit <= self._clock.monotonic():
                self._failed(flight, f"it took longer than {self._limit_s:g} s")
            else:  # no fault of the address: it is tried again at once
                self._done.failed[flight.parcel.address] = "the job was to end before it answered"

    def _start(self, send: Send, parcel: _Parcel) -> None:
        number = self._outbox.write(parcel.address, parcel.message, self._clock.now())
        self._flights[number] = _Flight(number, parcel, self._clock.monotonic() + self._limit_s)
        message = parcel.message

        def work() -> None:
            self._answers.put((number, send(message.title, message.text, message.severity)))

        # Not waited for when the job ends (`leave` sees to those that apprise starts): one that hangs must
        # not keep it.
        threading.Thread(target=work, name=parcel.address, daemon=True).start()

    def _landed(self) -> str | None:
        """Wait a little for an answer; return the address that may get its next message, None: none may."""
        limit = min(self._last, *(flight.limit for flight in self._flights.values()))
        try:
            wait_s = min(LOOK_S, limit - self._clock.monotonic())
            number, problem = self._answers.get(timeout=max(0.0, wait_s))
        except queue.Empty:
            now = self._clock.monotonic()
            late = [
                number for number, flight in self._flights.items() if min(self._last, flight.limit) <= now
            ]
            self._overdue |= {number: self._flights.pop(number) for number in late}
            return None
        flight = self._flights.pop(number, None) or self._overdue.pop(number)
        if problem is not None:
            self._failed(flight, problem)
            return None
        self._sent(flight)
        return flight.parcel.address

    def _sent(self, flight: _Flight) -> None:
        now, parcel = self._clock.now(), flight.parcel
        known = {notice.alert.identity: after_told(notice, now) for notice in parcel.message.notices}
        self._outbox.sent(flight.number, parcel.address, known, parcel.until, now)
        self._done.sent[parcel.address] += 1

    def _failed(self, flight: _Flight, problem: str) -> None:
        self._outbox.failed(flight.number, flight.parcel.address, problem, self._clock.now())
        self._done.failed[flight.parcel.address] = problem
