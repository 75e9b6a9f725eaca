"""Examine an attached target: endpoints, identity, loaded configuration, processes, witness, in this order.

Looks at an endpoint that gives no answer are left out: the line that says so is there already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from chaoskit.access import at_member
from chaoskit.alerting.model import AlertConfig
from chaoskit.errors import BadInput, EquipmentError
from chaoskit.examine import alertmanager, prometheus, wiring
from chaoskit.examine.allowed import allowed
from chaoskit.examine.canary import send_canary
from chaoskit.examine.endpoint import Checked, Endpoint, NoAnswer
from chaoskit.examine.environment import environment
from chaoskit.scenario.model import Attached, Handles
from chaoskit.stack.attached import inventory
from chaoskit.units import listed
from chaoskit.witness.client import WitnessClient
from chaoskit.witness.witnesses import Witnesses


def examine_attached(target: Attached, handles: Handles, config: AlertConfig, *, canary: bool) -> Iterator[Checked]:
    """Looks at an attached target, line by line; the canary, where asked for, is all that it changes there."""
    yield from _guarded(lambda: _prometheus(target, config))
    for name, members in (("prometheus", target.replicas), ("alertmanager", target.peers)):
        for url in members[1:]:
            yield from _guarded(lambda name=name, url=url: iter([_member(target, name, url)]))  # type: ignore[misc]
    original, asked = "", None
    try:
        asked = Endpoint(target, "alertmanager")
        line, original = alertmanager.answers(asked)
        yield line
        yield from alertmanager.silences(asked, target, config)
    except NoAnswer as error:
        asked = None
        yield error.checked
    if asked is not None:
        yield from _guarded(lambda: wiring.wired(target, config))
    yield from _guarded(lambda: environment(target))
    yield from allowed(target)
    yield from _behind(handles)
    if asked is not None:
        yield alertmanager.records(target, original)
    yield from _guarded(lambda: _places(target))
    if not target.witness:
        if target.recorder or target.mailboxes or target.chats:
            return
        said = "the profile names no witness, so every row about a notice will be UNKNOWN"
        yield Checked("witness", "warning", said, "witness: URL of the profile; chaoskit witness serve")
        return
    witness, line = _witness(target)
    yield line
    if witness is not None:
        yield prometheus.skewed("witness", witness.skew)
    if asked is not None and not target.recorder:
        yield alertmanager.tells_the_witness(target, original, config)
    if canary and asked is not None and witness is not None:
        sent_to, follower = asked, witness
        yield from _guarded(lambda: iter([send_canary(target, sent_to, follower, original)]))


def _member(target: Attached, name: str, url: str) -> Checked:
    """Whether another member of a pair answers, and its version; raises NoAnswer."""
    asked = Endpoint(at_member(target, name, url), name)
    return prometheus.answers(asked) if name == "prometheus" else alertmanager.answers(asked)[0]


def _places(target: Attached) -> Iterator[Checked]:
    """Whether recorder, mailboxes and chats can be read now."""
    if not (target.recorder or target.mailboxes or target.chats):
        return
    try:
        witnesses = Witnesses(target, lambda name: Endpoint(target, name).session, lambda event: None)
    except BadInput as error:
        yield from (Checked("witnesses", "missing", f"{one.message}", one.hint) for one in error.problems)
        return
    for follower, mend in witnesses.followers:
        why = follower.try_once()
        yield Checked(follower.by, "missing", why, mend) if why else Checked(follower.by, "ok", "can be read")


def _guarded(look: Callable[[], Iterator[Checked]]) -> Iterator[Checked]:
    try:
        yield from look()
    except NoAnswer as error:
        yield error.checked


def _prometheus(target: Attached, config: AlertConfig) -> Iterator[Checked]:
    asked = Endpoint(target, "prometheus")
    yield prometheus.answers(asked)
    yield prometheus.clock(asked)
    yield prometheus.knows_alertmanager(asked, target)
    yield prometheus.scrapes(asked, target)
    yield from prometheus.rules(asked, config)


def _behind(handles: Handles) -> Iterator[Checked]:
    """The processes of this host, and the things behind handles with `via`, that faults can reach."""
    for handle, found in inventory(handles).items():
        kind, _, name = handle.partition(":")
        if found:
            way = handles.of(kind)[name].at_attached("").via
            said = f"reached via {way}: " if way else f"{len(found)} processes here: "
            yield Checked(f"{kind} {name}", "ok", said + listed(found))
        elif trouble := handles.of(kind)[name].unreachable(name, found):
            yield Checked(f"{kind} {name}", "missing", *trouble)


def _witness(target: Attached) -> tuple[WitnessClient | None, Checked]:
    try:
        # Asked for its health first: that needs no token, so the two failures can be told apart.
        endpoint = Endpoint(target, "witness")
        reply = endpoint.get("/healthy")
        client = WitnessClient(target.witness, endpoint.session)
        told = client.newest()
    except NoAnswer as error:
        return None, error.checked
    except EquipmentError as error:
        mend = "access: {witness: {bearer_file: FILE}} of the profile, with the file given to witness serve"
        return None, Checked("witness", "missing", str(error), mend)
    turned_away = ", ".join(f"{count} {reason}" for reason, count in sorted(told.refused.items()))
    said = f"{told.last} notices so far" + (f"; turned away: {turned_away}" if turned_away else "")
    return client, Checked("witness", "ok", f"{said}  {target.witness}  {reply.took_s * 1000:.0f} ms")
