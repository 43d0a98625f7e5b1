"""Work orders in some symbols at once: through a past day in seconds, or now, or only plan them.

    python -m scripts.run_execution --symbols AAPL,NVDA --use-smart-execution --dry-run
    python -m scripts.run_execution --symbols AAPL --use-smart-execution --replay 2026-11-19 --output out
    python -m scripts.run_execution --symbols AAPL --use-smart-execution --replay 2026-11-19 --algorithm all
    python -m scripts.run_execution --symbols AAPL,NVDA --quantity AAPL=500,NVDA=900 --use-smart-execution

--dry-run: plans with predicted cost and risk; nothing is sent, nothing stored. --replay DAY: the day's
recorded one-minute bars, a broker that fills from them, time that jumps; a ledger of its own, nothing of the
box's is touched. Neither: now, in the open session, through the box's own ledger and the broker that is
configured, as execute_orders does (which must not be at work); orders that are there already are worked too.

Without --use-smart-execution each order is one plain market order on the paper broker, for comparison, and
nothing of it is kept. Exit codes: 0 planned, or every order has ended (also short of its quantity); 1 it
cannot be done: no bars, nothing known of a symbol, market closed, or the broker has not said what became of
an order; 2 wrong arguments; 75 asked to stop, or another worker is at work.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from orchestration.clock import SystemClock
from orchestration.sessions import ZONES
from scripts import _replay_report
from scripts._execution import (
    CANNOT,
    LEDGER,
    NO_DAY,
    PAPER_MARKET_SEED,
    cannot,
    kill_switch,
    ledger_of,
    the_only_worker,
    venue_of,
)
from scripts._forecast import Forecasts
from scripts._job import EX_TEMPFAIL, StopRequest, finish, parse, parser, settings
from scripts._replay import day_to_replay, known_before, past_hours, take_in
from scripts._replay_report import COMPARED, by_symbol, compared_row, heading_of
from scripts._run_wishes import ALL, SHARE, Wishes, wishes_of
from scripts._session_hours import SessionBook
from scripts._watching import Watcher, say_table
from scripts.execute_orders import CODES, work
from trading.execution.facts import MarketFacts
from trading.execution.ledger.ledger import Ledger
from trading.execution.order_records import OrderRecord, read_record
from trading.execution.orders import ParentOrder, Side, Urgency
from trading.execution.replay import PLAIN, ReplayDay, modelled_day, replay, send_now, send_plainly
from trading.execution.smart.algorithms import ALGORITHMS
from trading.execution.smart.choice import AUTO
from trading.execution.smart.plan import ExecutionPlan, SessionHours
from trading.execution.smart.planner import first_plan
from trading.execution.smart.rules import Ended
from trading.marketdata.errors import BarStoreError, SourceError

PLANNED = (
    *("Order", "Algorithm", "#Slices", "#From", "#To", "#Cost $", "#Cost bp", "#Risk $", "Why, or why not"),
)
PLAINLY = (
    "plain: one market order on the paper broker, filled from its share of each bar's volume; no plan, and "
    "nothing of it is kept"
)


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    made = command_line()
    arguments = parse(made, argv)
    wishes = wishes_of(arguments, made)
    stop, clock = StopRequest(), SystemClock()
    try:
        with tempfile.TemporaryDirectory(prefix="run_execution-") as scratch:
            run = Run(arguments, made, wishes, stop, clock, Path(scratch))
            if arguments.dry_run:
                return run.plan()
            return run.past() if arguments.replay else run.now()
    except (*CANNOT, BarStoreError, SourceError, OSError) as error:
        return cannot("run_execution", error)


def command_line() -> argparse.ArgumentParser:
    """Return the parser."""
    made = parser(__doc__, "state_dir", "data_dir")
    made.add_argument("--symbols", required=True, help="with commas between: AAPL,NVDA")
    made.add_argument("--side", choices=[str(side) for side in Side], default="buy", help="default: buy")
    made.add_argument(
        "--quantity",
        help=f"shares of each order, or AAPL=500,NVDA=900 (default: {100 * SHARE:g} %% of a day's volume)",
    )
    names = ", ".join(ALGORITHMS)
    made.add_argument(
        "--algorithm",
        default=AUTO,
        help=f"{AUTO}, {names}; with --replay or --dry-run several, or {ALL}, to compare (default: {AUTO})",
    )
    made.add_argument(
        "--urgency", choices=[str(level) for level in Urgency], default="medium", help="default: medium"
    )
    made.add_argument(
        "--use-smart-execution", action="store_true", help="plan and slice; else one plain market order each"
    )
    made.add_argument(
        "--use-ml-enhanced",
        action="store_true",
        help="let the learned model's forecast change urgency and risk aversion (train_models makes it)",
    )
    made.add_argument("--dry-run", action="store_true", help="plan only; send and store nothing")
    made.add_argument("--replay", type=date.fromisoformat, metavar="DAY", help="a past day, as 2026-11-19")
    made.add_argument(
        "--source",
        dest="bars_from",
        metavar="csv:FOLDER",
        help="with --replay: bars from FOLDER/SYMBOL.csv and FOLDER/intraday/*.csv instead of the store",
    )
    made.add_argument(
        "--model", action="store_true", help="with --replay: a model of a day, NOT its bars, for want of them"
    )
    made.add_argument("--output", type=Path, metavar="DIR", help="write report, pictures and ledger there")
    return made


class Run:
    """One run of the command. scratch: a folder that is gone afterwards."""

    def __init__(
        self,
        arguments: argparse.Namespace,
        made: argparse.ArgumentParser,
        wishes: Wishes,
        stop: StopRequest,
        clock: SystemClock,
        scratch: Path,
    ) -> None:
        self._arguments, self._wishes, self._stop, self._clock = arguments, wishes, stop, clock
        self._settings, self._scratch = settings(made), scratch
        self._book = SessionBook(self._settings, clock.now().date())
        self._zone = ZoneInfo(ZONES[self._settings.exchange])
        self._forecasts: Forecasts | None = None
        self._foretold: list[str] = []

    def _known(self, day: date, folders: Sequence[Path]) -> dict[str, MarketFacts]:
        """Return what was known before `day`; the forecasts are part of it, where they are wanted."""
        facts = known_before(self._wishes.symbols, day, folders)
        if self._arguments.use_ml_enhanced:
            self._foretell(facts, day, folders)
        return facts

    def _foretell(self, facts: Mapping[str, MarketFacts], day: date, folders: Sequence[Path]) -> None:
        """Have the day's forecasts made, and say them.

        Raises:
            LearningError: if no model is stored that may be used for that day.
        """
        found = Forecasts(list(facts), day, self._arguments.data_dir, folders)
        at = self._clock.now()
        orders = {symbol: self._wishes.order(known, AUTO, day, at) for symbol, known in facts.items()}
        self._foretold = [found.model_said, *(found.said(facts[s], each) for s, each in orders.items())]
        self._forecasts = found
        for text in self._foretold:
            print(text, flush=True)

    def _order(self, known: MarketFacts, algorithm: str, day: date, at: datetime) -> ParentOrder:
        """Return the order in one symbol, as the forecast wants it where there is one."""
        order = self._wishes.order(known, algorithm, day, at)
        if self._forecasts is None or algorithm == PLAIN:
            return order
        return self._forecasts.applied(order)

    def _with_forecasts(self, report: dict[str, object]) -> dict[str, object]:
        return report | ({"forecasts": self._forecasts.report()} if self._forecasts else {})

    # Only plans

    def plan(self) -> int:
        """Show what would be done, and what that should cost."""
        at = self._clock.now()
        if self._arguments.replay:
            hours, facts, _ = self._history()
            at = hours.open
        else:
            hours = self._coming(at)
            facts = self._known(hours.day, [self._arguments.data_dir])
        pairs = [
            (order, None if algorithm == PLAIN else first_plan(order, known, hours, at))
            for algorithm in self._wishes.algorithms
            for known in facts.values()
            for order in [self._order(known, algorithm, hours.day, at)]
        ]
        print(f"Plans for {hours.day}; nothing is sent, nothing stored.")
        say_table(PLANNED, [planned_row(order, plan, self._zone) for order, plan in pairs])
        warnings = [f"{order.symbol}: {text}" for order, plan in pairs if plan for text in plan.warnings]
        for text in dict.fromkeys(warnings):
            print(f"note: {text}")
        plans = [plan_result(order, plan) for order, plan in pairs]
        report = self._with_forecasts({"session": hours.day, "plans": plans})
        return finish(0, report, f"{len(plans)} planned")

    def _coming(self, at: datetime) -> SessionHours:
        hours = self._book.next_session(at)
        if hours is None:
            raise ValueError(NO_DAY)
        return hours

    # A past day

    def _history(self) -> tuple[SessionHours, dict[str, MarketFacts], Path]:
        """The replayed day's hours, what was known before it, and the folder its bars are in."""
        day, now = self._arguments.replay, self._clock.now()
        hours = past_hours(day, now, self._settings.exchange)
        folders = [self._arguments.data_dir]
        if self._arguments.bars_from:
            folders.insert(0, self._scratch / "bars")
            take_in(self._arguments.bars_from, self._wishes.symbols, day, folders[0], now)
        return hours, self._known(day, folders), folders[0]

    def past(self) -> int:
        """Work the orders through a past day, by each algorithm in a world of its own."""
        hours, facts, folder = self._history()
        day = day_to_replay(hours, facts, folder, is_modelled=self._arguments.model)
        records: list[OrderRecord] = []
        with Watcher(self._zone) as watcher:
            for algorithm in self._wishes.algorithms:
                found = self._worked_by(algorithm, day, watcher)
                if found is None:
                    return finish(EX_TEMPFAIL, {"session": hours.day, "stopped": True}, "stopped")
                watcher.ended(algorithm, found)
                records += found
        return self._conclude(hours, records, [day.remark] if day.remark else [])

    def _worked_by(self, algorithm: str, day: ReplayDay, watcher: Watcher) -> list[OrderRecord] | None:
        """One algorithm's records; None: it was asked to stop."""
        at = day.hours.open
        orders = [self._order(known, algorithm, day.hours.day, at) for known in day.facts.values()]
        if algorithm == PLAIN:
            return [asyncio.run(send_plainly(order, day)) for order in orders]
        folder = self._scratch / "ledgers" / algorithm
        folder.mkdir(parents=True)
        kill, watch = kill_switch(folder), watcher.of(algorithm)
        with ledger_of(folder) as ledger:
            ended, records = replay(orders, day, ledger, kill, stop=self._stop, watch=watch)
        return None if ended is Ended.STOPPED else records

    # Now

    def now(self) -> int:
        """Work the orders in the session that is on."""
        at = self._clock.now()
        hours = self._coming(at)
        if not hours.is_open(at):
            opens = f"{hours.open.astimezone(self._zone):%Y-%m-%d %H:%M} ({self._zone})"
            raise ValueError(
                f"the market is closed; it opens at {opens}. Plan with --dry-run, or work a past day with "
                f"--replay DAY"
            )
        facts = self._known(hours.day, [self._arguments.data_dir])
        if self._wishes.algorithms == (PLAIN,):
            return self._plainly_now(hours, facts)
        state_dir = self._arguments.state_dir
        with the_only_worker(state_dir, self._clock), ledger_of(state_dir) as ledger:
            orders = self._enter(ledger, hours, facts, at)
            return self._work_now(ledger, orders, hours, at)

    def _enter(
        self, ledger: Ledger, hours: SessionHours, facts: Mapping[str, MarketFacts], at: datetime
    ) -> list[ParentOrder]:
        (algorithm,) = self._wishes.algorithms
        with ledger.writing(at) as book:
            for known in facts.values():
                book.put_facts(known)
            wanted = (self._order(known, algorithm, hours.day, at) for known in facts.values())
            orders = [book.add_parent(order) for order in wanted]
        for order in orders:
            print(f"{order.parent_id}: {heading_of(order)}", flush=True)
        return orders

    def _work_now(
        self, ledger: Ledger, orders: Sequence[ParentOrder], hours: SessionHours, at: datetime
    ) -> int:
        arguments = argparse.Namespace(state_dir=self._arguments.state_dir, on_stop="cancel", no_stay=True)
        with venue_of(self._settings, ledger.facts, self._book.around(at), self._clock) as venue:
            remarks = [venue.remark] if venue.remark else []
            for remark in remarks:
                print(f"note: {remark}", flush=True)
            with Watcher(self._zone) as watcher:
                stop = watcher.from_ledger(ledger, orders, self._clock, self._stop)
                ended = asyncio.run(work(arguments, ledger, venue, self._book, hours, self._clock, stop))
            is_modelled = venue.broker.name == "paper"
        records = [self._recorded(ledger, order, hours, is_modelled) for order in orders]
        return self._conclude(hours, records, remarks, CODES[ended])

    def _recorded(
        self, ledger: Ledger, order: ParentOrder, hours: SessionHours, is_modelled: bool
    ) -> OrderRecord:
        """An order of this session, with the bars of the market it was worked in as far as they are known."""
        order, facts = ledger.parent(order.parent_id), ledger.facts(order.symbol)
        if not is_modelled or facts is None:
            return read_record(ledger, order)
        day, now = modelled_day(hours, {facts.symbol: facts}, PAPER_MARKET_SEED), self._clock.now()
        bars = [bar for bar in day.bars(order.symbol) if bar.end <= now]
        return read_record(ledger, order, bars, is_their_market=True)

    def _plainly_now(self, hours: SessionHours, facts: Mapping[str, MarketFacts]) -> int:
        """One market order each in the model of the market, with books that nobody keeps."""
        day = modelled_day(hours, facts, PAPER_MARKET_SEED)
        at = self._clock.now()
        orders = [self._wishes.order(known, PLAIN, hours.day, at) for known in facts.values()]
        print(f"note: {day.remark}", flush=True)
        records = asyncio.run(send_now(orders, day, self._stop))
        if len(records) < len(orders):
            return finish(EX_TEMPFAIL, {"session": hours.day, "stopped": True}, "stopped; nothing is kept")
        return self._conclude(hours, records, [day.remark])

    # In the end

    def _conclude(
        self, hours: SessionHours, records: Sequence[OrderRecord], remarks: Sequence[str], code: int = 0
    ) -> int:
        """Show the results, write the report, return the exit code."""
        is_plain = any(record.order.algorithm == PLAIN for record in records)
        said = [*remarks, *([PLAINLY] if is_plain else [])]
        for group in by_symbol(records).values():
            print(f"\n{heading_of(group[0].order)} on {hours.day}")
            say_table(COMPARED, [compared_row(record) for record in group])
            for record in group:
                if record.order.reason:
                    print(f"{record.measures.algorithm}: {record.order.reason}")
        for remark in said:
            print(f"note: {remark}")
        said += self._foretold
        report = self._with_forecasts(
            {
                "session": hours.day,
                "remarks": said,
                "orders": [order_result(record) for record in records],
            }
        )
        text = f"{sum(r.measures.succeeded for r in records)} of {len(records)} done in full"
        if self._arguments.output is not None:
            report["report"] = self._write(self._arguments.output, hours, records, said)
            text += f"; report: {report['report']}"
        return finish(code, report, text)

    def _write(
        self, folder: Path, hours: SessionHours, records: Sequence[OrderRecord], said: Sequence[str]
    ) -> Path:
        """Write the report, and beside it the replays' ledgers: each folder is a state directory for
        `scripts.orders`. Return the report's path."""
        title, now = f"Orders worked on {hours.day:%A} {hours.day}", self._clock.now()
        path, *_ = _replay_report.write(folder, title, records, hours, now, self._zone, said)
        ledgers = sorted((self._scratch / "ledgers").glob(f"*/{LEDGER}"))
        for ledger in ledgers:
            target = folder / ledger.parent.name if len(ledgers) > 1 else folder
            target.mkdir(exist_ok=True)
            (target / ledger.name).write_bytes(ledger.read_bytes())
        return path


