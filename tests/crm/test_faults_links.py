"""Faults on a link, against a real CRM behind a real proxy: measured by requests that take this way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests

from chaoskit.faults import control_api
from chaoskit.faults.base import Changeable, Fault, FaultError, Lapsed, Target
from chaoskit.faults.link import HttpError, HttpSlow, TcpBlackhole, TcpFlaky, TcpReset
from tests.crm.conftest import RunningCrm
from tests.crm.faulting import answers, await_true, held, hold_and_kill, prepared, stop_elsewhere, target, traffic

pytestmark = pytest.mark.stack
SHORT, LONG = "lead-scorer", "deal-forecaster"
KINDS: list[tuple[Fault[Any], dict[str, Any], int]] = [
    (HttpError(), {"status": 422}, 422),
    (HttpError(), {"status": 503}, 502),
    (HttpSlow(), {"by": "30s"}, 504),
    (TcpReset(), {}, 502),
    (TcpBlackhole(), {}, 504),
    (TcpFlaky(), {}, 502),
]
NAMED = [f"{kind.kind} {' '.join(map(str, settings.values()))}".strip() for kind, settings, _ in KINDS]
each_kind = pytest.mark.parametrize(("kind", "settings", "answer"), KINDS, ids=NAMED)


@pytest.fixture
def link(crm: RunningCrm, tmp_path: Path) -> Iterator[Target]:
    """The link; afterwards it must be free, and the breaker has forgotten what the test did to it."""
    yield target(crm, tmp_path, "link:upstream", "proxy_admin")
    left = crm.ask("GET", "proxy_admin", "/toxics").json()
    for key in left:
        crm.ask("DELETE", "proxy_admin", f"/toxics/{key}")
    assert left == {}
    for _ in range(40):
        assert answers(crm, LONG, 200)


@each_kind
def test_it_hits_what_its_path_selects_and_its_token_takes_it_back_elsewhere(
    crm: RunningCrm, link: Target, kind: Fault[Any], settings: dict[str, Any], answer: int
) -> None:
    """Before the start nothing, then only the agent that was chosen; the undo from another process; twice."""
    token = prepared(kind, link, path=SHORT, **settings)
    assert answers(crm, SHORT, 200), "prepare changes nothing"
    seen = kind.start(token)
    assert seen.between[0] <= seen.between[1]
    assert answers(crm, SHORT, answer)
    assert answers(crm, LONG, 200)
    assert stop_elsewhere(kind, token) == f"{kind.kind} off upstream"
    assert answers(crm, SHORT, 200)
    assert kind.stop(token).detail == "upstream was free of it", "idempotent"


@each_kind
def test_an_undo_without_a_start_is_no_error(
    crm: RunningCrm, link: Target, kind: Fault[Any], settings: dict[str, Any], answer: int
) -> None:
    assert kind.stop(prepared(kind, link, **settings)).detail == "upstream was free of it"


# A holder heals without looking at the kind; what each kind's undo does elsewhere is tried above.
@pytest.mark.parametrize(
    ("kind", "settings", "answer"),
    [
        pytest.param(*one, marks=pytest.mark.long if n in (0, 2, 3, 4) else (), id=NAMED[n])
        for n, one in enumerate(KINDS)
    ],
)
def test_a_killed_runner_leaves_a_healed_link(
    crm: RunningCrm, link: Target, tmp_path: Path, kind: Fault[Any], settings: dict[str, Any], answer: int
) -> None:
    token = prepared(kind, link, path=SHORT, **settings)
    hold_and_kill(kind, token, tmp_path, lambda: answers(crm, SHORT, answer))
    await_true(lambda: crm.ask("GET", "proxy_admin", "/toxics").json() == {}, "the holder heals")
    assert answers(crm, SHORT, 200)


def test_a_ratio_is_dosed_exactly(crm: RunningCrm, link: Target) -> None:
    token = prepared(HttpError(), link, status=422, ratio="25%")
    HttpError().start(token)
    assert [crm.agent(LONG) for _ in range(8)] == [200, 200, 200, 422] * 2
    HttpError().stop(token)


def test_start_returns_only_after_a_hit_where_calls_come_by(crm: RunningCrm, link: Target) -> None:
    with traffic(lambda: crm.agent(LONG)) as said:
        token = prepared(HttpError(), link, status=422, ratio="20%")
        seen = HttpError().start(token)
        assert seen.detail.startswith("http.error on upstream: 1 of the first ")
        await_true(lambda: 422 in said, "the client saw what the fault saw")
        HttpError().stop(token)


def test_start_says_so_where_no_call_comes_by(crm: RunningCrm, link: Target) -> None:
    token = prepared(TcpReset(), link)
    assert TcpReset().start(token).detail == "tcp.reset on upstream: listed; no call has come by"
    TcpReset().stop(token)


# All kinds on a link are changed by one request to the same proxy: one at HTTP and one at TCP say it in `make test`.
@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=pytest.mark.long if often else (), id=kind.kind)
        for kind, often in (
            (HttpError(), True),
            (HttpSlow(), False),
            (TcpReset(), False),
            (TcpBlackhole(), True),
            (TcpFlaky(), True),
        )
    ],
)
def test_a_change_leaves_no_instant_without_a_toxic(
    crm: RunningCrm, link: Target, tmp_path: Path, kind: Changeable[Any]
) -> None:
    """Looked at all the while: the proxy lists one toxic under one id, first the old level, then the new one."""
    levels: dict[str, Any] = {"by": "15s"} if kind.kind == "http.slow" else {}
    lapses: list[str] = []
    token = prepared(kind, link, path=SHORT, ratio="100%", **levels)
    one = held(kind, token, tmp_path, lapses)
    try:
        session = requests.Session()
        headers = crm_headers(link)

        def look() -> list[float]:
            shown = session.get(crm.url("proxy_admin", "/toxics"), headers=headers, timeout=10).json()
            return [toxic["ratio"] for toxic in shown.values()]

        with traffic(look, 0.001) as looks:
            before = len(looks)
            await_true(lambda: len(looks) > before, "a look before the change")
            changed = kind.alter(token, kind.settings.model_validate({"ratio": "4%", "path": SHORT, **levels}))
            assert changed["id"] == token["id"]
            one.change(changed)
            await_true(lambda: looks[-1] == [0.04], "a look after the change")
        session.close()
        assert all(look in ([1.0], [0.04]) for look in looks), "never none and never two"
    finally:
        one.take_back()
    assert len(lapses) == 1, "nothing asks for that path, so at the end it is told that nothing was hit"
    assert f"no call on upstream was ever hit by {kind.kind}: 0 calls whose path matches {SHORT}" in lapses[0]


def crm_headers(link: Target) -> dict[str, str]:
    return {"Authorization": f"Bearer {Path(link.address.token_file).read_text().strip()}"}


def test_a_toxic_that_somebody_else_takes_away_is_a_lapse(crm: RunningCrm, link: Target) -> None:
    token = prepared(TcpReset(), link)
    TcpReset().start(token)
    crm.ask("DELETE", "proxy_admin", f"/toxics/{token['id']}")
    with pytest.raises(Lapsed, match=r"a program other than chaoskit took tcp\.reset off upstream"):
        TcpReset().hold(token, threading.Event())


def test_a_toxic_ends_by_itself_a_little_after_the_longest_duration(crm: RunningCrm, tmp_path: Path) -> None:
    """The second line of defence; the first one, the holder's, must have time to come before it."""
    token = prepared(TcpReset(), target(crm, tmp_path, "link:upstream", "proxy_admin", max_s=60))
    TcpReset().start(token)
    shown = crm.ask("GET", "proxy_admin", f"/toxics/{token['id']}").json()
    assert 60 < shown["expires_s"] <= 75
    TcpReset().stop(token)


