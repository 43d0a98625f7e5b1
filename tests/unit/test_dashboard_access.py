"""Who may look and who may act: tokens, sessions, forged requests, names, and what every answer carries.

The daemon is one of words and there is no database: a page that may be read answers 503, nothing to show yet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from http.cookies import SimpleCookie
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from observability.dashboard import actions, render, security, sessions
from observability.dashboard.actions import ACTIONS, LONGEST_VALUE, MOST_BYTES
from observability.dashboard.app import create_app
from observability.dashboard.security import (
    COOKIE,
    HEADERS,
    LONGEST_ADDRESS,
    Access,
    is_loopback,
    local_path,
)
from observability.dashboard.sessions import Attempts, Sessions
from observability.dashboard.source import Source
from orchestration.clock import VirtualClock
from orchestration.control import Answer
from tests.control_desk import FRIDAY_EVENING, HOLDER, FakeDaemon, make_desk
from tests.dashboard_box import TestClient

TOKEN = "correct horse battery staple"
READABLE = 503
TEMPLATES = render.environment(make_desk().zone)
"""Compiled once for all tests."""
HERE = "localhost:8480"
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


class Browser(TestClient):
    """A browser at a dashboard of its own. asked: the orders that have reached the daemon."""

    def __init__(
        self, *, token: str | None = TOKEN, at: str = HERE, is_open: bool = True, names: tuple[str, ...] = ()
    ) -> None:
        self.clock = VirtualClock(FRIDAY_EVENING)
        self.daemon = FakeDaemon(who=dict(HOLDER))
        access = Access(token, names=names, is_open=is_open, clock=self.clock)
        app = create_app(Source(make_desk(self.daemon)), access)
        app.state.templates = TEMPLATES
        base = at if "://" in at else f"http://{at}"
        super().__init__(app, base_url=base, follow_redirects=False, raise_server_exceptions=False)

    @property
    def asked(self) -> list[tuple[str, dict[str, str]]]:
        return self.daemon.asked

    def sign_in(self, token: str = TOKEN) -> int:
        return int(self.post("/login", data={"token": token}).status_code)

    @property
    def csrf(self) -> str:
        """What the frame of a page holds for its own orders."""
        found = re.search(r"X-CSRF-Token\": \"(\w+)\"", self.get("/").text)
        return found[1] if found else ""

    def order(self, name: str = "pause", csrf: str | None = None, **headers: str) -> int:
        """Give an order as a page's script does; return the answer's status."""
        proof = self.csrf if csrf is None else csrf
        sent = {"HX-Request": "true", "X-CSRF-Token": proof, **headers}
        return int(self.post(f"/actions/{name}", headers=sent).status_code)


@pytest.fixture
def browser() -> Browser:
    return Browser()


@pytest.fixture
def signed_in() -> Browser:
    browser = Browser()
    assert browser.sign_in() == 303
    return browser


# --- the token ----------------------------------------------------------------------------------------------


def test_who_knows_the_token_may_act(signed_in: Browser) -> None:
    assert signed_in.order() == 204
    assert signed_in.asked == [("pause", {"all": "false"})]


@pytest.mark.parametrize("wrong", ["", "wrong", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "é\x00"])
def test_a_wrong_token_signs_nobody_in(browser: Browser, wrong: str) -> None:
    answer = browser.post("/login", data={"token": wrong})

    assert answer.status_code == 401
    assert "this is not the token" in answer.text
    assert not answer.cookies
    assert browser.order() == 401
    assert browser.asked == []


def test_without_a_token_nobody_may_act_and_the_page_says_how_to_set_one() -> None:
    browser = Browser(token=None)

    assert browser.sign_in("anything at all") == 401
    assert browser.order() == 401
    assert browser.post("/actions/halt", headers={"Authorization": "Bearer "}).status_code == 401
    assert browser.asked == []
    page = browser.get("/login").text
    assert "no token is set" in page
    assert "dashboard_token" in page


def test_after_five_wrong_tokens_in_a_minute_the_right_one_must_wait(browser: Browser) -> None:
    assert [browser.sign_in("wrong") for _ in range(6)] == [401] * 5 + [429]

    assert browser.sign_in() == 429
    browser.clock.advance(MINUTE)
    assert browser.sign_in() == 303


def test_scripts_and_the_page_to_sign_in_on_count_together(browser: Browser) -> None:
    for _ in range(3):
        browser.sign_in("wrong")
    answers = [browser.get("/", headers={"Authorization": "Bearer wrong"}) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [401, 401, 429]
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 60


def test_one_address_that_guesses_does_not_keep_another_out() -> None:
    clock = VirtualClock(FRIDAY_EVENING)
    attempts = Attempts(clock.monotonic)
    for _ in range(5):
        attempts.add("10.0.0.66")

    assert attempts.wait_s("10.0.0.66") == 60
    assert attempts.wait_s("10.0.0.5") == 0


def test_many_addresses_that_guess_get_no_further_than_sixty_in_a_minute() -> None:
    clock = VirtualClock(FRIDAY_EVENING)
    attempts = Attempts(clock.monotonic)
    for number in range(60):
        assert attempts.wait_s(f"10.0.1.{number}") == 0
        attempts.add(f"10.0.1.{number}")

    assert attempts.wait_s("10.0.2.1") == 60
    clock.advance(MINUTE)
    assert attempts.wait_s("10.0.2.1") == 0


def test_no_number_of_addresses_fills_the_memory() -> None:
    attempts = Attempts(VirtualClock(FRIDAY_EVENING).monotonic)
    for number in range(3 * sessions.MOST_ADDRESSES):
        attempts.add(str(number))

    assert len(attempts._by_address) == sessions.MOST_ADDRESSES


def test_a_wrong_token_is_logged_with_its_address_and_never_itself(browser: Browser) -> None:
    with capture_logs() as lines:
        browser.sign_in("secret but wrong")
        browser.get("/", headers={"Authorization": "Bearer secret but wrong"})
        browser.sign_in()

    assert [line["event"] for line in lines] == ["token.refused", "token.refused", "session.begun"]
    assert {line["address"] for line in lines} == {"testclient"}
    assert "secret" not in str(lines)
    assert TOKEN not in str(lines)


def test_a_token_sent_with_the_request_acts_without_a_session(browser: Browser) -> None:
    right, wrong = ({"Authorization": f"Bearer {token}"} for token in (TOKEN, "wrong"))

    answer = browser.post("/actions/run", data={"task": "calculate_pnl"}, headers=right)

    assert (answer.status_code, answer.text) == (200, "run done\n")
    assert browser.post("/actions/run", data={"task": "calculate_pnl"}, headers=wrong).status_code == 401
    assert browser.asked == [("run", {"task": "calculate_pnl"})]


# --- sessions -----------------------------------------------------------------------------------------------


def test_scripts_cannot_read_the_session_nor_other_sites_send_it(browser: Browser) -> None:
    cookie = SimpleCookie(browser.post("/login", data={"token": TOKEN}).headers["Set-Cookie"])[COOKIE]

    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "strict", "/")
    assert int(cookie["max-age"]) == 12 * 3600
    assert not cookie["secure"]


def test_over_https_the_session_is_sent_over_https_alone() -> None:
    browser = Browser(at=f"https://{HERE}")

    cookie = SimpleCookie(browser.post("/login", data={"token": TOKEN}).headers["Set-Cookie"])[COOKIE]

    assert cookie["secure"] is True


def test_no_letter_of_a_session_may_be_changed() -> None:
    known = Sessions(TOKEN, VirtualClock(FRIDAY_EVENING).monotonic)
    session = known.begin()

    for place, letter in enumerate(session):
        forged = session[:place] + ("1" if letter == "0" else "0") + session[place + 1 :]
        assert known.id_of(forged) is None, forged
    assert known.id_of(session) is not None


@pytest.mark.parametrize("forged", ["", ".", "..", "a.b.c", "x" * 4000, "0.99999999999.", "é.1.2"])
def test_what_is_no_session_is_none(forged: str) -> None:
    assert Sessions(TOKEN, VirtualClock(FRIDAY_EVENING).monotonic).id_of(forged) is None


def test_a_session_lasts_twelve_hours(signed_in: Browser) -> None:
    csrf = signed_in.csrf
    signed_in.clock.advance(12 * HOUR - MINUTE)
    assert signed_in.order(csrf=csrf) == 204

    # The browser has dropped the cookie by then; one that has not is refused.
    signed_in.clock.advance(2 * MINUTE)
    assert signed_in.order(csrf=csrf) == 401
    assert len(signed_in.asked) == 1


def test_no_session_holds_in_another_process_or_with_another_token() -> None:
    monotonic = VirtualClock(FRIDAY_EVENING).monotonic
    session = Sessions(TOKEN, monotonic).begin()

    assert Sessions(TOKEN, monotonic).id_of(session) is None
    assert Sessions("another token", monotonic).id_of(session) is None


def test_a_session_that_was_ended_is_not_taken_again(signed_in: Browser) -> None:
    session, csrf = signed_in.cookies[COOKIE], signed_in.csrf

    assert signed_in.post("/logout", data={"csrf": csrf}).status_code == 303

    assert COOKIE not in signed_in.cookies
    signed_in.cookies.set(COOKIE, session)
    assert signed_in.order(csrf=csrf) == 401
    assert signed_in.asked == []


def test_only_ones_own_page_signs_one_out(signed_in: Browser) -> None:
    assert signed_in.post("/logout").status_code == 403
    assert signed_in.post("/logout", data={"csrf": "0" * 64}).status_code == 403
    assert signed_in.order() == 204


def test_ended_sessions_do_not_fill_the_memory_and_none_comes_back() -> None:
    known = Sessions(TOKEN, VirtualClock(FRIDAY_EVENING).monotonic)
    ended = [known.begin() for _ in range(sessions.MOST_ENDED + 1)]
    for session in ended:
        known.end(session)

    assert len(known._ended) <= sessions.MOST_ENDED
    assert [session for session in ended if known.id_of(session)] == []


# --- forged requests ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("proof", ["", "0" * 64, "not even hexadecimal"])
def test_an_order_without_the_pages_proof_is_not_carried_out(signed_in: Browser, proof: str) -> None:
    assert signed_in.order(csrf=proof) == 403
    assert signed_in.asked == []


def test_the_proof_of_one_session_is_none_in_another(signed_in: Browser) -> None:
    first = signed_in.csrf
    signed_in.cookies.clear()
    signed_in.sign_in()

    assert signed_in.csrf != first
    assert signed_in.order(csrf=first) == 403


def test_every_address_that_takes_orders_wants_proof(signed_in: Browser) -> None:
    """Also those that are added one day."""
    taking = {
        route.path
        for route in signed_in.app.routes  # type: ignore[attr-defined]  # Starlette's own client hides its type
        if "POST" in (getattr(route, "methods", None) or ())
    }
    assert taking == {"/actions/{name}", "/login", "/logout"}

    # Signing in needs the token itself.
    refused = [signed_in.post(f"/actions/{name}").status_code for name in ACTIONS]
    refused.append(signed_in.post("/logout").status_code)
    assert set(refused) == {403}
    assert signed_in.asked == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "http://localhost:9999"},
        {"Origin": "http://localhost"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://[bad"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": f"http://{HERE}", "Sec-Fetch-Site": "cross-site"},
    ],
    ids=str,
)
def test_an_order_from_another_sites_page_is_refused(signed_in: Browser, headers: dict[str, str]) -> None:
    assert signed_in.order(**headers) == 403
    assert signed_in.post("/login", data={"token": TOKEN}, headers=headers).status_code == 403
    assert signed_in.asked == []


@pytest.mark.parametrize(
    "headers",
    [{"Origin": f"http://{HERE}"}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}],
    ids=str,
)
def test_an_order_from_our_own_page_is_not(signed_in: Browser, headers: dict[str, str]) -> None:
    assert signed_in.order(**headers) == 204


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
def test_nothing_but_a_post_acts(signed_in: Browser, method: str) -> None:
    sent = {"X-CSRF-Token": signed_in.csrf, "HX-Request": "true"}

    answers = [signed_in.request(method, f"/actions/{name}", headers=sent) for name in ACTIONS]

    assert {answer.status_code for answer in answers} == {405}
    assert signed_in.asked == []


def test_an_action_that_there_is_not_is_named_with_those_there_are(signed_in: Browser) -> None:
    answer = signed_in.post("/actions/reboot", headers={"X-CSRF-Token": signed_in.csrf})

    assert answer.status_code == 404
    assert "resume-trading" in answer.text


def test_a_body_is_read_to_its_bound_and_no_further(signed_in: Browser) -> None:
    sent = {"X-CSRF-Token": signed_in.csrf, "Content-Type": "application/x-www-form-urlencoded"}
    long = LONGEST_VALUE + 1

    def status(body: bytes, **headers: str) -> int:
        return int(signed_in.post("/actions/halt", content=body, headers={**sent, **headers}).status_code)

    def endless() -> Iterator[bytes]:
        for _ in range(10_000):
            yield b"reason=" + b"x" * 1000

    assert status(b"reason=" + b"x" * MOST_BYTES) == 413
    assert signed_in.post("/actions/halt", content=endless(), headers=sent).status_code == 413
    assert status(b"reason=" + b"x" * long) == 413
    assert status(b"&".join([b"a=1"] * 50)) == 400
    assert status(b'{"reason": "x"}', **{"Content-Type": "application/json"}) == 415
    assert status(b"reason=x", **{"Content-Type": "text/plain"}) == 415


# --- names --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", "[bad"]
)
def test_by_a_foreign_name_nothing_is_answered(browser: Browser, host: str) -> None:
    for path in ("/", "/static/dashboard.css", "/login", "/live"):
        answer = browser.get(path, headers={"Host": host})
        assert answer.status_code == 421
        assert "ORCHESTRATOR_DASHBOARD_NAMES" in answer.text


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8480", "127.0.0.1:1", "[::1]:8480", "box", "box.local.", "Box:80"]
)
def test_by_its_own_names_it_answers(host: str) -> None:
    browser = Browser(names=("box", "box.local"), is_open=False)

    assert browser.get("/login", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["box/static/", "box:80/login", "box?", "box#/static/", "me@box", "box box"])
def test_a_name_with_more_behind_it_is_none(host: str) -> None:
    """Where an address is put together from the name, its end would pass for a path that all may ask for."""
    browser = Browser(names=("box",), is_open=False)

    assert browser.get("/", headers={"Host": host}).status_code == 421


def test_it_answers_to_the_address_it_is_reached_at() -> None:
    browser = Browser(at="192.168.1.5:8480", is_open=False)

    assert browser.get("/login").status_code == 200
    assert browser.get("/login", headers={"Host": "192.168.1.6:8480"}).status_code == 421


def test_an_address_without_an_end_is_turned_away(browser: Browser) -> None:
    """Thirty pages of sixty thousand letters each, repeated in every form, took 250 MB."""
    long = "x" * LONGEST_ADDRESS

    assert browser.get(f"/tonight?{long}").status_code == 414
    assert browser.get(f"/task/{long}").status_code == 414
    assert browser.get("/tonight", params={"x": "x" * (LONGEST_ADDRESS - 100)}).status_code == READABLE


# --- reading ------------------------------------------------------------------------------------------------


def test_on_the_box_itself_reading_needs_nothing(browser: Browser) -> None:
    assert browser.get("/").status_code == READABLE


def test_elsewhere_reading_needs_a_session_too() -> None:
    browser = Browser(at="192.168.1.5:8480", is_open=False)

    answer = browser.get("/history?day=2026-11-20")
    assert (answer.status_code, answer.headers["Location"]) == (
        303,
        "/login?next=%2Fhistory%3Fday%3D2026-11-20",
    )
    assert browser.get("/static/dashboard.css").status_code == 200
    for path in ("/", "/metrics", "/no/such/page"):
        assert browser.get(path).status_code in (303, 401)
    assert browser.get("/", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == READABLE

    assert browser.sign_in() == 303
    assert browser.get("/").status_code == READABLE


def test_metrics_elsewhere_are_read_with_the_token_alone() -> None:
    browser = Browser(at="192.168.1.5:8480", is_open=False)

    answer = browser.get("/metrics")

    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


def test_a_page_whose_session_has_ended_is_led_to_sign_in() -> None:
    browser = Browser(at="192.168.1.5:8480", is_open=False)

    answer = browser.get("/?a=1", headers={"HX-Request": "true"})

    assert (answer.status_code, answer.headers["HX-Redirect"]) == (401, "/login?next=%2F%3Fa%3D1")
    # It listens all the time, and is told once to fetch itself.
    assert browser.get("/live").text.count("event: change") == 1


def test_a_reader_through_a_proxy_on_the_box_signs_in_as_from_elsewhere() -> None:
    """The proxy reaches the dashboard on this box, and its readers do not."""
    browser = Browser(names=("box.example",), is_open=True)

    assert browser.get("/", headers={"Host": "box.example"}).status_code == 303
    assert browser.get("/", headers={"Host": "localhost"}).status_code == READABLE


@pytest.mark.parametrize(
    ("hosts", "is_here"),
    [
        (("127.0.0.1", "127.8.8.8", "::1", "localhost"), True),
        (("0.0.0.0", "::", "192.168.1.5", "box", "localhost.lan"), False),
    ],
)
def test_what_is_reached_from_this_box_alone(hosts: tuple[str, ...], is_here: bool) -> None:
    assert {is_loopback(host) for host in hosts} == {is_here}


@pytest.mark.parametrize(
    ("wanted", "path"),
    [
        ("/trading", "/trading"),
        ("/history?day=1", "/history?day=1"),
        ("", "/"),
        ("trading", "/"),
        ("//evil.example", "/"),
        ("https://evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/\t/evil", "/"),
    ],
)
def test_after_signing_in_nobody_is_sent_elsewhere(wanted: str, path: str) -> None:
    assert local_path(wanted) == path
    answer = Browser().post("/login", data={"token": TOKEN, "next": wanted})
    assert (answer.status_code, answer.headers["Location"]) == (303, path)


# --- every answer -------------------------------------------------------------------------------------------


def test_every_answer_carries_the_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    browser = Browser()
    answers = [
        browser.get("/"),
        browser.get("/login"),
        browser.get("/static/dashboard.js"),
        browser.get("/static/no-such-file"),
        browser.get("/no/such/page"),
        browser.get("/actions/pause"),
        browser.post("/actions/pause"),
        browser.get("/", headers={"Host": "evil.example"}),
        browser.post("/login", headers={"Origin": "http://evil.example"}),
        *(browser.get("/", headers={"Authorization": "Bearer wrong"}) for _ in range(6)),
    ]

    def fails(*_: object) -> None:
        raise RuntimeError("a fault of the program's own")

    monkeypatch.setattr(Access, "judge", fails)
    answers.append(browser.post("/actions/pause"))

    assert {answer.status_code for answer in answers} == {200, 303, 401, 403, 404, 405, 421, 429, 500, 503}
    for answer in answers:
        assert {name: answer.headers.get(name) for name in HEADERS} == dict(HEADERS), answer.request.url
        assert answer.headers["Cache-Control"] in ("no-store", "no-cache")
    assert "own" not in answers[-1].text, "the reader is not told the program's insides"


# --- what an action answers ---------------------------------------------------------------------------------


def test_the_daemons_words_go_back_to_the_page(signed_in: Browser) -> None:
    signed_in.daemon.answers["pause"] = Answer(ok=True, text="paused: 50 % of it, “all”")
    sent = {"HX-Request": "true", "X-CSRF-Token": signed_in.csrf}

    answer = signed_in.post("/actions/pause", headers=sent)

    assert (answer.status_code, answer.text) == (204, "")
    # Percent-encoded UTF-8 as the page's decodeURIComponent takes it.
    assert answer.headers["X-Said"] == "paused%3A%2050%20%25%20of%20it%2C%20%E2%80%9Call%E2%80%9D"


def test_a_refusal_is_told_as_one(signed_in: Browser) -> None:
    signed_in.daemon.answers["run"] = Answer(ok=False, text="it is running already")
    sent = {"HX-Request": "true", "X-CSRF-Token": signed_in.csrf}

    refused = signed_in.post("/actions/run", data={"task": "calculate_pnl"}, headers=sent)
    empty = signed_in.post("/actions/run", data={"task": " "}, headers=sent)

    assert (refused.status_code, refused.headers["X-Said"]) == (409, "it%20is%20running%20already")
    assert empty.status_code == 409
    assert len(signed_in.asked) == 1, "a run of nothing is not even asked for"


def test_a_daemon_that_does_not_answer_is_a_refusal_in_words(signed_in: Browser) -> None:
    signed_in.daemon.is_mute = True

    answer = signed_in.post("/actions/pause", headers={"HX-Request": "1", "X-CSRF-Token": signed_in.csrf})

    assert answer.status_code == 409
    assert "did%20not%20take" in answer.headers["X-Said"]


@pytest.mark.parametrize(
    ("name", "form", "order"),
    [
        ("pause", {}, ("pause", {"all": "false"})),
        ("pause", {"all": "true"}, ("pause", {"all": "true"})),
        ("pause", {"task": "t"}, ("pause", {"task": "t"})),
        ("resume", {}, ("resume", {})),
        ("resume", {"task": "t"}, ("resume", {"task": "t"})),
        ("run", {"task": "t"}, ("run", {"task": "t"})),
        ("stop", {"run": "t.1"}, ("stop", {"run": "t.1"})),
        ("acknowledge", {"alert": "a:b"}, ("acknowledge", {"alert": "a:b"})),
        ("acknowledge", {"all": "true"}, ("acknowledge", {"all": "true"})),
    ],
)
def test_each_action_is_the_daemons_order(
    signed_in: Browser, name: str, form: dict[str, str], order: tuple[str, dict[str, str]]
) -> None:
    sent = {"HX-Request": "true", "X-CSRF-Token": signed_in.csrf}

    assert signed_in.post(f"/actions/{name}", data=form, headers=sent).status_code == 204
    assert signed_in.asked == [order]


def test_every_action_is_logged_with_who_asked_for_it(signed_in: Browser) -> None:
    csrf = signed_in.csrf
    with capture_logs() as lines:
        signed_in.post("/actions/stop", data={"run": "x", "csrf": csrf, "back": "/"})

    (line,) = lines
    assert (line["event"], line["action"], line["args"]) == ("action.done", "stop", {"run": "x"})
    assert (line["address"], line["said"]) == ("testclient", "stop done")


def test_no_more_than_two_orders_wait_for_a_daemon_that_hangs(signed_in: Browser) -> None:
    limiter = signed_in.app.state.acting  # type: ignore[attr-defined]
    limiter.total_tokens = 0

    assert signed_in.order() == 409
    assert signed_in.asked == []


# --- buttons and words --------------------------------------------------------------------------------------


def test_every_button_gives_an_order_that_there_is() -> None:
    template = TEMPLATES.get_template("_actions.html")
    source = (render.HERE / "templates" / "_actions.html").read_text()
    module = template.make_module({"here": "/x"})
    macros = re.findall(r"macro (\w+)\((.*)\) %}", source)
    shown = "".join(
        str(getattr(module, name)(*["x"] * len([a for a in args.split(",") if a and "=" not in a])))
        for name, args in macros
        if name != "button"
    )

    named = re.findall(r'action="/actions/([\w-]+)" hx-post="/actions/([\w-]+)"', shown)
    assert len(named) >= 9
    assert {name for pair in named for name in pair} == set(ACTIONS)
    assert "csrf" not in shown, "a page's content is one for all its readers"
    assert shown.count('name="back" value="/x"') == len(named)


def test_the_page_on_it_names_every_action() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "dashboard.md").read_text()

    assert [name for name in ACTIONS if f"| `{name}` |" not in page] == []
    assert f"{actions.MOST_BYTES // 1024} KiB" in page
    assert {"five": sessions.PER_MINUTE, "sixty": sessions.ALL_PER_MINUTE} == {"five": 5, "sixty": 60}
    assert sessions.LASTS_S == 12 * 3600
    assert security.SAID_S >= 5
