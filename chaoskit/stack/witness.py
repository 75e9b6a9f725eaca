"""The witness of an attached target, seen from the run: what it hears and how it watches, as events."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from requests import RequestException, Session

from chaoskit.access import plain_session
from chaoskit.errors import EquipmentError
from chaoskit.events import Equipment, Event, Notice, Watch
from chaoskit.observe.payload import read_payload
from chaoskit.plan.witnesses import WITNESS
from chaoskit.witness.client import Watched, WitnessClient, Witnessed

_ANSWER_S = 5.0
_HINT = "start it with `chaoskit witness serve`, or leave witness: out of the profile to run without"


def await_answer(url: str, session: Session) -> None:
    """Returns once the witness has answered; raises EquipmentError, with what to do, when it does not."""
    with _explained():
        WitnessClient(url, session).ask()


def asks_for_no_token(url: str) -> bool:
    """Whether the witness answers, and so believes, whoever comes; False where it does not tell."""
    with plain_session() as session:
        try:
            return session.get(f"{url.rstrip('/')}/notices", timeout=_ANSWER_S).ok
        except RequestException:
            return False


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except EquipmentError as error:
        said = str(error).removeprefix(f"{WITNESS}: ")
        raise EquipmentError(WITNESS, said, _HINT) from None


class WitnessObserver:
    """Emits Notice, Watch and Equipment events from a thread of its own, from `start` until `stop`.

    While the witness does not answer it is said to be down; what it hears meanwhile it tells later. One that was
    started again has missed what came in between.
    """

    def __init__(self, url: str, session: Session, on_event: Callable[[Event], None]) -> None:
        self._client = WitnessClient(url, session)
        self._on_event = on_event

    def start(self) -> None:
        """Leaves out what was heard before now; raises EquipmentError when the witness does not answer."""
        with _explained():
            self._client.follow(self._notice, self._watch, self._gap, self._answer)
        self._on_event(Equipment(name=WITNESS, state="up"))

    def stop(self) -> None:
        """Takes in what was heard up to now, and ends; idempotent."""
        self._client.stop()

    def _notice(self, heard: Witnessed) -> None:
        contents = read_payload("webhook", "", heard.payload)
        self._on_event(
            Notice(
                receiver=heard.receiver,
                integration=WITNESS,
                index=0,
                sent=heard.sent,
                status=contents.status,
                alerts=contents.alerts,
                group_key=contents.group_key,
                text=contents.text,
                problems=contents.problems,
            )
        )

    def _watch(self, watched: Watched) -> None:
        self._on_event(Watch(sink="witness", seen=watched.seen, lag_s=watched.lag_s))

    def _gap(self, reason: str) -> None:
        self._on_event(Equipment(name=WITNESS, state="down", detail=reason))
        self._on_event(Equipment(name=WITNESS, state="up", detail="answers again"))

    def _answer(self, answers: bool, reason: str) -> None:
        detail = "answers again" if answers else reason
        self._on_event(Equipment(name=WITNESS, state="up" if answers else "down", detail=detail))
