"""Whether a strategy sees the future: bars to come are cut off or changed, and its decisions must not be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import zip_longest
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from trading.backtest.bars import Bar
from trading.backtest.config import BacktestConfig
from trading.backtest.errors import LookAheadError
from trading.backtest.history import PRICES, Floats, Ints, PriceHistory, SymbolBars, said
from trading.backtest.lockstep import indicator_value, indicator_values, run_together
from trading.backtest.signals import Signal
from trading.backtest.strategy import DeclaresIndicators, Ends, Indicator, IStrategy, Signals, Starts, State
from trading.backtest.strategy_run import StrategyRun
from trading.backtest.view import View

SHORT = 10_000
"""Up to as many instants cuts fall all over a history; on a longer one more of them fall early."""


class Places(NamedTuple):
    """Where to cut a history, as parts of what follows the warm-up. after: right after the last change up to
    there. anywhere: there itself, changes or not. early: after how many of the first changes."""

    after: tuple[float, ...]
    anywhere: tuple[float, ...]
    early: int


EIGHTHS = tuple(k / 8 for k in range(1, 9))
HALVINGS = tuple(0.5**k for k in range(4, 14))
SIGNALS = Places(after=EIGHTHS, anywhere=(*EIGHTHS, *HALVINGS), early=4)
SIGNALS_OF_LONG = Places(after=HALVINGS[:8], anywhere=tuple(0.5**k for k in (2, 4, 6, 9, 12, 15)), early=4)
"""What is asked again amounts to less than half of the history: an array form is there for its speed."""
INDICATORS = Places(after=(1 / 8, 1 / 2, 7 / 8), anywhere=(1 / 8, 1 / 2, 7 / 8), early=2)
INDICATORS_OF_LONG = Places(after=(1 / 512, 1 / 64, 1 / 8), anywhere=(1 / 512, 1 / 64, 1 / 8), early=2)
"""An indicator has a value for each bar: there, any cut shows a bar of foresight."""
TOLERANCE = 1e-9
"""Sums of another length may round otherwise: of weights, which are around 1; a part of what is larger."""

Decision = tuple[int, str, tuple[Signal, ...]]
"""Row, symbol of the bar, and the answer."""
Maker = Callable[[PriceHistory], IStrategy]
T = TypeVar("T")


def decided_rows(weights: Floats) -> Ints:
    """Return the instants at which anything is decided. weights: shape (instants, symbols)."""
    told = weights == weights
    return np.flatnonzero(told[:, 0] if told.shape[1] == 1 else told.any(axis=1))


def check_signals(
    name: str, ask: Callable[[PriceHistory], Floats], history: PriceHistory, weights: Floats, *, warmup: int
) -> None:
    """Refuse array signals that change when the history ends earlier.

    name: the strategy's. ask: its answer for a history, shape (instants, symbols). weights: that for the
    whole history. Cuts fall right after decisions that change the one before, where a bar of foresight that
    led to one must show, and at places spread over the history: foresight that withheld or put off a
    decision leaves none to cut after, and shows where the shorter history decides and the whole one does not.

    Raises:
        LookAheadError: naming the bar, the symbol and both values.
    """
    for cut in _cuts(weights, warmup, SIGNALS if len(weights) <= SHORT else SIGNALS_OF_LONG):
        head = history.head(cut)
        known = _again(partial(ask, head), f"the signals of {name}", f"{cut} instants")
        _compare(name, history, weights[:cut], head, known)


def check_indicators(
    strategy: IStrategy, history: PriceHistory, values: Mapping[str, Sequence[Floats]]
) -> None:
    """Refuse declared indicators that change when their bars end earlier; a strategy without any passes.

    values: what they say of the whole history, by symbol (`lockstep.indicator_values`).

    Raises:
        LookAheadError: naming the indicator, the bar, the symbol and both values.
    """
    if not isinstance(strategy, DeclaresIndicators):
        return
    for symbol, bars in history.bars.items():
        for indicator, column in zip(strategy.indicators, values[symbol], strict=True):
            _check_indicator(strategy.name, indicator, bars, column)


def _check_indicator(name: str, indicator: Indicator, bars: SymbolBars, column: Floats) -> None:
    # What it says in its own warm-up must hold as well.
    told = column == column
    warmup = int(np.argmax(told)) if told.any() else indicator.warmup
    cuts = _cuts(column[:, None], warmup, INDICATORS if len(column) <= SHORT else INDICATORS_OF_LONG)
    # The longest first: one that shifts its bars may fail on very few of them, and that would hide why.
    for head in (bars.part(0, cut) for cut in reversed(cuts)):
        what = f"indicator {indicator!r} of {name}"
        known = _again(partial(indicator_value, name, indicator, head), what, f"{len(head)} bars")
        differs = _differing(column[: len(head)], known)
        if differs.any():
            row = int(np.argmax(differs))
            raise LookAheadError(
                f"{what} looks ahead: for {bars.symbol} on {said(bars.stamps[row])} (bar {row}) it says "
                f"{column[row]:.12g} when it is given all bars, but {known[row]:.12g} when it is given those "
                f"up to {said(head.stamps[-1])}"
            )


def _again(ask: Callable[[], T], what: str, of: str) -> T:
    """Return what is answered for a part of the history; an error says that it was a part."""
    try:
        return ask()
    except Exception as error:
        error.add_note(f"asked for {what} again, with the first {of} alone")
        raise


def _cuts(values: Floats, warmup: int, places: Places) -> list[int]:
    """Return the lengths of the histories to try, rising. values: shape (instants, columns)."""
    instants = len(values)

    def at_parts(parts: tuple[float, ...]) -> list[int]:
        return [warmup + int(part * max(instants - warmup, 0)) for part in parts]

    rows = at_parts(places.after)
    changes = _changes(values[: max(rows) + 1])
    if len(changes) < places.early:
        changes = _changes(values)
    cuts = set()
    if len(changes):
        # Turns by turns, an odd and an even one: entries and exits alternate.
        at = np.searchsorted(changes, rows, side="right") - 1
        odd = np.maximum(at - (at + np.arange(len(at))) % 2, 0)
        cuts = {int(row) + 1 for row in (*changes[odd], *changes[: places.early])}
    # Where every instant changes something, these would be the same cuts again, a bar earlier.
    again = cuts | {cut - 1 for cut in cuts}
    cuts |= {*at_parts(places.anywhere)} - again
    return sorted(cut for cut in cuts if warmup < cut < instants)


def _changes(values: Floats) -> Ints:
    """Return the instants of decisions (or values) that differ from the last one before."""
    rows = decided_rows(values)
    told, before = values[rows], values[rows[:-1]]
    same = (told[1:] == before) | (np.isnan(told[1:]) & np.isnan(before))
    changes: Ints = rows[np.concatenate([[True], ~same.all(axis=1)])[: len(rows)]]
    return changes


def _differing(whole: Floats, known: Floats) -> NDArray[np.bool_]:
    """Return where two answers differ by more than rounding; NaN is equal to NaN."""
    differs: NDArray[np.bool_] = (whole != known) & ((whole == whole) | (known == known))
    if differs.any():
        one, other = whole[differs], known[differs]
        with np.errstate(invalid="ignore"):  # an infinite one beside a finite one
            close = np.abs(one - other) <= TOLERANCE * np.maximum(1.0, np.abs(one))
        differs[differs] = ~(close & np.isfinite(one))
    return differs


def _compare(name: str, history: PriceHistory, whole: Floats, head: PriceHistory, known: Floats) -> None:
    if len(head.bars) < len(history.bars):
        known = _widened(history, head, known)
        # To want nothing of a symbol that is not listed yet says nothing.
        whole = np.where(np.isnan(known) & (whole == 0.0), np.nan, whole)
    differs = _differing(whole, known)
    if differs.any():
        row, column = (int(at[0]) for at in np.nonzero(differs))
        raise LookAheadError(
            f"{name} looks ahead: for {history.symbols[column]} on {said(history.stamps[row])} "
            f"(instant {row}) it decides {_weight(whole[row, column])} when it is given all instants, "
            f"but {_weight(known[row, column])} when it is given those up to {said(head.stamps[-1])}"
        )


def _widened(history: PriceHistory, head: PriceHistory, known: Floats) -> Floats:
    """Return the signals with a column of nothing for each symbol that is not listed yet."""
    wide = np.full((len(known), len(history.bars)), np.nan)
    wide[:, [history.symbols.index(symbol) for symbol in head.symbols]] = known
    return wide


def _weight(weight: float) -> str:
    return "nothing" if np.isnan(weight) else f"a weight of {weight:g}"


def check_look_ahead(
    strategy: IStrategy | Maker,
    history: PriceHistory,
    *,
    cuts: int = 5,
    seed: int = 1,
    config: BacktestConfig | None = None,
) -> None:
    """Refuse a strategy whose answers to its bars change when bars to come are others.

    strategy: or what makes it from a history, for one that is handed bars when it is built: only so are the
    bars that it holds changed too. cuts: at how many instants the future is changed, twice each: every bar
    after it takes another's place, once far dearer and once far cheaper. Half of the cuts fall right after
    decisions, the rest anywhere, as the seed has it. config: the rules it trades by, None for none.

    Raises:
        LookAheadError: naming the first decision that changed.
    """
    random = np.random.default_rng(seed)
    name, usual = _decisions(strategy, history, config)
    for cut in _places(usual, len(history), cuts, random):
        for factor in (1.4, 0.6):
            other = _with_another_future(history, cut, factor, random)
            _, changed = _decisions(strategy, other, config, isolated=True)
            _compare_decisions(name, history, cut, usual, changed)


class _Recorded:
    """A strategy, with its answers written down."""

    def __init__(self, strategy: IStrategy) -> None:
        self.strategy = strategy
        self.name = strategy.name
        self.parameters = strategy.parameters
        self.warmup = strategy.warmup
        self.decisions: list[Decision] = []

    def on_start(self, state: State) -> None:
        if isinstance(self.strategy, Starts):
            self.strategy.on_start(state)

    def on_bar(self, bar: Bar, state: State) -> Signals:
        answer = self.strategy.on_bar(bar, state)
        if answer:
            told = (answer,) if isinstance(answer, Signal) else tuple(answer)
            self.decisions.append((state.row, bar.symbol, told))
        return answer

    def on_end(self, state: State) -> None:
        if isinstance(self.strategy, Ends):
            self.strategy.on_end(state)


def _decisions(
    strategy: IStrategy | Maker,
    history: PriceHistory,
    config: BacktestConfig | None,
    *,
    isolated: bool = False,
) -> tuple[str, list[Decision]]:
    made = strategy if isinstance(strategy, IStrategy) else strategy(history)
    recorded = _Recorded(made)
    view = View(history, indicator_values(made, history))
    run = StrategyRun(recorded, 1e6, view, config or BacktestConfig(), isolated=isolated)
    run_together(history, [run])
    return made.name, recorded.decisions


def _places(
    decisions: Sequence[Decision], instants: int, cuts: int, random: np.random.Generator
) -> list[int]:
    """Return the instants from which on the future is changed: no later than the last one."""
    places = {row + 1 for row, _, _ in decisions if row + 1 < instants}
    after = random.permutation(sorted(places))[: (cuts + 1) // 2].tolist()
    anywhere = random.integers(1, max(instants, 2), cuts - len(after)).tolist()
    return sorted({cut for cut in (*after, *anywhere) if cut < instants})


def _with_another_future(
    history: PriceHistory, cut: int, factor: float, random: np.random.Generator
) -> PriceHistory:
    return PriceHistory(
        _changed_from(int(np.searchsorted(history.rows[symbol], cut)), bars, factor, random)
        for symbol, bars in history.bars.items()
    )


def _changed_from(at: int, bars: SymbolBars, factor: float, random: np.random.Generator) -> SymbolBars:
    """Return the bars with those from `at` on in another order, at other prices and volumes."""
    order = np.concatenate([np.arange(at), at + random.permutation(len(bars) - at)])
    scale = np.ones(len(bars))
    scale[at:] = factor * np.exp(random.normal(0.0, 0.05, len(bars) - at))

    def changed(values: Floats, by: Floats | float) -> Floats:
        made: Floats = values[order] * by
        made.setflags(write=False)
        return made

    open_, high, low, close = (changed(getattr(bars, name), scale) for name in PRICES)
    return replace(
        bars,
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=changed(bars.volume, scale),
        dividends=None if bars.dividends is None else changed(bars.dividends, 1.0),
        splits=None if bars.splits is None else changed(bars.splits, 1.0),
        extras={name: changed(values, scale) for name, values in bars.extras.items()},
    )


def _compare_decisions(
    name: str, history: PriceHistory, cut: int, usual: Iterable[Decision], changed: Iterable[Decision]
) -> None:
    known, other = ([each for each in told if each[0] < cut] for told in (usual, changed))
    for one, two in zip_longest(known, other):
        if one != two:
            row, symbol, _ = min((each for each in (one, two) if each is not None), key=lambda each: each[0])
            raise LookAheadError(
                f"{name} looks ahead: at the bar of {symbol} on {said(history.stamps[row])} "
                f"(instant {row}) it answers {_answer(one, row)}, but {_answer(two, row)} when the bars from "
                f"{said(history.stamps[cut])} on are others"
            )


def _answer(decision: Decision | None, row: int) -> str:
    return "nothing" if decision is None or decision[0] != row else repr(list(decision[2]))
