"""The daemon's log: JSON lines to stdout and to a rotated file, readable text on a terminal.

An event is `noun.verb` with keys. Import structlog through here, never directly: it would load rich where
that is installed, which costs the daemon 5 MB for nothing.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TextIO, cast

from observability.log_sinks import RotatingFile, StreamSink
from observability.redact import LONGEST_TEXT, Redactor

if TYPE_CHECKING:
    from orchestration.ports import Clock

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
SYSLOG = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
"""Priorities that journald reads off the `<N>` before a line."""

PER_MINUTE = 600
"""Lines of one event name in a minute; beyond that they are counted, not written."""

FILE_NAME = "orchestrator.log"

NAME = "_logger"
"""Where a logger carries its name until the line is made; structlog keeps the plain word for itself."""

Event = MutableMapping[str, Any]


class Logger(Protocol):
    """What `get_logger` returns: an event as `noun.verb`, and its keys."""

    def debug(self, event: str, **keys: object) -> object: ...

    def info(self, event: str, **keys: object) -> object: ...

    def warning(self, event: str, **keys: object) -> object: ...

    def error(self, event: str, **keys: object) -> object: ...

    def exception(self, event: str, **keys: object) -> object: ...

    def bind(self, **keys: object) -> Logger: ...


def _import_structlog() -> Any:
    """Import structlog without what it would take along for pretty printing."""
    if "structlog" not in sys.modules:
        kept_out = [name for name in ("rich", "better_exceptions", "colorama") if name not in sys.modules]
        for name in kept_out:
            sys.modules[name] = cast(Any, None)  # what Python itself takes for "not installed"
        try:
            import structlog
        finally:
            for name in kept_out:
                del sys.modules[name]
    import structlog

    return structlog


def get_logger(name: str, **keys: object) -> Logger:
    """Return a logger; `name` is the `logger` key of its lines ("TaskScheduler", "execute")."""
    return cast(Logger, _import_structlog().get_logger(**{NAME: name}, **keys))


def configure_logging(
    clock: Clock,
    *,
    stream: TextIO | None = None,
    log_dir: Path | None = None,
    level: str = "info",
    human: bool | None = None,
    journal: bool | None = None,
    max_bytes: int = 10_000_000,
    backups: int = 5,
    secrets: Iterable[str] = (),
    per_minute: int = PER_MINUTE,
) -> Log:
    """Set up logging for this process and return its handle.

    stream: None means stdout. log_dir: where `orchestrator.log` goes; None: no file. level: the least severe
    event that is written. human: readable text on the stream (None: if it is a terminal). journal: lines
    begin with `<N>` (None: if the stream is the journal's). max_bytes, backups: when the file is rotated, and
    how many are kept. secrets: values never to be written. per_minute: bound on the lines of one event name.

    Raises:
        ValueError: for a level that is none.
    """
    if level not in LEVELS:
        raise ValueError(f"Log level {level!r} is not one of {', '.join(LEVELS)}.")
    target = sys.stdout if stream is None else stream
    if journal is None:
        journal = is_journal(target, os.environ.get("JOURNAL_STREAM", ""))
    if human is None:
        human = not journal and target.isatty()
    file = RotatingFile(log_dir / FILE_NAME, max_bytes, backups, clock.monotonic) if log_dir else None
    render = partial(readable, colour=target.isatty()) if human else _journal_line if journal else json_line
    log = Log(clock, StreamSink(target), file, Redactor(secrets), render=render, bound=per_minute)
    structlog = _import_structlog()
    structlog.configure(
        processors=[log.process],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=lambda *args: log,
        cache_logger_on_first_use=False,
    )
    _bridge(log, LEVELS[level])
    return log


def is_journal(stream: TextIO, journal_stream: str) -> bool:
    """Return whether systemd's JOURNAL_STREAM (device:inode) is this very stream, as systemd.exec(5) asks."""
    try:
        at = os.fstat(stream.fileno())
    except (OSError, ValueError, AttributeError):
        return False
    return journal_stream == f"{at.st_dev}:{at.st_ino}"


class Log:
    """Everything behind the loggers: it stamps, redacts, bounds and writes. Safe to use from any thread."""

    def __init__(
        self,
        clock: Clock,
        stream: StreamSink,
        file: RotatingFile | None,
        redactor: Redactor,
        *,
        render: Callable[[Mapping[str, object]], str],
        bound: int,
    ) -> None:
        self._clock, self._stream, self._file, self._redactor = clock, stream, file, redactor
        self._render = render
        self._rate = RateLimit(bound, clock.monotonic)
        self._lock = threading.RLock()
        self._told_failure = False

    def hide(self, secrets: Iterable[str]) -> None:
        """Never write these values from now on."""
        self._redactor.add(secrets)

    def close(self) -> None:
        """Say what was suppressed and close the file."""
        with self._lock:
            self._say_suppressed(self._rate.drain(everything=True))
            if self._file is not None:
                self._file.close()

    def process(self, logger: object, method: str, event: Event) -> tuple[tuple[object, ...], dict[str, Any]]:
        """Be structlog's only processor: make the line and write it."""
        try:
            with self._lock:
                self._take(method, event)
        except Exception as error:  # a log line that cannot be made must not stop the loop
            self._stream.write(json_line({"level": "error", "event": "log.failed", "error": repr(error)}))
        return (), {}

    def _written(self) -> None:
        """Stand for the wrapped logger's methods: the line has been written already."""

    debug = info = warning = error = critical = fatal = exception = msg = _written

    def _take(self, method: str, event: Event) -> None:
        self._say_suppressed(self._rate.drain())
        if self._rate.allows(str(event.get("event"))):
            self._write(self._line("error" if method == "exception" else method, event))

    def _line(self, level: str, event: Event) -> dict[str, object]:
        trouble = _exception_text(event.pop("exc_info", None))
        line: dict[str, object] = {
            "timestamp": _stamp(self._clock),
            "level": level,
            "logger": event.pop(NAME, "daemon"),
            "event": event.pop("event", ""),
        }
        # A caller's key never takes the place of one of ours.
        line.update((f"{key}_" if key in line else key, value) for key, value in event.items())
        if trouble:
            line["exception"] = trouble
        return self._redactor.mapping(line)

    def _write(self, line: dict[str, object]) -> None:
        self._stream.write(self._render(line))
        if self._file is None:
            return
        lost = self._file.lost
        if self._file.write(json_line(line)):
            if self._told_failure:
                self._told_failure, self._file.lost = False, 0
                self._own("info", "log.file_restored", path=str(self._file.path), lost=lost)
        elif not self._told_failure:
            self._told_failure = True
            self._own("warning", "log.file_failed", path=str(self._file.path), error=str(self._file.failure))

    def _own(self, level: str, name: str, **keys: object) -> None:
        """Write an event of the log itself."""
        self._write(self._line(level, {NAME: "log", "event": name, **keys}))

    def _say_suppressed(self, counts: dict[str, int]) -> None:
        for name, count in counts.items():
            self._own(
                "warning", "log.suppressed", suppressed=name, count=count, limit_per_minute=self._rate.bound
            )


class RateLimit:
    """At most `bound` lines of one event name in a minute; the rest is counted."""

    def __init__(self, bound: int, monotonic: Callable[[], float]) -> None:
        self.bound = bound
        self._monotonic = monotonic
        self._since = monotonic()
        self._seen: dict[str, int] = {}

    def allows(self, name: str) -> bool:
        """Count a line and return whether it may be written."""
        self._seen[name] = self._seen.get(name, 0) + 1
        return self._seen[name] <= self.bound

    def drain(self, *, everything: bool = False) -> dict[str, int]:
        """When the minute is over (or everything is asked for), begin the next one and return how many lines
        of each name were suppressed; else nothing."""
        at = self._monotonic()
        if at - self._since < 60 and not everything:
            return {}
        seen, self._seen, self._since = self._seen, {}, at
        return {name: count - self.bound for name, count in seen.items() if count > self.bound}


def _stamp(clock: Clock) -> str:
    return clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _exception_text(exc_info: object) -> str:
    """Return the end of the traceback that `exc_info` means: an exception, a triple, or True for the present
    one; empty for none."""
    if not exc_info:
        return ""
    error = exc_info if isinstance(exc_info, BaseException) else None
    if isinstance(exc_info, tuple):
        error = exc_info[1]
    error = error or sys.exc_info()[1]
    return "".join(traceback.format_exception(error)).rstrip()[-LONGEST_TEXT:] if error else ""


def json_line(line: Mapping[str, object]) -> str:
    """Return a line as JSON; it never holds a line break."""
    return json.dumps(line, ensure_ascii=False, separators=(", ", ": "))


def _journal_line(line: Mapping[str, object]) -> str:
    return f"<{SYSLOG.get(str(line['level']), 6)}>{json_line(line)}"


HEAD = frozenset({"timestamp", "level", "logger", "event", "exception"})
COLOURS = {"debug": "2", "info": "32", "warning": "33", "error": "31", "critical": "1;31"}


def readable(line: Mapping[str, object], *, colour: bool = False) -> str:
    """Return a line for people: time of day (UTC), level, event, keys, logger; the traceback below it."""

    def paint(code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if colour else text

    level = str(line["level"])
    keys = (f"{paint('36', key)}={_brief(value)}" for key, value in line.items() if key not in HEAD)
    parts = (
        paint("2", str(line["timestamp"])[11:19]),
        paint(COLOURS.get(level, "0"), f"{level:8}"),
        paint("1", str(line["event"])),
        *keys,
        paint("2", f"[{line['logger']}]"),
    )
    text = " ".join(parts)
    return f"{text}\n{line['exception']}" if "exception" in line else text


_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def _brief(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return json.dumps(text, ensure_ascii=False) if not text or " " in text or _CONTROL.search(text) else text


class _Bridge(logging.Handler):
    """Takes what libraries log with the standard library into the same lines."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self.log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write a library's record as the event `library.said`."""
        level = "error" if record.levelno >= logging.ERROR else "warning"
        keys = {
            NAME: record.name,
            "event": "library.said",
            "text": record.getMessage(),
            "exc_info": record.exc_info,
        }
        self.log.process(None, level, keys)


def _bridge(log: Log, least: int) -> None:
    root = logging.getLogger()
    for handler in [h for h in root.handlers if isinstance(h, _Bridge)]:
        root.removeHandler(handler)
    if least <= logging.ERROR:
        root.addHandler(_Bridge(log))
