"""Equipment that a run starts afresh by itself is no trouble; what ends uninvited afterwards is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from chaoskit.events import Equipment, Event
from chaoskit.run.equipment import EquipmentWatch
from chaoskit.waiting import await_true


class Stack:
    """One child, which a restart replaces; it is dead meanwhile, until the watch has had its looks."""

    def __init__(self) -> None:
        self.children: dict[str, Any] = {"alertmanager": SimpleNamespace(alive=True, returncode=None)}
        self.looked = 0

    def wanted_down(self, name: str) -> bool:
        self.looked += 1
        return False

    def restart(self, name: str) -> None:
        self.children[name].alive = False
        assert not await_true(lambda: self.looked > 0, 0.3), "nothing looks while it is being replaced"
        self.children[name] = SimpleNamespace(alive=True, returncode=None)


def test_what_is_renewed_on_our_own_wish_is_not_said_to_have_ended_and_is_watched_again() -> None:
    stack, said = Stack(), list[Event]()
    watch = EquipmentWatch(stack, said.append)  # type: ignore[arg-type]
    watch.start()
    try:
        watch.renew("alertmanager")
        assert not said
        stack.children["alertmanager"] = SimpleNamespace(alive=False, returncode=-9)
        assert await_true(lambda: bool(said), 10)
    finally:
        watch.quiet()
        watch.close()
    (event,) = said
    assert isinstance(event, Equipment)
    assert (event.state, event.invited) == ("down", False)
