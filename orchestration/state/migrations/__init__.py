"""Alembic's environment and revisions; loaded only by `python -m orchestration.state.migrate`."""
