"""Brokers behind one Protocol. Paper first; a vendor's package is imported in its own adapter alone.
Light."""
