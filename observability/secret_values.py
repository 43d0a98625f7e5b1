"""The values that no log line and no page may show: secret settings and credentials, whole and in parts.

Light: standard library only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from observability.alert_addresses import read_addresses
from observability.redact import is_secret_name

if TYPE_CHECKING:
    from config import Settings

LEAST_PART: Final = 8
"""Characters of a part of an address that is hidden by itself: a shorter one is a word like many."""

_HOST = re.compile(
    r"(localhost|\[.*\]|\d{1,3}(\.\d{1,3}){3}|([\w-]+\.)+[a-z]{2,24}|[\w-]+(?=:\d))(:\d{1,5})?", re.IGNORECASE
)
"""What is surely a host: in `tgram://TOKEN/CHAT` and its like a secret stands in its place."""
_WEB: Final = ("http", "https")
_PASSWORDS: Final = ("pass", "pw", "pwd")


def known_secrets(settings: Settings) -> list[str]:
    """Return what must not be shown of the secret settings and of the credentials that can be read here."""
    texts = [str(getattr(settings, f.name) or "") for f in fields(settings) if f.metadata.get("secret")]
    return list(
        dict.fromkeys(
            value for text in (*texts, *_files(settings.credentials_dir)) for value in values_in(text)
        )
    )


def _files(folder: Path | None) -> Iterator[str]:
    """Give the texts in a folder of credentials; a file that cannot be read is left out."""
    with suppress(OSError):
        for file in sorted(folder.iterdir()) if folder is not None else ():
            with suppress(OSError):
                if file.is_file():
                    yield file.read_text(errors="replace")


def values_in(text: str) -> list[str]:
    """Return the secrets of one credential or setting: the whole, each of its words with the `TAG=` before it
    and without, and of an address the parts that are secret by themselves."""
    found = [text.strip(), *text.split()]
    for address in read_addresses(text):
        found += [address.url, *_parts(address.url)]
    return list(dict.fromkeys(value for value in found if value))


def _parts(url: str) -> list[str]:
    """Return user, password, topic, token: they stand in other forms of the address, too."""
    scheme, mark, rest = url.partition("://")
    if not mark or scheme.startswith("sqlite"):  # whose path leads to a file of ours
        return []
    rest, _, query = rest.partition("?")
    authority, _, path = rest.partition("/")
    user, _, host = authority.rpartition("@")
    pieces = [user, *path.split("/")]
    if scheme not in _WEB and not _HOST.fullmatch(host):
        pieces.append(host)
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if is_secret_name(name) or name.lower() in _PASSWORDS:
            pieces.append(value)
    halves = [half for piece in pieces for half in (piece, *re.split("[:@]", piece))]
    return [part for half in halves for part in (half, unquote(half)) if len(part) >= LEAST_PART]
