"""For every test: property tests try the same examples each time, so that a red run can be repeated.

PROPERTY_EXAMPLES=400 make test searches on, with fresh examples; what it finds becomes an `@example`.

A shell starts what it puts in the background with Ctrl-C ignored, and every process started from there
inherits that; here it is heard again, so that a test of an interrupt tests the same wherever it runs.
"""

from __future__ import annotations

import os
import signal

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("search", deadline=None, print_blob=True)
settings.load_profile("search" if "PROPERTY_EXAMPLES" in os.environ else "repeatable")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
