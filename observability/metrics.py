"""What the box does, as Prometheus metrics: for the dashboard's /metrics and for node_exporter's textfile.

It reads what the dashboard reads and never asks the daemon. prometheus_client comes with the first answer.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from observability import metric_families as families
from observability import totals as counting
from observability.metric_families import Seen
from observability.totals import Totals

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class Exporter:
    """Makes the metrics of `source`; itself a collector in prometheus_client's sense.

    Counting goes on from the file in the state directory, which is written once an hour.
    """

    def __init__(self, source: Seen) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._totals: Totals | None = None

    def text(self, *, open_metrics: bool = False) -> str:
        """Return every metric, in Prometheus' text format or in OpenMetrics'.

        Raises what `Source.view` raises: without a database there is nothing to export.
        """
        from prometheus_client import generate_latest, openmetrics

        write = openmetrics.exposition.generate_latest if open_metrics else generate_latest
        return write(self).decode()

    def collect(self) -> Iterable[Metric]:
        """Return the families, evaluated now."""
        begun = perf_counter()
        source, view = self._source, self._source.view()
        with self._lock:
            totals = self._counted()
            made = list(families.every(source, view, totals))
        cost = families.gauge("exporter_collect_duration_seconds", "What it took to collect these metrics.")
        cost.add_metric([], perf_counter() - begun)
        return [*made, cost]

    def _counted(self) -> Totals:
        source = self._source
        engine, now, path = source.engine, source.now(), source.state_dir / counting.FILE_NAME
        totals = self._totals or counting.load(path) or counting.begin(engine, now)
        duties = {name for name, spec in source.specs.items() if spec.is_duty}
        totals.catch_up(engine, now, duties)
        self._totals = totals
        saved_at = totals.saved_at
        if saved_at is None or not timedelta(0) <= now - saved_at < counting.SAVE_EVERY:
            # Where it cannot be written the next start counts from 0, which every reader of counters expects.
            counting.save(totals, path, now)
        return totals


def write_textfile(text: str, path: Path) -> None:
    """Replace `path` whole, readable for all: node_exporter is another user and may read at any moment.

    Raises:
        OSError: if it cannot be written; the old file is then as it was.
    """
    # A name that does not end in .prom, or node_exporter would read the half-written file.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            os.fchmod(file.fileno(), 0o644)
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
