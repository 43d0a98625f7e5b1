"""Sessions in signed cookies, and how often a wrong token may be tried. Nothing here knows of requests."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

LASTS_S: Final = 12 * 3600
"""How long a session lasts: a day at the desk."""
MOST_ENDED: Final = 1000
"""Sessions that were ended before their time and are remembered for it."""

PER_MINUTE: Final = 5
"""Wrong tokens from one address; a person who mistypes needs two or three."""
ALL_PER_MINUTE: Final = 60
"""Wrong tokens from all addresses together: whoever has many of them gets no further."""
MOST_ADDRESSES: Final = 1000


class Sessions:
    """Makes and judges sessions: `ID.END.SIGNATURE`, END in seconds of `monotonic`.

    The key is of the token and of this process: with another token, and after a restart, no session holds.
    """

    def __init__(self, token: str, monotonic: Callable[[], float]) -> None:
        self._token, self._monotonic = token.encode(), monotonic
        self._key = self._new_key()
        self._ended: dict[str, float] = {}

    def begin(self) -> str:
        """Return a new session."""
        content = f"{secrets.token_hex(16)}.{int(self._monotonic()) + LASTS_S}"
        return f"{content}.{self.sign('session', content)}"

    def id_of(self, session: str) -> str | None:
        """Return the id of a session that holds; None if it is forged, past its time, or ended."""
        content, _, signature = session.rpartition(".")
        if not self.is_signed("session", content, signature):
            return None
        session_id, _, end = content.partition(".")
        return session_id if self._monotonic() < int(end) and session_id not in self._ended else None

    def end(self, session: str) -> None:
        """Let a session hold no longer."""
        session_id = self.id_of(session)
        if session_id is None:
            return
        now = self._monotonic()
        self._ended = {known: until for known, until in self._ended.items() if until > now}
        self._ended[session_id] = now + LASTS_S
        if len(self._ended) > MOST_ENDED:
            # None may come back to life, so all end.
            self._key, self._ended = self._new_key(), {}

    def csrf(self, session_id: str) -> str:
        """Return what must come with every order of this session, and what another site cannot know."""
        return self.sign("csrf", session_id)

    def sign(self, purpose: str, content: str) -> str:
        """Return the signature of a content made for `purpose`."""
        return hmac.new(self._key, f"{purpose}:{content}".encode(), hashlib.sha256).hexdigest()

    def is_signed(self, purpose: str, content: str, signature: str) -> bool:
        """Whether the signature is ours; it takes as long however much of it is right."""
        return same(self.sign(purpose, content), signature)

    def _new_key(self) -> bytes:
        return hmac.digest(secrets.token_bytes(32), self._token, "sha256")


class Attempts:
    """Counts wrong tokens of the last minute by address; the addresses seen longest ago are forgotten."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._by_address: OrderedDict[str, deque[float]] = OrderedDict()
        self._all: deque[float] = deque(maxlen=ALL_PER_MINUTE)

    def wait_s(self, address: str) -> float:
        """Return in how many seconds a token from `address` is looked at again; 0: now."""
        return max(self._wait(self._by_address.get(address)), self._wait(self._all))

    def add(self, address: str) -> None:
        """Count a wrong token."""
        found = self._by_address.setdefault(address, deque(maxlen=PER_MINUTE))
        self._by_address.move_to_end(address)
        while len(self._by_address) > MOST_ADDRESSES:
            self._by_address.popitem(last=False)
        for times in (found, self._all):
            times.append(self._monotonic())

    def _wait(self, times: deque[float] | None) -> float:
        if times is None or len(times) != times.maxlen:
            return 0.0
        return max(0.0, times[0] + 60.0 - self._monotonic())


def same(one: str, other: str) -> bool:
    """Whether two secrets are the same, in a time that tells nothing of how they differ."""
    digests = [hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest() for text in (one, other)]
    return hmac.compare_digest(*digests)
