"""How users go: at the end all of them, at a lower level some; no user in the middle of a request.

A user that waits is ended as Locust does it. One that runs finishes the request it is in; where its task begins
another, it is ended there, once, by GreenletExit raised in its own greenlet, and one that begins none, at half of the
drain. Requests of its `finally:`, its `__exit__` and on_stop then pass, up to LAST_REQUESTS, and so do those of
listeners to test_stopping and test_stop. When the drain is over the rest is cut, and told.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import gevent
from gevent import GreenletExit
from locust.exception import InterruptTaskSet, StopTest, StopUser
from locust.runners import STATE_CLEANUP
from locust.user.task import LOCUST_STATE_RUNNING, LOCUST_STATE_STOPPING, LOCUST_STATE_WAITING

from chaoskit.load.theirs import cleans_up, place
from chaoskit.load.tracking import clock
from chaoskit.load.traffic import Situation

LAST_REQUESTS = 100
"""Requests that a user may begin after it was ended."""
LAST_OF_LISTENERS = 1000
"""Requests of all listeners to test_stopping and test_stop together."""
_LOOK_S = 0.05
_LEAST_S = 1.0
"""Seconds that code without requests gets after the drain: first users that are cut, then the listeners."""
_MOST_TOLD = 10
_RAISED = 2
"""So often GreenletExit is raised in a greenlet: at its end, and when it has used up its requests."""
_ENDS = (GreenletExit, StopUser, StopTest, InterruptTaskSet)


@dataclass(slots=True, eq=False)
class _Last:
    """A user that must go, and what it did since."""

    user: Any
    ended: bool = False
    over: bool = False
    """Its time is up: it begins no request any more."""
    sent: int = 0
    swallowed: bool = False
    """Its code caught its own end and went on."""


class Farewell:
    """Ends the users of one runner. Its `begins` is asked before each request of theirs once one of them must go."""

    def __init__(self, runner: Any, at: Situation) -> None:
        self._runner = runner
        self._at = at
        self._leaving: dict[int, _Last] = {}
        self._strays = _Last(None)
        self._listeners = _Last(None, ended=True)
        self._enders: list[Any] = []
        """Greenlets in which Locust's end, and so its listeners, run."""
        self._listen_until_s: float | None = None
        self._raised: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
        self._told: Counter[str] = Counter()
        self._stop = runner.stop
        runner.stop, runner.stop_users = self._stop_once, self._stop_users
        at.gate.begins = self.begins

    def leaves(self, user: Any) -> bool:
        """Whether this user was asked to go."""
        return id(user) in self._leaving

    def end(self) -> list[str]:
        """Locust's end of the whole load, at most as long as the situation's drain, which may shrink meanwhile. The
        gate is shut. Gives a sentence for each part that had to be cut; empty where none had."""
        ending = gevent.spawn(self._runner.quit)
        self._enders.append(ending)
        while not ending.ready():
            ending.join(_LOOK_S)
            until_s = self._listen_until_s
            if until_s is None:  # users are being seen off, and have their own second beyond the drain
                until_s = clock() + self._at.left_s + 2 * _LEAST_S
            if clock() > until_s:
                drain = f"the drain of {self._at.drain_s:g} s"
                self._tell(f"{_name(self._listeners)} had not ended after {drain}, and was cut off{_in(ending)}")
                ending.kill(block=False)
                ending.join(_LEAST_S)
                break
        # A user whose own code ended the load was the only one that did not go meanwhile.
        self._see_off([last for last in self._leaving.values() if not last.over])
        return [text + (f" ({count} times)" if count > 1 else "") for text, count in self._told.items()]

    def begins(self, user: Any) -> None:
        """Notes that a request is about to begin. Returns when it may; else raises GreenletExit, or never returns."""
        me = gevent.getcurrent()
        last, most = self._last_of(me, user)
        if last is None:
            return
        cleaning = _cleaning()
        if not last.over and (cleaning or last.ended):
            last.swallowed |= not cleaning
            last.sent += 1
            if last.sent <= most:
                return
            if last.sent == most + 1:
                self._tell(f"{_name(last)} was refused more than {most} requests at its end{_in(me)}")
        self._raised[me] = self._raised.get(me, 0) + 1
        if last.user is not None and me is last.user.greenlet:
            last.ended = True
        while self._raised[me] > _RAISED:  # code that catches everything would ask again at once, for ever
            gevent.sleep(_LEAST_S)
        raise GreenletExit

    def _last_of(self, me: Any, user: Any) -> tuple[_Last | None, int]:
        """Whose request it is, and how many it may have; none while it may go on."""
        origin = _origin(me)
        if any(greenlet in self._enders for greenlet in origin):
            return self._listeners, LAST_OF_LISTENERS
        if user is None:
            alive = {one.greenlet: one for one in (*self._users(), *(last.user for last in self._leaving.values()))}
            user = next((alive[greenlet] for greenlet in origin if greenlet in alive), None)
        last = self._leaving.get(id(user))
        if last is None and not self._at.gate.open:
            last = self._strays if user is None else self._leaving.setdefault(id(user), _Last(user))
        return last, LAST_REQUESTS

    def _users(self) -> list[Any]:
        return [greenlet.args[0] for greenlet in self._runner.user_greenlets if greenlet.args]

    def _stop_once(self, *args: Any) -> None:
        """In place of the runner's own. Locust ends twice where two ask for it, and two users would await each other:
        of theirs the second goes, of others it waits."""
        if self._runner.state != STATE_CLEANUP:
            self._stop(*args)
            return
        if gevent.getcurrent() in self._runner.user_greenlets:
            raise GreenletExit
        while self._runner.state == STATE_CLEANUP:
            gevent.sleep(_LOOK_S)  # Locust assigns its state, and fires nothing when it does

    def _stop_users(self, counts: dict[str, int]) -> None:
        """In place of the runner's own. At a lower level it returns at once, and who must go counts no more; at
        Locust's end it returns when all are gone."""
        users = self._users()
        going = [one for name, n in counts.items() for one in [u for u in users if type(u).__name__ == name][:n]]
        lasts = [self._leaving.setdefault(id(user), _Last(user)) for user in going]
        self._at.gate.leaving = bool(self._leaving)
        for last in lasts:
            _loop().run_callback(_let_go, last)
        if self._runner.state != STATE_CLEANUP:
            for user in going:
                self._runner.user_greenlets.discard(user.greenlet)
            gevent.spawn(self._see_off, lasts, self._at.spec.drain_for_s)
            return
        me = gevent.getcurrent()
        self._enders.append(me)
        self._at.begin_drain()
        self._see_off([last for last in self._leaving.values() if last.user.greenlet is not me])
        self._listen_until_s = clock() + max(self._at.left_s, _LEAST_S)

    def _see_off(self, lasts: list[_Last], for_s: float = math.inf) -> None:
        """Waits until these are gone, and cuts them when their time is up, and that of the drain where it has begun."""
        begun_s = clock()

        def left_s() -> float:
            return min(begun_s + for_s - clock(), self._at.left_s)

        while (lasts := self._alive(lasts)) and left_s() > 0:
            gevent.joinall([last.user.greenlet for last in lasts], timeout=min(_LOOK_S, left_s()))
            if clock() - begun_s > left_s():
                for last in (one for one in lasts if not one.ended):
                    _loop().run_callback(self._end_idle, last)
        took_s = clock() - begun_s
        for last in (one for one in lasts if not one.over):
            last.over = True
            did = "still awaited an answer" if self._asks(last) else "had not ended"
            if last.swallowed:
                did = "caught its own end (a bare except?) and still went on"
            self._tell(f"{_name(last)} {did} when {took_s:.1f} s were over, and was cut off{_in(last)}")
            last.user.greenlet.kill(block=False)
        gevent.joinall([last.user.greenlet for last in lasts], timeout=_LEAST_S)
        self._alive(lasts)

    def _alive(self, lasts: list[_Last]) -> list[_Last]:
        """Those who are; the others are forgotten."""
        for last in lasts:
            if last.user.greenlet.dead:
                self._leaving.pop(id(last.user), None)
        self._at.gate.leaving = bool(self._leaving)
        return [last for last in lasts if not last.user.greenlet.dead]

    def _end_idle(self, last: _Last) -> None:
        """Ends a user that neither asks nor cleans up, such as in a long sleep: it, too, has last requests.

        Runs between greenlets, as `_let_go` does."""
        greenlet = last.user.greenlet
        if not last.ended and not self._asks(last) and not cleans_up(greenlet.gr_frame):
            last.ended = True
            greenlet.throw(GreenletExit)

    def _asks(self, last: _Last) -> bool:
        return any(last.user.greenlet in _origin(greenlet) for greenlet in list(self._at.gate.inside))

    def _tell(self, text: str) -> None:
        if text in self._told or len(self._told) < _MOST_TOLD:
            self._told[text] += 1


