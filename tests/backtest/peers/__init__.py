"""Other people's engines, each run by one script under the base rule, and that rule in plain Python.

    .venv-peers/bin/python -m tests.backtest.peers.run_backtrader < question.json > answer.json

The rule is in reference.py. The scripts run in the environment that `make setup-peers` makes; no code of
theirs is here, and our engine imports nothing from here.
"""