def test_an_interface_that_does_not_answer_or_know_us_is_named_before_anything_happens(
    crm: RunningCrm, link: Target, tmp_path: Path
) -> None:
    with pytest.raises(FaultError, match="the connection was refused"):
        prepared(TcpReset(), Target("link:upstream", ("upstream",), replace(link.address, url="http://127.0.0.1:9")))
    stranger = tmp_path / "stranger"
    stranger.write_text("wrong")
    with pytest.raises(FaultError, match=r"the token in .*stranger is refused: correct it"):
        prepared(TcpReset(), Target("link:upstream", ("upstream",), replace(link.address, token_file=str(stranger))))
    with pytest.raises(FaultError, match="does not tell the address"):
        prepared(TcpReset(), Target("link:upstream", ("upstream",)))


def test_what_ended_with_its_owner_is_healed(start_crm: Any, tmp_path: Path) -> None:
    """Nobody listens any more and the owner is gone: the toxic went with them."""
    crm = start_crm(time_scale=60)
    token = prepared(TcpReset(), target(crm, tmp_path, "link:upstream", "proxy_admin"))
    TcpReset().start(token)
    crm.process.terminate()
    crm.process.wait(timeout=15)
    assert TcpReset().stop(token).detail == "the system that the fault was in is gone"


def test_a_proxy_that_only_does_not_answer_is_not_taken_for_healed(
    link: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner lives, so it cannot be known; the undo fails and can be tried again."""
    monkeypatch.setattr(control_api, "_UNDO_S", 0.3)
    token = prepared(TcpReset(), link)
    token["at"]["url"] = "http://127.0.0.1:9"
    with pytest.raises(FaultError, match="the connection was refused"):
        TcpReset().stop(token)
