"""How a symbol's orders went through one day: price and fills, what was done when against the market's
volume, cost against plan. As a PNG, and as an <svg> for the inside of a report page.

Light to import; drawing loads matplotlib.
"""

from __future__ import annotations

import io
import re
from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import accumulate
from typing import Any
from zoneinfo import ZoneInfo

from trading.execution.comparison.marks import DARK, LIGHT, Mark, mark_of
from trading.execution.order_records import OrderRecord
from trading.execution.orders import Side
from trading.execution.smart.plan import SessionHours
from trading.execution.svg import apart

Axes = Any  # matplotlib has no types of its own

MOST_WITH_FILLS = 2
"""So many orders have their fills in the picture of the price; of more, the average prices alone."""
_MARKERS = 14  # on one line: more would be a band
_DPI = 88
_STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": LIGHT["dim"],
    "axes.facecolor": LIGHT["paper"],
    "axes.labelcolor": LIGHT["ink"],
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": LIGHT["paper"],
    "font.size": 9.5,
    "svg.fonttype": "none",
    "text.color": LIGHT["ink"],
    "text.parse_math": False,  # a $ is money
    "xtick.color": LIGHT["dim"],
    "ytick.color": LIGHT["dim"],
}


def png(records: Sequence[OrderRecord], hours: SessionHours, zone: ZoneInfo, heading: str) -> bytes:
    """Return the picture of one symbol's orders as a PNG, its content in words in the file's Description.

    records: of the same symbol and session, one or more; zone: in which times are shown.
    """
    described = {"Title": heading, "Description": words(records, zone), "Software": None}
    return _rendered(records, hours, zone, heading, "png", described)


def svg(records: Sequence[OrderRecord], hours: SessionHours, zone: ZoneInfo) -> str:
    """Return the same picture as an <svg> that follows a page's light and dark."""
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    text = _rendered(records, hours, zone, "", "svg", nothing).decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<svg [^>]*?(viewBox=\"[^\"]*\")[^>]*>", r"<svg \1>", text, count=1)
    text = re.sub(r"<style.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r"<metadata.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"font-family: [^;\"]*;? ?", "", text)
    # Names that another picture on the page cannot have.
    name = records[0].order.symbol + str(len(records))
    text = re.sub(r"(id=\"|url\(#|href=\"#)", rf"\1{name}-", text).replace("xlink:href", "href")
    for role, colour in LIGHT.items():
        text = text.replace(colour, f"var(--x{role})")
    light, dark = (";".join(f"--x{r}:{c}" for r, c in palette.items()) for palette in (LIGHT, DARK))
    css = f".replayed{{{light}}}@media(prefers-color-scheme:dark){{.replayed{{{dark}}}}}"
    return text.replace("<svg ", '<svg class="replayed" ', 1).replace(">", f"><style>{css}</style>", 1)


def words(records: Sequence[OrderRecord], zone: ZoneInfo) -> str:
    """Return what the picture shows, for those who do not see it."""
    first = records[0].order
    head = f"{first.side.capitalize()} {first.quantity:,} {first.symbol} on {first.session}."
    return " ".join([head, *(_said(record, zone) for record in records)])


def _said(record: OrderRecord, zone: ZoneInfo) -> str:
    measures = record.measures
    if not record.fills:
        return f"{measures.algorithm}: nothing was filled ({record.order.reason or record.order.state})."
    half = next(at for at, share in _done(record) if share >= 50 * measures.fill_frac)
    last = record.fills[-1].at
    cost = "" if measures.realised_bps is None else f", {measures.realised_bps:+.1f} bp since arrival"
    plan = "" if measures.expected_cost_bps is None else f" (planned {measures.expected_cost_bps:.1f})"
    return (
        f"{measures.algorithm}: {100 * measures.fill_frac:.0f} % filled, half of that by "
        f"{half.astimezone(zone):%H:%M}, the last at {last.astimezone(zone):%H:%M}{cost}{plan}."
    )


