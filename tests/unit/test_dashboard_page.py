"""What is served to many readers at little cost, and how they hear of changes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from observability.dashboard import live
from observability.dashboard.live import Pulse
from observability.dashboard.page import KEPT_S, MOST_KEPT, Kept


class Hand:
    """A monotonic clock moved by hand."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


def counting() -> tuple[list[int], Callable[[], str]]:
    made: list[int] = []

    def make() -> str:
        made.append(len(made) + 1)
        return f"content {len(made)}"

    return made, make


def test_a_page_is_made_once_for_readers_within_a_second() -> None:
    clock = Hand()
    kept = Kept(clock)
    made, make = counting()

    first = kept.get("/", 1, make)
    clock.at = KEPT_S - 0.01
    second = kept.get("/", 1, make)
    clock.at = KEPT_S + 0.01
    third = kept.get("/", 1, make)

    assert (first, second, third) == ("content 1", "content 1", "content 2")
    assert made == [1, 2]


def test_a_page_is_made_anew_as_soon_as_something_was_written() -> None:
    kept = Kept(Hand())
    _, make = counting()

    assert [kept.get("/", version, make) for version in (1, 1, 2)] == ["content 1", "content 1", "content 2"]


def test_fifty_readers_at_once_are_one_reading() -> None:
    kept = Kept(Hand())
    made, make = counting()
    together = threading.Barrier(50)

    def read(_: int) -> str:
        together.wait(60)
        return kept.get("/", 1, make)

    with ThreadPoolExecutor(50) as readers:
        answers = set(readers.map(read, range(50)))

    assert (answers, made) == ({"content 1"}, [1])


def test_what_cannot_be_made_is_tried_again_by_the_next_reader() -> None:
    kept = Kept(Hand())
    _, make = counting()

    def fails() -> str:
        raise LookupError("no such task")

    for _ in range(2):
        with pytest.raises(LookupError, match="no such task"):
            kept.get("/task/x", 1, fails)

    assert kept._making == {}
    assert kept.get("/task/x", 1, make) == "content 1"


def test_pages_nobody_asks_for_any_more_are_let_go() -> None:
    kept = Kept(Hand())
    for number in range(10 * MOST_KEPT):
        kept.get(f"/task/{number}", 1, lambda: "x")

    assert len(kept._found) == MOST_KEPT
    assert len(kept._making) == MOST_KEPT


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes are looked for often, and time passes fast."""
    monkeypatch.setattr(live, "WATCH_S", 0.01)
    monkeypatch.setattr(live, "TICK_S", 0.1)


@pytest.mark.usefixtures("soon")
def test_every_reader_hears_of_a_change_and_then_of_time_passing() -> None:
    version = [1]
    asked = asyncio.Event()

    def look() -> int:
        asked.set()
        return version[0]

    async def listen_twice(pulse: Pulse) -> list[str]:
        heard = []
        async for event in pulse.listen():
            heard.append(event)
            if len(heard) == 2:
                return heard
        return heard

    async def scene() -> list[list[str]]:
        pulse = Pulse(look)
        readers = [asyncio.create_task(listen_twice(pulse)) for _ in range(3)]
        async with asyncio.timeout(60):
            await asked.wait()
            version[0] = 2
            return list(await asyncio.gather(*readers))

    assert asyncio.run(scene()) == [["change", "tick"]] * 3


@pytest.mark.usefixtures("soon")
def test_nothing_is_watched_while_nobody_looks() -> None:
    asked = []

    async def scene() -> int:
        pulse = Pulse(lambda: asked.append(1))
        reader = pulse.listen()
        async with asyncio.timeout(60):
            assert await anext(reader) == "tick"
            await reader.aclose()
            while pulse._watcher is not None:
                await asyncio.sleep(live.WATCH_S / 5)
        before = len(asked)
        await asyncio.sleep(10 * live.WATCH_S)
        assert pulse.readers == 0
        return len(asked) - before

    assert asyncio.run(scene()) == 0
