"""One strategy at work: its account, its waiting orders, and what a bar makes of them."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from trading.backtest.account import Account, Fill
from trading.backtest.config import BacktestConfig
from trading.backtest.errors import StrategyError
from trading.backtest.history import said
from trading.backtest.orders import PHASES, Order, Phase
from trading.backtest.rejections import Reason, Rejection
from trading.backtest.signals import Signal
from trading.backtest.sizing import ROUNDING, Sizer, target_shares, wanted, whole_shares
from trading.backtest.strategy import Ends, IStrategy, Starts, State
from trading.backtest.view import AccountState, View, equity_of

OPENS = (Phase.OPEN,)

Due = tuple[bool, Order, float]
"""Whether an order opens or adds to a position; the order, and its price."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a strategy was stopped. row: the instant; error: what it raised, as text; trace: where, None if
    it was stopped for having lost all its capital."""

    row: int
    error: str
    trace: str | None


class Observer(Protocol):
    """Told of what happens in a run, as it happens.

    follows_fills: whether of signals and fills too, or of rejections and failures alone.
    """

    @property
    def follows_fills(self) -> bool: ...

    def signalled(self, run: StrategyRun, signal: Signal) -> None: ...

    def filled(self, run: StrategyRun, fill: Fill) -> None: ...

    def rejected(self, run: StrategyRun, rejection: Rejection) -> None: ...

    def failed(self, run: StrategyRun, failure: Failure) -> None: ...


class StrategyRun:
    """A strategy with an account of its own. It is called by the loop (`lockstep`) and by nobody else.

    observer: told of signals, fills, rejections and failures; None: nobody is. isolated: whether an
    exception of the strategy ends the strategy alone (its positions are closed at the next open) or is
    raised.
    """

    def __init__(
        self,
        strategy: IStrategy,
        capital: float,
        view: View,
        config: BacktestConfig,
        *,
        observer: Observer | None = None,
        isolated: bool = False,
    ) -> None:
        self.strategy = strategy
        self.name = strategy.name
        self.view = view
        self.config = config
        self.account = Account(capital)
        self.state = AccountState(self.account, view)
        self.waiting: list[Order] = []
        self.rejections: list[Rejection] = []
        self.failure: Failure | None = None
        self._observer = observer
        self._follower = observer if observer is not None and observer.follows_fills else None
        self._isolated = isolated
        self._sizers: dict[str, Sizer] = {}
        self._weights: dict[str, float] = {}
        """The weight last asked for, by symbol."""

    def start(self) -> None:
        """Tell the strategy that its first bar comes."""
        strategy = self.strategy
        if self.failure is None and isinstance(strategy, Starts):
            self._guarded(strategy.on_start)

    def end(self) -> None:
        """Tell the strategy that there are no more bars; what waits is never filled."""
        strategy = self.strategy
        if self.failure is None and isinstance(strategy, Ends):
            self._guarded(strategy.on_end)
        self.withdraw()

    def withdraw(self) -> None:
        """Give up what waits, as there are no more bars."""
        for order in self.waiting:
            self._reject_last(order, Reason.NO_MORE_BARS)
        self.waiting = []

    def _reject_last(self, order: Order, reason: Reason) -> None:
        if order.change != 0.0:  # a mere cancellation asks for no fill
            self._reject(order, reason)

    def _guarded(self, told: Callable[[State], None]) -> None:
        try:
            told(self.state)
        except Exception as error:
            self.fail(error)

    def fail(self, error: Exception) -> None:
        """Stop the strategy: its positions are closed at the next open. Raises `error` unless isolated."""
        if not self._isolated:
            error.add_note(f"raised by {self.name} {self._when()}")
            raise error
        trace = "".join(traceback.format_exception(error))
        self._stop(f"{type(error).__name__}: {error}", trace)

    def _stop(self, why: str, trace: str | None) -> None:
        self.failure = Failure(row=self.view.row, error=why, trace=trace)
        for order in self.waiting:
            self._reject_last(order, Reason.STOPPED)
        held = list(self.account.positions)
        self.waiting = [Order(Signal.close(symbol), self.view.row, self.config) for symbol in held]
        if self._observer is not None:
            self._observer.failed(self, self.failure)

    def place(self, signals: object) -> None:
        """Turn what `on_bar` answered into waiting orders."""
        given = (signals,) if isinstance(signals, Signal) else signals
        try:
            for signal in given:  # type: ignore[attr-defined]  # what is no sequence is refused below
                if not isinstance(signal, Signal) or signal.symbol not in self.view.history.bars:
                    known = ", ".join(self.view.history.symbols)
                    raise StrategyError(f"{signal!r} is no signal for one of {known}")
                self.order(signal)
        except (TypeError, StrategyError) as error:
            why = f"{self.name} answered {signals!r} {self._when()}: expected signals ({error})"
            self.fail(StrategyError(why))
        except Exception as error:
            # A generator's own: it runs as it is read.
            self.fail(error)

    def _when(self) -> str:
        row = self.view.row
        return "before the first bar" if row < 0 else f"on {said(self.view.history.stamps[row])}"

    def order(self, signal: Signal) -> None:
        """Let an order wait for the next bar; it replaces what waits for its symbol, unless they are one
        group."""
        if self.waiting:
            self.waiting = [each for each in self.waiting if not _replaced(each, signal)]
        self.waiting.append(Order(signal, self.view.row, self.config))
        if self._follower is not None:
            self._follower.signalled(self, signal)

    def match(self) -> None:
        """Fill what the present instant's bars fill."""
        waiting, self.waiting = self.waiting, []
        if len(waiting) == 1 and waiting[0].is_plain:
            # Most often so; the way below comes to the same.
            order = waiting[0]
            bar = self.view.bar(order.symbol)
            if bar is None:
                self.waiting.append(order)
            elif not self._execute(order, bar.close if order.at_close else bar.open, order.at_close):
                self._keep(order)
            return
        plain = all(order.is_plain and not order.at_close for order in waiting)
        for phase in OPENS if plain else PHASES:
            waiting = self._match_phase(phase, waiting)
        for order in waiting:
            self._keep(order)

    def _keep(self, order: Order) -> None:
        """Let an order wait for another bar, unless its bars have passed."""
        if order.left is not None and self.view.bar(order.symbol) is not None:
            order.left -= 1
            if order.left < 1:
                self._reject(order, Reason.EXPIRED)
                return
        self.waiting.append(order)

    def _match_phase(self, phase: Phase, waiting: list[Order]) -> list[Order]:
        at_close = phase is Phase.CLOSE
        equity = self._equity_in(at_close)
        due: list[Due] = []
        kept: list[Order] = []
        for order in waiting:
            bar = self.view.bar(order.symbol)
            if bar is None:
                kept.append(order)
                continue
            held = self.account.held(order.symbol)
            change = wanted(order, held, bar.close if at_close else bar.open, equity)
            if change == 0.0:
                continue
            price = order.price_in(phase, bar, change > 0.0)
            if price is None:
                kept.append(order)
            else:
                due.append((held * change >= 0.0, order, price))
        filled: dict[str, Order] = {}
        if len(due) > 1:
            # What reduces positions comes first: it brings the capital that the others need. Then by symbol:
            # in what order a strategy names them plays no part.
            places = self.view.places
            due.sort(key=lambda each: (each[0], places[each[1].symbol]))
            due = self._fill_due(due, at_close, filled, opens=False)
        kept += [order for _, order, _ in self._fill_due(due, at_close, filled, opens=True)]
        return [each for each in kept if not _cancelled(each, filled)]

    def _fill_due(
        self, due: Sequence[Due], at_close: bool, filled: dict[str, Order], *, opens: bool
    ) -> list[Due]:
        """Fill orders; return those of which something is left. filled: which order of a symbol has traded.
        opens: whether positions are opened, or only reduced."""
        left = []
        for each in due:
            opening, order, price = each
            if _cancelled(order, filled):
                continue
            before = len(self.account.record)
            if (opening and not opens) or not self._execute(order, price, at_close, opens=opens):
                left.append(each)
            if len(self.account.record) > before:
                filled[order.symbol] = order
        return left

    def _equity_in(self, at_close: bool) -> float:
        """Return the equity at the instant's opens (or closes); symbols without a bar at their last close."""
        equity = self.account.cash
        for symbol, position in self.account.positions.items():
            equity += position.quantity * self._price_in(symbol, at_close)
        return equity

    def _price_in(self, symbol: str, at_close: bool) -> float:
        bar = self.view.bar(symbol)
        if bar is None:
            return self.view.close(symbol)
        return bar.close if at_close else bar.open

    def _execute(self, order: Order, price: float, at_close: bool, *, opens: bool = True) -> bool:
        """Trade what the order says at `price`; return whether nothing of it is left. opens: whether it may
        open a position now."""
        symbol = order.symbol
        sizer = self._sizers.get(symbol) or self._sizer(symbol)
        # Where in the symbol's bars the present one is: slippage alone wants to know.
        at = -1 if sizer.slippage is None else self.view.count(symbol) - 1
        limited = order.limit is not None
        equity = self.account.cash
        for each, position in self.account.positions.items():
            # What is held of the symbol itself is worth what it is traded at.
            equity += position.quantity * (price if each == symbol else self._price_in(each, at_close))
        reduce, open_ = target_shares(order, self.account, equity, price, sizer, at, limited)
        if not self.config.fractional:
            reduce, open_ = self._whole(symbol, reduce), whole_shares(open_)
        if reduce == 0.0 and open_ == 0.0:
            if wanted(order, self.account.held(symbol), price, equity) != 0.0:
                self._reject(order, Reason.TOO_SMALL)
            return True
        if sizer.slippage is not None:
            return self._execute_part(order, reduce, open_, price, at_close, sizer, at, opens=opens)
        if reduce != 0.0:
            self._trade(order, reduce, price, sizer, at, limited)
            if order.change is not None:
                order.change -= reduce
        if open_ != 0.0 and opens:
            self._open(order, open_, price, at_close, sizer, at, limited)
        return opens or open_ == 0.0

    def _execute_part(
        self,
        order: Order,
        reduce: float,
        open_: float,
        price: float,
        at_close: bool,
        sizer: Sizer,
        at: int,
        *,
        opens: bool,
    ) -> bool:
        """Trade as much as the bar's volume allows; return whether nothing is left."""
        limited = order.limit is not None
        if reduce != 0.0:
            traded = self._within_volume(reduce, sizer, at)
            if traded != 0.0:
                self._trade(order, traded, price, sizer, at, limited)
                if order.change is not None:
                    order.change -= traded
            if traded != reduce:
                return False
        if open_ == 0.0 or not opens:
            return open_ == 0.0
        part = self._within_volume(open_, sizer, at)
        if part != 0.0:
            if not self._open(order, part, price, at_close, sizer, at, limited):
                return True
            if order.change is not None:
                order.change -= part
        return part == open_

    def _within_volume(self, shares: float, sizer: Sizer, at: int) -> float:
        """Return as many of the shares as the bar can still fill."""
        most = sizer.most(at)
        if abs(shares) <= most:
            return shares
        return math.copysign(most if self.config.fractional else whole_shares(most), shares)

    def _whole(self, symbol: str, reduce: float) -> float:
        """Return whole shares, but all of a position that is closed: a split may have left a part."""
        return reduce if reduce == -self.account.held(symbol) else whole_shares(reduce)

    def _open(
        self,
        order: Order,
        shares: float,
        price: float,
        at_close: bool,
        sizer: Sizer,
        at: int,
        limited: bool,
    ) -> bool:
        """Open or add to a position; return False if it was refused."""
        if shares < 0.0 and not self.config.shorting:
            self._reject(order, Reason.SHORTING)
            return False
        account = self.account
        available = account.allocated - account.used
        cost = sizer.cost(price, shares, at, limited)
        if cost > available + ROUNDING * account.allocated:
            if not self._is_within(order, at_close):
                self._reject(order, Reason.CAPITAL, cost)
                return False
            shares = sizer.affordable(available, price, 1.0 if shares > 0.0 else -1.0, at, limited)
            if not self.config.fractional:
                shares = whole_shares(shares)
            if shares == 0.0:
                self._reject(order, Reason.CAPITAL, cost)
                return False
        self._trade(order, shares, price, sizer, at, limited)
        return True

    def _is_within(self, order: Order, at_close: bool) -> bool:
        """Return whether a weight stays within the equity, with the weights of the other positions as they
        were asked for. Then only fees, or gains of others not taken yet, keep it from being filled whole,
        and it is cut to fit."""
        if order.weight is None:
            return False
        equity = self._equity_in(at_close)
        weights = abs(order.weight)
        for symbol, position in self.account.positions.items():
            if symbol != order.symbol:
                held = abs(position.quantity) * self._price_in(symbol, at_close)
                weights += self._weights.get(symbol, held / equity)
        return weights <= 1.0 + ROUNDING

    def _trade(self, order: Order, shares: float, price: float, sizer: Sizer, at: int, limited: bool) -> None:
        symbol = order.symbol
        paid = price if sizer.slippage is None else sizer.price(price, shares, at, limited)
        fee = sizer.commission.of(abs(shares), paid)
        fill = self.account.fill(self.view.row, symbol, shares, paid, fee, order.metadata)
        if sizer.slippage is not None:
            sizer.take(at, shares)
        if order.weight is not None:
            self._weights[symbol] = abs(order.weight)
        elif self._weights:
            self._weights.pop(symbol, None)
        if self._follower is not None:
            self._follower.filled(self, fill)

    def _sizer(self, symbol: str) -> Sizer:
        sizer = self._sizers.get(symbol)
        if sizer is None:
            sizer = self._sizers[symbol] = Sizer(self.config, self.view.history.bars[symbol])
        return sizer

    def _reject(self, order: Order, reason: Reason, requested: float = 0.0) -> None:
        account = self.account
        rejection = Rejection(
            row=self.view.row,
            symbol=order.symbol,
            signal=order.signal,
            reason=reason,
            requested=requested,
            allocated=account.allocated,
            used=account.used,
            available=account.available,
        )
        self.rejections.append(rejection)
        if self._observer is not None:
            self._observer.rejected(self, rejection)

    @property
    def is_short(self) -> bool:
        for position in self.account.positions.values():  # noqa: SIM110  # any() takes four times as long
            if position.quantity < 0.0:
                return True
        return False

    def check_ruin(self) -> None:
        """Stop the strategy if nothing is left at the present closes: what short positions can come to."""
        if self.failure is None and equity_of(self.account, self.view) <= 0.0:
            self._stop("it has lost all its capital", None)

    def split(self, symbol: str, ratio: float) -> None:
        """Restate position and waiting orders in new shares."""
        self.account.split(self.view.row, symbol, ratio)
        for order in self.waiting:
            if order.symbol == symbol:
                order.split(ratio)

    def pay_dividend(self, symbol: str, per_share: float) -> None:
        """Book a dividend on what is held before the ex-date's open; a short position pays it."""
        held = self.account.held(symbol)
        if held:
            self.account.pay(self.view.row, "dividend", symbol, held * per_share)

    def finance(self, years: float) -> None:
        """Book interest and borrowing fees for the time since the instant before."""
        account, financing = self.account, self.config.financing
        shorts = {s: p for s, p in account.positions.items() if p.quantity < 0.0}
        if financing.cash_rate:
            own = account.cash - sum(position.entry_value for position in shorts.values())
            if own > 0.0:
                account.pay(self.view.row, "interest", "", own * financing.cash_rate * years)
        if financing.borrow_rate:
            for symbol, position in shorts.items():
                owed = -position.quantity * self.view.close(symbol, ago=1)
                account.pay(self.view.row, "borrow", symbol, -owed * financing.borrow_rate * years)

    def delist(self, symbol: str) -> None:
        """Turn a position into cash after its symbol's last bar; what waits for the symbol never fills."""
        held = self.account.held(symbol)
        if held:
            recovery = self.config.delisting_recovery if held > 0.0 else 1.0
            price = self.view.close(symbol) * recovery
            fill = self.account.fill(self.view.row, symbol, -held, price, 0.0, {"reason": "delisted"})
            if self._follower is not None:
                self._follower.filled(self, fill)
        for order in [each for each in self.waiting if each.symbol == symbol]:
            self.waiting.remove(order)
            self._reject_last(order, Reason.NO_MORE_BARS)


def _cancelled(order: Order, filled: Mapping[str, Order]) -> bool:
    """Return whether another order of its group has traded."""
    return bool(order.signal.group) and filled.get(order.symbol, order) is not order


def _replaced(waiting: Order, signal: Signal) -> bool:
    if waiting.symbol != signal.symbol:
        return False
    return not (signal.group and waiting.signal.group == signal.group)
