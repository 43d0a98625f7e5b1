"""control.db: a command is taken at most once, answered, withdrawn; and its faults never reach the daemon."""

from __future__ import annotations

import errno
import json
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestration.control import Answer, ControlDb, NoCommands
from orchestration.errors import ControlError
from orchestration.ports import Command, Inbox

NOW = datetime(2026, 11, 20, 23, 0, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "control.db"


def test_a_command_is_taken_once_with_its_arguments(path: Path) -> None:
    command_id = ControlDb(path).post("run", {"task": "daily_report"})
    daemon = ControlDb(path)

    assert daemon.pending() == [Command(id=command_id, name="run", args={"task": "daily_report"})]
    assert daemon.pending() == []


def test_a_command_taken_before_a_crash_is_not_taken_again_after_it(path: Path) -> None:
    ControlDb(path).post("stop", {"run": "job.1"})
    ControlDb(path).pending()  # and here the daemon dies

    assert ControlDb(path).pending() == []


def test_commands_come_in_the_order_of_their_posting(path: Path) -> None:
    client = ControlDb(path, now=lambda: NOW)
    names = ["pause", "run", "resume", "stop"]
    for name in names:
        client.post(name)

    assert [command.name for command in ControlDb(path, now=lambda: NOW).pending()] == names


def test_two_takers_never_get_the_same_command(path: Path) -> None:
    client = ControlDb(path)
    posted = {client.post("run") for _ in range(20)}
    taken: list[str] = []

    def take() -> None:
        taken.extend(command.id for command in ControlDb(path).pending())

    threads = [threading.Thread(target=take) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(taken) == sorted(posted)


def test_the_client_gets_the_answer(path: Path) -> None:
    client, daemon = ControlDb(path), ControlDb(path)
    command_id = client.post("snapshot")
    daemon.pending()

    daemon.answer(command_id, ok=True, text="here it is", payload='{"mode": "prep"}')

    assert client.wait_answer(command_id, 0.0) == Answer(
        ok=True, text="here it is", payload='{"mode": "prep"}'
    )


def test_the_client_waits_until_the_answer_is_there(path: Path) -> None:
    client, daemon = ControlDb(path), ControlDb(path)
    command_id = client.post("pause")
    daemon.pending()
    answering = threading.Timer(0.05, lambda: daemon.answer(command_id, ok=False, text="no"))
    answering.start()

    answer = client.wait_answer(command_id, 10.0)
    answering.join()

    assert answer == Answer(ok=False, text="no")


def test_a_command_that_nobody_took_in_time_is_withdrawn(path: Path) -> None:
    client = ControlDb(path)
    command_id = client.post("run", {"task": "execute_orders"})

    with pytest.raises(ControlError, match="withdrawn"):
        client.wait_answer(command_id, 0.0)

    assert ControlDb(path).pending() == []


def test_a_command_taken_but_not_answered_may_still_be_carried_out(path: Path) -> None:
    client = ControlDb(path)
    command_id = client.post("run")
    ControlDb(path).pending()

    with pytest.raises(ControlError, match="may still carry it out"):
        client.wait_answer(command_id, 0.0)


def test_an_answer_to_an_unknown_command_is_not_waited_for(path: Path) -> None:
    with pytest.raises(ControlError, match="unknown"):
        ControlDb(path).wait_answer("nonsense", 10.0)


def test_a_command_that_waited_for_a_daemon_too_long_is_refused(path: Path) -> None:
    client = ControlDb(path, now=lambda: NOW)
    command_id = client.post("run")

    assert ControlDb(path, now=lambda: NOW + timedelta(hours=1)).pending() == []

    answer = client.wait_answer(command_id, 0.0)
    assert not answer.ok
    assert "waited too long" in answer.text


@pytest.mark.parametrize("args", ["no json", "[1]"])
def test_arguments_that_are_no_object_are_refused(path: Path, args: str) -> None:
    client = ControlDb(path)
    command_id = client.post("run")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE commands SET args = ?", (args,))
        connection.commit()

    assert ControlDb(path).pending() == []

    assert "no JSON object" in client.wait_answer(command_id, 0.0).text


def test_old_commands_are_forgotten(path: Path) -> None:
    ControlDb(path, now=lambda: NOW).post("pause")
    later = ControlDb(path, now=lambda: NOW + timedelta(days=8))
    later.post("resume")

    assert [command.name for command in later.pending()] == ["resume"]

    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM commands").fetchone() == (1,)


def test_the_file_belongs_to_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "control.db"

    ControlDb(path).post("pause")

    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}


def header(path: Path) -> None:
    path.write_bytes(b"\xa5" * 8192)


def middle(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:8192] = b"\xa5" * 4096
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [header, middle])
def test_a_damaged_file_is_set_aside_and_the_daemon_goes_on(
    path: Path, damage: Callable[[Path], None]
) -> None:
    client, daemon = ControlDb(path), ControlDb(path)
    client.post("pause")
    damage(path)

    assert daemon.pending() == []
    command_id = client.post("resume")

    assert [command.id for command in daemon.pending()] == [command_id]
    assert daemon.last_error is None
    assert path.with_name("control.db.damaged").is_file()


def test_a_daemon_that_cannot_reach_the_file_goes_on_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    daemon = ControlDb(tmp_path / "file" / "control.db")

    daemon.answer("some", ok=True, text="done")

    assert daemon.pending() == []
    assert daemon.last_error is not None
    assert str(errno.ENOTDIR) in daemon.last_error


def test_a_command_that_cannot_be_marked_stays_for_the_next_time(path: Path) -> None:
    command_id = ControlDb(path).post("pause")
    daemon = ControlDb(path, busy_timeout_s=0.01)

    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert daemon.pending() == []
        assert "locked" in str(daemon.last_error)
        other.execute("ROLLBACK")

    assert [command.id for command in daemon.pending()] == [command_id]


def test_a_client_that_cannot_write_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ControlError, match=r"control\.db cannot be used"):
        ControlDb(tmp_path / "file" / "control.db").post("pause")


def test_what_a_killed_taker_took_is_not_taken_again(path: Path) -> None:
    client = ControlDb(path)
    posted = [client.post("run") for _ in range(30)]
    # Each taker prints what it took and dies by SIGKILL before it answers.
    code = (
        "import os, signal, sys, json; from orchestration.control import ControlDb\n"
        "print(json.dumps([c.id for c in ControlDb(sys.argv[1]).pending()]), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )

    taken: list[str] = []
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, check=False)
        taken += json.loads(done.stdout)

    assert taken == posted


def test_nobody_writes_to_no_commands() -> None:
    inbox: Inbox = NoCommands()

    inbox.answer("some", ok=True, text="done")

    assert inbox.pending() == []
