"""What of a credential or a setting is not shown: the whole, its words, an address's secret parts."""

from __future__ import annotations

import pytest

from observability.redact import HIDDEN, Redactor
from observability.secret_values import values_in


def test_a_word_is_hidden_with_its_tag_and_without() -> None:
    found = values_in("phone=ntfy://a/b\nmail=mailto://c\n")

    assert found == [
        "phone=ntfy://a/b\nmail=mailto://c",
        *("phone=ntfy://a/b", "mail=mailto://c"),
        *("ntfy://a/b", "mailto://c"),
    ]


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("tgram://123456789:AAEhBP0av28/4242", {"123456789:AAEhBP0av28", "123456789", "AAEhBP0av28"}),
        ("ntfy://my-long-topic", {"my-long-topic"}),
        ("ntfys://tk_0123456789@ntfy.sh/my-long-topic", {"tk_0123456789", "my-long-topic"}),
        (
            "mailtos://box:hunter2hunter2@example.org?to=me@example.org",
            {"box:hunter2hunter2", "hunter2hunter2"},
        ),
        ("mailto://box:p%40ssw0rd@example.org", {"box:p%40ssw0rd", "box:p@ssw0rd", "p%40ssw0rd", "p@ssw0rd"}),
        (
            "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
            {"T1JJ3T3L2", "A1BRTD4JD", "TIiajkdnlazkcOXrIdevi7FQ"},
        ),
        ("https://hc-ping.com/0b8f0a1c-uuid", {"0b8f0a1c-uuid"}),
        ("json://livingroom:8080/x?token=0123456789", {"0123456789"}),
        ("mailto://example.org?user=me&pass=0123456789&mode=starttls", {"0123456789"}),
        # Nothing in these is a secret, and each part of them stands in many a log.
        ("mailto://localhost:25?smtp=127.0.0.1&from=box@example.org&mode=insecure", set()),
        ("json://192.168.100.10:8080/x", set()),
        ("json://[fe80::1234:5678]/x", set()),
        ("sqlite:////var/lib/daily-orchestrator/performance.db", set()),
        ("a-broker-key", set()),
    ],
)
def test_the_parts_that_are_secret_by_themselves(url: str, secrets: set[str]) -> None:
    assert set(values_in(url)) == {url, *secrets}


def test_a_telegram_token_is_hidden_in_the_form_that_the_service_asks_for() -> None:
    redactor = Redactor(values_in("tgram://123456789:AAEhBP0av28/4242"))

    assert redactor.text("https://api.telegram.org/bot123456789:AAEhBP0av28/getMe") == (
        f"https://api.telegram.org/bot{HIDDEN}/getMe"
    )


@pytest.mark.parametrize("odd", ["", " \n", "://", "a://", "a://@", "=", "x=", "a://?&=", "a://@:@/:/@?b=%"])
def test_nothing_odd_is_an_error_or_hides_an_empty_text(odd: str) -> None:
    assert "" not in values_in(odd)