def _loop() -> Any:
    return gevent.get_hub().loop


def _let_go(last: _Last) -> None:
    """Runs between greenlets, where a user that waits cannot begin a request meanwhile."""
    user, greenlet = last.user, last.user.greenlet
    if user._state == LOCUST_STATE_WAITING:
        last.ended = True
        greenlet.throw(GreenletExit)
    elif user._state is None:
        greenlet.kill(block=False)
    elif user._state == LOCUST_STATE_RUNNING:
        user._state = LOCUST_STATE_STOPPING


def _cleaning() -> bool:
    """Whether the code that runs now does so because something ends."""
    error = sys.exc_info()[1]
    while error is not None:
        if isinstance(error, _ENDS):
            return True
        error = error.__context__
    return cleans_up(sys._getframe(1))


def _origin(greenlet: Any) -> list[Any]:
    """The greenlet, the one that spawned it, and so on."""
    found = []
    while greenlet is not None and greenlet not in found:
        found.append(greenlet)
        spawned_by = getattr(greenlet, "spawning_greenlet", None)
        greenlet = spawned_by() if spawned_by is not None else None
    return found


def _name(last: _Last) -> str:
    return "a listener to test_stopping or test_stop" if last.user is None else f"a user of {type(last.user).__name__}"


def _in(what: Any) -> str:
    greenlet = what.user.greenlet if isinstance(what, _Last) else what
    here = sys._getframe(1) if greenlet is gevent.getcurrent() else getattr(greenlet, "gr_frame", None)
    found = place(here)
    return f" in {found}" if found else ""
