"""Where alerts go: the addresses a person has set up.

Light: standard library only. An address holds secrets: nothing here logs, repeats or stores one.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

SECRET: Final = "alert_urls"
"""The credential's file, and the variable in which a job gets it."""
SETTING: Final = "ORCHESTRATOR_ALERT_URLS"
FOLDERS: Final = ("ORCHESTRATOR_CREDENTIALS_DIR", "CREDENTIALS_DIRECTORY")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One address. name: its tag, numbered where several have the same. url: a secret."""

    name: str
    tag: str
    url: str = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """What changes when the address behind the name does; the address cannot be had from it."""
        return hashlib.sha256(self.url.encode()).hexdigest()[:12]


def read_addresses(text: str) -> list[Address]:
    """Return the addresses of a setting: separated by blanks, each with `TAG=` before it or without.

    Without a tag an address is called as its kind, ntfy in `ntfy://...`.
    """
    found: list[Address] = []
    tags: Counter[str] = Counter()
    for word in text.split():
        tagged = re.fullmatch(r"([A-Za-z][A-Za-z0-9_-]{0,30})=(.+)", word)
        tag, url = (tagged[1], tagged[2]) if tagged else (word.partition(":")[0][:31], word)
        tags[tag] += 1
        found.append(Address(name=tag if tags[tag] == 1 else f"{tag}-{tags[tag]}", tag=tag, url=url))
    return found


def find_addresses(env: Mapping[str, str]) -> list[Address]:
    """Return the addresses that are set up."""
    return read_addresses(find_secret(env, SECRET, SETTING))


def find_secret(env: Mapping[str, str], name: str, setting: str) -> str:
    """Return a secret: a job's own (a variable `name`), else the file `name` among the credentials, else the
    setting; empty if it is nowhere."""
    given = env.get(name, "").strip()
    for folder in [env[each] for each in FOLDERS if env.get(each)]:
        with suppress(OSError, UnicodeDecodeError):
            given = given or (Path(folder) / name).read_text(encoding="utf-8").strip()
    return given or env.get(setting, "").strip()
