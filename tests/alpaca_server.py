"""A server on this machine that speaks Alpaca's documented REST: orders, activities, calendar, data.

It holds an account in memory. Tests fill orders by hand (`fill`), and make answers go wrong (`faults`).
"""

from __future__ import annotations

import json
import socket
import struct
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

KEY, SECRET = "PKTESTKEY0123456789", "test-secret-0123456789abcdef"
Row = dict[str, Any]


def stamp(at: datetime, digits: str = "123") -> str:
    """RFC 3339 with nine digits of a second, as Alpaca writes it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + digits + "Z"


@dataclass(kw_only=True)
class Fault:
    """What happens to the next request of this method whose path begins so.

    status, body, headers: the answer instead (after the work, if `does_work`). drops: no answer, the
    connection is reset. times: how often.
    """

    method: str
    path: str
    status: int = 500
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)
    drops: bool = False
    does_work: bool = False
    times: int = 1


class Refused(Exception):
    def __init__(self, status: int, code: int, message: str, **more: object) -> None:
        self.status, self.body = status, {"code": code, "message": message, **more}


class AlpacaServer:
    """The account and everything a test may set. url: where it answers."""

    def __init__(self) -> None:
        self.orders: list[Row] = []
        self.activities: list[Row] = []
        self.positions: list[Row] = []
        self.assets = {"AAPL", "NVDA"}
        self.calendar: list[Row] = []
        self.quotes: dict[str, Row] = {}
        self.bars: dict[str, list[Row]] = {}
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.buying_power = 1e9
        self.limit_per_minute = 200
        self.bars_a_page = 10_000
        self.cancels_at_once = True
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def count(self, method: str, path: str = "/v2/") -> int:
        return sum(m == method and p.startswith(path) for m, p, _ in self.requests)

    # --- what tests do at the broker's side ---------------------------------------------------------------

    def order(self, client_order_id: str) -> Row:
        return next(o for o in self.orders if o["client_order_id"] == client_order_id)

    def place(self, client_order_id: str, quantity: str = "100", **changes: object) -> Row:
        """Put an order in as somebody else would, past every check."""
        at = stamp(self.now())
        row: Row = {
            "id": str(uuid.uuid4()),
            "client_order_id": client_order_id,
            **dict.fromkeys(("created_at", "updated_at", "submitted_at"), at),
            **dict.fromkeys(("filled_at", "expired_at", "canceled_at", "failed_at", "replaced_at")),
            "replaced_by": None,
            "replaces": None,
            "notional": None,
            "legs": None,
            "asset_class": "us_equity",
            "symbol": "AAPL",
            "qty": quantity,
            "filled_qty": "0",
            "filled_avg_price": None,
            "order_class": "",
            "type": "limit",
            "side": "buy",
            "time_in_force": "day",
            "limit_price": "10",
            "stop_price": None,
            "status": "new",
            "extended_hours": False,
            **changes,
        }
        self.orders.append(row)
        return row

    def fill(
        self, client_order_id: str, quantity: str, price: str = "10.5", *, at: datetime | None = None
    ) -> Row:
        """Execute part of an order; return the activity."""
        order, at = self.order(client_order_id), at or self.now()
        done = float(order["filled_qty"]) + float(quantity)
        is_whole = order["qty"] is not None and done >= float(order["qty"])
        order |= {
            "filled_qty": f"{done:g}",
            "filled_avg_price": price,
            "status": "filled" if is_whole else "partially_filled",
            "updated_at": stamp(self.now()),
        }
        activity = {
            "id": f"{at:%Y%m%d%H%M%S}{at.microsecond // 1000:03d}::{uuid.uuid4()}",
            "activity_type": "FILL",
            "transaction_time": stamp(at, ""),
            "type": "fill" if is_whole else "partial_fill",
            "price": price,
            "qty": quantity,
            "side": order["side"],
            "symbol": order["symbol"],
            "leaves_qty": "0",
            "order_id": order["id"],
            "cum_qty": order["filled_qty"],
            "order_status": order["status"],
        }
        self.activities.append(activity)
        self._hold(order["symbol"], float(quantity) if order["side"] == "buy" else -float(quantity))
        return activity

    def _hold(self, symbol: str, change: float) -> None:
        before = next((p for p in self.positions if p["symbol"] == symbol), None)
        held = change + (float(before["qty"]) if before is not None else 0.0)
        self.positions = [p for p in self.positions if p["symbol"] != symbol]
        if held:
            side = "long" if held > 0 else "short"
            row = {"symbol": symbol, "qty": f"{held:g}", "side": side, "asset_class": "us_equity"}
            self.positions.append(row)

    def end(self, client_order_id: str, status: str) -> None:
        self.order(client_order_id).update(status=status, updated_at=stamp(self.now()))

    # --- the interface ------------------------------------------------------------------------------------

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        routes: dict[tuple[str, str], Callable[[], Any]] = {
            ("GET", "/v2/account"): lambda: {"id": "904837e3", "status": "ACTIVE", "currency": "USD"},
            ("GET", "/v2/clock"): lambda: {"timestamp": stamp(self.now()), "is_open": True},
            ("GET", "/v2/orders"): lambda: self._listed(query),
            ("POST", "/v2/orders"): lambda: self._submitted(body),
            ("GET", "/v2/orders:by_client_order_id"): lambda: self._by_name(query["client_order_id"]),
            ("GET", "/v2/account/activities/FILL"): lambda: self._page_of_activities(query),
            ("GET", "/v2/positions"): lambda: self.positions,
            ("GET", "/v2/calendar"): lambda: [
                day for day in self.calendar if query["start"] <= day["date"] <= query["end"]
            ],
            ("GET", "/v2/stocks/quotes/latest"): lambda: {
                "quotes": {s: self.quotes[s] for s in query["symbols"].split(",") if s in self.quotes}
            },
            ("GET", "/v2/stocks/bars"): lambda: self._page_of_bars(query),
        }
        if (method, path) in routes:
            return 200, routes[method, path]()
        if path.startswith("/v2/orders/"):
            order = self._by_id(path.removeprefix("/v2/orders/"))
            if method == "GET":
                return 200, order
            if method == "DELETE":
                return self._cancelled(order)
        raise Refused(404, 40410000, "endpoint not found")

    def _submitted(self, body: Row) -> Row:
        for name in ("symbol", "qty", "side", "type", "time_in_force"):
            if not body.get(name):
                raise Refused(422, 40010001, f"{name} is required")
        if any(o["client_order_id"] == body.get("client_order_id") for o in self.orders):
            raise Refused(422, 40010001, "client_order_id must be unique")
        if body["symbol"] not in self.assets:
            raise Refused(422, 40010001, f"asset {body['symbol']} not found")
        if body["type"] == "limit" and float(body.get("limit_price") or 0) <= 0:
            raise Refused(422, 40010001, "limit orders require limit_price")
        cost = float(body["qty"]) * float(body.get("limit_price") or 0)
        if body["side"] == "buy" and cost > self.buying_power:
            raise Refused(403, 40310000, "insufficient buying power", buying_power=f"{self.buying_power:g}")
        return self.place(
            body["client_order_id"],
            body["qty"],
            **{name: body[name] for name in ("symbol", "side", "type", "time_in_force")},
            limit_price=body.get("limit_price"),
            status="accepted",
        )

    def _by_name(self, name: str) -> Row:
        found = [o for o in self.orders if o["client_order_id"] == name]
        if not found:
            raise Refused(404, 40410000, f"order not found for {name}")
        return found[0]

    def _by_id(self, order_id: str) -> Row:
        found = [o for o in self.orders if o["id"] == order_id]
        if not found:
            raise Refused(404, 40410000, f"order not found for {order_id}")
        return found[0]

    def _cancelled(self, order: Row) -> tuple[int, None]:
        if order["status"] in ("filled", "canceled", "expired", "rejected", "replaced"):
            raise Refused(422, 42210000, f'order is already in "{order["status"]}" state')
        order["status"] = "canceled" if self.cancels_at_once else "pending_cancel"
        order["updated_at"] = stamp(self.now())
        return 204, None

    def _listed(self, query: dict[str, str]) -> list[Row]:
        is_open = ("new", "accepted", "pending_new", "partially_filled", "pending_cancel", "held")
        status, rows = query.get("status", "open"), sorted(self.orders, key=lambda o: str(o["submitted_at"]))
        if status != "all":
            rows = [o for o in rows if (o["status"] in is_open) == (status == "open")]
        if "after" in query:
            after = datetime.fromisoformat(query["after"])
            rows = [o for o in rows if datetime.fromisoformat(o["submitted_at"]) > after]
        if query.get("direction", "desc") == "desc":
            rows.reverse()
        return rows[: min(500, int(query.get("limit", 50)))]

    def _page_of_activities(self, query: dict[str, str]) -> list[Row]:
        after = (
            datetime.fromisoformat(query["after"]) if "after" in query else datetime.min.replace(tzinfo=UTC)
        )
        rows = [a for a in self.activities if datetime.fromisoformat(a["transaction_time"]) > after]
        rows.sort(key=lambda a: str(a["id"]), reverse=query.get("direction", "desc") == "desc")
        token = query.get("page_token")
        if token is not None:
            rows = [a for a in rows if a["id"] > token]
        return rows[: min(100, int(query.get("page_size", 100)))]

    def _page_of_bars(self, query: dict[str, str]) -> Row:
        start, end = (datetime.fromisoformat(query[name]) for name in ("start", "end"))
        symbol, skip = query["symbols"], int(query.get("page_token", 0))
        rows = [b for b in self.bars.get(symbol, []) if start <= datetime.fromisoformat(b["t"]) <= end]
        page = rows[skip : skip + self.bars_a_page]
        more = str(skip + len(page)) if len(rows) > skip + len(page) else None
        return {"bars": {symbol: page} if page else {}, "next_page_token": more}

    # --- HTTP ---------------------------------------------------------------------------------------------

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                super().setup()
                server._connections.add(self.connection)

            def finish(self) -> None:
                server._connections.discard(self.connection)
                super().finish()

            def log_message(self, format: str, *args: object) -> None:
                pass

            def _serve(self) -> None:
                parts = urlsplit(self.path)
                query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
                text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                with server._lock:
                    server.requests.append((self.command, parts.path, query))
                    fault = server._fault(self.command, parts.path)
                    status, body = 0, None
                    if fault is None or fault.does_work:
                        status, body = self._worked(parts.path, query, json.loads(text) if text else None)
                    if fault is not None and fault.drops:
                        self._reset()
                    elif fault is not None:
                        self._send(fault.status, fault.body, fault.headers)
                    else:
                        self._send(status, body, {})

            def _worked(self, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
                keys = (self.headers.get("APCA-API-KEY-ID"), self.headers.get("APCA-API-SECRET-KEY"))
                if keys != (KEY, SECRET):
                    # The real one does not repeat the key; a broken one might.
                    return 401, {"code": 40110000, "message": f"request is not authorized: {keys[0]}"}
                try:
                    return server.answer(self.command, path, query, body)
                except Refused as refused:
                    return refused.status, refused.body

            def _send(self, status: int, body: Any, headers: Mapping[str, str]) -> None:
                text = (
                    b""
                    if body is None
                    else body.encode()
                    if isinstance(body, str)
                    else json.dumps(body).encode()
                )
                self.send_response(status)
                limits = {"X-RateLimit-Limit": str(server.limit_per_minute), "X-RateLimit-Remaining": "199"}
                for name, value in {**limits, **headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def _reset(self) -> None:
                """Close so that the other side sees a reset, not an end."""
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                self.close_connection = True

            do_GET = do_POST = do_DELETE = _serve  # noqa: N815  (the names http.server calls)

        return Handler

    def _fault(self, method: str, path: str) -> Fault | None:
        for fault in self.faults:
            if fault.method == method and path.startswith(fault.path):
                fault.times -= 1
                if fault.times == 0:
                    self.faults.remove(fault)
                return fault
        return None


@contextmanager
def alpaca_server() -> Iterator[AlpacaServer]:
    server = AlpacaServer()
    try:
        yield server
    finally:
        server.close()


def minute_bars(symbol: str, start: datetime, volumes: list[int]) -> list[Row]:
    """Minute bars from `start` on, as /v2/stocks/bars writes them."""
    return [
        {
            "t": f"{start + timedelta(minutes=i):%Y-%m-%dT%H:%M:%SZ}",
            "o": 10,
            "h": 10,
            "l": 10,
            "c": 10,
            "v": v,
        }
        for i, v in enumerate(volumes)
    ]
