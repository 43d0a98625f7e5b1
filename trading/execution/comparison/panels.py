"""The three pictures of a comparison, each drawn on matplotlib axes that it is given."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trading.execution.comparison.comparison import (
    StrategyComparison,
    cost_bps,
    cost_of,
    fault_of,
    risk_of,
)
from trading.execution.comparison.labels import REACH, TYPE, box_around, clear_rise
from trading.execution.comparison.marks import LIGHT, Mark, mark_of, short
from trading.execution.model.almgren_chriss import generate_ac_trajectory
from trading.execution.model.trajectory import ExecutionTrajectory

Axes = Any  # a matplotlib Axes, which the checker of types does not follow into
Point = tuple[float, float]

_TIME = "time from the start [trading days]"
_MOST_MARKERS = 16
"""Markers on one line: more would be a band."""
_COLUMN = 24
"""Width within which points stand above each other, as labels see it [points of type]."""
_WIDE = 10.0
"""Ratio of the largest cost to the least from which the axis of costs is logarithmic."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A strategy that can be drawn, with its mark."""

    strategy: ExecutionTrajectory
    mark: Mark
    order_size: float

    @property
    def name(self) -> str:
        return self.strategy.strategy_name

    @property
    def label(self) -> str:
        """The name, with lambda [1/$] where there is one."""
        aversion = self.strategy.risk_aversion
        return f"{self.name} (λ {aversion:.3g})" if aversion else self.name

    @property
    def holdings_pct(self) -> Any:
        return 100 * self.strategy.holdings / self.order_size

    @property
    def slices_pct(self) -> Any:
        return 100 * self.strategy.trade_sizes / self.order_size


def drawn(comparison: StrategyComparison) -> list[Drawn]:
    """Return what can be drawn: the strategies without a NaN."""
    return [
        Drawn(each, mark_of(i), comparison.size_of(each))
        for i, each in enumerate(comparison.strategies)
        if not fault_of(each)
    ]


def with_costs(strategies: Iterable[Drawn]) -> list[Drawn]:
    """Return those that stand in the picture of cost against risk: costed, with finite figures."""
    return [
        each
        for each in strategies
        if each.strategy.params is not None
        and math.isfinite(cost_of(each.strategy))
        and math.isfinite(risk_of(each.strategy))
    ]


