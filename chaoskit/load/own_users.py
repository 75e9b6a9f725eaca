"""A given locustfile: its user classes, tasks and hooks as they are, counted the same way as ours.

One thing is changed about it: clients that would wait a minute or for ever get the time-outs of the spec.

In several processes Locust's own master and workers share out the users and nothing else. Their messages go through a
socket in a folder of this load alone, so no port is opened; those of workers on other machines go over `wire`. Counts,
windows, ends and deaths go through our pipes; so the master ends no worker, forgets none, and gives its users to no
other, and nothing of Locust's goes by the machine's clock.
"""

from __future__ import annotations

import functools
import math
import os
import sys
import traceback
from pathlib import Path
from typing import Any

import gevent
import zmq.green as zmq
from gevent.event import Event
from locust import FastHttpUser, runners
from locust.rpc import zmqrpc
from locust.rpc.protocol import Message
from locust.runners import STATE_INIT, LocalRunner
from locust.util.load_locustfile import load_locustfile, load_locustfile_pytest

from chaoskit.errors import BadInput, Place, Problem
from chaoskit.load.locust_options import check_tasks, chosen, options_of, said_as_shape
from chaoskit.load.messages import Together
from chaoskit.load.model import LoadSpec
from chaoskit.load.raised import RAISED, reason_of, watch_exceptions
from chaoskit.load.theirs import theirs
from chaoskit.load.tracking import clock, pause
from chaoskit.load.traffic import LEVELS_S, Situation, Traffic, environment_of

_CONNECT_S = 600.0
"""How long a worker waits for a master that is still importing the file; the parent is less patient."""
_LAST_WORDS_S = 3.0
"""How much later than the drain a worker's last report may come."""
_LOOK_S = 0.02
_TIME_OUTS = ("HEARTBEAT_LIVENESS", "MASTER_HEARTBEAT_TIMEOUT", "CONNECT_TIMEOUT")


def problems_of(spec: LoadSpec) -> list[Problem]:
    """The problems that keep a locustfile from being this load; empty where it can be. Runs it, if it was not."""
    path = str(spec.locustfile)
    raised: list[BaseException] = []
    forget = watch_exceptions(raised.append)
    try:
        classes = chosen(spec, user_classes(path))
        options = options_of(spec, spec.users)
        if raised:
            raise BadInput(Problem(Place(path), f"a listener raised {reason_of(raised[0])}", "mend that listener"))
        check_tasks(spec, classes, options)
    except BadInput as error:
        return list(error.problems)
    except RAISED as error:  # such as a sys.exit in a listener
        return [Problem(Place(path), f"the locustfile cannot be used: {reason_of(error)}", "mend it there")]
    finally:
        forget()
    return []


@functools.cache
def user_classes(path: str) -> dict[str, type[Any]]:
    """The user classes of a locustfile, which is run for it; raises BadInput with what keeps it from being used."""
    sys.path.insert(0, str(Path(path).parent))  # for good, since its tasks may import what is beside it
    try:
        classes, shapes = load_locustfile(path)
        if not classes:
            classes = load_locustfile_pytest(path)
    except RAISED as error:
        raise BadInput(_not_imported(error, path)) from error
    if not classes:
        hint = "write a class that inherits from FastHttpUser or HttpUser, or a function test_something(fastsession)"
        raise BadInput(Problem(Place(path), "the locustfile has no user class that is not abstract", hint))
    if shapes:
        said = said_as_shape(shapes[0])
        hint = f"remove the class, and write {said or 'shape:'} in the profile, so that a step can change it"
        raise BadInput(
            Problem(Place(path), "has a LoadTestShape, and a load here takes its shape from the profile", hint)
        )
    return classes


