"""The sinks that see a notice arrive: one an integration on a local target, one witness a receiver on an attached one.

local       critical-alerts (email), critical-alerts (webhook)     each led to a door of ours, each judged
attached    critical-alerts (witness)       an entry beside the receiver's own: it shows when the group is told
            critical-alerts/email           delivers to the real mailbox, which no witness sees: UNKNOWN, or waived

A receiver of which nothing can be seen is expected to be told all the same: a row says FAIL where the configuration
alone shows that it is not, else UNKNOWN. A waiver lifts one integration, never the last that could prove anything.
"""

from __future__ import annotations

from chaoskit.alerting.model import AlertConfig, Integration, PromisedReceiver, Receiver
from chaoskit.alerting.promise import lacking
from chaoskit.errors import Problem
from chaoskit.hop import Hop
from chaoskit.plan.model import Unproved
from chaoskit.plan.targets import undefined
from chaoskit.scenario.model import Attached, Notify, Profile

WITNESS = "witness"
"""The integration that a receiver's witness counts as, and the name of the equipment behind it."""
_SINKS = ("mail-sink", "webhook-sink")


def witnesses_of(profile: Profile) -> tuple[str, ...]:
    """The equipment without which no notice is seen, waivers or not."""
    return (WITNESS,) if isinstance(profile.target, Attached) else _SINKS


def doors_of(profile: Profile, receiver: Receiver) -> tuple[Integration, ...]:
    """The integrations of a receiver whose notices a sink or the witness sees."""
    target = profile.target
    if not isinstance(target, Attached):
        return receiver.integrations
    # The witness's entry asks for resolved notices even where the receiver's own integrations do not.
    return (Integration(WITNESS, 0, send_resolved=True),) if target.witness else ()


def unwitnessed(target: Attached, receiver: Receiver) -> tuple[str, ...]:
    """The receiver's own integrations that are judged although no witness sees them, as a profile names them."""
    return tuple(names[0] for names in _all(receiver) if not set(names) & set(target.waive))


def waived(target: Attached, receiver: Receiver) -> tuple[str, ...]:
    """The receiver's own integrations that the profile takes out of the judgement."""
    return tuple(names[0] for names in _all(receiver) if set(names) & set(target.waive))


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
    if not doors_of(profile, receiver) and isinstance(target, Attached):
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


def wrong_waivers(profile: Profile, config: AlertConfig) -> list[Problem]:
    """A problem for each waived integration that the configuration does not have."""
    if not isinstance(profile.target, Attached):
        return []
    known = {name for receiver in config.receivers.values() for names in _all(receiver) for name in names}
    place = profile.target.place
    return [undefined("integration", name, known, place) for name in profile.target.waive if name not in known]


def _all(receiver: Receiver) -> list[list[str]]:
    return [_names(receiver, one) for one in receiver.integrations]


def _names(receiver: Receiver, integration: Integration) -> list[str]:
    """How an integration is called; the first is its full name where there are several of its kind."""
    short = f"{receiver.name}/{integration.kind}"
    alone = sum(one.kind == integration.kind for one in receiver.integrations) == 1
    return [short, f"{short}/{integration.index}"] if alone else [f"{short}/{integration.index}", short]
