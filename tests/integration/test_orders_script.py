"""scripts.orders: what a person enters, sees, cancels and halts, and what each mistake is told."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from scripts import orders
from tests.open_market import OTHER, SYMBOL, TradingBox, store_bars
from trading.execution.kill_switch import KillSwitch
from trading.execution.ledger.ledger import Ledger
from trading.execution.orders import ParentState, Urgency

Said = tuple[int, str, str]


@pytest.fixture(scope="module")
def bars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bars")
    store_bars(folder, SYMBOL, OTHER)
    return folder


@pytest.fixture
def box(tmp_path: Path, bars: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TradingBox]:
    box = TradingBox(tmp_path, environ={"ORCHESTRATOR_DATA_DIR": str(bars)})
    for name, value in box.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("ORCHESTRATOR_RESULT")
    yield box
    box.end_all()


class Speaker:
    """Runs one command here and returns its exit code and what it said."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: str) -> Said:
        try:
            code = orders.main(list(words))
        except SystemExit as end:
            code = int(str(end.code))
        out, err = self._capsys.readouterr()
        return code, out, err


@pytest.fixture
def say(box: TradingBox, capsys: pytest.CaptureFixture[str]) -> Speaker:
    return Speaker(capsys)


def stored(box: TradingBox) -> list[tuple[str, str, int]]:
    path = box.state / "ledger.db"
    if not path.exists():
        return []
    with Ledger(path, read_only=True) as ledger:
        return [(order.symbol, str(order.side), order.quantity) for order in ledger.parents()]


def written(box: TradingBox, text: str) -> str:
    path = box.folder / "orders.csv"
    path.write_text(text)
    return str(path)


# --- entering one order -----------------------------------------------------------------------------------


def test_an_order_is_entered_for_the_session_that_is_on_with_what_is_known_of_it(
    box: TradingBox, say: Speaker
) -> None:
    code, out, err = say("add", "acme", "buy", "5000", "--urgency", "high", "--limit-price", "101.50")

    parent_id = f"{box.today:%Y%m%d}-ACME-0001"
    assert (code, err) == (0, "")
    assert out == f"{parent_id}  buy 5000 ACME for {box.today}: new\n"
    order = box.parent(parent_id)
    assert (order.urgency, str(order.limit_price)) == (Urgency.HIGH, "101.50")
    with box.ledger() as ledger:
        facts = ledger.facts(SYMBOL)
    assert facts is not None
    assert facts.daily_volume == 50_000_000


def test_the_same_words_twice_are_two_orders(box: TradingBox, say: Speaker) -> None:
    say("add", SYMBOL, "buy", "100")
    say("add", SYMBOL, "buy", "100")

    assert stored(box) == [(SYMBOL, "buy", 100)] * 2


def test_an_order_of_a_symbol_nobody_knows_is_entered_and_the_lack_is_said(
    box: TradingBox, say: Speaker
) -> None:
    code, out, _ = say("add", "NONE", "sell", "10")

    assert code == 0
    assert "note: NONE cannot be planned yet" in out
    assert "scripts/refresh_eod_data.py" in out


MISTAKES = {
    ("add", SYMBOL, "buy", "many"): (2, "argument quantity: invalid int value: 'many'"),
    ("add", SYMBOL, "buy", "0"): (1, "quantity is 0: expected a whole number from 1 up"),
    ("add", SYMBOL, "buy", "2000000000"): (1, "expected at most 1000000000 shares"),
    ("add", "A PL", "buy", "10"): (1, "symbol is 'A PL'"),
    ("add", SYMBOL, "hold", "10"): (2, "invalid choice: 'hold' (choose from 'buy', 'sell')"),
    ("add", SYMBOL, "buy", "10", "--limit-price", "dear"): (1, "limit_price is 'dear': expected a price"),
    ("add", SYMBOL, "buy", "10", "--limit-price=-3"): (1, "expected a Decimal above 0"),
    ("add", SYMBOL, "buy", "10", "--limit-price", "NaN"): (1, "expected a Decimal above 0"),
    ("add", SYMBOL, "buy", "10", "--urgency", "soon"): (1, "expected one of low, medium, high"),
    ("add", SYMBOL, "buy", "10", "--algorithm", "twop"): (1, "expected one of auto, market, twap, vwap"),
    ("add", SYMBOL, "buy", "10", "--deadline-policy", "x"): (1, "expected one of expire, force"),
    ("add", SYMBOL, "buy", "10", "--max-participation", "2"): (1, "expected above 0, at most 1"),
    ("add", SYMBOL, "buy", "10", "--max-participation", "nan"): (1, "max_participation is nan"),
    ("add", SYMBOL, "buy", "10", "--lot-size", "1.5"): (1, "lot_size is '1.5': expected a whole number"),
    ("add", SYMBOL, "buy", "10", "--for", "27.11.2026"): (2, "'27.11.2026' is no date; write YYYY-MM-DD"),
    ("add", SYMBOL, "buy", "10", "--for", "1999-01-04"): (1, "no session is known on 1999-01-04"),
    ("import", "/nowhere/orders.csv"): (1, "No such file or directory: '/nowhere/orders.csv'"),
    ("show", "20261120-ACME-0001"): (1, "there is no ledger that could be opened"),
    ("cancel", "20261120-ACME-0001"): (1, "has no parent '20261120-ACME-0001'"),
    ("list", "--day", "today"): (2, "'today' is no date"),
    ("sell", SYMBOL): (2, "invalid choice: 'sell'"),
    (): (2, "required: command"),
}


