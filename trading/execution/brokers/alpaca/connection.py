"""Requests to Alpaca through alpaca-py, bounded in time: an order is never sent twice.

Light: `alpaca` is imported when a connection is opened, and of it only the REST core: `TradingClient` and the
data clients load pandas, 120 MB and 0.5 s against 36 MB and 0.16 s, which a job of every minute cannot carry.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from trading.execution.errors import BrokerError, BrokerUnavailable, ExtraMissing

if TYPE_CHECKING:
    from alpaca.common.rest import RESTClient

CONNECT_S, READ_S, WHOLE_S = 5.0, 10.0, 20.0
"""How long a connection, a silence within an answer, and a whole request may take."""
PATIENCE_S = 15.0
"""How long a question waits in all for the rate limit (200 requests a minute) to let it through."""
FIRST_WAIT_S = 1.0
"""The first wait for the rate limit where the answer names none; doubled for each further."""
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

Pause = Callable[[float], Awaitable[object]]


class Clock(Protocol):
    """What the time is read from: `SystemClock` or `VirtualClock`."""

    def now(self) -> datetime: ...

    def monotonic(self) -> float: ...


class Answer(BrokerError):
    """An HTTP answer that is no success. wait_s: how long the rate limit asks to wait, None: it does not.
    is_alpacas: it has Alpaca's form; else something between may have spoken (a proxy, a hotel's log-in)."""

    def __init__(self, status: int, text: str, *, is_alpacas: bool, wait_s: float | None = None) -> None:
        self.status, self.is_alpacas, self.wait_s = status, is_alpacas, wait_s
        super().__init__(f"{text} ({status})")


class Silence(BrokerError, ConnectionError):
    """No usable answer: whether the request was carried out is not known."""


class Connection:
    """One host with one pair of keys. Every method raises Answer for an HTTP error and Silence for none.

    url: https, or http on this machine. key, secret: never shown, not even if the answer repeats them.
    """

    def __init__(self, url: str, key: str, secret: str, clock: Clock, pause: Pause = asyncio.sleep) -> None:
        parts = urlsplit(url)
        if parts.scheme != "https" and (parts.scheme != "http" or parts.hostname not in LOOPBACK):
            raise ValueError(f"url is {url!r}: expected https://HOST, or http:// on this machine alone")
        for name, value in (("key", key), ("secret", secret)):
            if not value or not value.isascii() or not value.isprintable():
                raise ValueError(f"{name} is empty or no plain text: expected Alpaca's API {name}")
        self._keys = (key, secret)
        self._clock, self._pause = clock, pause
        self._client = _client(url, key, secret, use_proxies=parts.hostname not in LOOPBACK)

    async def get(self, path: str, **params: str | int) -> Any:
        """Return the JSON answer to a question; waits for the rate limit, at most `PATIENCE_S` in all.

        Raises: Answer, BrokerUnavailable (also for silence and 5xx: asking again is safe), PermissionError.
        """
        given = {name: value for name, value in params.items() if value != ""}
        answer = await self._asked(lambda: self._client.get(path, given))
        if answer is None:
            raise BrokerUnavailable(f"alpaca gave an empty answer to {path}")
        return answer

    async def delete(self, path: str) -> None:
        """Delete; as `get`, since deleting twice is deleting once."""
        await self._asked(lambda: self._client.delete(path))

    async def post_once(self, path: str, body: Mapping[str, str]) -> Any:
        """Return the JSON answer to a request that is sent once, whatever comes. Raises Answer, Silence."""
        return await self._once(lambda: self._client.post(path, dict(body)))

    async def close(self) -> None:
        """Drop the connections that are kept open. Never raises."""
        self._client._session.close()

    async def _asked(self, request: Callable[[], Any]) -> Any:
        left, wait = PATIENCE_S, FIRST_WAIT_S
        while True:
            try:
                return await self._once(request)
            except Silence as error:
                raise BrokerUnavailable(str(error)) from error
            except Answer as answer:
                if answer.status in (401, 403):
                    raise PermissionError(
                        f"alpaca refuses the keys: {answer}. Put a valid pair into broker_key and"
                        " broker_secret; practice and real accounts have pairs of their own"
                    ) from None
                if answer.status >= 500:
                    raise BrokerUnavailable(f"alpaca cannot answer now: {answer}") from None
                if answer.status != 429:
                    raise
                asked = max(wait if answer.wait_s is None else answer.wait_s, 0.05)
                if asked > left:
                    raise BrokerUnavailable(
                        f"alpaca's rate limit: {answer}; it asks to wait {asked:g} s"
                    ) from None
            await self._pause(asked)
            left, wait = left - asked, 2 * wait

    async def _once(self, request: Callable[[], Any]) -> Any:
        from alpaca.common.exceptions import APIError
        from requests.exceptions import RequestException

        try:
            return await asyncio.wait_for(asyncio.to_thread(request), WHOLE_S)
        except APIError as error:
            raise self._answer(error) from None
        except (RequestException, TimeoutError, OSError, ValueError) as error:
            raise Silence(f"alpaca gave no usable answer ({type(error).__name__})") from None

    def _answer(self, error: Any) -> Answer:
        text, is_alpacas = str(error), True
        try:
            text = str(json.loads(text)["message"])
        except (ValueError, KeyError, TypeError):
            text, is_alpacas = text.strip()[:200] or "no reason given", False
        for key in self._keys:
            text = text.replace(key, "***")
        wait_s = self._wait_s(error.response.headers)
        return Answer(int(error.status_code or 0), text, is_alpacas=is_alpacas, wait_s=wait_s)

    def _wait_s(self, headers: Mapping[str, str]) -> float | None:
        """Return how long to wait by Retry-After [s], else until X-RateLimit-Reset [s since 1970]."""
        after, reset = headers.get("Retry-After", ""), headers.get("X-RateLimit-Reset", "")
        if after.isdecimal():
            return float(after)
        return max(0.0, float(reset) - self._clock.now().timestamp()) if reset.isdecimal() else None


def _client(url: str, key: str, secret: str, *, use_proxies: bool) -> RESTClient:
    try:
        from alpaca.common.rest import RESTClient
    except ImportError as error:
        raise ExtraMissing("alpaca-py is not installed: make setup-brokers") from error

    class OneRequest(RESTClient):
        """alpaca-py's client without its own retries, which would send an order again after 429 and 504, and
        with the time limit that it lacks."""

        def _one_request(self, method: str, url: str, opts: dict[str, Any], retry: int) -> dict[str, Any]:
            answer: dict[str, Any] = super()._one_request(
                method, url, {**opts, "timeout": (CONNECT_S, READ_S)}, 0
            )
            return answer

    client = OneRequest(base_url=url, api_key=key, secret_key=secret)
    client._session.trust_env = use_proxies
    return client