def planned_row(order: ParentOrder, plan: ExecutionPlan | None, zone: ZoneInfo) -> tuple[str, ...]:
    """Return one row of the table of plans, by PLANNED. plan: None: one market order."""
    what = heading_of(order)
    if plan is None:
        return (what, order.algorithm, "1", *("–",) * 5, "one market order: nothing is planned or predicted")
    if not plan.is_feasible:
        return (what, plan.algorithm, "0", *("–",) * 5, f"CANNOT BE DONE: {'; '.join(plan.reasons)}")
    busy = [each for each in plan.slices if each.quantity]
    return (
        what,
        plan.algorithm,
        f"{len(busy)}",
        f"{busy[0].start.astimezone(zone):%H:%M}",
        f"{busy[-1].end.astimezone(zone):%H:%M}",
        f"{plan.expected_cost:,.2f}",
        f"{plan.expected_cost_bps:,.1f}",
        f"{plan.variance**0.5:,.2f}",
        plan.choice.rule,
    )


def plan_result(order: ParentOrder, plan: ExecutionPlan | None) -> dict[str, object]:
    """Return what the result file holds of a plan."""
    wanted: dict[str, object] = {
        "symbol": order.symbol,
        "side": order.side,
        "quantity": order.quantity,
        "algorithm": plan.algorithm if plan else order.algorithm,
    }
    if plan is None:
        return wanted
    return wanted | {
        "feasible": plan.is_feasible,
        "slices": sum(each.quantity > 0 for each in plan.slices),
        "expected_cost": plan.expected_cost,
        "expected_cost_bps": plan.expected_cost_bps,
        "risk": plan.variance**0.5,
        "rule": plan.choice.rule,
        "reasons": plan.reasons,
        "warnings": plan.warnings,
    }


def order_result(record: OrderRecord) -> dict[str, object]:
    """Return what the result file holds of an order."""
    measures = record.measures
    return {
        "symbol": record.order.symbol,
        "algorithm": measures.algorithm,
        "state": measures.state,
        "quantity": measures.quantity,
        "filled": measures.filled,
        "shortfall_bps": measures.shortfall_bps,
        "realised_bps": measures.realised_bps,
        "expected_cost_bps": measures.expected_cost_bps,
        "z_score": measures.z_score,
    }


if __name__ == "__main__":
    sys.exit(main())
