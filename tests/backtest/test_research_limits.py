"""Work in a process of its own: real processes that are slow, hungry, broken or killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from orchestration.clock import SystemClock
from trading.research.limits import Ended, Ending, Limits, run_limited

ROOT = Path(__file__).resolve().parents[2]
CLOCK = SystemClock()


def ended(
    work: Iterator[object], *, limits: Limits | None = None, wanted: int = 99
) -> tuple[Ended, list[object]]:
    taken: list[object] = []

    def take(told: object) -> bool:
        taken.append(told)
        return len(taken) < wanted

    return run_limited(lambda: work, limits or Limits(seconds=20), take=take), taken


def three() -> Iterator[object]:
    yield 1
    yield os.getpid()
    yield 3


def forever() -> Iterator[object]:
    yield "begun"
    while True:
        CLOCK.sleep(0.05)


def hungry(mb: int) -> Iterator[object]:
    kept = []
    for _ in range(mb // 10):
        kept.append(np.ones(10 * 2**20 // 8))
    yield len(kept)


def broken() -> Iterator[object]:
    yield 1
    raise ArithmeticError("1 / 0")


def killed() -> Iterator[object]:
    yield 1
    os.kill(os.getpid(), signal.SIGKILL)


def test_what_work_yields_is_handed_over_from_another_process() -> None:
    end, taken = ended(three())

    assert (end.ending, end.detail) == (Ending.DONE, "")
    assert taken[0::2] == [1, 3]
    assert taken[1] != os.getpid()


def test_work_of_which_no_more_is_wanted_ends() -> None:
    end, taken = ended(three(), wanted=1)

    assert end.ending is Ending.LEFT
    assert taken == [1]


def test_work_that_takes_too_long_is_ended_and_says_so() -> None:
    end, taken = ended(forever(), limits=Limits(seconds=1.5))

    assert (end.ending, end.detail) == (Ending.TIME, "took longer than 1.5 s")
    assert taken == ["begun"]
    assert 1.5 <= end.seconds < 20


def test_work_that_takes_too_much_memory_is_ended_and_says_so() -> None:
    end, taken = ended(hungry(400), limits=Limits(memory_mb=60))

    assert (end.ending, end.detail, taken) == (Ending.MEMORY, "took more than 60 MB", [])


def test_work_within_its_memory_is_left_alone_whatever_this_process_holds() -> None:
    held = np.ones(100 * 2**20 // 8)

    end, taken = ended(hungry(30), limits=Limits(memory_mb=60))

    assert (end.ending, taken) == (Ending.DONE, [3])
    assert held.sum() > 0


def test_an_error_is_told_in_words() -> None:
    end, _ = ended(broken())

    assert (end.ending, end.detail) == (Ending.ERROR, "ArithmeticError: 1 / 0")


def test_a_process_that_is_killed_is_told_by_its_signal() -> None:
    end, _ = ended(killed())

    assert (end.ending, end.detail) == (Ending.DIED, "its process died of SIGKILL")


def test_work_is_stopped_when_we_are() -> None:
    asked = iter([False, False, True])

    end = run_limited(forever, Limits(seconds=20), take=lambda told: True, stopped=lambda: next(asked))

    assert end.ending is Ending.STOPPED


def test_work_hears_no_signal_that_is_meant_for_us() -> None:
    """The daemon's SIGTERM reaches the whole group; what becomes of the work is ours to say."""

    def signalled() -> Iterator[object]:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        yield "still here"

    assert ended(signalled())[1] == ["still here"]


def test_an_error_of_the_taker_leaves_no_process_behind() -> None:
    pids: list[int] = []

    def own_pid() -> Iterator[object]:
        yield os.getpid()
        yield from forever()

    def take(told: object) -> bool:
        pids.append(int(str(told)))
        raise RuntimeError("no room")

    with pytest.raises(RuntimeError, match="no room"):
        run_limited(own_pid, Limits(), take=take)

    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


ORPHANING = """
import os, sys
from trading.research.limits import Limits, run_limited

def work():
    yield os.getpid()
    while True:
        pass

run_limited(work, Limits(), take=lambda pid: print(pid, flush=True) or True)
"""


def test_work_does_not_outlive_a_killed_parent() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", ORPHANING], cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert parent.stdout is not None
    with parent:
        worker = int(parent.stdout.readline())
        parent.kill()

    for _ in range(600):
        if _is_gone(worker):
            break
        CLOCK.sleep(0.05)
    else:
        os.kill(worker, signal.SIGKILL)
        pytest.fail("the worker outlived its parent by 30 s")


def _is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.parametrize("name", ["seconds", "memory_mb"])
def test_a_limit_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is 0"):
        Limits(**{name: 0})
