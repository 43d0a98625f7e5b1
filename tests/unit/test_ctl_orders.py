"""Orders of the control command: what the daemon is asked, what is said, how the command ends."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner, Result

from orchestration.control import Answer
from orchestration.ctl.main import app
from tests.control_desk import FakeDaemon, make_box, make_desk, running_daemon

ORDERS = {
    ("pause",): ("pause", {"all": "false"}),
    ("pause", "--all"): ("pause", {"all": "true"}),
    ("pause", "daily_report"): ("pause", {"task": "daily_report"}),
    ("resume",): ("resume", {}),
    ("resume", "daily_report"): ("resume", {"task": "daily_report"}),
    ("run", "daily_report"): ("run", {"task": "daily_report"}),
    ("stop", "daily_report.2026-11-20.once.1"): ("stop", {"run": "daily_report.2026-11-20.once.1"}),
    ("reconcile", "execute_orders"): ("reconcile", {"task": "execute_orders"}),
    ("handover",): ("handover", {}),
    ("reload",): ("reload", {}),
}


def order(daemon: FakeDaemon, *words: str) -> Result:
    return CliRunner().invoke(app, list(words), obj=make_desk(daemon))


@pytest.mark.parametrize("words", ORDERS, ids=" ".join)
def test_an_order_reaches_the_daemon_and_its_answer_the_person(words: tuple[str, ...]) -> None:
    daemon = FakeDaemon(who={"pid": 4242})

    result = order(daemon, *words)

    assert result.exit_code == 0
    assert daemon.asked == [ORDERS[words]]
    assert f"{ORDERS[words][0]} done" in result.stdout


@pytest.mark.parametrize("words", ORDERS, ids=" ".join)
def test_an_order_as_json_is_one_object(words: tuple[str, ...]) -> None:
    result = order(FakeDaemon(who={"pid": 4242}), *words, "--json")

    answer = json.loads(result.stdout)
    assert answer["ok"] is True
    assert answer["text"].startswith(f"{ORDERS[words][0]} done")


@pytest.mark.parametrize("words", ORDERS, ids=" ".join)
def test_a_refusal_ends_with_1_and_says_why(words: tuple[str, ...]) -> None:
    name = ORDERS[words][0]
    daemon = FakeDaemon({name: Answer(ok=False, text="no, because")}, who={"pid": 4242})

    result = order(daemon, *words, "--json")

    assert result.exit_code == 1
    assert json.loads(result.stdout) == {"ok": False, "text": "no, because"}
    assert result.stderr == "orchestratorctl: no, because\n"


@pytest.mark.parametrize("words", [("pause",), ("run", "daily_report"), ("handover",), ("reconcile",)])
def test_a_daemon_that_does_not_answer_ends_with_4(words: tuple[str, ...]) -> None:
    result = order(FakeDaemon(who={"pid": 4242}, is_mute=True), *words)

    assert result.exit_code == 4
    assert "did not take the command" in result.stderr


@pytest.mark.parametrize("words", [("handover",), ("reconcile",), ("reconcile", "--all")])
def test_without_a_daemon_it_ends_with_3(words: tuple[str, ...]) -> None:
    result = order(FakeDaemon(), *words)

    assert result.exit_code == 3
    assert "no daemon is running on /nonexistent/state" in result.stderr


def test_a_daemon_that_stays_after_a_handover_is_said() -> None:
    daemon = FakeDaemon(who={"pid": 4242})
    daemon.answers["handover"] = Answer(ok=True, text="it ends")
    stubborn = type("Stubborn", (FakeDaemon,), {"holder": lambda self: {"pid": 4242}})()

    result = CliRunner().invoke(app, ["handover"], obj=make_desk(stubborn))

    assert result.exit_code == 4
    assert "process 4242 is still there" in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("pause", "daily_report", "--all"),
        ("reconcile", "daily_report", "--all"),
        ("resume", "daily_report", "--trading"),
        ("halt",),
        ("halt", " "),
        ("run",),
        ("stop",),
        ("nonsense",),
        ("--timeout", "0", "status"),
    ],
    ids=" ".join,
)
def test_a_command_line_that_cannot_be_used_ends_with_2(words: tuple[str, ...]) -> None:
    daemon = FakeDaemon(who={"pid": 4242})

    assert order(daemon, *words).exit_code == 2
    assert daemon.asked == []


def test_reconcile_without_a_task_lists_those_that_wait_for_it_and_settles_nothing() -> None:
    daemon = _with_unreconciled("execute_orders")

    result = order(daemon, "reconcile")

    assert result.stdout == "orchestratorctl reconcile execute_orders\n"
    assert [name for name, _ in daemon.asked] == ["snapshot"]


def test_reconcile_all_settles_each_that_waits_for_it() -> None:
    daemon = _with_unreconciled("execute_orders", "daily_report")

    assert order(daemon, "reconcile", "--all").exit_code == 0

    settled = [args["task"] for name, args in daemon.asked if name == "reconcile"]
    assert settled == ["daily_report", "execute_orders"]


def test_reconcile_says_when_nothing_waits_for_it() -> None:
    result = order(running_daemon(), "reconcile")

    assert result.exit_code == 0
    assert result.stdout == "nothing waits to be reconciled\n"


def _with_unreconciled(*names: str) -> FakeDaemon:
    daemon = running_daemon(make_box())
    assert daemon.view is not None
    for task in daemon.view["tasks"]:
        if task["name"] in names:
            task["failures"] = [{"reason": "NEEDS_RECONCILE", "passed": False}]
    return daemon
