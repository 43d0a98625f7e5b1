"""`python -m orchestration.state.migrate URL`: bring a database to another revision.

The daemon starts this as a child when a database is older than it, and so never loads Alembic itself.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import inspect, select
from sqlalchemy.exc import SQLAlchemyError

from orchestration.errors import StoreError
from orchestration.state.engine import explain, file_of, open_engine, to_url
from orchestration.state.schema import HEAD, REVISIONS, alembic_version


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0 done, 1 not possible (stderr says why), 2 wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m orchestration.state.migrate", description=__doc__)
    parser.add_argument("url", help="an SQLAlchemy URL or the path of an SQLite file; - reads it from stdin")
    parser.add_argument("--to", default=HEAD, metavar="REVISION", help=f"default: {HEAD}, the newest")
    arguments = parser.parse_args(argv)
    url = sys.stdin.readline().strip() if arguments.url == "-" else arguments.url
    try:
        before, kept = migrate(url, arguments.to)
    except (StoreError, CommandError, SQLAlchemyError) as error:
        print(f"not migrated: {error}", file=sys.stderr)
        return 1
    print(
        f"from {before or 'nothing'} to {arguments.to}"
        + (f"; the old file is kept as {kept}" if kept else "")
    )
    return 0


def configuration(url: str) -> Config:
    """Return Alembic's configuration for the database at `url` (an SQLAlchemy URL)."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    config.attributes["url"] = url
    return config


def migrate(url_or_path: str, to: str = HEAD) -> tuple[str | None, Path | None]:
    """Bring a database up or down to revision `to`; return its old revision and where the old file is kept.

    The old revision is None if there was none; the copy is None for a new database and for any but SQLite.

    Raises:
        StoreError: if `to` is unknown, or the database has a revision that this version does not know.
    """
    url = to_url(url_or_path)
    if to not in REVISIONS:
        raise StoreError(f"revision {to!r} is not known; expected one of {', '.join(REVISIONS)}")
    config = configuration(url.render_as_string(hide_password=False))
    known = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    engine = open_engine(url)
    try:
        with engine.connect() as connection:
            has_version = alembic_version.name in inspect(connection).get_table_names()
            before = connection.execute(select(alembic_version)).scalar() if has_version else None
    except SQLAlchemyError as error:
        raise explain(error, file_of(url), None) from error
    if before is not None and before not in known:
        raise StoreError(f"{url} has revision {before!r}, which only a newer version can change")
    kept = _keep_copy(file_of(url), before or "nothing") if has_version and before != to else None
    is_down = before is not None and REVISIONS.index(to) < REVISIONS.index(before)
    (command.downgrade if is_down else command.upgrade)(config, to)
    return before, kept


def _keep_copy(path: Path | None, revision: str) -> Path | None:
    """Copy the database as it is, so that whatever a migration does can be undone by hand."""
    if path is None:
        return None
    copy = path.with_name(f"{path.name}.{revision}")
    copy.touch(mode=0o600)
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")
    return copy


if __name__ == "__main__":
    sys.exit(main())