def _rendered(
    records: Sequence[OrderRecord],
    hours: SessionHours,
    zone: ZoneInfo,
    heading: str,
    kind: str,
    described: dict[str, str | None],
) -> bytes:
    import matplotlib  # here: half a second and 30 MB that only a drawing needs
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    several = len(records) > 1
    heights = (1.0, 1.15, 0.085 * len(records) + 0.3) if several else (1.0, 1.0)
    # The defaults first, so that a person's own matplotlibrc changes no report.
    look: dict[Any, Any] = {**matplotlib.rcParamsDefault, **_STYLE, "svg.hashsalt": "replay"}
    with matplotlib.rc_context(look):
        figure = Figure(figsize=(9.6, 2.8 * sum(heights)), dpi=_DPI, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(len(heights), 1, height_ratios=heights)
        clock = _Clock(hours, zone)
        draw_price(_titled(axes[0], "Price and fills"), records, clock)
        draw_done(_titled(axes[1], "What was done when"), records, clock)
        if several:
            draw_costs(_titled(axes[2], "Cost since arrival against plan"), records)
        if heading:
            figure.suptitle(heading, x=0.012, ha="left", fontsize=12.5, fontweight="bold")
        out = io.BytesIO()
        figure.savefig(out, format=kind, metadata=described)
    return out.getvalue()


class _Clock:
    """The time axis: hours since the open, labelled with the wall clock of the zone."""

    def __init__(self, hours: SessionHours, zone: ZoneInfo) -> None:
        self.hours, self.zone = hours, zone
        self.end = self(hours.close)

    def __call__(self, at: datetime) -> float:
        return (at - self.hours.open) / timedelta(hours=1)

    def set_up(self, ax: Axes) -> None:
        first = self.hours.open.astimezone(self.zone)
        whole = first.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        marks = [first] + [whole + timedelta(hours=n) for n in range(int(self.end) + 1)]
        marks = [at for at in marks if self(at) <= self.end]
        ax.set_xticks([self(at) for at in marks], [f"{at:%H:%M}" for at in marks])
        ax.set_xlim(0, self.end)
        ax.grid(color=LIGHT["line"], linewidth=0.8)


def draw_price(ax: Axes, records: Sequence[OrderRecord], clock: _Clock) -> None:
    """Draw the market's price; of few orders the fills, of each the average price at the right edge."""
    bars = records[0].bars
    ax.plot(
        [clock(bar.end) for bar in bars],
        [float(bar.close) for bar in bars],
        color=LIGHT["dim"],
        linewidth=1.1,
        label="the market",
    )
    clock.set_up(ax)
    if len(records) <= MOST_WITH_FILLS:
        for i, record in enumerate(records):
            _draw_fills(ax, record, mark_of(i), clock)
    arrival = next((r.order.arrival_price for r in records if r.order.arrival_price), None)
    levels = [("arrival", arrival, LIGHT["ink"])] if arrival else []
    levels += [
        (record.measures.algorithm, record.measures.average_price, mark_of(i).colour)
        for i, record in enumerate(records)
        if record.measures.average_price is not None
    ]
    if arrival:
        ax.axhline(float(arrival), color=LIGHT["ink"], linewidth=0.9, linestyle=(0, (7, 4)))
    ax.set_ylabel("price [$]")
    ax.ticklabel_format(axis="y", useOffset=False)
    _write_levels(ax, levels)
    ax.legend(frameon=False, loc="best", fontsize=8.5, ncols=3)


def _draw_fills(ax: Axes, record: OrderRecord, mark: Mark, clock: _Clock) -> None:
    if not record.fills:
        return
    most = max(fill.quantity for fill in record.fills)
    deed = "bought" if record.order.side is Side.BUY else "sold"
    ax.scatter(
        [clock(fill.at) for fill in record.fills],
        [float(fill.price) for fill in record.fills],
        s=[10 + 38 * fill.quantity / most for fill in record.fills],
        marker="^" if record.order.side is Side.BUY else "v",
        color=mark.colour,
        edgecolor=LIGHT["paper"],
        linewidth=0.5,
        zorder=3,
        label=f"{deed} by {record.measures.algorithm}, larger: more shares",
    )


def _write_levels(ax: Axes, levels: Sequence[tuple[str, Decimal | None, str]]) -> None:
    """Write each price with its name right of the axes, moved up or down to stay readable."""
    prices = [float(price) for _, price, _ in levels if price is not None]
    low, high = ax.get_ylim()
    spare = 0.03 * (high - low)
    ax.set_ylim(min([low, *(price - spare for price in prices)]), max([high, *(p + spare for p in prices)]))
    ax.figure.draw_without_rendering()  # where the axes lie decides how near two labels may come
    low, high = ax.get_ylim()
    gap = 11 / 72 * ax.figure.dpi / ax.get_window_extent().height * (high - low)
    places = apart(prices, gap, low, high)
    for (name, price, colour), place in zip(levels, places, strict=True):
        at = float(price or 0)
        ax.annotate(
            f"{name} {at:,.{4 if at < 10 else 2}f}",
            (1.0, at),
            xytext=(1.045, place),
            xycoords=ax.get_yaxis_transform(),
            textcoords=ax.get_yaxis_transform(),
            va="center",
            fontsize=8.5,
            color=LIGHT["ink"],
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "linewidth": 1.4,
                "relpos": (0, 0.5),
                "shrinkA": 1,
                "shrinkB": 0,
            },
            annotation_clip=False,
        )


