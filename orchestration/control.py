"""Commands from outside, through control.db: others post, the daemon takes and answers.

A command is taken at most once: that it was taken is on the disk before the daemon sees it. The file holds no
lasting facts, so a damaged one is set aside and made anew, and no fault of it ever stops the daemon. Standard
library only, as the client must start fast.
"""

from __future__ import annotations

import json
import os
import sqlite3
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, TypeVar

from orchestration.clock import SystemClock
from orchestration.errors import ControlError
from orchestration.ports import Command
from orchestration.state.codec import from_instant, to_instant

T = TypeVar("T")

POLL_S: Final = 0.02
"""How often a waiting client looks for its answer."""

KEEP: Final = timedelta(days=7)
"""How long commands are kept after they were posted."""

_COLUMNS = (
    "id TEXT PRIMARY KEY, name TEXT NOT NULL, args TEXT NOT NULL, posted_at TEXT NOT NULL, taken_at TEXT, "
    "ok INTEGER, answer TEXT, payload TEXT, answered_at TEXT"
)
_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the daemon said. payload: JSON for commands that ask for something, else empty."""

    ok: bool
    text: str
    payload: str = ""


class ControlDb:
    """Both ends of control.db; an `Inbox` for the daemon.

    max_age: a command that has waited longer (the daemon was down) is refused, not carried out by surprise.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        busy_timeout_s: float = 2.0,
        max_age: timedelta = timedelta(minutes=10),
        now: Callable[[], datetime] | None = None,
    ) -> None:
        self.path = Path(path)
        self.last_error: str | None = None
        self._busy_timeout_s = busy_timeout_s
        self._max_age = max_age
        self._clock = SystemClock()
        self._now = now or self._clock.now

    def post(self, name: str, args: Mapping[str, str] | None = None) -> str:
        """Leave a command for the daemon (which is then to be woken by a signal); return its id.

        Raises:
            ControlError: if it cannot be written.
        """
        command_id = uuid.uuid4().hex
        row = (command_id, name, json.dumps(dict(args or {})), to_instant(self._now()))
        with self._client() as connection:
            connection.execute("INSERT INTO commands (id, name, args, posted_at) VALUES (?, ?, ?, ?)", row)
        return command_id

    def wait_answer(self, command_id: str, timeout_s: float) -> Answer:
        """Return the daemon's answer as soon as it is there.

        Raises:
            ControlError: if there is none after `timeout_s`. A command that was not taken by then is
                withdrawn: it will not be carried out.
        """
        end = self._clock.monotonic() + timeout_s
        query = "SELECT ok, answer, payload, answered_at FROM commands WHERE id = ?"
        with self._client() as connection:
            while True:
                row = connection.execute(query, (command_id,)).fetchone()
                if row is None:
                    raise ControlError(f"command {command_id} is unknown in {self.path}; post it again")
                if row[3] is not None:
                    return Answer(ok=bool(row[0]), text=row[1], payload=row[2])
                if self._clock.monotonic() >= end:
                    raise ControlError(_give_up(connection, command_id, timeout_s))
                self._clock.sleep(POLL_S)

    def pending(self) -> list[Command]:
        """Take the commands that wait, oldest first; each is returned once, ever. Raises nothing.

        What cannot be read or marked as taken stays for the next call, and `last_error` says why.
        """
        return self._daemon(self._take, [])

    def answer(self, command_id: str, *, ok: bool, text: str, payload: str = "") -> None:
        """Acknowledge a command. Raises nothing: an answer that cannot be written is the client's timeout."""

        def write(connection: sqlite3.Connection) -> None:
            self._write_answer(connection, command_id, ok=ok, text=text, payload=payload)

        self._daemon(write, None)

    def _take(self, connection: sqlite3.Connection) -> list[Command]:
        waiting = (
            "SELECT id, name, args, posted_at FROM commands WHERE taken_at IS NULL ORDER BY posted_at, rowid"
        )
        if connection.execute(waiting).fetchone() is None:
            return []
        now = self._now()
        taken: list[Command] = []
        with _transaction(connection):
            for command_id, name, args, posted_at in connection.execute(waiting).fetchall():
                connection.execute(
                    "UPDATE commands SET taken_at = ? WHERE id = ?", (to_instant(now), command_id)
                )
                command = _read(command_id, name, args)
                if command is None:
                    refusal = "its arguments are no JSON object of texts"
                elif now - from_instant(posted_at) > self._max_age:
                    refusal = "it had waited too long when the daemon came back; post it again"
                else:
                    taken.append(command)
                    continue
                self._write_answer(connection, command_id, ok=False, text=f"refused: {refusal}", payload="")
            connection.execute("DELETE FROM commands WHERE posted_at < ?", (to_instant(now - KEEP),))
        return taken

    def _write_answer(
        self, connection: sqlite3.Connection, command_id: str, *, ok: bool, text: str, payload: str
    ) -> None:
        connection.execute(
            "UPDATE commands SET ok = ?, answer = ?, payload = ?, answered_at = ? WHERE id = ?",
            (int(ok), text, payload, to_instant(self._now()), command_id),
        )

    def _daemon(self, act: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        try:
            with self._open() as connection:
                result = act(connection)
        except (sqlite3.Error, OSError, ValueError) as error:
            self.last_error = f"{self.path}: {error}"
            return otherwise
        self.last_error = None
        return result

    @contextmanager
    def _client(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._open() as connection:
                yield connection
        except (sqlite3.Error, OSError) as error:
            raise ControlError(f"{self.path} cannot be used: {error}") from error

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = self._connect()
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
            self._set_aside()
            connection = self._connect()
        with closing(connection):
            try:
                yield connection
            except sqlite3.DatabaseError as error:
                if _is_damage(error):
                    self._set_aside()
                raise

    def _connect(self) -> sqlite3.Connection:
        if not self.path.parent.exists():
            self.path.parent.mkdir(parents=True, mode=0o700)
        # SQLite gives its companions the mode of the file.
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(self.path, timeout=self._busy_timeout_s, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"CREATE TABLE IF NOT EXISTS commands ({_COLUMNS})")
        except BaseException:
            connection.close()
            raise
        return connection

    def _set_aside(self) -> None:
        """Rename the damaged file (the newest one is kept) and remove its companions."""
        with suppress(FileNotFoundError):
            os.replace(self.path, self.path.with_name(f"{self.path.name}.damaged"))
        for suffix in ("-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)


class NoCommands:
    """An `Inbox` that nobody writes to."""

    def pending(self) -> list[Command]:
        """Return nothing."""
        return []

    def answer(self, command_id: str, *, ok: bool, text: str, payload: str = "") -> None:
        """Do nothing."""


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _DAMAGE


def _read(command_id: str, name: str, args: str) -> Command | None:
    try:
        found = json.loads(args)
    except ValueError:
        return None
    if not isinstance(found, dict):
        return None
    return Command(id=command_id, name=name, args={str(key): str(value) for key, value in found.items()})


def _give_up(connection: sqlite3.Connection, command_id: str, timeout_s: float) -> str:
    """Withdraw the command if it was not taken; return what to tell the person."""
    withdraw = "DELETE FROM commands WHERE id = ? AND taken_at IS NULL"
    if connection.execute(withdraw, (command_id,)).rowcount:
        return f"the daemon did not take the command in {timeout_s:g} s; it was withdrawn. Is it running?"
    return (
        f"the daemon took the command but did not answer in {timeout_s:g} s; it may still carry it out. "
        "Look at `orchestratorctl status` before you repeat it"
    )
