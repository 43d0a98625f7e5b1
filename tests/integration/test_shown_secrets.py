"""A run whose log and report name addresses: its page shows nothing of them that is secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.calendars import ny
from tests.dashboard_box import dashboard_box, ended, planned

NIGHT = ny("2026-11-19T20:00")

TOKEN, TOPIC, PASSWORD = "123456789:AAEhBP0av28fGh5-kqZQ0w", "my-long-topic", "a-mail-password"
ADDRESSES = (
    f"mail=mailtos://box:{PASSWORD}@example.org?to=me@example.org phone=ntfys://ntfy.sh/{TOPIC}\n"
    f"tgram://{TOKEN}/4242\n"
)
NAMED_IN_A_LOG = f"""\
addresses are {ADDRESSES.strip()}
phone=ntfys://ntfy.sh/{TOPIC} took nothing
https://api.telegram.org/bot{TOKEN}/sendMessage: 404
https://api.telegram.org/bot{TOKEN.replace(":", "%3A")}/sendMessage: 404
POST https://ntfy.sh/{TOPIC}: 429
535 for box with {PASSWORD}
"""


@pytest.mark.parametrize("by", ["file", "setting"])
def test_a_run_that_names_addresses_shows_no_secret_of_theirs(tmp_path: Path, by: str) -> None:
    (tmp_path / "alert_urls").write_text(ADDRESSES)
    environ = {
        "file": {"ORCHESTRATOR_CREDENTIALS_DIR": str(tmp_path)},
        "setting": {"ORCHESTRATOR_ALERT_URLS": ADDRESSES},
    }[by]
    with dashboard_box(tmp_path / "box", environ=environ) as box:
        path = box.logs / "job.log"
        path.write_text(NAMED_IN_A_LOG)
        change = planned("old_job", NIGHT, log=str(path))
        box.store.commit(ended(change, 3, report={"said": NAMED_IN_A_LOG.splitlines()}))
        page, log = (box.client().get(f"/run/{change.run.run_id}{end}") for end in ("", "/log"))

    shown = page.text + log.text
    assert log.text.count("\n") == NAMED_IN_A_LOG.count("\n")
    assert [secret for secret in (TOKEN, TOKEN.partition(":")[2], TOPIC, PASSWORD) if secret in shown] == []
    assert "took nothing" in shown