def draw_holdings(ax: Axes, strategies: Sequence[Drawn]) -> None:
    """Draw what is held over time, in percent of the order."""
    for i, each in enumerate(strategies):
        ax.plot(
            each.strategy.times,
            each.holdings_pct,
            color=each.mark.colour,
            linestyle=each.mark.dashes,
            marker=each.mark.marker,
            markevery=max(1, -(-each.strategy.trade_sizes.size // _MOST_MARKERS)),
            markeredgecolor=LIGHT["paper"],
            markeredgewidth=0.7,
            # Thinner from one to the next: of two that coincide the lower one shows at the edges.
            markersize=max(4.0, 8.5 - 0.8 * i),
            linewidth=max(1.3, 3.2 - 0.45 * i),
            label=each.label,
        )
    ax.set_xlabel(_TIME)
    ax.set_ylabel("still held [% of the order]")
    ax.set_xlim(left=0)
    ax.set_ylim(bottom=min(0, *(each.holdings_pct.min() for each in strategies)))
    ax.grid(color=LIGHT["line"], linewidth=0.8)
    ax.legend(frameon=False, handlelength=3.4, labelcolor=LIGHT["ink"])


def draw_slices(axes: Sequence[Axes], strategies: Sequence[Drawn]) -> None:
    """Draw each strategy's slices as bars, one of `axes` each from above, all on one scale.

    The scale is that of the strategies of more than one slice; a bar that goes beyond has its height
    written beside it.
    """
    top = _top(strategies)
    low = min(0.0, *(float(each.slices_pct.min()) for each in strategies))
    end = max(float(each.strategy.times[-1]) for each in strategies)
    for ax, each in zip(axes, strategies, strict=True):
        ax.bar(
            each.strategy.times[:-1],
            each.slices_pct,
            width=0.86 * np.diff(each.strategy.times),
            align="edge",
            color=each.mark.colour,
        )
        ax.set_ylim(1.08 * low, top)
        ax.set_xlim(-0.01 * end, 1.01 * end)
        ax.set_ylabel("% of order", fontsize=8)
        ax.locator_params(axis="y", nbins=4)
        ax.grid(axis="y", color=LIGHT["line"], linewidth=0.8)
        ax.tick_params(labelbottom=ax is axes[-1])
        ax.set_title(_slices_said(each), loc="left", fontsize=TYPE, pad=4)
        _write_heights_beyond(ax, each, top, end)
    axes[-1].set_xlabel(_TIME)


def _top(strategies: Sequence[Drawn]) -> float:
    heights = [float(each.slices_pct.max()) for each in strategies if each.strategy.num_slices > 1]
    return 1.15 * max(heights or [100.0])


def _slices_said(each: Drawn) -> str:
    count, most = each.strategy.num_slices, float(np.abs(each.slices_pct).max())
    return (
        f"{each.label}: {count} slices, the largest {most:.3g} %" if count != 1 else f"{each.label}: 1 slice"
    )


def _write_heights_beyond(ax: Axes, each: Drawn, top: float, end: float) -> None:
    times = each.strategy.times
    for left, right, height in zip(times[:-1], times[1:], each.slices_pct, strict=True):
        if height > top:
            is_early = right < 0.8 * end
            ax.annotate(
                f"↑ {height:.3g} %" if is_early else f"{height:.3g} % ↑",
                (right if is_early else left, top),
                xytext=(2 if is_early else -4, -4),
                textcoords="offset points",
                va="top",
                ha="left" if is_early else "right",
                fontsize=TYPE,
            )


def draw_cost_and_risk(
    ax: Axes, strategies: Sequence[Drawn], frontier: Sequence[ExecutionTrajectory], baseline: str
) -> None:
    """Draw each strategy's cost against its risk, and the line of the least cost for each risk.

    The view is that of the strategies; the line is cut off at its edge. A second axis tells basis points
    where all have one price and one size.
    """
    points = [(risk_of(each.strategy), cost_of(each.strategy)) for each in strategies]
    curve = [(math.sqrt(each.variance), each.expected_cost) for each in frontier]
    _set_view(ax, points)
    if curve:
        ax.plot(
            *zip(*curve, strict=True),
            color=LIGHT["dim"],
            linewidth=1.4,
            zorder=1,
            label="efficient frontier: the least cost for each risk",
        )
        ax.legend(loc="upper right", frameon=False, labelcolor=LIGHT["dim"], fontsize=9)
    for i, (each, (risk, cost)) in enumerate(zip(strategies, points, strict=True)):
        size = max(6.0, 12 - 1.5 * i)  # as in the lines: none hides another
        ax.plot(
            risk, cost, each.mark.marker, color=each.mark.colour, markersize=size, zorder=3, clip_on=False
        )
    ax.set_xlabel("risk: standard deviation of the cost [$]")
    ax.set_ylabel("expected cost [$]")
    ax.grid(color=LIGHT["line"], linewidth=0.8)
    ax.locator_params(axis="x", nbins=7)
    ax.xaxis.set_major_formatter(_with_commas)
    _mark_costs(ax)
    _add_axis_of_bps(ax, strategies)
    _label_points(ax, points, curve, [_point_said(each, baseline) for each in strategies])


def _set_view(ax: Axes, points: Sequence[Point]) -> None:
    """Show all points, with room for their labels: right of them, where no strategy can be better."""
    risks, costs = [risk for risk, _ in points], [cost for _, cost in points]
    wide = max(max(risks) - min(risks), 0.25 * max(risks)) or 1.0
    ax.set_xlim(max(min(risks) - 0.12 * wide, -0.02 * wide), max(risks) + 0.65 * wide)
    if min(costs) > 0 and max(costs) > _WIDE * min(costs):
        ax.set_yscale("log")
        ax.set_ylim(min(costs) / 1.4, max(costs) * 1.6)
        return
    high = max(max(costs) - min(costs), 0.25 * max(map(abs, costs))) or 1.0
    ax.set_ylim(min(costs) - 0.14 * high, max(costs) + 0.22 * high)


def _add_axis_of_bps(ax: Axes, strategies: Sequence[Drawn]) -> None:
    values = {abs(each.order_size) * (each.strategy.params.price or 0.0)
              for each in strategies if each.strategy.params}  # fmt: skip
    if len(values) != 1 or not max(values):
        return
    per_dollar = 1e4 / values.pop()
    right = ax.secondary_yaxis("right", functions=(lambda y: y * per_dollar, lambda y: y / per_dollar))
    right.set_ylabel("expected cost [bp of the order's value]")
    _mark_costs(right, ax.get_yscale())


def _mark_costs(ax: Axes, scale: str | None = None) -> None:
    """Write costs as a person does; on a logarithmic scale more of them than the powers of ten."""
    from matplotlib.ticker import LogLocator, NullFormatter  # here: a picture is being drawn

    if (scale or ax.get_yscale()) == "log":
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_minor_formatter(NullFormatter())
    ax.yaxis.set_major_formatter(_with_commas)


def _with_commas(value: float, _: object) -> str:
    return f"{value:,.10g}"


def _point_said(each: Drawn, baseline: str) -> str:
    bps = cost_bps(each.strategy, each.order_size)
    said = f"{short(bps)} bp" if bps else f"{short(each.strategy.expected_cost)} $"
    return f"{each.label}{', baseline' if each.name == baseline else ''}: {said}"


def _label_points(ax: Axes, points: Sequence[Point], curve: Sequence[Point], labels: Sequence[str]) -> None:
    """Write each label right of its point, with a line to it, as near as it is clear of all else."""
    root = ax.figure.figure
    root.draw_without_rendering()  # only then is known where the axes come to lie
    scale = 72 / root.dpi  # to points of type
    places = scale * ax.transData.transform(points)
    line = scale * ax.transData.transform(curve) if curve else ()
    taken = [box_around(x, y, 6) for x, y in places] + [box_around(x, y, 1) for x, y in line]
    bottom, top = scale * ax.transAxes.transform([(0, 0), (0, 1)])[:, 1]
    # From the right, and within a column upwards: then no line to a point crosses an earlier label.
    for i in sorted(range(len(points)), key=lambda i: (-round(places[i][0] / _COLUMN), float(places[i][1]))):
        x, y = places[i]
        rise, box = clear_rise(labels[i], x, y, taken, bottom, top)
        taken.append(box)
        ax.annotate(
            labels[i],
            points[i],
            xytext=(REACH, rise),
            textcoords="offset points",
            va="center",
            fontsize=TYPE,
            arrowprops={
                "arrowstyle": "-",
                "color": LIGHT["dim"],
                "linewidth": 0.7,
                "relpos": (0, 0.5),
                "shrinkA": 0,
            },
            annotation_clip=False,
        )


def frontier_of(strategies: Sequence[Drawn]) -> tuple[ExecutionTrajectory, ...]:
    """Return the efficient frontier of the order over the longest of the strategies' horizons.

    From equal slices to next to all at once. Empty where there is none to draw: without common params or
    sizes, with one interval, without volatility, or if eta - gamma tau / 2 is not positive.
    """
    models = {each.strategy.params for each in strategies}
    sizes = {abs(each.order_size) for each in strategies}
    periods = max((each.strategy.trade_sizes.size for each in strategies), default=1)
    params = next(iter(models), None)
    if len(models) != 1 or len(sizes) != 1 or params is None or periods == 1:
        return ()
    if params.eta_tilde <= 0 or params.sigma == 0:
        return ()
    # kappa tau, of which cosh(kappa tau) = 1 + lambda sigma^2 tau^2 / (2 eta~): from a line to one slice.
    steps = np.geomspace(0.05 / periods, 14, 150)
    halves = 2 * np.sinh(steps / 2) / (params.sigma * params.tau)
    aversions = [0.0, *(halves * halves * params.eta_tilde).tolist()]
    size = sizes.pop()
    return tuple(generate_ac_trajectory(size, periods, params, a) for a in aversions if math.isfinite(a))