def draw_done(ax: Axes, records: Sequence[OrderRecord], clock: _Clock) -> None:
    """Draw the filled part of each order and the market's volume so far, in percent; of one order the first
    plan and when it was planned anew."""
    bars = records[0].bars
    whole = sum(bar.volume for bar in bars) or 1
    traded = [100 * shares / whole for shares in accumulate(bar.volume for bar in bars)]
    ax.fill_between(
        [clock(bar.end) for bar in bars],
        traded,
        color=LIGHT["line"],
        linewidth=0,
        label="the market's volume",
    )
    for i, record in enumerate(records):
        if not record.fills:
            continue
        points = [(clock.hours.open, 0.0), *_done(record)]
        mark = mark_of(i)
        ax.plot(
            [*(clock(at) for at, _ in points), clock.end],
            [*(share for _, share in points), points[-1][1]],
            drawstyle="steps-post",
            color=mark.colour,
            linestyle=mark.dashes if len(records) > 1 else "-",
            marker=mark.marker if len(records) > 1 else None,
            markersize=4.5,
            markevery=max(1, len(points) // _MARKERS),
            linewidth=1.7,
            label=record.measures.algorithm if len(records) > 1 else "filled",
        )
    if len(records) == 1:
        _draw_plan(ax, records[0], clock)
    clock.set_up(ax)
    ax.set_ylim(0, 103)
    ax.set_ylabel("so far [%]")
    ax.legend(frameon=False, fontsize=8.5, loc="upper left", bbox_to_anchor=(1.0, 1.03), handlelength=3.2)


def _done(record: OrderRecord) -> list[tuple[datetime, float]]:
    """The filled part of the order [%] after each fill."""
    so_far = accumulate(fill.quantity for fill in record.fills)
    return [(f.at, 100 * done / record.order.quantity) for f, done in zip(record.fills, so_far, strict=True)]


def _draw_plan(ax: Axes, record: OrderRecord, clock: _Clock) -> None:
    if record.plan is None:
        return
    done = accumulate((each.quantity for each in record.plan.slices), initial=0)
    times = [record.plan.slices[0].start, *(each.end for each in record.plan.slices)]
    ax.plot(
        [clock(at) for at in times],
        [100 * shares / record.order.quantity for shares in done],
        color=LIGHT["ink"],
        linestyle=(0, (5, 3)),
        linewidth=1.2,
        label="first plan",
    )
    anew = [plan.made_at for plan in record.plans[1:]]
    if anew:
        reached = [_share_at(record, at) for at in anew]
        ax.plot(
            [clock(at) for at in anew],
            reached,
            "|",
            color=LIGHT["s1"],
            markersize=9,
            markeredgewidth=1.3,
            label=f"planned anew ({len(anew)})",
        )


def _share_at(record: OrderRecord, at: datetime) -> float:
    done = _done(record)
    number = bisect_right(done, at, key=lambda point: point[0])
    return done[number - 1][1] if number else 0.0


def draw_costs(ax: Axes, records: Sequence[OrderRecord]) -> None:
    """Draw what each order cost since arrival, over what its first plan expected and risked [bp]."""
    for i, record in enumerate(records):
        measures, mark = record.measures, mark_of(i)
        expected, risk = measures.expected_cost_bps, _risk_bps(record)
        if expected is not None and risk is not None and record.fills:
            ax.barh(i, 2 * risk, left=expected - risk, height=0.5, color=LIGHT["line"], zorder=1)
            ax.plot([expected, expected], [i - 0.3, i + 0.3], color=LIGHT["ink"], linewidth=1.4, zorder=2)
        if measures.realised_bps is not None:
            ax.plot(
                measures.realised_bps, i, mark.marker, color=mark.colour, markersize=7.5, zorder=3,
                markeredgecolor=LIGHT["paper"],
            )  # fmt: skip
    ax.set_yticks(range(len(records)), [_row_name(record) for record in records], color=LIGHT["ink"])
    ax.set_ylim(len(records) - 0.4, -0.6)
    ax.grid(axis="x", color=LIGHT["line"], linewidth=0.8)
    ax.axvline(0, color=LIGHT["dim"], linewidth=0.9)
    ax.set_xlabel(
        "bp of the order's value; + is a cost. Grey: planned cost (line) and one standard deviation about it"
    )


def _risk_bps(record: OrderRecord) -> float | None:
    risk = record.measures.expected_risk
    return None if risk is None else record.measures.bps(Decimal(repr(risk)))


def _row_name(record: OrderRecord) -> str:
    measures = record.measures
    return f"{measures.algorithm}, {100 * measures.fill_frac:.0f} % filled"


def _titled(ax: Axes, text: str) -> Axes:
    ax.set_title(text, loc="left", fontweight="bold", fontsize=10.5)
    return ax
