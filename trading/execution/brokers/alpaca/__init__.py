"""Alpaca Markets: orders, fills, positions and trading days over its REST interface (docs/brokers.md)."""
