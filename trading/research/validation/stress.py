"""Markets that cost more than was assumed. Light."""

from __future__ import annotations

from dataclasses import replace

from trading.backtest.config import BacktestConfig
from trading.execution.checking import not_negative


def stressed(config: BacktestConfig, factor: float) -> BacktestConfig:
    """Return the same market with every cost times `factor`: fees, spread, slippage, impact and borrowing.

    Interest on cash and the bounds on what a bar can take are no costs, and stay. A factor of 0 is a market
    without costs.

    Raises:
        ValueError: if the factor is below 0.
    """
    not_negative("factor", factor)
    fees, slips, finance = config.commission, config.slippage, config.financing
    return replace(
        config,
        commission=replace(
            fees,
            per_trade=fees.per_trade * factor,
            per_share=fees.per_share * factor,
            bps=fees.bps * factor,
            minimum=fees.minimum * factor,
        ),
        slippage=replace(
            slips,
            per_share=slips.per_share * factor,
            spread_bps=slips.spread_bps * factor,
            impact=slips.impact * factor if slips.impact is not None and factor else None,
        ),
        financing=replace(finance, borrow_rate=finance.borrow_rate * factor),
    )


def has_costs(config: BacktestConfig) -> bool:
    """Whether trading costs anything at all."""
    return stressed(config, 0.0) != config
