"""Years in seconds: the daemon's own loop and decide() in virtual time, and what came of them."""
