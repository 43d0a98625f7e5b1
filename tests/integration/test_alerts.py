"""Alerts reach the log and the operator's command, and never hold up the daemon."""

from __future__ import annotations

import io
import json
import os
import sys
import threading
import time
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from observability.alerts import (
    MOST_WAITING,
    Alert,
    AlertSink,
    CommandSink,
    Delivery,
    LogSink,
    failed_unit,
    run_command,
)
from scripts.send_alert import main

HOT = Alert(name="overheating", text="84 C, the limit is 80", severity="error", task="run_research")


def recorder(path: Path, more: str = "") -> list[str]:
    """A command that appends what it was given to `path`."""
    code = "import os, sys; print(sys.stdin.read() + os.environ['ALERT_NAME'], file=open(sys.argv[1], 'a'));"
    return [sys.executable, "-c", code + more, str(path)]


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "it did not happen in time"
        time.sleep(0.005)


def test_the_log_sink_writes_an_alert_at_its_severity_and_its_end_as_news() -> None:
    told: list[tuple[str, str, dict[str, object]]] = []
    sink: AlertSink = LogSink(lambda level, event, **keys: told.append((level, event, keys)))

    sink.send(HOT)
    sink.send(Alert(name="overheating", text="cool again", cleared=True))
    sink.close(1.0)

    assert told == [
        ("error", "alert.raised", {"alert": "overheating", "text": HOT.text, "task": "run_research"}),
        ("info", "alert.cleared", {"alert": "overheating", "text": "cool again", "task": None}),
    ]


def test_the_command_gets_the_message_on_its_standard_input(tmp_path: Path) -> None:
    delivery = run_command(recorder(tmp_path / "got"), HOT)

    assert delivery == Delivery("overheating", None)
    assert (tmp_path / "got").read_text() == (
        "[error] overheating (run_research)\n84 C, the limit is 80\noverheating\n"
    )


def test_a_cleared_alert_says_so() -> None:
    assert Alert(name="overheating", text="cool", cleared=True).message == "[cleared] overheating\ncool\n"


def test_the_command_sees_no_secret_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKER_API_KEY", "planted")
    code = f"import os; open({str(tmp_path / 'env')!r}, 'w').write(' '.join(os.environ))"

    run_command([sys.executable, "-c", code], HOT)

    seen = (tmp_path / "env").read_text().split()
    assert "BROKER_API_KEY" not in seen
    assert {"PATH", "ALERT_NAME", "ALERT_SEVERITY", "ALERT_TASK"} <= set(seen)


def test_a_command_that_fails_or_is_missing_is_a_problem_and_no_exception(tmp_path: Path) -> None:
    assert run_command([sys.executable, "-c", "raise SystemExit(3)"], HOT).problem == "ended with 3"
    assert "cannot be started" in str(run_command([str(tmp_path / "missing")], HOT).problem)


def test_a_command_that_hangs_is_killed_with_all_it_started(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    # The shell, as it writes its child's number long before its second is over, on a busy box too.
    script = f"sleep 60 & echo $! >{pid_file}; wait"
    begun = time.monotonic()

    delivery = run_command(["/bin/sh", "-c", script], HOT, limit_s=1.0)

    assert delivery.problem == "took longer than 1 s"
    assert time.monotonic() - begun < 30
    until(lambda: _is_gone(int(pid_file.read_text())))


def _is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")")[1].split()[0] == "Z"
    except OSError:
        return True


def test_sending_does_not_wait_and_every_alert_arrives_in_order(tmp_path: Path) -> None:
    told: list[Delivery] = []
    go = tmp_path / "go"
    waiting = "\nimport pathlib, time\nwhile not pathlib.Path(sys.argv[2]).exists(): time.sleep(0.01)"
    sink = CommandSink([*recorder(tmp_path / "got", waiting), str(go)], told.append, limit_s=60.0)

    for number in range(3):
        sink.send(Alert(name=f"alert_{number}", text="x"))

    assert told == []  # had it waited, the command would have had to end before this
    go.touch()
    sink.close(60.0)
    assert [delivery.alert for delivery in told] == ["alert_0", "alert_1", "alert_2"]
    assert [line for line in (tmp_path / "got").read_text().splitlines() if line.startswith("alert_")] == [
        "alert_0",
        "alert_1",
        "alert_2",
    ]


