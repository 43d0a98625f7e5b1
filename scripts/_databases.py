"""What the scripts that care for the databases share: where these lie and how a result is said."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

STATE_DIR_VARIABLE = "ORCHESTRATOR_STATE_DIR"
BACKUP_DIR_VARIABLE = "ORCHESTRATOR_BACKUP_DIR"
DATABASES = ("performance", "ledger")
"""What is worth keeping; control.db holds no lasting facts. The first one must be there."""

EX_TEMPFAIL = 75


def state_parser(description: str) -> argparse.ArgumentParser:
    """Return a parser with --state-dir."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--state-dir",
        type=Path,
        default=Path(os.environ.get(STATE_DIR_VARIABLE) or "var"),
        help=f"where the databases lie (default: ${STATE_DIR_VARIABLE}, else ./var)",
    )
    return parser


def add_backup_dir(parser: argparse.ArgumentParser) -> None:
    """Add --backup-dir to `parser`; `backup_dir` says what it means when it is not given."""
    parser.add_argument(
        "--backup-dir",
        type=Path,
        default=os.environ.get(BACKUP_DIR_VARIABLE) or None,
        help=f"where the backups lie (default: ${BACKUP_DIR_VARIABLE}, else STATE_DIR/backups)",
    )


def backup_dir(arguments: argparse.Namespace) -> Path:
    """Return the directory of the backups that the command line means."""
    given: Path | None = arguments.backup_dir
    state_dir: Path = arguments.state_dir
    return state_dir / "backups" if given is None else given


def megabytes(size: int) -> str:
    """Return `size` bytes for people."""
    return f"{size / 1e6:.1f} MB"
