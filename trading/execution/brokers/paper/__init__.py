"""The paper broker: orders filled from a market's bars, kept in a file, wrong on demand. Light."""
