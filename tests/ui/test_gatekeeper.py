"""The door: what comes from elsewhere is refused, and beside each refusal the same request from here is let in."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from chaoskit.console.beside import announce, own_folder
from chaoskit.console.gatekeeper import LONGEST_BODY, Key, new_token, refusal
from chaoskit.console.server import listen
from chaoskit.console.stream import MOST_STREAMS
from chaoskit.events import FaultOk
from tests.ui.replaying import Replay, Served, serving

KEY = Key("f" * 64, 8089)
OURS = {
    "host": ["127.0.0.1:8089"],
    "cookie": [f"chaoskit-8089={'f' * 64}"],
}
COMMAND = {**OURS, "origin": ["http://127.0.0.1:8089"], "x-chaoskit-token": [KEY.command]}
BY_FETCH = {"sec-fetch-site": ["same-origin"], "origin": []}


def answered(method: str, path: str, **changed: list[str]) -> int:
    """200 for what may come in, else the status that it is refused with."""
    given = {**(COMMAND if method == "POST" else OURS), **{k.replace("_", "-"): v for k, v in changed.items()}}
    found = refusal(method, path, {name: values for name, values in given.items() if values}, KEY)
    return 200 if found is None else int(found.status)


@pytest.mark.parametrize(
    ("method", "path", "changed", "status"),
    [
        # Host: ours by each of its names; nobody else's, whatever leads here.
        ("GET", "/", {}, 200),
        ("GET", "/", {"host": ["localhost:8089"]}, 200),
        ("GET", "/", {"host": ["[::1]:8089"]}, 200),
        ("GET", "/", {"host": ["evil.example:8089"]}, 421),
        ("GET", "/", {"host": ["127.0.0.1"]}, 421),
        ("GET", "/", {"host": ["127.0.0.1:8090"]}, 421),
        ("GET", "/", {"host": []}, 421),
        ("GET", "/", {"host": ["127.0.0.1:8089", "evil.example"]}, 421),
        ("GET", "/enter", {"host": ["evil.example:8089"]}, 421),
        # Origin: that of the very page, port and name included.
        ("GET", "/stream", {"origin": ["http://127.0.0.1:8089"]}, 200),
        ("GET", "/stream", {"origin": ["http://127.0.0.1:9999"]}, 403),
        ("GET", "/stream", {"origin": ["http://localhost:8089"]}, 403),
        ("GET", "/stream", {"origin": ["https://127.0.0.1:8089"]}, 403),
        ("GET", "/stream", {"origin": ["null"]}, 403),
        ("POST", "/stop", {}, 200),
        ("POST", "/stop", {"origin": ["http://127.0.0.1:9999"]}, 403),
        ("POST", "/locust/stop", {"origin": ["http://127.0.0.1:9999"]}, 403),
        # A POST without Origin needs the browser's word that our own page sent it.
        ("POST", "/stop", {"origin": [], "sec_fetch_site": ["same-origin"]}, 200),
        ("POST", "/stop", {"origin": [], "sec_fetch_site": ["same-site"]}, 403),
        ("POST", "/stop", {"origin": [], "sec_fetch_site": ["none"]}, 403),
        ("POST", "/stop", {"origin": []}, 403),
        # Sec-Fetch-Site: a script, an image, a frame of another page; a link that is followed is no more than a look.
        ("GET", "/", {"sec_fetch_site": ["none"]}, 200),
        ("GET", "/", {"sec_fetch_site": ["cross-site"]}, 403),
        ("GET", "/stream", {"sec_fetch_site": ["same-site"]}, 403),
        (
            "GET",
            "/",
            {"sec_fetch_site": ["cross-site"], "sec_fetch_mode": ["navigate"], "sec_fetch_dest": ["document"]},
            200,
        ),
        (
            "GET",
            "/",
            {"sec_fetch_site": ["cross-site"], "sec_fetch_mode": ["navigate"], "sec_fetch_dest": ["iframe"]},
            403,
        ),
        (
            "POST",
            "/stop",
            {"sec_fetch_site": ["cross-site"], "sec_fetch_mode": ["navigate"], "sec_fetch_dest": ["document"]},
            403,
        ),
        # The token: as this port's cookie, whole.
        ("GET", "/", {"cookie": []}, 401),
        ("GET", "/", {"cookie": [f"chaoskit-8090={'f' * 64}"]}, 401),
        ("GET", "/", {"cookie": [f"chaoskit-8089={'f' * 63}"]}, 401),
        ("GET", "/", {"cookie": [f"other=1; chaoskit-8089={'f' * 64}"]}, 200),
        ("GET", "/locust/", {"cookie": []}, 401),
        ("GET", "/enter", {"cookie": []}, 200),
        ("POST", "/enter", {"cookie": []}, 405),
        # Our commands bear it in a header as well, which no form of another page can; Locust's cannot.
        ("POST", "/stop", {"x_chaoskit_token": []}, 403),
        ("POST", "/stop", {"x_chaoskit_token": ["f" * 64]}, 403),
        ("POST", "/locust/stop", {"x_chaoskit_token": []}, 200),
        ("POST", "/locusts", {"x_chaoskit_token": []}, 403),
        ("POST", "/locust/stop", {"cookie": []}, 401),
        # Bodies, and methods.
        ("POST", "/note", {"content_length": [str(LONGEST_BODY)]}, 200),
        ("POST", "/note", {"content_length": [str(LONGEST_BODY + 1)]}, 413),
        ("PUT", "/note", {}, 405),
        ("OPTIONS", "/note", {"origin": ["http://127.0.0.1:9999"]}, 405),
    ],
)
def test_who_may_come_in(method: str, path: str, changed: dict[str, list[str]], status: int) -> None:
    assert answered(method, path, **changed) == status


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("door")
    os.environ["CHAOSKIT_STATE"] = str(folder / "state")
    replay = Replay("held-too-long", folder / "out" / "20260101-000000-recorded")
    replay.until(lambda event: isinstance(event, FaultOk))
    with serving(folder / "scratch", replay) as found:
        yield found


def test_the_link_s_token_becomes_a_cookie_that_no_script_reads_and_leaves_the_address(served: Served) -> None:
    path = served.link.removeprefix(served.url)
    status, headers, _ = served.ask("GET", path, {"Host": served.host})
    assert (status, headers["location"]) == (303, "/")
    cookie = headers["set-cookie"]
    assert cookie.startswith(f"chaoskit-{served.port}=")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    assert served.ask("GET", "/", {"Host": served.host, "Cookie": cookie.partition(";")[0]})[0] == 200
    assert served.ask("GET", path[:-1], {"Host": served.host})[0] == 401


def test_every_answer_says_what_a_page_may_do(served: Served) -> None:
    """Refusals too; and each page has a nonce of its own, which its script bears."""
    seen = set()
    for path, given in (("/", None), ("/nothing", None), ("/", {"Host": "evil.example"})):
        _, headers, body = served.ask("GET", path, given)
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        nonce = policy.partition("'nonce-")[2].partition("'")[0]
        seen.add(nonce)
        if path == "/" and given is None:
            assert f'<script nonce="{nonce}">'.encode() in body
            assert body.count(b"<script") == 1
        assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")
        assert headers["referrer-policy"] == "no-referrer"
        assert not [name for name in headers if name.startswith("access-control-")]
    assert len(seen) == 3


def test_a_body_that_does_not_say_how_long_it_is_is_cut_off(served: Served) -> None:
    def chunked(size: int) -> int:
        with socket.create_connection(("127.0.0.1", served.port), timeout=20) as raw:
            head = "".join(f"{k}: {v}\r\n" for k, v in {**served.command, "Transfer-Encoding": "chunked"}.items())
            raw.sendall(f"POST /note HTTP/1.1\r\n{head}\r\n".encode())
            body = json.dumps({"text": "x", "more": "y" * size}).encode()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # answered before all of it was sent
                raw.sendall(f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n")
            return int(raw.recv(4096).split()[1])

    assert chunked(100) == 200
    assert chunked(LONGEST_BODY) == 413


def test_so_many_pages_listen_and_no_more(served: Served) -> None:
    """Each of them gets the whole picture first; once one has gone, another may come."""
    with ExitStack() as opened:
        streams = []
        for _ in range(MOST_STREAMS):
            one = opened.enter_context(socket.create_connection(("127.0.0.1", served.port), timeout=20))
            head = "".join(f"{k}: {v}\r\n" for k, v in served.cookie.items())
            one.sendall(f"GET /stream HTTP/1.1\r\n{head}\r\n".encode())
            heard = b""
            while b"data: {" not in heard:
                heard += one.recv(65536)
            assert heard.startswith(b"HTTP/1.1 200")
            streams.append(one)
        assert served.ask("GET", "/stream")[0] == 503
        streams[0].close()
        for _ in range(100):
            with socket.create_connection(("127.0.0.1", served.port), timeout=20) as one:
                one.sendall(f"GET /stream HTTP/1.1\r\n{head}\r\n".encode())
                if one.recv(64).startswith(b"HTTP/1.1 200"):
                    break
        else:
            raise AssertionError("a place that was given up is not given again")


def test_no_websocket_is_spoken(served: Served) -> None:
    upgrade = {**served.cookie, "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    assert served.ask("GET", "/stream2", {**upgrade, "Sec-WebSocket-Key": "eA=="})[0] in (400, 404, 426)


def test_a_terminal_gets_the_link_with_the_token_and_others_the_name_of_a_file_that_is_theirs_alone() -> None:
    said: list[str] = []
    token = new_token()
    with own_folder() as folder:
        announce(8089, 8089, token, folder, said.append, terminal=True)
        assert said == [f"page: http://127.0.0.1:8089/enter?token={token}"]
        announce(8090, 8089, token, folder, said.append, terminal=False)
        assert said[1] == "port 8089 is taken, so the page is at 8090"
        assert token not in said[2]
        link = Path(said[2].rpartition(" ")[2].rstrip(")"))
        assert link.read_text().strip().endswith(token)
        assert stat.S_IMODE(link.stat().st_mode) == 0o600
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not folder.exists()


def test_a_port_that_is_taken_gives_way_to_the_next() -> None:
    first, port = listen(0)
    try:
        second, other = listen(port)
        assert other > port
        for one in second:
            one.close()
    finally:
        for one in first:
            one.close()


def test_the_token_is_in_no_log(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        served.ask("GET", served.link.removeprefix(served.url), {"Host": served.host})
        served.ask("GET", served.link.removeprefix(served.url)[:-3], {"Host": "evil.example"})
    assert served.console.key.token not in caplog.text
    scratch = served.console.settings.scratch
    for file in (one for one in scratch.iterdir() if one.is_file()):
        assert served.console.key.token.encode() not in file.read_bytes()
