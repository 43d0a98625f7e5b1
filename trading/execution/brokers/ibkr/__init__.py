"""Interactive Brokers: orders, executions and positions over a running gateway's API (docs/brokers.md)."""
