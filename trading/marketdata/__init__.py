"""Daily and intraday bars: where they come from, how they are kept, and whether they can be trusted."""
