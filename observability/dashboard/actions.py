"""What a person does through the dashboard: orders to the daemon as orchestratorctl gives them, and the halt.

Every order is logged with the address of who gave it; its answer goes back in words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, quote

import anyio
import anyio.to_thread
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from observability.dashboard.page import frame
from observability.dashboard.security import (
    LONGEST_SAID,
    Access,
    Verdict,
    address_of,
    came_with_token,
    local_path,
    sign_in_address,
)
from observability.logs import get_logger
from orchestration.ctl.client import ask_or_fail
from orchestration.ctl.desk import Desk
from orchestration.ctl.exits import Failure
from orchestration.halt import reason_of

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_BYTES: Final = 8192
"""Of a form: the longest holds a reason of 200 characters."""
MOST_FIELDS: Final = 20
LONGEST_VALUE: Final = 200
UNBOUNDED: Final = frozenset({"back", "next", "token"})
READING_S: Final = 10.0
"""How long the sending of a form may take."""
AT_ONCE: Final = 2
"""Actions under way; one waits up to 10 s for a daemon that hangs, and pages have other threads."""

Form = Mapping[str, str]
Act = Callable[[Desk, Form, str], str]
"""Carries out an order with the form's fields for the person at an address; returns what was done, in words.
Raises Failure with the refusal's words."""


def pause(desk: Desk, form: Form, _: str) -> str:
    """Start nothing but trading duties (all=true: nothing at all), or pause the one task."""
    task = form.get("task")
    if task:
        return ask_or_fail(desk.daemon, "pause", {"task": task}).text
    everything = "true" if form.get("all") == "true" else "false"
    return ask_or_fail(desk.daemon, "pause", {"all": everything}).text


def resume(desk: Desk, form: Form, _: str) -> str:
    """Take back `pause`, or the pause of the one task."""
    task = form.get("task")
    text = ask_or_fail(desk.daemon, "resume", {"task": task} if task else {}).text
    halted = reason_of(desk.kill_switch.path)
    return f"{text}; trading is still halted: {halted}" if halted else text


def run(desk: Desk, form: Form, _: str) -> str:
    """Start the task as soon as there is room for it, whatever the hour."""
    return ask_or_fail(desk.daemon, "run", {"task": _wanted(form, "task")}).text


def stop(desk: Desk, form: Form, _: str) -> str:
    """Ask the run to wind down, then end it."""
    return ask_or_fail(desk.daemon, "stop", {"run": _wanted(form, "run")}).text


def acknowledge(desk: Desk, form: Form, _: str) -> str:
    """Mark the alert as seen, or with all=true every open one."""
    args = {"all": "true"} if form.get("all") == "true" else {"alert": _wanted(form, "alert")}
    return ask_or_fail(desk.daemon, "acknowledge", args).text


def halt(desk: Desk, form: Form, address: str) -> str:
    """Halt trading, on the disk when this returns. Needs no daemon."""
    reason = _wanted(form, "reason")
    before = reason_of(desk.kill_switch.path)
    with _told_of("trading could NOT be halted"):
        desk.kill_switch.set(reason, f"dashboard, {address}", desk.clock.now())
    if before is not None:
        return f"trading was halted already: {before}; your reason is added"
    return (
        "trading is halted: nothing more is sent, and the executor, if one is at work, cancels what is open"
    )


def resume_trading(desk: Desk, _: Form, address: str) -> str:
    """Take back `halt`. Needs no daemon."""
    with _told_of("trading is STILL halted"):
        was_halted = desk.kill_switch.clear(f"dashboard, {address}", desk.clock.now())
    if not was_halted:
        return "trading was not halted"
    return "trading may go on; orders that the halt has ended stay so"


ACTIONS: Mapping[str, Act] = {
    "acknowledge": acknowledge,
    "halt": halt,
    "pause": pause,
    "resume": resume,
    "resume-trading": resume_trading,
    "run": run,
    "stop": stop,
}
"""By the last part of their address, /actions/NAME; all are POST. docs/dashboard.md names every one."""


def _wanted(form: Form, field: str) -> str:
    value = form.get(field, "").strip()
    if not value:
        raise Failure(f"the field {field!r} is empty, and without it there is nothing to do")
    return value


