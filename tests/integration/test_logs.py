"""The log: JSON lines in a stream and a file, readable on a terminal, silent on secrets, never in the way."""

from __future__ import annotations

import errno
import io
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from observability.log_sinks import RotatingFile, StreamSink
from observability.logs import Log, configure_logging, get_logger, is_journal, readable

ROOT = Path(__file__).resolve().parents[2]


class HandClock:
    """A clock that a test turns by hand; it starts at 2026-11-20 18:00 UTC."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return datetime(2026, 11, 20, 18, tzinfo=UTC) + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture(autouse=True)
def _leave_no_trace() -> Iterator[None]:
    import structlog

    yield
    structlog.reset_defaults()
    for handler in [h for h in logging.getLogger().handlers if type(h).__module__ == "observability.logs"]:
        logging.getLogger().removeHandler(handler)


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def configured(clock: HandClock, stream: io.StringIO, **given: Any) -> Log:
    return configure_logging(clock, stream=stream, **given)


def test_a_line_has_time_level_logger_event_and_keys(clock: HandClock) -> None:
    stream = io.StringIO()
    configured(clock, stream)
    clock.seconds = 0.25

    get_logger("TaskScheduler").info("task.blocked", task="daily_report", need_mb=300, until=clock.now())

    assert lines(stream.getvalue()) == [
        {
            "timestamp": "2026-11-20T18:00:00.250Z",
            "level": "info",
            "logger": "TaskScheduler",
            "event": "task.blocked",
            "task": "daily_report",
            "need_mb": 300,
            "until": "2026-11-20T18:00:00.250000Z",
        }
    ]


def test_the_stream_and_the_file_have_the_same_lines(clock: HandClock, tmp_path: Path) -> None:
    stream = io.StringIO()
    configured(clock, stream, log_dir=tmp_path / "logs")

    get_logger("TaskScheduler").info("window.began", window="2026-11-20/OVERNIGHT")
    get_logger("execute").bind(run="a.1").info("run.started", task="ä")

    text = (tmp_path / "logs" / "orchestrator.log").read_text()
    assert text == stream.getvalue()
    assert [line["event"] for line in lines(text) if line["logger"] == "execute"] == ["run.started"]


def test_grep_finds_the_scheduler_and_the_starts(clock: HandClock, tmp_path: Path) -> None:
    configured(clock, io.StringIO(), log_dir=tmp_path)
    get_logger("TaskScheduler").info("decision.made")
    for task in ("first", "second"):
        get_logger("execute").info("run.started", task=task)

    found = subprocess.run(
        ["grep", "execute", str(tmp_path / "orchestrator.log")], capture_output=True, text=True, check=True
    ).stdout

    assert [line["task"] for line in lines(found)] == ["first", "second"]


def test_events_below_the_level_are_not_written(clock: HandClock) -> None:
    stream = io.StringIO()
    configured(clock, stream, level="warning")

    get_logger("a").info("quiet.event")
    get_logger("a").warning("loud.event")

    assert [line["event"] for line in lines(stream.getvalue())] == ["loud.event"]


def test_a_level_that_is_none_is_refused(clock: HandClock) -> None:
    with pytest.raises(ValueError, match="'chatty' is not one of debug, info, warning"):
        configured(clock, io.StringIO(), level="chatty")


def test_the_journal_is_told_the_priority(clock: HandClock) -> None:
    """sd-daemon(3): 7 debug, 6 info, 4 warning, 3 error, in angle brackets before the line."""
    stream = io.StringIO()
    configured(clock, stream, level="debug", journal=True)
    log = get_logger("a")

    log.debug("a.b")
    log.info("a.b")
    log.warning("a.b")
    log.error("a.b")

    assert [line[:3] for line in stream.getvalue().splitlines()] == ["<7>", "<6>", "<4>", "<3>"]
    assert json.loads(stream.getvalue().splitlines()[0][3:])["event"] == "a.b"


def test_the_file_has_no_priority_before_its_lines(clock: HandClock, tmp_path: Path) -> None:
    configured(clock, io.StringIO(), journal=True, log_dir=tmp_path)

    get_logger("a").info("a.b")

    assert (tmp_path / "orchestrator.log").read_text().startswith("{")


def test_the_journal_is_known_by_device_and_inode(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as stream:
        at = os.fstat(stream.fileno())

        assert is_journal(stream, f"{at.st_dev}:{at.st_ino}")
        assert not is_journal(stream, f"{at.st_dev}:{at.st_ino + 1}")
        assert not is_journal(stream, "")
    assert not is_journal(io.StringIO(), "8:1")


def test_on_a_terminal_lines_are_for_people_and_in_colour(clock: HandClock) -> None:
    stream = Terminal()
    configured(clock, stream)

    get_logger("TaskScheduler").warning(
        "task.blocked", task="a", reason="needs more memory", escape="\x1b[2J"
    )

    text = stream.getvalue()
    assert "\x1b[33m" in text
    assert "18:00:00" in text
    assert '"needs more memory"' in text
    assert "\x1b[2J" not in text


def test_without_colour_a_readable_line_is_plain() -> None:
    line = {
        "timestamp": "2026-11-20T18:00:00.000Z",
        "level": "info",
        "logger": "x",
        "event": "a.b",
        "n": 1,
        "s": "",
    }

    assert readable(line) == '18:00:00 info     a.b n=1 s="" [x]'


def test_an_exception_comes_with_its_traceback_on_one_line(clock: HandClock) -> None:
    stream = io.StringIO()
    configured(clock, stream)
    log = get_logger("a")

    try:
        raise LookupError("no session for today")
    except LookupError as error:
        log.exception("turn.failed")
        log.error("turn.failed", exc_info=error)
        log.error("turn.failed", exc_info=(LookupError, error, None))
    log.error("turn.failed", exc_info=True)

    written = lines(stream.getvalue())
    assert [line["level"] for line in written] == ["error"] * 4
    assert all(line["exception"].endswith("LookupError: no session for today") for line in written[:3])
    assert "exception" not in written[3]


def test_a_traceback_for_people_stands_below_the_line(clock: HandClock) -> None:
    stream = Terminal()
    configured(clock, stream)

    get_logger("a").error("turn.failed", exc_info=ValueError("odd"))

    assert stream.getvalue().splitlines()[-1] == "ValueError: odd"


def test_a_callers_key_never_takes_the_place_of_ours(clock: HandClock) -> None:
    stream = io.StringIO()
    configured(clock, stream)

    get_logger("a").info("a.b", level=3, timestamp="never")

    (line,) = lines(stream.getvalue())
    assert (line["level"], line["timestamp"], line["level_"]) == ("info", "2026-11-20T18:00:00.000Z", 3)


def test_planted_secrets_reach_neither_stream_nor_file(clock: HandClock, tmp_path: Path) -> None:
    stream = io.StringIO()
    log = configured(clock, stream, log_dir=tmp_path, secrets=["s3cr3t-broker-key"])
    log.hide(["another-s3cr3t"])

    try:
        raise RuntimeError("refused s3cr3t-broker-key and another-s3cr3t")
    except RuntimeError:
        get_logger("a").exception(
            "broker.failed s3cr3t-broker-key", url="https://u:another-s3cr3t@x", pin_password=1
        )

    both = stream.getvalue() + (tmp_path / "orchestrator.log").read_text()
    assert "s3cr3t" not in both
    assert '"pin_password": "[redacted]"' in both


class TestRate:
    """The lines of one event are bounded, and what was left out is counted."""

    def test_beyond_the_bound_lines_are_counted_and_then_told(self, clock: HandClock) -> None:
        stream = io.StringIO()
        configured(clock, stream, per_minute=3)
        log = get_logger("a")

        for number in range(10):
            log.info("flood.line", number=number)
        log.info("other.line")
        clock.seconds = 60.0
        log.info("flood.line", number=99)

        written = lines(stream.getvalue())
        assert [line.get("number") for line in written if line["event"] == "flood.line"] == [0, 1, 2, 99]
        told = [line for line in written if line["event"] == "log.suppressed"]
        assert [(line["suppressed"], line["count"]) for line in told] == [("flood.line", 7)]
        assert [line["event"] for line in written].count("other.line") == 1

    def test_closing_tells_what_was_left_out(self, clock: HandClock, tmp_path: Path) -> None:
        stream = io.StringIO()
        log = configured(clock, stream, per_minute=1, log_dir=tmp_path)
        for _ in range(3):
            get_logger("a").info("flood.line")

        log.close()

        assert lines(stream.getvalue())[-1]["count"] == 2
        assert (tmp_path / "orchestrator.log").read_text() == stream.getvalue()


class TestFailure:
    """A log that cannot be written is said once and stops nothing."""

    def test_a_full_disk_leaves_the_stream_and_is_said_once_and_its_end_too(
        self, clock: HandClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stream = io.StringIO()
        configured(clock, stream, log_dir=tmp_path)
        log = get_logger("a")
        log.info("n.0")
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", _no_space)
            for number in range(1, 4):
                log.info(f"n.{number}")
        log.info("n.4")
        clock.seconds = 61.0
        log.info("n.5")

        events = [line["event"] for line in lines(stream.getvalue())]
        assert events == ["n.0", "n.1", "log.file_failed", "n.2", "n.3", "n.4", "n.5", "log.file_restored"]
        in_file = lines((tmp_path / "orchestrator.log").read_text())
        assert [line["event"] for line in in_file] == ["n.0", "n.5", "log.file_restored"]
        assert in_file[-1]["lost"] == 5  # n.1 to n.4, and the notice of the failure itself

    def test_a_directory_that_cannot_be_made_leaves_the_stream(
        self, clock: HandClock, tmp_path: Path
    ) -> None:
        (tmp_path / "file").write_text("")
        stream = io.StringIO()
        configured(clock, stream, log_dir=tmp_path / "file" / "logs")

        get_logger("a").info("a.b")

        assert [line["event"] for line in lines(stream.getvalue())] == ["a.b", "log.file_failed"]

    def test_a_closed_stream_leaves_the_file(self, clock: HandClock, tmp_path: Path) -> None:
        stream = io.StringIO()
        configured(clock, stream, log_dir=tmp_path)
        stream.close()

        get_logger("a").info("a.b")

        assert lines((tmp_path / "orchestrator.log").read_text())[0]["event"] == "a.b"

    def test_a_value_that_cannot_be_shown_becomes_a_notice(self, clock: HandClock) -> None:
        class Odd:
            def __str__(self) -> str:
                raise RuntimeError("not printable")

        stream = io.StringIO()
        configured(clock, stream)

        get_logger("a").info("a.b", odd=Odd())
        get_logger("a").info("a.c")

        assert [line["event"] for line in lines(stream.getvalue())] == ["log.failed", "a.c"]

    def test_a_stream_that_knows_ascii_only_still_gets_the_line(self) -> None:
        raw = io.BytesIO()
        sink = StreamSink(io.TextIOWrapper(raw, encoding="ascii"))

        assert sink.write("Zürich")
        assert raw.getvalue() == b"Z\\xfcrich\n"


def _no_space(fd: int, text: bytes) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


class TestRotation:
    """The file is bounded, and the newest lines are the last to go."""

    def test_a_full_file_becomes_number_one_and_the_oldest_goes(
        self, clock: HandClock, tmp_path: Path
    ) -> None:
        """Lines of 10 bytes in files of 30: three each; eleven lines with two backups keep the last eight."""
        file = RotatingFile(tmp_path / "x.log", 30, 2, clock.monotonic)

        for number in range(11):
            assert file.write(f"line {number:04}")
        file.close()

        names = ("x.log.2", "x.log.1", "x.log")
        kept = [(tmp_path / name).read_text().split("\n")[:-1] for name in names]
        assert [len(part) for part in kept] == [3, 3, 2]
        assert [int(line[-4:]) for part in kept for line in part] == list(range(3, 11))
        assert sorted(path.name for path in tmp_path.iterdir()) == ["x.log", "x.log.1", "x.log.2"]

    def test_without_backups_the_file_begins_anew(self, clock: HandClock, tmp_path: Path) -> None:
        file = RotatingFile(tmp_path / "x.log", 30, 0, clock.monotonic)
        for number in range(4):
            file.write(f"line {number:04}")
        file.close()

        assert [path.read_text() for path in tmp_path.iterdir()] == ["line 0003\n"]

    def test_a_restart_goes_on_in_the_same_file(self, clock: HandClock, tmp_path: Path) -> None:
        for number in range(2):
            file = RotatingFile(tmp_path / "x.log", 1000, 2, clock.monotonic)
            file.write(f"start {number}")
            file.close()

        assert (tmp_path / "x.log").read_text() == "start 0\nstart 1\n"

    def test_a_file_that_was_removed_is_begun_anew(self, clock: HandClock, tmp_path: Path) -> None:
        file = RotatingFile(tmp_path / "x.log", 1000, 2, clock.monotonic)
        file.write("one")
        (tmp_path / "x.log").unlink()

        file.write("two")
        file.close()

        assert (tmp_path / "x.log").read_text() == "two\n"

    def test_half_a_line_left_by_a_full_disk_is_ended_before_the_next(
        self, clock: HandClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = RotatingFile(tmp_path / "x.log", 1000, 2, clock.monotonic)
        write = os.write
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", lambda fd, text: write(fd, text[:4]))
            assert not file.write("one line")
        clock.seconds = 60.0

        assert file.write("next line")
        file.close()

        assert (tmp_path / "x.log").read_text() == "one \nnext line\n"

    def test_many_threads_write_whole_lines(self, clock: HandClock, tmp_path: Path) -> None:
        configured(clock, io.StringIO(), log_dir=tmp_path, max_bytes=5000, backups=50, per_minute=10_000)

        def chatter(name: str) -> None:
            for number in range(100):
                get_logger(name).info("chatter.line", number=number)

        threads = [threading.Thread(target=chatter, args=(f"t{i}",)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        written = [line for path in tmp_path.iterdir() for line in lines(path.read_text())]
        assert len(written) == 400
        assert max(path.stat().st_size for path in tmp_path.iterdir()) <= 5000


def test_what_libraries_say_is_in_the_same_log(clock: HandClock) -> None:
    stream = io.StringIO()
    configured(clock, stream)

    logging.getLogger("sqlalchemy.pool").warning("connection %s is gone", 7)
    logging.getLogger("gpiozero").error("bad pin")
    logging.getLogger("noisy").info("hello")

    assert [(line["logger"], line["level"], line["text"]) for line in lines(stream.getvalue())] == [
        ("sqlalchemy.pool", "warning", "connection 7 is gone"),
        ("gpiozero", "error", "bad pin"),
    ]


def test_configuring_twice_writes_each_line_once(clock: HandClock) -> None:
    first, second = io.StringIO(), io.StringIO()
    configured(clock, first)
    configured(clock, second, level="critical")
    configured(clock, second)

    logging.getLogger("x").warning("once")
    get_logger("a").info("a.b")

    assert first.getvalue() == ""
    assert len(lines(second.getvalue())) == 2


def test_logging_does_not_load_rich_and_leaves_it_loadable() -> None:
    """In a fresh interpreter, since this one has loaded everything."""
    code = (
        "import sys; from observability.logs import get_logger; get_logger('x');"
        "assert 'structlog' in sys.modules and 'rich' not in sys.modules; import rich; print(rich.__name__)"
    )

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout == "rich\n"
