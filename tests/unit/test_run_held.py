"""How holders come up where many faults begin together."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chaoskit.faults.base import FaultError
from chaoskit.faults.process_pause import ProcessPause
from chaoskit.run import held


class Holder:
    """In place of a held fault: notes how many of its kind are coming up; every third one does not."""

    made: list[Holder]
    coming_up: int
    most: int

    def __init__(self, *_: Any) -> None:
        Holder.made.append(self)
        Holder.coming_up += 1
        Holder.most = max(Holder.most, Holder.coming_up)
        self.fails = len(Holder.made) % 3 == 0
        self.discarded = False

    def await_armed(self) -> None:
        threading.Event().wait(0.01)  # the work of coming up
        Holder.coming_up -= 1
        if self.fails:
            raise FaultError("the holder did not come up")

    def discard(self) -> None:
        self.discarded = True


@pytest.fixture(autouse=True)
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    Holder.made, Holder.coming_up, Holder.most = [], 0, 0
    monkeypatch.setattr(held, "HeldFault", Holder)
    yield
    assert not held._ONE_AT_A_TIME.locked()


def test_holders_of_one_process_come_up_one_after_the_other_and_none_that_fails_is_left(tmp_path: Path) -> None:
    """Nine faults that begin at the same instant; a holder that does not come up is ended and holds nobody up."""
    together = threading.Barrier(9)
    ready: list[Any] = []
    refused: list[str] = []

    def arm() -> None:
        together.wait(10)
        try:
            ready.append(held.armed(ProcessPause, {}, 60, tmp_path / "log", lambda _: None, lambda: ""))
        except FaultError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=arm) for _ in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert Holder.most == 1
    assert (len(ready), refused) == (6, ["the holder did not come up"] * 3)
    assert [one.discarded for one in Holder.made] == [one.fails for one in Holder.made]
