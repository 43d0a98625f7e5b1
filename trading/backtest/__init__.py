"""Backtests: strategies on past bars, alone or side by side with a limit of capital each."""
