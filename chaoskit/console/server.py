"""The console's server: it owns the port, and puts gatekeeper, pages, stream, commands and mirror together.

It listens on loopback alone. Its life is that of the command that serves it; beside a run of a terminal it is a
process of its own that the kernel ends with that run, even where the run is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.responses import StreamingResponse as Streaming
from starlette.routing import Route

from chaoskit import json_text
from chaoskit.alerting.config import ConfigFiles
from chaoskit.console import kept, pages
from chaoskit.console.commands import Busy, Desk, carried_out
from chaoskit.console.gatekeeper import ENTER, LOCUST, Gatekeeper, Key
from chaoskit.console.pages import Place
from chaoskit.console.proxy import Mirror
from chaoskit.console.stream import MOST_STREAMS, Pictures, Watched
from chaoskit.errors import BadInput, ChaoskitError, ExitCode, Problem, Refused
from chaoskit.errors import Place as Where
from chaoskit.run.planning import Asked, plan_for
from chaoskit.safety.run_registry import Owner
from chaoskit.safety.status import machine_status
from chaoskit.safety.stop_all import blocked
from chaoskit.scenario.catalog import list_scenarios, scenario_names

_PORTS = 50
_LOOPBACK = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a console: its token, port, folders, and the run that it belongs to."""

    token: str
    port: int
    out: Path
    scratch: Path
    """A folder for this user alone, for outputs of commands and the mirror's socket; its maker removes it."""
    files: ConfigFiles
    profile: str = "local"
    owner: Owner | None = None
    """The process of the run that it is beside; None for a console that begins drills."""
    scenario: str = ""
    """The first scenario of that run."""


def listen(port: int) -> tuple[list[socket.socket], int]:
    """Sockets on loopback at this port, or at the next that is free; raises Refused where none of fifty is."""
    for one in range(port, min(port + _PORTS, 65536)):
        with contextlib.suppress(OSError), contextlib.ExitStack() as opened:
            found = [opened.enter_context(each) for each in _bound(one)]
            opened.pop_all()
            return found, found[0].getsockname()[1]
    why = f"no port from {port} to {min(port + _PORTS, 65536) - 1} is free"
    raise Refused(Problem(Where("--port"), why, "name another one"))


def _bound(port: int) -> Iterator[socket.socket]:
    """On both loopback addresses, so that another program cannot be the one that `localhost` leads to."""
    for family, host in _LOOPBACK:
        one = socket.socket(family, socket.SOCK_STREAM)
        try:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind((host, port))
            one.listen(128)
        except OSError:
            one.close()
            if family == socket.AF_INET6 and not _has_ipv6():
                return
            raise
        port = one.getsockname()[1]
        yield one


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


