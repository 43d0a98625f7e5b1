"""What a run's equity curve says of it: metrics, their definitions, drawdowns, monthly returns."""
