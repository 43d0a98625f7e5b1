"""The kill switch and the worker's lock, as files that hold whatever happens to their makers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from trading.execution.errors import AnotherWorker, LedgerError
from trading.execution.kill_switch import Halt, KillSwitch
from trading.execution.turn_lock import held

AT = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
LATER = AT + timedelta(minutes=5)


@pytest.fixture
def switch(tmp_path: Path) -> KillSwitch:
    return KillSwitch(tmp_path / "trading.halt")


def test_without_a_file_trading_goes_on(switch: KillSwitch) -> None:
    assert not switch.is_set()
    assert switch.read() is None
    assert not switch.clear("me", AT)


def test_a_halt_is_seen_by_every_other_process(switch: KillSwitch) -> None:
    switch.set("daily loss", "risk", AT)

    other = KillSwitch(switch.path)
    assert other.is_set()
    assert other.read() == Halt(reason="daily loss", by="risk", at=AT)


def test_the_first_reason_stays_and_later_ones_follow(switch: KillSwitch) -> None:
    switch.set("daily loss", "risk", AT)
    switch.set("to be sure", "me", LATER)

    assert switch.read() == Halt(reason="daily loss", by="risk", at=AT)
    lines = [json.loads(line) for line in switch.path.read_text().splitlines()]
    assert [line["reason"] for line in lines] == ["daily loss", "to be sure"]


def test_a_cleared_halt_is_kept_in_the_history_with_who_cleared_it(switch: KillSwitch) -> None:
    switch.set("daily loss", "risk", AT)

    assert switch.clear("me", LATER)

    assert not switch.is_set()
    lines = [json.loads(line) for line in switch.history.read_text().splitlines()]
    assert [(line["by"], line.get("cleared", False)) for line in lines] == [("risk", False), ("me", True)]


def test_a_halt_after_a_clearance_has_its_own_reason(switch: KillSwitch) -> None:
    switch.set("daily loss", "risk", AT)
    switch.clear("me", AT)
    switch.set("feed broken", "watch", LATER)

    assert switch.read() == Halt(reason="feed broken", by="watch", at=LATER)


def test_an_empty_file_halts(switch: KillSwitch) -> None:
    switch.path.touch()

    assert switch.is_set()
    assert switch.read() == Halt(reason=f"{switch.path} is there, without a reason")


def test_a_line_from_a_shell_is_the_reason(switch: KillSwitch) -> None:
    switch.path.write_text("\nbroker sends nonsense\n")
    switch.set("and more", "me", AT)

    assert switch.read() == Halt(reason="broker sends nonsense")


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\x00", b"{", b"[]", b'{"at": "yesterday", "by": 1, "reason": 2}']
)
def test_a_file_of_nonsense_halts(switch: KillSwitch, content: bytes) -> None:
    switch.path.write_bytes(content)

    halt = switch.read()

    assert switch.is_set()
    assert halt is not None
    assert halt.at is None


def test_a_directory_halts_and_can_be_cleared(switch: KillSwitch) -> None:
    switch.path.mkdir()
    switch.set("daily loss", "risk", AT)

    assert switch.is_set()
    assert switch.read() is not None
    assert switch.clear("me", AT)
    assert not switch.is_set()


def test_a_link_to_nowhere_halts(switch: KillSwitch) -> None:
    switch.path.symlink_to("nowhere")

    assert switch.is_set()
    assert switch.read() is not None


def test_a_pipe_halts_and_blocks_nobody(switch: KillSwitch) -> None:
    os.mkfifo(switch.path)

    assert switch.is_set()
    assert switch.read() is not None


def test_a_place_that_cannot_be_looked_at_halts(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the directory should be")

    assert KillSwitch(tmp_path / "state" / "trading.halt").is_set()


def test_a_halt_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file or directory"):
        KillSwitch(tmp_path / "missing" / "trading.halt").set("daily loss", "risk", AT)


def test_a_reason_that_cannot_be_written_leaves_the_halt(switch: KillSwitch) -> None:
    # A directory where the temporary file should be stands for any failure after the first step.
    switch.path.with_name(f".{switch.path.name}.{os.getpid()}").mkdir()

    switch.set("daily loss", "risk", AT)

    assert switch.is_set()


def test_a_halt_leaves_no_other_file(switch: KillSwitch) -> None:
    switch.set("daily loss", "risk", AT)
    switch.set("again", "risk", AT)

    assert os.listdir(switch.path.parent) == ["trading.halt"]


def test_a_second_worker_is_told_who_is_working(tmp_path: Path) -> None:
    path = tmp_path / "execution.lock"

    with (
        held(path, AT),
        pytest.raises(AnotherWorker, match=f"process {os.getpid()} since 2026-11-20T15:00:00"),
        held(path, LATER),
    ):
        pass


def test_the_lock_is_free_after_the_work(tmp_path: Path) -> None:
    path = tmp_path / "execution.lock"
    for _ in range(2):
        with held(path):
            assert path.read_text().startswith(f"{os.getpid()} ")

    assert path.read_text() == ""


def test_the_lock_is_free_after_an_error(tmp_path: Path) -> None:
    path = tmp_path / "execution.lock"
    with pytest.raises(ZeroDivisionError), held(path):
        _ = 1 / 0

    with held(path):
        pass


def test_the_lock_is_released_by_death(tmp_path: Path) -> None:
    path = tmp_path / "execution.lock"
    code = (
        "import sys, pathlib\n"
        "from trading.execution.turn_lock import held\n"
        "with held(pathlib.Path(sys.argv[1])):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    worker = subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        cwd=Path(__file__).parents[2],
    )
    with worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "held\n"
        with pytest.raises(AnotherWorker, match=f"process {worker.pid} since"), held(path):
            pass
        os.kill(worker.pid, signal.SIGKILL)

    with held(path):
        pass


def test_a_lock_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="the lock cannot be made"), held(tmp_path / "missing" / "lock"):
        pass