def test_the_thread_goes_when_nothing_waits_and_comes_again() -> None:
    told: list[Delivery] = []
    sink = CommandSink(["true"], told.append)
    sink.close(1.0)
    for number in range(2):
        sink.send(HOT)
        until(lambda expected=number + 1: len(told) == expected)  # type: ignore[misc]  # binds the loop's value
        sink.close(60.0)

    assert [delivery.problem for delivery in told] == [None, None]


def test_a_storm_is_bounded_and_counted(tmp_path: Path) -> None:
    go = tmp_path / "go"
    sink = CommandSink(["/bin/sh", "-c", f'while [ ! -e "{go}" ]; do sleep 0.01; done'], limit_s=60.0)

    for _ in range(MOST_WAITING + 10):
        sink.send(HOT)

    assert sink.dropped in (9, 10)  # the thread may have taken the first already
    go.touch()
    sink.close(60.0)


@pytest.mark.parametrize(
    ("environ", "text"),
    [
        (
            {
                "MONITOR_UNIT": "daily-orchestrator.service",
                "MONITOR_SERVICE_RESULT": "exit-code",
                "MONITOR_EXIT_CODE": "exited",
                "MONITOR_EXIT_STATUS": "78",
            },
            "daily-orchestrator.service has failed: exit-code (exited 78).",
        ),
        ({}, "given.service has failed: failed."),
    ],
)
def test_a_failed_unit_is_told_with_what_systemd_knows(environ: dict[str, str], text: str) -> None:
    alert = failed_unit(environ, "given.service")

    assert alert.text.splitlines()[0] == text
    assert "journalctl -u" in alert.text
    assert alert.severity == "critical"


