"""The control command on the research's real files."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from orchestration.ctl.desk import Desk
from orchestration.ctl.main import app


def test_a_file_that_cannot_be_read_is_named_and_ends_with_1(tmp_path: Path) -> None:
    (tmp_path / "research.db").write_text("no database at all, but long enough to be looked at" * 20)

    result = CliRunner().invoke(
        app, ["research", "status", "--json"], obj=Desk({"ORCHESTRATOR_STATE_DIR": str(tmp_path)})
    )

    assert result.exit_code == 1
    assert "research.db cannot be read" in json.loads(result.stdout)["remark"]
