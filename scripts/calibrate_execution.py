"""Learn from our own fills how much our orders move prices, and write it down with its error bars.

The result is calibration.json in the data directory, for a person to compare with what plans expect; nothing
reads it to plan. Needs 50 measured orders at one broker; with fewer it only says how many there are. Exit
codes: 0 written, or too few orders yet; 1 the ledger cannot be read or the file not written; 2 wrong
arguments; 75 asked to stop (the old file stays).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from scripts._execution import LEDGER, ledger_of
from scripts._job import EX_TEMPFAIL, StopRequest, finish, now, parse, parser
from trading.execution.errors import LedgerError
from trading.execution.order_records import read_record
from trading.execution.own_fills import (
    LEAST_ORDERS,
    ImpactSample,
    calibrate_from_fills,
    sample_of,
    write_calibrations,
)


def main(argv: list[str] | None = None) -> int:
    """Run the job; return its exit code."""
    arguments = parse(parser(__doc__, "state_dir", "data_dir"), argv)
    stop = StopRequest()
    try:
        samples = read_samples(arguments.state_dir, stop)
        counts = {broker: len(orders) for broker, orders in sorted(samples.items())}
        if stop():
            return finish(EX_TEMPFAIL, {"orders": counts}, "asked to stop; the old calibration stays")
        found = [calibrate_from_fills(orders) for orders in samples.values() if len(orders) >= LEAST_ORDERS]
        report: dict[str, object] = {"orders": counts, "needed": LEAST_ORDERS}
        if not found:
            told = ", ".join(f"{count} at {broker}" for broker, count in counts.items()) or "none"
            return finish(
                0, report, f"measured orders: {told}; a calibration needs {LEAST_ORDERS} at one broker"
            )
        path: Path = arguments.data_dir / "calibration.json"
        write_calibrations(path, found, now().date())
    except (LedgerError, OSError) as error:
        return finish(1, {"error": str(error)}, f"calibrate_execution: {error}")
    report |= {"file": path, "found": [str(each) for each in found]}
    return finish(
        0, report, "\n".join([*map(str, found), f"written: {path}; for a person, no plan reads it"])
    )


def read_samples(state_dir: Path, stop: Callable[[], bool]) -> dict[str, list[ImpactSample]]:
    """Return what our orders tell of impact, by broker; empty if there is no ledger yet. Raises LedgerError.

    `stop`: asked before each order; the rest is then left out.
    """
    samples: dict[str, list[ImpactSample]] = {}
    if not (state_dir / LEDGER).exists():
        return samples
    with ledger_of(state_dir, read_only=True) as ledger:
        for order in ledger.parents():
            if stop():
                break
            sample = sample_of(read_record(ledger, order))
            if sample is not None:
                samples.setdefault(sample.broker, []).append(sample)
    return samples


if __name__ == "__main__":
    sys.exit(main())