@pytest.mark.parametrize("words", MISTAKES, ids=" ".join)
def test_a_mistake_is_told_and_enters_nothing(box: TradingBox, say: Speaker, words: tuple[str, ...]) -> None:
    code, out, err = say(*words)

    assert (code, out) == (MISTAKES[words][0], "")
    assert MISTAKES[words][1] in err
    assert "Traceback" not in err
    assert stored(box) == []


def test_an_order_for_a_session_that_is_over_is_refused(box: TradingBox, say: Speaker) -> None:
    box.set_hours(timedelta(hours=1), -timedelta(minutes=5))

    code, _, err = say("add", SYMBOL, "buy", "10", "--for", box.today.isoformat())

    assert code == 1
    assert f"the session of {box.today} ended at" in err


def test_without_a_day_an_order_after_the_close_is_for_the_next_session(
    box: TradingBox, say: Speaker
) -> None:
    box.set_hours(timedelta(hours=1), -timedelta(minutes=5))

    _, out, _ = say("add", SYMBOL, "buy", "10")

    assert f"for {box.today + timedelta(days=1)}: new" in out


def test_corrections_to_the_calendar_that_cannot_be_read_are_said(box: TradingBox, say: Speaker) -> None:
    (box.state / "overrides.csv").write_text("2026-11-31, closed\n")

    code, _, err = say("add", SYMBOL, "buy", "10")

    assert code == 1
    assert "overrides.csv:1: '2026-11-31' is not a date" in err


# --- a file of orders -------------------------------------------------------------------------------------

FILE = "symbol,side,quantity,urgency\nacme,buy,100,low\nBETA, sell ,200,\n"


def test_a_file_is_entered_whole_and_a_second_time_not_again(box: TradingBox, say: Speaker) -> None:
    path = written(box, FILE)

    first, second = say("import", path), say("import", path)

    assert (first[0], second[0]) == (0, 0)
    assert stored(box) == [(SYMBOL, "buy", 100), (OTHER, "sell", 200)]
    assert first[1].splitlines()[1] == f"{box.today:%Y%m%d}-BETA-0001  sell 200 BETA for {box.today}: new"
    assert [line.endswith(": new, entered before") for line in second[1].splitlines()] == [True, True]


def test_a_file_with_decision_prices_is_the_same_the_second_time(box: TradingBox, say: Speaker) -> None:
    path = written(box, "symbol,side,quantity,decision_price\nACME,buy,100,99.5\n")

    codes = [say("import", path)[0], say("import", path)[0]]

    assert codes == [0, 0]
    assert stored(box) == [(SYMBOL, "buy", 100)]


def test_a_line_that_was_changed_after_it_was_entered_is_refused(box: TradingBox, say: Speaker) -> None:
    say("import", written(box, FILE))

    code, _, err = say("import", written(box, FILE.replace("100", "999")))

    assert code == 1
    assert f"is {box.today:%Y%m%d}-ACME-0001's with quantity 100 (given: 999)" in err
    assert stored(box) == [(SYMBOL, "buy", 100), (OTHER, "sell", 200)]


