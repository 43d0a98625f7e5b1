"""For every test: property tests try the same examples each time, so that a red run can be repeated.

PROPERTY_EXAMPLES=400 make test searches on, with fresh examples; what it finds becomes an `@example`.
"""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("search", deadline=None, print_blob=True)
settings.load_profile("search" if "PROPERTY_EXAMPLES" in os.environ else "repeatable")