class Console:
    """The console as a web application: its pages, its stream and its commands."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self.settings = settings
        self.clock = clock
        self.key = Key(settings.token, settings.port)
        self.desk = Desk(settings.out, settings.profile, settings.scratch, begins=settings.owner is None)
        if settings.owner is not None:
            self.desk.accompany(settings.owner, settings.scenario)
        self.watched: Watched | None = None
        self.place = Place(self.key.command, may_start=settings.owner is None)
        self.pictures = Pictures(self.draw, self.look)
        self.mirror = Mirror(settings.scratch)
        self.over = asyncio.Event()
        self.missing: list[dict[str, str]] = []
        """The programs that `chaoskit doctor` misses on this machine."""

    def app(self) -> Gatekeeper:
        """The ASGI application: all routes, behind the gatekeeper."""
        get, post = ["GET"], ["POST"]
        routes = [
            Route(ENTER, self._enter, methods=get),
            Route("/", self._now, methods=get),
            Route("/new", self._new, methods=get),
            Route("/plan", self._plan, methods=get),
            Route("/stream", self._stream, methods=get),
            Route("/runs", self._runs, methods=get),
            Route("/compare", self._compare, methods=get),
            Route("/runs/{path:path}", self._file, methods=get),
            Route("/bands.json", self._bands, methods=get),
            *(Route(f"/{name}", handler, methods=post) for name, handler in self._commands().items()),
            Route(LOCUST, lambda _: RedirectResponse(f"{LOCUST}/"), methods=get),
            Route(LOCUST + "/{path:path}", self._locust, methods=["GET", "POST"]),
        ]
        return Gatekeeper(Starlette(routes=routes, exception_handlers={ChaoskitError: self._wrong}), self.key)

    # -- what is shown

    def look(self) -> bool:
        """Reads the drill's new events; whether there were any."""
        drill = self.desk.drill
        if drill is None:
            return False
        if drill.folder is None or self.settings.owner is not None:
            drill.find()
        if drill.folder is not None and (self.watched is None or self.watched.folder != drill.folder):
            self._watch(drill.folder)
        folder = "" if drill.folder is None else str(drill.folder)
        news = self.watched is not None and self.watched.look()
        # The process of a terminal lives on with its page; what was begun here is at work until its process ends.
        ended = drill.process is None and self.watched is not None and self.watched.end is not None
        alive = drill.alive and not ended
        self.mirror.tell({"folder": folder, "alive": alive, "starting": alive and not folder})
        return news

    def _watch(self, folder: Path | None) -> None:
        if self.watched is not None:
            self.watched.close()
        self.watched = Watched(folder, self.clock) if folder is not None else None

    def draw(self) -> Mapping[str, str]:
        """The newest picture of the drill; nothing where there is none."""
        drill = self.desk.drill
        return {} if drill is None else pages.fragments(self._place, drill, self.watched, self.clock())

    @property
    def _place(self) -> Place:
        return replace(self.place, ending=self.over.is_set())

    async def examine(self) -> None:
        """Asks `chaoskit doctor` what is missing here, for the page before a drill."""
        code, said = await carried_out(["doctor", "--format", "json"], self.settings.scratch)
        with contextlib.suppress(msgspec.DecodeError):
            lines = json_text.decode(said, type=list[dict[str, str]])
            self.missing = [line for line in lines if line.get("state") == "missing"] if code else []

    def _page(self, request: Request, template: str, **parts: Any) -> HTMLResponse:
        return HTMLResponse(pages.page(template, self._place, request.state.nonce, **parts))

    async def _wrong(self, request: Request, error: Exception) -> Response:
        """A page for what cannot be shown: every problem, where it is and what helps."""
        problems = error.problems if isinstance(error, BadInput | Refused) else (Problem(None, str(error)),)
        answer = self._page(request, "wrong.html", problems=problems)
        answer.status_code = int(HTTPStatus.UNPROCESSABLE_ENTITY)
        return answer

    async def _enter(self, request: Request) -> Response:
        if not self.key.is_token(request.query_params.get("token", "")):
            return PlainTextResponse("401: the token is missing or wrong\n", 401)
        return RedirectResponse("/", 303, {"set-cookie": self.key.entered()})

    async def _now(self, request: Request) -> Response:
        drill = self.desk.drill
        if drill is None:
            return RedirectResponse("/new", 303)
        self.look()
        attached = self.watched is not None and self.watched.live is not None and self.watched.live.plan.attached
        parts = self.draw()
        return self._page(request, "now.html", parts=parts, name=drill.scenario, is_attached=attached)

    def _new(self, request: Request) -> Response:
        found = machine_status(self.settings.out)
        return self._page(
            request,
            "new.html",
            scenarios=list_scenarios(),
            profiles=self.desk.profiles,
            blocked=blocked(),
            running=[run for run in found.runs if run.state != "gone"],
            broken=[run for run in found.runs if run.may_be_broken],
            runs=kept.runs(self.settings.out)[:5],
            drill=self.desk.drill,
            missing=self.missing,
        )

    def _plan(self, request: Request) -> Response:
        asked = _asked(request.query_params)
        self.desk.words(asked)
        settings = (f"load.rate={asked['rate']}",) if asked.get("rate") else ()
        scale = float(asked["scale"]) if asked.get("scale") else None
        profile = asked.get("profile") or self.desk.profile
        plan = plan_for(Asked(asked["scenario"], profile, self.settings.files, settings, scale))[0]
        return self._page(request, "plan.html", asked=asked, blocked=blocked(), **pages.preview(plan))

    async def _stream(self, request: Request) -> Response:
        if self.pictures.full:
            return PlainTextResponse(f"503: {MOST_STREAMS} pages are open, the most allowed; close one\n", 503)
        return Streaming(self.pictures.listen(), media_type="text/event-stream")

    def _runs(self, request: Request) -> Response:
        wanted = request.query_params.get("filter", "")[:100]
        found = kept.runs(self.settings.out)
        shown = [run for run in found if wanted.lower() in f"{run.name} {run.result} {run.title}".lower()]
        return self._page(request, "runs.html", runs=shown, all=len(found), filter=wanted)

    def _compare(self, request: Request) -> Response:
        names = request.query_params.getlist("run")
        if len(names) != 2:
            raise BadInput(Problem(None, f"{len(names)} runs were chosen", "choose two of the list"))
        return self._page(request, "compare.html", **kept.compared(self.settings.out, *sorted(names)))

    def _file(self, request: Request) -> Response:
        content, kind = kept.file(self.settings.out, request.path_params["path"])
        return Response(content, media_type=kind)

    async def _bands(self, request: Request) -> Response:
        drill, live = self.desk.drill, self.watched.live if self.watched else None
        run = "" if drill is None else f"{drill.shown_as} {drill.began}"
        return JSONResponse({"run": run, "bands": pages.bands(live, self.clock())})

    # -- what is done

    def _commands(self) -> Mapping[str, Any]:
        return {
            name: partial(self._command, do=do)
            for name, do in (
                ("start", self._start),
                ("again", self._again),
                ("stop", self._stop),
                ("note", self._note),
                ("heal", self._heal),
                ("lever", self._stop_all),
                ("unlock", self._unlock),
            )
        }

    async def _command(self, request: Request, do: Any) -> Response:
        try:
            asked = _asked(json_text.decode(await request.body() or b"{}", type=dict[str, str]))
            return JSONResponse(await do(asked))
        except msgspec.DecodeError:
            return JSONResponse({"text": "a command is a JSON object of texts"}, 400)
        except Busy as busy:
            return JSONResponse({"text": str(busy)}, 409)
        except ChaoskitError as error:
            return JSONResponse({"text": _words(error)}, 422)

    async def _start(self, asked: Mapping[str, str]) -> Mapping[str, str]:
        self.begin(asked)
        return {"go": "/"}

    def begin(self, asked: Mapping[str, str]) -> None:
        """Begins a drill; raises Busy while one is played, BadInput for what cannot be asked for."""
        if self.over.is_set():
            raise Busy("the console is ending")
        self.desk.start(asked)
        self._watch(None)

    async def _again(self, _: Mapping[str, str]) -> Mapping[str, str]:
        drill = self.desk.drill
        if drill is None or drill.asked is None:
            raise BadInput("this console has begun no drill yet")
        return await self._start(drill.asked)

    async def _stop(self, _: Mapping[str, str]) -> Mapping[str, str]:
        if self.desk.drill is None or not self.desk.drill.alive:
            return {"text": "no drill is at work"}
        self.desk.drill.stop()
        return {"text": ""}

    async def _note(self, asked: Mapping[str, str]) -> Mapping[str, str]:
        self.desk.note(asked.get("text", ""))
        drill, watched = self.desk.drill, self.watched
        if drill is not None and drill.folder is not None and watched is not None and watched.verdict is not None:
            # Its report was made before this note.
            await carried_out(["verify", str(drill.folder), "--html", str(drill.folder / "report.html")], self._scratch)
        return {"text": ""}

    async def _heal(self, _: Mapping[str, str]) -> Mapping[str, str]:
        drill = self.desk.drill
        if drill is None or drill.folder is None:
            raise BadInput("there is no run to heal")
        return _told(await carried_out(["heal", str(drill.folder)], self._scratch))

    async def _stop_all(self, asked: Mapping[str, str]) -> Mapping[str, str]:
        if not asked.get("reason", "").strip():
            raise BadInput("stop needs a reason: other users see it when their runs are refused")
        words = ["stop", "--reason", f"{asked['reason'].strip()[:200]}"]
        return _told(await carried_out(words, self._scratch))

    async def _unlock(self, _: Mapping[str, str]) -> Mapping[str, str]:
        told = _told(await carried_out(["unlock"], self._scratch))
        return {"go": "/new"} if not blocked() else told

    @property
    def _scratch(self) -> Path:
        return self.settings.scratch

    # -- Locust's own pages

    async def _locust(self, request: Request) -> Response:
        path = request.path_params["path"]
        if request.method == "POST":
            answer = self._locust_command(path, dict(parse_qsl((await request.body()).decode("utf-8", "replace"))))
            if answer is not None:
                return JSONResponse(answer)
        self.mirror.tell({"scenarios": list(scenario_names())})
        self.mirror.start()
        return await asyncio.to_thread(self.mirror.answer, request.method, path, request.url.query, request.state.nonce)

    def _locust_command(self, path: str, form: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Obeys Locust's buttons: the answer to START and STOP; None for RESET, which the mirror answers itself."""
        drill = self.desk.drill
        if path == "stop":
            if drill is not None:
                drill.stop()
            return {"success": True, "message": "The drill was told to end; every fault in force is undone"}
        if path == "stats/reset":
            return None
        if path != "swarm":
            return {"success": False, "message": "the page has no such command: a drill's load comes from its profile"}
        host = ""
        if drill is not None and drill.alive:
            why = f"{drill.scenario} is at work, and its load is what its profile says: nothing was changed"
            return {"success": False, "message": why, "host": host}
        try:
            self.begin(_asked({key: str(value) for key, value in form.items()}))
        except (Busy, ChaoskitError) as error:
            return {"success": False, "message": _words(error), "host": host}
        return {"success": True, "message": f"{form.get('scenario', '')} was begun", "host": host}


def _asked(given: Mapping[str, str]) -> dict[str, str]:
    known = ("scenario", "profile", "scale", "rate", "confirm", "text", "reason")
    return {key: given[key] for key in known if key in given}


def _told(answer: tuple[int, str]) -> dict[str, str]:
    code, said = answer
    return {"text": said if code == ExitCode.PASS else f"{said}\n(exit {code})"}


def _words(error: Exception) -> str:
    return "; ".join(str(one) for one in error.problems) if isinstance(error, BadInput | Refused) else str(error)


class _Server(uvicorn.Server):
    """uvicorn's, but signals are left to `serve`: uvicorn itself would raise them again and skip the drill's end."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def serve(settings: Settings, sockets: Sequence[socket.socket]) -> ExitCode:
    """Serves until SIGINT, SIGTERM or SIGHUP; a drill that it began is ended in order first, and its end awaited.

    A second signal does not wait. Returns the drill's exit code where it was not healed, else PASS.
    """
    logging.getLogger("uvicorn").addHandler(logging.FileHandler(settings.scratch / "console.log"))
    return asyncio.run(_serve(settings, sockets))


def server_of(console: Console) -> uvicorn.Server:
    """The HTTP server of a console; it logs no request's path, since the token may be in it."""
    config = uvicorn.Config(
        console.app(), access_log=False, log_config=None, log_level="error", lifespan="off", ws="none",
        server_header=False, proxy_headers=False, limit_concurrency=64, timeout_keep_alive=30,
        timeout_graceful_shutdown=1, h11_max_incomplete_event_size=65536,
    )  # fmt: skip
    return _Server(config)


async def _serve(settings: Settings, sockets: Sequence[socket.socket]) -> ExitCode:
    console = Console(settings)
    server = server_of(console)
    loop = asyncio.get_running_loop()
    again = asyncio.Event()

    def told() -> None:
        (again if console.over.is_set() else console.over).set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            loop.add_signal_handler(number, told)
    drawing = asyncio.create_task(console.pictures.run())
    examining = asyncio.create_task(console.examine()) if console.desk.begins else None
    serving = asyncio.create_task(server.serve(list(sockets)))
    try:
        await asyncio.wait(
            [serving, drawing, asyncio.create_task(console.over.wait())], return_when=asyncio.FIRST_COMPLETED
        )
        drill = console.desk.drill
        if drill is not None and drill.process is not None:
            drill.stop()
            while drill.alive and not again.is_set():
                await asyncio.sleep(0.1)  # a thread that awaits its end could not be left at a second signal
    finally:
        drawing.cancel()
        if examining is not None:
            examining.cancel()
        server.should_exit = True
        console.mirror.end()
        await asyncio.wait([serving], timeout=5)
    drill = console.desk.drill
    return ExitCode.NOT_HEALED if drill is not None and drill.code == ExitCode.NOT_HEALED else ExitCode.PASS