def test_lines_that_are_added_later_are_entered_beside_the_first(box: TradingBox, say: Speaker) -> None:
    say("import", written(box, FILE))

    say("import", written(box, FILE + "ACME,sell,7,\n"))

    assert stored(box) == [(SYMBOL, "buy", 100), (OTHER, "sell", 200), (SYMBOL, "sell", 7)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "orders.csv:1: no column symbol, side, quantity"),
        ("symbol,side\nACME,buy\n", "orders.csv:1: no column quantity"),
        ("symbol,side,quantity,urgancy\nACME,buy,1,low\n", "unknown column urgancy. Did you mean 'urgency'?"),
        ("symbol,side,quantity\nACME,buy,1,000\n", "orders.csv:2: more cells than columns: '000'"),
        ("symbol,side,quantity\nACME,keep,5\n", "orders.csv:2: side is 'keep': expected one of buy, sell"),
        ("symbol,side,quantity\n,buy,5\n", "orders.csv:2: no symbol; an order needs symbol, side, quantity"),
        ("symbol,side,quantity\nACME,buy,5.0\n", "quantity is '5.0': expected a whole number"),
        ("symbol,side,quantity\nACME,buy,-5\n", "quantity is -5: expected a whole number from 1 up"),
    ],
)
def test_a_file_with_a_mistake_is_refused_whole(box: TradingBox, say: Speaker, text: str, said: str) -> None:
    good = "BETA,sell,200\n" if text else ""

    code, out, err = say("import", written(box, text + good))

    assert (code, out) == (1, "")
    assert said in err
    assert stored(box) == []


def test_every_mistake_of_a_file_is_told_at_once(box: TradingBox, say: Speaker) -> None:
    _, _, err = say("import", written(box, "symbol,side,quantity\nACME,buy,x\nACME,buy,1\nACME,keep,5\n"))

    assert [line.split(":")[1] for line in err.removeprefix("orders: ").splitlines()] == ["2", "4"]


def test_a_header_alone_enters_nothing_and_says_so(box: TradingBox, say: Speaker) -> None:
    assert say("import", written(box, "symbol,side,quantity\n")) == (0, "no orders in it\n", "")


def test_a_spreadsheets_mark_before_the_header_is_no_part_of_it(box: TradingBox, say: Speaker) -> None:
    assert say("import", written(box, "\ufeff" + FILE))[0] == 0


# --- looking and cancelling -------------------------------------------------------------------------------


def test_before_the_first_order_there_is_nothing_to_list(box: TradingBox, say: Speaker) -> None:
    assert say("list") == (0, "no orders\n", "")
    assert not (box.state / "ledger.db").exists()


def test_a_cancelled_order_stays_so(box: TradingBox, say: Speaker) -> None:
    _, out, _ = say("add", SYMBOL, "buy", "100")
    parent_id = out.split()[0]

    first, second = say("cancel", parent_id), say("cancel", parent_id)

    assert first[1].startswith(f"{parent_id} is cancelled")
    assert second == (0, f"{parent_id} is cancelled already; nothing to cancel\n", "")
    assert box.parent(parent_id).state is ParentState.CANCELLED
    assert "cancelled  (cancelled by hand)" in say("list")[1]


def test_an_order_is_listed_on_its_day_alone(box: TradingBox, say: Speaker) -> None:
    say("add", SYMBOL, "buy", "100", "--for", (box.today + timedelta(days=1)).isoformat())

    assert say("list", "--day", box.today.isoformat())[1] == "no orders\n"
    assert "ACME-0001" in say("list")[1]


# --- halting ----------------------------------------------------------------------------------------------


def test_a_halt_is_set_listed_and_taken_back(box: TradingBox, say: Speaker) -> None:
    halted, again = say("halt", "fills look wrong"), say("halt", "to be sure")
    listed, resumed, nothing = say("list"), say("resume"), say("resume")

    assert halted[1].startswith("trading is halted: nothing more is sent")
    assert again[1] == "trading was halted already: fills look wrong; your reason is added\n"
    assert listed[1].splitlines()[0] == "TRADING IS HALTED: fills look wrong"
    assert resumed[1].startswith("trading may go on")
    assert nothing == (0, "trading was not halted\n", "")
    history = KillSwitch(box.state / "trading.halt").history.read_text().splitlines()
    assert [json.loads(line)["by"] for line in history] == ["scripts.orders"] * 3


# --- as a process -----------------------------------------------------------------------------------------


def test_as_a_process_it_says_and_ends_the_same(box: TradingBox) -> None:
    added = box.run("orders", "add", SYMBOL, "buy", "300")
    shown = box.run("orders", "show", added.stdout.split()[0])
    wrong = box.run("orders", "add", SYMBOL, "buy", "300", ORCHESTRATOR_BROKER="nobody")

    assert (added.returncode, added.stderr, shown.returncode) == (0, "", 0)
    assert "0/300       auto           new" in shown.stdout
    assert wrong.returncode == 2
    assert "ORCHESTRATOR_BROKER='nobody'" in wrong.stderr


def test_looking_and_halting_load_nothing_heavy(box: TradingBox) -> None:
    """A person halts in a hurry, on a box whose memory research has filled."""
    code = (
        "import sys; from scripts.orders import main; main(['halt', 'why']); main(['list']);"
        "print(sorted({'numpy', 'pandas', 'pyarrow', 'sqlalchemy'} & set(sys.modules)))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], env=box.environment(), capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines()[-1] == "[]"
