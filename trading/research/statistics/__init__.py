"""The statistics of honest validation: pure functions over arrays of per-period returns, numpy and scipy
alone.

What a candidate's good result is worth after so many were tried: its Sharpe ratio deflated by the search
(`deflated_sharpe`), the chance that choosing it was overfitting (`overfitting`), what else its returns could
have looked like (`bootstrap`) and its trades (`trade_monte_carlo`), and how much of it hangs on one exact
parameter (`sensitivity`).

Throughout: a return is a fraction of one period (0.01 = 1 %), a Sharpe ratio is per period, not annualised
(times the square root of the periods per year to annualise), its risk-free rate is 0 unless the returns given
are excess returns already, and its standard deviation has ddof 1.
"""
