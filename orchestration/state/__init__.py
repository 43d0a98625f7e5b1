"""What must not be lost, and where it is kept."""

from orchestration.deferred import defer

# Before anything here imports SQLAlchemy.
defer("asyncio", "iscoroutine")
defer("hashlib")
defer("importlib.metadata")
