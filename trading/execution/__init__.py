"""Working orders: optimal schedules, their comparison, and a smart executor that never loses or doubles a
share. Light.

The names below are loaded when they are first used, so that a minute job which reads the ledger loads no
numpy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trading.execution.brokers.broker import Broker
    from trading.execution.brokers.paper import PaperBroker, PaperExecutor
    from trading.execution.comparison.comparison import (
        OrderSizeWarning,
        StrategyComparison,
        compare_strategies,
    )
    from trading.execution.comparison.drawing import draw_execution_profile
    from trading.execution.comparison.profile import execution_profile_chart
    from trading.execution.kill_switch import KillSwitch
    from trading.execution.ledger.ledger import Ledger
    from trading.execution.model.almgren_chriss import generate_ac_trajectory
    from trading.execution.model.baselines import (
        generate_market_order_trajectory,
        generate_twap_trajectory,
        generate_vwap_trajectory,
    )
    from trading.execution.model.calibration import (
        LinearImpactWarning,
        calibrate_ac_params,
        impact_check,
        linear_rule_params,
    )
    from trading.execution.model.costs import costed
    from trading.execution.model.frontier import cost_at_risk, efficient_frontier, minimize_cost_at_risk
    from trading.execution.model.params import AlmgrenChrissParams
    from trading.execution.model.trajectory import ExecutionTrajectory
    from trading.execution.optimum.constraints import ScheduleConstraints
    from trading.execution.optimum.intervals import calculate_optimal_intervals
    from trading.execution.optimum.schedule import TradeSchedule, optimize_schedule
    from trading.execution.orders import ChildOrder, Fill, ParentOrder
    from trading.execution.smart.executor import Executor
    from trading.execution.smart.plan import ExecutionPlan
    from trading.execution.volume_profiles import get_volume_profile_from_db

_HOME = {
    "AlmgrenChrissParams": "model.params",
    "Broker": "brokers.broker",
    "ChildOrder": "orders",
    "ExecutionPlan": "smart.plan",
    "ExecutionTrajectory": "model.trajectory",
    "Executor": "smart.executor",
    "Fill": "orders",
    "KillSwitch": "kill_switch",
    "Ledger": "ledger.ledger",
    "LinearImpactWarning": "model.calibration",
    "OrderSizeWarning": "comparison.comparison",
    "PaperBroker": "brokers.paper",
    "PaperExecutor": "brokers.paper",
    "ParentOrder": "orders",
    "ScheduleConstraints": "optimum.constraints",
    "StrategyComparison": "comparison.comparison",
    "TradeSchedule": "optimum.schedule",
    "calculate_optimal_intervals": "optimum.intervals",
    "calibrate_ac_params": "model.calibration",
    "compare_strategies": "comparison.comparison",
    "cost_at_risk": "model.frontier",
    "costed": "model.costs",
    "draw_execution_profile": "comparison.drawing",
    "efficient_frontier": "model.frontier",
    "execution_profile_chart": "comparison.profile",
    "generate_ac_trajectory": "model.almgren_chriss",
    "generate_market_order_trajectory": "model.baselines",
    "generate_twap_trajectory": "model.baselines",
    "generate_vwap_trajectory": "model.baselines",
    "get_volume_profile_from_db": "volume_profiles",
    "impact_check": "model.calibration",
    "linear_rule_params": "model.calibration",
    "minimize_cost_at_risk": "model.frontier",
    "optimize_schedule": "optimum.schedule",
}
"""Where each public name lives, below this package."""

__all__ = [
    "AlmgrenChrissParams",
    "Broker",
    "ChildOrder",
    "ExecutionPlan",
    "ExecutionTrajectory",
    "Executor",
    "Fill",
    "KillSwitch",
    "Ledger",
    "LinearImpactWarning",
    "OrderSizeWarning",
    "PaperBroker",
    "PaperExecutor",
    "ParentOrder",
    "ScheduleConstraints",
    "StrategyComparison",
    "TradeSchedule",
    "calculate_optimal_intervals",
    "calibrate_ac_params",
    "compare_strategies",
    "cost_at_risk",
    "costed",
    "draw_execution_profile",
    "efficient_frontier",
    "execution_profile_chart",
    "generate_ac_trajectory",
    "generate_market_order_trajectory",
    "generate_twap_trajectory",
    "generate_vwap_trajectory",
    "get_volume_profile_from_db",
    "impact_check",
    "linear_rule_params",
    "minimize_cost_at_risk",
    "optimize_schedule",
]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


# Unseen by the checker of types, for which it would turn every misspelt name into an object.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = value
        return value
