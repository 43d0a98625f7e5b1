"""The entry point of the control command."""

from __future__ import annotations

import sys

import pytest

from orchestration.ctl.main import main


def test_help_names_the_program_and_ends_in_order(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["anything", "--help"])

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 0
    assert "orchestratorctl" in capsys.readouterr().out
