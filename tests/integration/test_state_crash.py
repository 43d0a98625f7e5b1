"""A writer killed at any instant: every acknowledged commit is there, and each commit is whole or absent."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

KILLS = 50

# One warm process forks the writers, as importing SQLAlchemy fifty times would take most of a minute. A
# writer commits two values and an event per turn and then acknowledges the turn through a pipe.
ZYGOTE = """
import json, os, random, signal, sqlite3, sys, time
from contextlib import closing
from datetime import UTC, datetime
from orchestration.changes import EventLogged, ValueSaved
from orchestration.state.store import SqlStore

path, kills = sys.argv[1], int(sys.argv[2])
now, random = datetime(2026, 11, 20, tzinfo=UTC), random.Random(20261120)

def write(pipe, n):
    store = SqlStore(path)
    while True:
        n += 1
        value = str(n)
        store.commit([
            ValueSaved(key="left", value=value, at=now),
            EventLogged(at=now, name="turn", detail={"n": n}),
            ValueSaved(key="right", value=value, at=now),
        ])
        os.write(pipe, f"{n}\\n".encode())

SqlStore(path).close()
acknowledged, lost, torn, turns = 0, [], [], []
for kill in range(kills):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            write(writing, acknowledged)
        finally:
            os._exit(1)
    os.close(writing)
    first = os.read(reading, 65536)  # it has begun to commit, so that the kill falls on one
    time.sleep(random.uniform(0, 0.02))
    os.kill(child, signal.SIGKILL)
    rest = first
    while chunk := os.read(reading, 65536):
        rest += chunk
    os.close(reading)
    os.waitpid(child, 0)
    last = int(rest.split()[-1])
    with closing(SqlStore(path)) as store:
        values = store.load().values
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT detail FROM events ORDER BY id").fetchall()
    events = [json.loads(row[0])["n"] for row in rows]
    left, right = int(values["left"]), int(values["right"])
    if left < last:
        lost.append((last, left))
    if not (left == right == events[-1] == len(events)):
        torn.append((left, right, events[-1], len(events)))
    turns.append(last - acknowledged)
    acknowledged = left
print(json.dumps({"lost": lost, "torn": torn, "kills": len(turns), "turns": sum(turns)}))
"""


def test_no_acknowledged_commit_is_lost_whenever_the_writer_is_killed(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ZYGOTE, str(tmp_path / "performance.db"), str(KILLS)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["lost"], found["torn"], found["kills"]) == ([], [], KILLS)
    assert found["turns"] >= KILLS