class TestSendAlert:
    """The script behind OnFailure=."""

    def test_a_failed_unit_goes_into_the_log_and_to_the_command(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        command = tmp_path / "notify"
        command.write_text(f"#!/bin/sh\ncat > {tmp_path / 'got'}\n")
        command.chmod(0o755)
        env = {
            "ORCHESTRATOR_LOG_DIR": str(tmp_path / "logs"),
            "ORCHESTRATOR_ALERT_COMMAND": f"'{command}' --loud",
            "MONITOR_SERVICE_RESULT": "watchdog",
        }

        code = main(["--unit", "daily-orchestrator.service"], env)

        line = json.loads(capsys.readouterr().out)
        assert code == 0
        assert (line["level"], line["event"], line["alert"]) == ("critical", "alert.raised", "unit_failed")
        assert json.loads((tmp_path / "logs" / "alerts.log").read_text()) == line
        assert (tmp_path / "got").read_text().startswith("[critical] unit_failed\ndaily-orchestrator.service")

    def test_a_way_that_fails_is_told_and_the_log_is_written_all_the_same(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        env = {"ORCHESTRATOR_LOG_DIR": str(tmp_path), "ORCHESTRATOR_ALERT_COMMAND": "false"}

        code = main(["--name", "disk_full", "--text", "2 % left", "--severity", "error"], env)

        out = capsys.readouterr()
        assert code == 1
        assert "the alert command 'false' ended with 1" in out.err
        assert json.loads((tmp_path / "alerts.log").read_text())["text"] == "2 % left"

    def test_a_command_that_cannot_be_read_is_named(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["--name", "x", "--text", "y"], {"ORCHESTRATOR_ALERT_COMMAND": "mail 'me"}) == 1
        assert "ORCHESTRATOR_ALERT_COMMAND" in capsys.readouterr().err

    def test_a_log_that_cannot_be_written_is_named(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "file").write_text("")

        assert main(["--name", "x", "--text", "y"], {"ORCHESTRATOR_LOG_DIR": str(tmp_path / "file")}) == 1
        assert "alerts.log cannot be written" in capsys.readouterr().err

    def test_the_text_may_come_on_standard_input(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(sys, "stdin", io.StringIO("from a pipe\n"))

        assert main(["--name", "x"], {}) == 0
        assert json.loads(capsys.readouterr().out)["text"] == "from a pipe"

    def test_the_journal_is_told_the_priority(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with (tmp_path / "out").open("w") as stream:
            at = os.fstat(stream.fileno())
            monkeypatch.setattr(sys, "stdout", stream)
            main(["--unit", "a.service"], {"JOURNAL_STREAM": f"{at.st_dev}:{at.st_ino}"})

        assert (tmp_path / "out").read_text().startswith("<2>{")

    def test_secrets_do_not_reach_the_log(self, capsys: pytest.CaptureFixture[str]) -> None:
        main(["--name", "x", "--text", "refused token=planted-secret"], {})

        assert "planted-secret" not in capsys.readouterr().out

    def test_wrong_use_is_exit_code_2(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as ended:
            main([], {})

        assert ended.value.code == 2

    def test_apprise_missing_is_a_problem_with_its_remedy(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setitem(sys.modules, "apprise", None)

        assert main(["--name", "x", "--text", "y"], {"ORCHESTRATOR_ALERT_URLS": "json://localhost"}) == 1
        assert "pip install apprise" in capsys.readouterr().err

    @pytest.mark.parametrize(("delivers", "code"), [(True, 0), (False, 1)])
    def test_apprise_gets_headline_and_text(
        self, delivers: bool, code: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sent: list[dict[str, str]] = []

        class Apprise(list[object]):
            def add(self, url: str) -> bool:
                return url == "json://localhost"

            def notify(self, **told: str) -> bool:
                sent.append(told)
                return delivers

        monkeypatch.setitem(sys.modules, "apprise", types.SimpleNamespace(Apprise=Apprise))
        urls = {"ORCHESTRATOR_ALERT_URLS": "phone=json://localhost"}

        assert main(["--name", "x", "--text", "y"], urls) == code
        assert [(told["title"], told["body"]) for told in sent] == [("[warning] x", "y")]

    def test_an_address_that_is_not_understood_is_told_by_its_name_alone(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        apprise = types.SimpleNamespace(Apprise=lambda: types.SimpleNamespace(add=lambda url: False))
        monkeypatch.setitem(sys.modules, "apprise", apprise)

        assert main(["--name", "x", "--text", "y"], {"ORCHESTRATOR_ALERT_URLS": "odd=odd://secret"}) == 1
        err = capsys.readouterr().err
        assert "the address 'odd': apprise does not understand the address" in err
        assert "odd://secret" not in err

    def test_an_address_that_hangs_keeps_no_other_waiting(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        go, sent = threading.Event(), list[str]()

        class Apprise(list[object]):
            def add(self, url: str) -> bool:
                self.url = url
                return True

            def notify(self, **told: str) -> bool:
                if "slow" in self.url:
                    go.wait(30)
                sent.append(self.url)
                return True

        monkeypatch.setitem(sys.modules, "apprise", types.SimpleNamespace(Apprise=Apprise))
        monkeypatch.setattr("scripts.send_alert.LONGEST_S", 0.2)

        assert (
            main(["--name", "x", "--text", "y"], {"ORCHESTRATOR_ALERT_URLS": "a=slow://x b=quick://x"}) == 1
        )
        assert sent == ["quick://x"]
        assert "the address 'a': it took longer than 0.2 s" in capsys.readouterr().err
        go.set()

    def test_the_addresses_may_lie_among_the_credentials(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "alert_urls").write_text("odd://secret\n")
        added: list[str] = []
        apprise = types.SimpleNamespace(Apprise=lambda: types.SimpleNamespace(add=added.append))
        monkeypatch.setitem(sys.modules, "apprise", apprise)

        main(["--name", "x", "--text", "y"], {"CREDENTIALS_DIRECTORY": str(tmp_path)})

        assert added == ["odd://secret"]