@contextmanager
def _told_of(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Failure(f"{what}: {error}") from error


async def act(request: Request) -> Response:
    """Carry out POST /actions/NAME if the request may, and answer in words."""
    name = request.path_params["name"]
    if name not in ACTIONS:
        raise HTTPException(404, f"there is no action {name!r}; there are {', '.join(ACTIONS)}")
    form = await form_of(request)
    access: Access = request.app.state.access
    verdict = access.judge(request, request.headers.get("X-CSRF-Token") or form.get("csrf", ""))
    if verdict is Verdict.SIGN_IN:
        return _sign_in_first(request, form.get("back", "/"))
    if verdict is Verdict.UNPROVED:
        return _ask_again(request, name, form)
    ok, text = await _carry_out(request, name, form)
    return _answer(request, form.get("back", "/"), ok, text)


async def _carry_out(request: Request, name: str, form: Form) -> tuple[bool, str]:
    desk, address = request.app.state.source.desk, address_of(request)
    limiter: anyio.CapacityLimiter = request.app.state.acting
    if limiter.available_tokens < 1:
        return False, "other orders still wait for the daemon; try again in a few seconds"
    try:
        text = await anyio.to_thread.run_sync(ACTIONS[name], desk, form, address, limiter=limiter)
        ok = True
    except Failure as failure:
        ok, text = False, str(failure)
    args = {field: value for field, value in form.items() if field not in ("back", "csrf")}
    log = get_logger("dashboard")
    (log.info if ok else log.warning)(
        "action.done" if ok else "action.refused", action=name, args=args, address=address, said=text
    )
    return ok, text


def _answer(request: Request, back: str, ok: bool, text: str) -> Response:
    """Return the words to a script, to a page's own script, or with the page that the reader came from."""
    text = text[:LONGEST_SAID]
    if "HX-Request" in request.headers:
        return Response(status_code=204 if ok else 409, headers={"X-Said": quote(text)})
    if came_with_token(request):
        return PlainTextResponse(text + "\n", 200 if ok else 409, headers={"X-Said": quote(text)})
    answer = RedirectResponse(local_path(back), status_code=303)
    access: Access = request.app.state.access
    access.say(request, answer, "ok" if ok else "fail", text)
    return answer


def _sign_in_first(request: Request, back: str) -> Response:
    where = sign_in_address(back)
    if "HX-Request" in request.headers:
        return Response(status_code=401, headers={"HX-Redirect": where, "X-Said": quote("sign in first")})
    return RedirectResponse(where, status_code=303)


def _ask_again(request: Request, name: str, form: Form) -> Response:
    """Do nothing and have the reader say once more what is wanted, on a page that proves to be ours.

    A reader without JavaScript always comes here: a page's buttons are one for all readers and prove nothing.
    """
    if "HX-Request" in request.headers:
        text = "this page is older than your signing in: load it again"
        return Response(status_code=403, headers={"X-Said": quote(text)})
    state = request.app.state
    fields = {field: value for field, value in form.items() if field != "csrf"}
    inner = state.templates.get_template("confirm.html").render(
        action=name,
        fields=fields,
        what={field: value for field, value in fields.items() if field != "back"},
        back=local_path(form.get("back", "/")),
        csrf=state.access.session(request).csrf,
    )
    return HTMLResponse(frame(request, inner, "/", "Really?", live=False), status_code=403)


async def login(request: Request) -> Response:
    """Show the page to sign in on, or begin a session for who sends the token."""
    state = request.app.state
    access: Access = state.access
    here = {key: value for key, value in request.query_params.items() if key == "next"}
    form = await form_of(request) if request.method == "POST" else here
    back, complaint, status = local_path(form.get("next", "/")), "", 200
    if request.method == "POST":
        refusal = access.check_token(request, form.get("token", "").strip())
        if refusal is None:
            answer = RedirectResponse(back, status_code=303)
            access.begin(request, answer)
            return answer
        complaint, status = bytes(refusal.body).decode(), refusal.status_code
    elif access.session(request).signed_in:
        return RedirectResponse(back, status_code=303)
    inner = state.templates.get_template("login.html").render(
        may_sign_in=access.session(request).may_sign_in, back=back, complaint=complaint
    )
    return HTMLResponse(frame(request, inner, back, "Sign in", live=False), status_code=status)


async def logout(request: Request) -> Response:
    """End the session."""
    form = await form_of(request)
    access: Access = request.app.state.access
    if access.judge(request, form.get("csrf", "")) is Verdict.UNPROVED:
        raise HTTPException(403, "this page is older than your signing in: load it again")
    answer = RedirectResponse("/", status_code=303)
    access.end(request, answer)
    return answer


async def form_of(request: Request) -> dict[str, str]:
    """Return the fields of a form, of each the last.

    Raises HTTPException: 408 if it is not there in time, 413 if it is too long, 415 for another format, 400.
    """
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    body = b""
    try:
        with anyio.fail_after(READING_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MOST_BYTES:
                    raise HTTPException(413, f"this is too long: at most {MOST_BYTES} bytes are read")
    except TimeoutError:
        raise HTTPException(408, "the order did not arrive in time") from None
    if body and kind != "application/x-www-form-urlencoded":
        raise HTTPException(415, f"an order is sent as a form, not as {kind or 'nothing that says what'}")
    try:
        fields = dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS))
    except ValueError:
        raise HTTPException(400, f"this is no form of at most {MOST_FIELDS} fields in UTF-8") from None
    if any(len(value) > LONGEST_VALUE for name, value in fields.items() if name not in UNBOUNDED):
        raise HTTPException(413, f"a field is too long: at most {LONGEST_VALUE} characters")
    return fields
