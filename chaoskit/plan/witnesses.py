"""The sinks that see a notice arrive: one an integration on a local target, one witness a receiver on an attached one.

local       critical-alerts (email), critical-alerts (webhook)     each led to a door of ours, each judged
attached    critical-alerts (witness)       an entry beside the receiver's own: it shows when the group is told
            critical-alerts (email)         seen by Alertmanager's event recorder, in its mailbox, in its chat
            critical-alerts/email           seen by none of these: UNKNOWN, or waived

With a recorder the entry beside each receiver has nothing to add, and is not asked for. Of several that see one
integration the farthest from Alertmanager is judged, and held against the others.

A receiver of which nothing can be seen is expected to be told all the same: a row says FAIL where the configuration
alone shows that it is not, else UNKNOWN. A waiver lifts one integration, never the last that could prove anything.
"""

from __future__ import annotations

from chaoskit.alerting.model import AlertConfig, Integration, PromisedReceiver, Receiver
from chaoskit.alerting.promise import lacking
from chaoskit.errors import Problem
from chaoskit.events import Notice, SinkKey
from chaoskit.hop import Hop
from chaoskit.plan.model import Unproved
from chaoskit.plan.targets import undefined
from chaoskit.scenario.model import Attached, Notify, Profile

WITNESS = "witness"
"""The integration that a receiver's witness counts as, and the name of the equipment behind it."""
_SINKS = ("mail-sink", "webhook-sink")


RECORDER = "recorder"
"""Alertmanager's event recorder, as the equipment that sees every integration deliver."""


def witnesses_of(profile: Profile) -> tuple[str, ...]:
    """The equipment without which no notice is seen, waivers or not."""
    target = profile.target
    if not isinstance(target, Attached):
        return _SINKS
    hears_all = (WITNESS,) if target.recorder in ("", WITNESS) else ()
    recorder = (RECORDER,) if target.recorder else ()
    return (*hears_all, *recorder, *map(mailbox, target.mailboxes), *map(chat, target.chats))


def hears_all_receivers(profile: Profile) -> bool:
    """Whether something hears what every receiver is told."""
    return not isinstance(profile.target, Attached) or bool(profile.target.witness or profile.target.recorder)


def mailbox(name: str) -> str:
    """The equipment's name of an integration's mailbox."""
    return f"mailbox {name}"


def chat(name: str) -> str:
    """The equipment's name of an integration's chat."""
    return f"chat {name}"


def sink_key_of(by: str) -> SinkKey:
    """Receiver, kind and index of the integration that a mailbox or chat sees; a receiver's name may have slashes."""
    rest, _, last = by.partition(" ")[2].rpartition("/")
    if not last.isdigit():
        return rest, last, 0
    receiver, _, kind = rest.rpartition("/")
    return receiver, kind, int(last)


def beside(target: Attached) -> tuple[Integration, ...]:
    """The witness's own entry at each receiver: it asks for resolved notices, even where the receiver's do not."""
    return (Integration(WITNESS, 0, send_resolved=True),) if target.witness and not target.recorder else ()


def seen_by(target: Attached, receiver: Receiver, integration: Integration) -> tuple[str, ...]:
    """The witnesses that see this integration deliver, the farthest from Alertmanager first; empty where none does."""
    if integration.kind == WITNESS:
        return (WITNESS,)
    names = _names(receiver, integration)
    far = [mailbox(name) for name in names if name in target.mailboxes]
    far += [chat(name) for name in names if name in target.chats]
    return (*far, RECORDER) if target.recorder else tuple(far)


def through(target: Attached, seen: tuple[str, ...]) -> tuple[str, ...]:
    """The equipment through which the run hears from the first of these; empty where it asks that witness itself."""
    return (WITNESS,) if seen[:1] == (RECORDER,) and target.recorder == WITNESS else ()


def delay_of(target: Attached, by: str) -> float:
    """By how many seconds later than it was sent a notice may come to lie where this witness looks."""
    _, _, name = by.partition(" ")
    place = target.mailboxes.get(name) if by == mailbox(name) else target.chats.get(name)
    return place.delay_s if place else 0.0


def seen_integrations(profile: Profile, receiver: Receiver) -> tuple[Integration, ...]:
    """The integrations of a receiver whose notices a sink or the witness sees."""
    target = profile.target
    if not isinstance(target, Attached):
        return receiver.integrations
    return beside(target) + tuple(one for one in own(receiver) if seen_by(target, receiver, one))


