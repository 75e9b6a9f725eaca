"""One class says all of a kind of handle: what a profile says of one is read, used, or complained of."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from chaoskit.errors import BadInput
from chaoskit.faults.base import FaultError
from chaoskit.handles import handle_kinds
from chaoskit.handles.base import Handle, Local
from chaoskit.handles.role import Role
from chaoskit.run.inject import order
from chaoskit.run.planning import unread_handles
from chaoskit.scenario.model import Attached, Handles
from chaoskit.scenario.profile import load_profile
from chaoskit.stack.attached import AttachedStack
from chaoskit.stack.local import inventory, wrong_handles

LOCAL = "chaoskit: 1\ntarget: local\nload: {users: 1}\nhandles:\n"
ATTACHED = "{prometheus: 'http://p', alertmanager: 'http://a', metrics: 'http://m', environment: e}"
KINDS = [kind for kind in handle_kinds().values() if kind.in_profiles and kind.parts]
each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)


def written(kind: type[Handle]) -> str:
    """A handle of this kind as the local target has it, under each of its names."""
    return "".join(
        f"  {kind.kind}: {{{name}: {{{kind.key_names()[0]}: {part.called}}}}}\n" for name, part in kind.parts.items()
    )


@each_kind
def test_every_kind_is_read_has_something_behind_it_and_is_in_the_inventory(kind: type[Handle]) -> None:
    handles = load_profile(LOCAL + written(kind), "p.yml").handles
    for name, part in kind.parts.items():
        assert isinstance(handles.of(kind.kind)[name], kind)
        assert inventory()[f"{kind.kind}:{name}"] == part.things
    assert wrong_handles(handles) == []


@each_kind
def test_a_value_with_nothing_behind_it_is_named_with_the_right_one(kind: type[Handle]) -> None:
    wrong = written(kind).replace(": {", ": {", 1).replace(f"{kind.key_names()[0]}: ", f"{kind.key_names()[0]}: not-")
    problems, key = wrong_handles(load_profile(LOCAL + wrong, "p.yml").handles), kind.key_names()[0]
    assert [problem.hint for problem in problems] == [f"write {key}: {part.called}" for part in kind.parts.values()]
    assert str(problems[0].place) == "p.yml:5"


@each_kind
def test_an_unknown_key_of_a_handle_is_refused(kind: type[Handle]) -> None:
    text = LOCAL + written(kind).replace("}}", ", nonsense: x}}")
    with pytest.raises(BadInput, match="'nonsense' is not a key of the"):
        load_profile(text, "p.yml")


@each_kind
def test_the_local_target_tells_what_faults_need_to_find_it(kind: type[Handle], tmp_path: Path) -> None:
    ports = {"proxy_admin": 1, "admin": 2, "api": 3}
    there = Local(ports, "s1", tmp_path, "http://127.0.0.1:4/metrics", {}, {}, tmp_path, 5)
    for name in kind.parts:
        address = kind.at_local(name, there)
        assert [key for key in kind.needs if not getattr(address, key)] == []


def test_handles_that_an_attached_target_cannot_reach_are_said_to_be_unread() -> None:
    text = f"chaoskit: 1\ntarget: {{attached: {ATTACHED}}}\nhandles:\n" + "".join(map(written, KINDS))
    profile = load_profile(text, "p.yml")
    unread = unread_handles(profile)
    assert [line.split()[1] for line in unread] == [
        handle for handle, one in profile.handles.each() if not one.attached
    ]
    assert "p.yml:4: cache:reports cannot be reached on an attached target, so nothing reads it" in unread


@pytest.mark.parametrize(
    ("kind", "handle", "at", "said"),
    [
        ("process.pause", "role:worker", {"patern": "w (?P<name>.+)"}, "key of --at 'patern'.*did you mean 'pattern'"),
        ("db.slow", "database:crm", {}, "nothing says where database:crm is: file is missing"),
        ("http.error", "link:up", {}, "url is missing"),
        ("scrape.drop", "scrape:m", {"pattern": "w"}, "url is missing"),
        ("monitoring.kill", "equipment:prometheus", {}, "control is missing"),
        ("cpu.burn", "slice:crm", {"mark": "word"}, r"--at: Expected `object \| null`, got `str` - at `\$.mark`"),
    ],
)
def test_an_address_given_by_hand_is_judged_by_the_kind_of_its_handle(
    kind: str, handle: str, at: dict[str, str], said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        order(kind, handle, ("x",), at, {"ratio": 1.0} if kind == "http.error" else {}, 5)


def test_equipment_that_is_not_told_by_hand_is_not_hit() -> None:
    asked = order("monitoring.kill", "equipment:prometheus", ("prometheus",), {"control": "/x"}, {}, 5)
    with pytest.raises(FaultError, match="the target tells no process and ports of it"):
        asked.kind.prepare(asked.target, asked.settings)


def test_an_attached_target_tells_a_role_s_pattern_and_else_its_service(tmp_path: Path) -> None:
    target = Attached("http://p", "http://a", "http://m", "staging", service="http://s")
    stack = AttachedStack(tmp_path, target, Handles({"role": {"w": Role(match="w (?P<name>.)")}}), [])
    assert (stack.address("role:w").pattern, stack.address("role:w").url) == ("w (?P<name>.)", "")
    assert (stack.address("").url, stack.address("").pattern) == ("http://s", "")
    assert stack.address("role:w").journaled() == {"pattern": "w (?P<name>.)", "prometheus": "http://p"}


def test_every_key_is_text_and_the_first_says_what_is_behind_it() -> None:
    for kind in KINDS:
        assert {one.type for one in fields(kind)} == {"str"}
