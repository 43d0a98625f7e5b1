"""Reports to systemd, read from a real datagram socket."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestration.clock import VirtualClock
from orchestration.notify import SystemdNotifier


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.settimeout(2)
        yield receiver


def environ_for(receiver: socket.socket, **more: str) -> dict[str, str]:
    return {"NOTIFY_SOCKET": receiver.getsockname(), "HOME": "/", **more}


def received(receiver: socket.socket) -> list[str]:
    return receiver.recv(4096).decode().split("\n")


def nothing_received(receiver: socket.socket) -> bool:
    receiver.setblocking(False)
    try:
        receiver.recv(4096)
    except BlockingIOError:
        return True
    return False


def test_ready_goes_with_a_status(manager: socket.socket) -> None:
    notifier = SystemdNotifier(environ_for(manager))

    notifier.ready("RESEARCH, 3 running")

    assert received(manager) == ["READY=1", "STATUS=RESEARCH, 3 running"]
    notifier.close()


def test_alive_feeds_the_watchdog_and_repeats_no_status(manager: socket.socket) -> None:
    notifier = SystemdNotifier(environ_for(manager, WATCHDOG_USEC="60000000"))

    for status in ("one", "one", "two"):
        notifier.alive(status)

    assert [received(manager) for _ in range(3)] == [
        ["WATCHDOG=1", "STATUS=one"],
        ["WATCHDOG=1"],
        ["WATCHDOG=1", "STATUS=two"],
    ]
    notifier.close()


def test_without_a_watchdog_only_news_is_sent(manager: socket.socket) -> None:
    notifier = SystemdNotifier(environ_for(manager))

    notifier.alive("one")
    notifier.alive("one")

    assert received(manager) == ["STATUS=one"]
    assert nothing_received(manager)
    notifier.close()


def test_reloading_carries_the_monotonic_time(manager: socket.socket) -> None:
    clock = VirtualClock(datetime(2026, 11, 20, tzinfo=UTC))
    clock.advance(timedelta(seconds=12.5))
    notifier = SystemdNotifier(environ_for(manager), clock)

    notifier.reloading()

    assert received(manager) == ["RELOADING=1", "MONOTONIC_USEC=12500000"]
    notifier.close()


def test_stopping_can_ask_for_more_time(manager: socket.socket) -> None:
    notifier = SystemdNotifier(environ_for(manager))

    notifier.stopping("stopping the runs")
    notifier.extend(timedelta(seconds=90))

    assert received(manager) == ["STOPPING=1", "STATUS=stopping the runs"]
    assert received(manager) == ["EXTEND_TIMEOUT_USEC=90000000"]
    notifier.close()


def test_a_status_of_several_lines_becomes_one(manager: socket.socket) -> None:
    notifier = SystemdNotifier(environ_for(manager))

    notifier.ready("PREP\nREADY=0")

    assert received(manager) == ["READY=1", "STATUS=PREP READY=0"]
    notifier.close()


def test_an_abstract_socket_is_reached() -> None:
    name = f"daily-orchestrator-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(f"\0{name}")
        receiver.settimeout(2)
        notifier = SystemdNotifier({"NOTIFY_SOCKET": f"@{name}"})

        notifier.ready("up")

        assert received(receiver) == ["READY=1", "STATUS=up"]
        notifier.close()


def test_children_do_not_see_the_variables(manager: socket.socket) -> None:
    environ = environ_for(manager, WATCHDOG_USEC="60000000", WATCHDOG_PID=str(os.getpid()))

    SystemdNotifier(environ).close()

    assert environ == {"HOME": "/"}


@pytest.mark.parametrize(
    ("environ", "interval"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "60000000"}, timedelta(seconds=30)),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}, timedelta(seconds=30)),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_fed_twice_as_often_as_it_must_be(
    environ: dict[str, str], interval: timedelta | None
) -> None:
    assert SystemdNotifier(dict(environ)).watchdog_interval() == interval


def test_without_systemd_nothing_happens() -> None:
    notifier = SystemdNotifier({})

    notifier.ready("up")
    notifier.alive("up")
    notifier.reloading()
    notifier.stopping("down")
    notifier.close()

    assert notifier.watchdog_interval() is None


def test_an_unreachable_socket_costs_the_message_and_nothing_else(tmp_path: Path) -> None:
    notifier = SystemdNotifier({"NOTIFY_SOCKET": str(tmp_path / "gone")})
    notifier.ready("up")

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "gone"))
        receiver.settimeout(2)
        notifier.alive("up")

        assert received(receiver) == ["STATUS=up"]
    notifier.close()


def test_a_manager_that_does_not_read_does_not_hold_us_up(manager: socket.socket) -> None:
    notifier = SystemdNotifier(environ_for(manager, WATCHDOG_USEC="60000000"))

    for turn in range(5000):
        notifier.alive(str(turn))

    assert received(manager) == ["WATCHDOG=1", "STATUS=0"]
    notifier.close()