def unwitnessed(target: Attached, receiver: Receiver) -> tuple[str, ...]:
    """The receiver's own integrations that are judged although no witness sees them, as a profile names them."""
    return tuple(name for name in unseen(target, receiver) if name not in waived(target, receiver))


def waived(target: Attached, receiver: Receiver) -> tuple[str, ...]:
    """The receiver's own integrations that the profile takes out of the judgement."""
    there = unseen(target, receiver)
    return tuple(names[0] for names in _all(receiver) if names[0] in there and set(names) & set(target.waive))


def unproved(
    profile: Profile, receiver: Receiver, ask: Notify, all_clear: bool, promised: PromisedReceiver | None
) -> list[Unproved]:
    """The expectations of a receiver that none of its integrations could show, or bring about; empty where all can."""
    name, target = receiver.name, profile.target
    if not receiver.integrations:
        if ask.mode == "never":
            reason = f"{name} has no integration, so nothing could show a notice that must not come"
            return [Unproved(name, (Hop.NOTIFY,), reason)]
        reason = f"no notification is sent: receiver {name} has no integration ({receiver.place})"
        return [Unproved(name, (Hop.NOTIFY,), reason, broken=True)]
    found = []
    if ask.mode != "never" and promised is not None:
        found = [
            Unproved(
                f"{name} ({kind})",
                (Hop.NOTIFY,),
                f"{name} has no {kind} integration ({receiver.place}), and is promised one ({promised.place})",
                broken=True,
            )
            for kind in lacking(promised, receiver)
        ]
    if isinstance(target, Attached) and not seen_integrations(profile, receiver):
        hops: tuple[Hop, ...] = () if ask.mode == "never" else (Hop.CONTENT,)
        if all_clear:
            hops = (Hop.ALL_CLEAR, *hops)
        if unwitnessed(target, receiver):
            why = "the profile names no witness"
        else:
            hops = (Hop.NOTIFY, *hops)
            why = "every integration of it is waived and the profile names no witness; a waiver proves nothing"
        if hops:
            found.append(Unproved(name, hops, f"no witness sees what {name} is told: {why}"))
    return found


def wrong_names(profile: Profile, config: AlertConfig) -> list[Problem]:
    """A problem for each integration that the profile waives, or watches, and the configuration does not have."""
    target = profile.target
    if not isinstance(target, Attached):
        return []
    known = {name for receiver in config.receivers.values() for names in _all(receiver) for name in names}
    named = [(name, target.place) for name in target.waive]
    named += [(name, one.place) for name, one in target.mailboxes.items()]
    named += [(name, one.place) for name, one in target.chats.items()]
    quiet = [name for name in target.quiet_receivers if name not in config.receivers]
    problems = [undefined("receiver", name, config.receivers, target.place) for name in quiet]
    return problems + [undefined("integration", name, known, place) for name, place in named if name not in known]


def _all(receiver: Receiver) -> list[list[str]]:
    return [_names(receiver, one) for one in own(receiver)]


def own(receiver: Receiver) -> tuple[Integration, ...]:
    """The receiver's integrations without the witness's own entry, which there is nothing to prove of."""
    return tuple(one for one in receiver.integrations if not one.is_witness)


def is_judged(profile: Profile, config: AlertConfig, notice: Notice) -> bool:
    """Whether a notice is what rows rest on; else it is what those are held against, or told to the witness alone."""
    target, receiver = profile.target, config.receivers.get(notice.receiver)
    if not isinstance(target, Attached) or receiver is None:
        return True
    if notice.integration == WITNESS:
        return not target.recorder
    found = [one for one in own(receiver) if (one.kind, one.index) == (notice.integration, notice.index)]
    return any(notice.by in seen_by(target, receiver, one)[:1] for one in found)


def unseen(target: Attached, receiver: Receiver) -> list[str]:
    """The receiver's integrations, by their full names, that no witness sees deliver."""
    return [_names(receiver, one)[0] for one in own(receiver) if not seen_by(target, receiver, one)]


def _names(receiver: Receiver, integration: Integration) -> list[str]:
    """How an integration is called; the first is its full name where there are several of its kind."""
    short = f"{receiver.name}/{integration.kind}"
    alone = sum(one.kind == integration.kind for one in own(receiver)) == 1
    return [short, f"{short}/{integration.index}"] if alone else [f"{short}/{integration.index}", short]