def _not_imported(error: BaseException, path: str) -> Problem:
    """With the innermost line of theirs, which may be in a module beside the file."""
    places = [Place(one.filename, one.lineno or 0) for one in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename:
        places.append(Place(error.filename, error.lineno or 0))
    places = [place for place in places if theirs(place.file)] or [Place(path)]
    hints = [f"{place.file}:{place.line} imports it" for place in places[:-1] if place.file != places[-1].file][-1:]
    if isinstance(error, FileNotFoundError) and (Path(path).parent / str(error.filename)).is_file():
        hints.append(
            f"it is beside the locustfile: open(Path(__file__).parent / '{error.filename}') finds it from everywhere"
        )
    return Problem(places[-1], f"cannot be imported: {type(error).__name__}: {error}", "; ".join(hints))


class OwnUsers(Traffic):
    """The user classes of a locustfile, in the numbers asked for, weighted as they say."""

    def __init__(self, at: Situation, runner: type[Any] = LocalRunner, **said: Any) -> None:
        """`said`: options of Locust's own by which its command tells a process what it is."""
        super().__init__(at)
        classes = chosen(at.spec, user_classes(str(at.spec.locustfile)))
        for one in classes:
            if issubclass(one, FastHttpUser):
                # Locust's own defaults, 60 s, would outlast most faults.
                if one.network_timeout == FastHttpUser.network_timeout:
                    one.network_timeout = at.spec.network_timeout_s
                if one.connection_timeout == FastHttpUser.connection_timeout:
                    one.connection_timeout = at.spec.connect_timeout_s
        options = options_of(at.spec, at.whole_users)
        vars(options).update(said)
        check_tasks(at.spec, classes, options)
        self.environment = environment_of(classes, at, runner, options)
        self._asking: gevent.Greenlet | None = None
        """Brings the users to what was asked last."""

    def begin(self) -> None:
        gevent.spawn(self._follow)

    def _follow(self) -> None:
        asked = 0
        while self._at.gate.open:
            wanted = int(self._at.asked(clock()))
            if wanted != asked and not self._starts():
                self._ask(wanted, max(1, abs(wanted - asked)))
                asked = wanted
            pause(LEVELS_S)

    def _ask(self, users: int, spawn_rate: float) -> None:
        """Has so many from now on; returns at once."""
        self._runner.start(users, spawn_rate)
        self._asking = self._runner.spawning_greenlet

    def _starts(self) -> bool:
        """Whether test_start has begun and not ended: asked anew, Locust would break it off and fire it again."""
        return self._runner.state == STATE_INIT and self._asking is not None and not self._asking.ready()


class MasterRunner(runners.MasterRunner):
    """Locust's, under its name. Orders to end a worker go through our pipes instead of Locust's messages."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.done: set[str] = set()
        """Workers whose last report has come."""
        self.heard = Event()
        """Set by each message of a worker."""
        super().__init__(*args, **kwargs)

    def handle_message(self, client_id: str, msg: Message) -> None:
        if msg.type == "quit":
            self.done.add(client_id)
            self.send_message("ack", client_id=client_id)
        else:
            super().handle_message(client_id, msg)
        self.heard.set()

    def stop(self, send_stop_to_client: bool = False) -> None:
        super().stop(send_stop_to_client=False)

    def quit(self) -> None:
        self.stop()


class WorkerRunner(runners.WorkerRunner):
    """Locust's, under its name. Takes jobs in the order of arrival and ignores the master's time stamps.

    It hears the master before it is whole: what follows the greeting waits until requests can be counted, and messages
    of the file's own until their listener is there, so that a listener to `init` may wait for one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._begun, self._waiting, self._news = False, list[Message](), Event()
        super().__init__(*args, **kwargs)
        self.greenlet.spawn(self._hand_on).link_exception(runners.locust_exception_handler(self.environment))

    def begin(self) -> None:
        """Takes what has come, and what comes from now on."""
        self._begun = True
        self._news.set()

    def register_message(self, *args: Any, **kwargs: Any) -> None:
        super().register_message(*args, **kwargs)
        self._news.set()

    def handle_message(self, msg: Message) -> None:
        if msg.type == "ack":
            super().handle_message(msg)
        else:
            self._waiting.append(msg)
            self._news.set()

    def _hand_on(self) -> None:
        """Handles what may be handled, the earliest first, one after the other."""
        while self._news.wait():
            self._news.clear()
            while msg := next((m for m in self._waiting if self._begun or m.type in self.custom_messages), None):
                self._waiting.remove(msg)
                super().handle_message(msg)

    last_received_spawn_timestamp = property(lambda self: -math.inf, lambda self, sent_at: None)


class Worker(OwnUsers):
    """The users of one process, as many as the master says."""

    def __init__(self, at: Situation, together: Together) -> None:
        _meet_in(together.folder)
        super().__init__(at, WorkerRunner, processes=together.workers, worker=True)
        runner = self._runner
        runner.client_id = getattr(runner.client, "identity", runner.client_id)

    def begin(self) -> None:
        """Lets the users begin when the master says so."""
        self._runner.begin()

    def settle(self) -> None:
        """Goes once the master has heard the last report: what another thread has yet to send ends with the process."""
        self._runner._send_stats()
        client: Any = self._runner.client  # its listener went with the runner
        client.send(Message("quit", None, self._runner.client_id))  # type: ignore[no-untyped-call]
        heard = gevent.spawn(lambda: next(msg for msg in iter(client.recv, None) if msg.type == "ack"))
        while not heard.ready() and self._at.left_s > -_LAST_WORDS_S:
            heard.join(_LOOK_S)  # no longer: the time that is left may be cut short meanwhile


class Master(OwnUsers):
    """Locust's master: no users of its own; says to the workers how many each has."""

    users = 0

    def __init__(self, at: Situation, together: Together) -> None:
        _meet_in(together.folder)
        self._workers = workers = together.workers
        super().__init__(at, MasterRunner, processes=workers, master=True, expect_workers=workers)
        while len(self._runner.clients) < workers:
            self._runner.heard.wait()
            self._runner.heard.clear()

    def _ask(self, users: int, spawn_rate: float) -> None:
        # A master's start returns when the last user is there; a level that changes meanwhile takes its place.
        if self._asking is not None:
            self._asking.kill()
        self._asking = gevent.spawn(self._runner.start, users, spawn_rate)

    def settle(self) -> None:
        while len(self._runner.done) < self._workers and self._at.left_s > -_LAST_WORDS_S:
            self._runner.heard.wait(_LOOK_S)  # no longer: the time that is left may be cut short meanwhile
            self._runner.heard.clear()


def _meet_in(folder: str) -> None:
    """Puts Locust's messages on a socket there, and takes its time-outs away."""
    locusts: Any = runners
    if not all(hasattr(locusts, name) for name in _TIME_OUTS):
        raise RuntimeError("chaoskit does not know the time-outs of this Locust; install Locust 2.47")
    locusts.HEARTBEAT_LIVENESS = locusts.MASTER_HEARTBEAT_TIMEOUT = math.inf
    locusts.CONNECT_TIMEOUT = _CONNECT_S
    if not folder:  # they have met over the network
        return
    # A socket's name has 107 bytes at most; this one is short however deep the folder lies.
    address = f"ipc:///proc/self/fd/{os.open(folder, os.O_RDONLY)}/locust"

    class Server(zmqrpc.BaseSocket):
        def __init__(self, *_host_and_port: Any) -> None:
            super().__init__(zmq.ROUTER, True)  # type: ignore[no-untyped-call]
            self.socket.bind(address)

    class Client(zmqrpc.BaseSocket):
        def __init__(self, _host: str, _port: int, identity: str) -> None:
            super().__init__(zmq.DEALER, True)  # type: ignore[no-untyped-call]
            self.socket.setsockopt(zmq.IDENTITY, identity.encode())
            self.socket.connect(address)

    rpc: Any = zmqrpc
    rpc.Server, rpc.Client = Server, Client
