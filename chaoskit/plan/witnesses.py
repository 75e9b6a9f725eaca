"""Who sees a notice arrive: every integration's own sink on a local target, one witness a receiver on an attached one.

local       critical-alerts (email), critical-alerts (webhook)     each led to a door of ours, each judged
attached    critical-alerts (witness)       an entry beside the receiver's own: it shows when the group is told
            critical-alerts/email           delivers to the real mailbox, which nobody sees: UNKNOWN, or waived
"""

from __future__ import annotations

from chaoskit.alerting.model import AlertConfig, Integration, Receiver
from chaoskit.errors import Problem
from chaoskit.plan.names import undefined
from chaoskit.scenario.model import Attached, Profile

WITNESS = "witness"
"""The integration that a receiver's witness counts as, and the name of the equipment behind it."""
_SINKS = ("mail-sink", "webhook-sink")


def witnesses_of(profile: Profile, config: AlertConfig) -> tuple[str, ...]:
    """The equipment without which no notice is seen; empty where the profile waives them all."""
    target = profile.target
    if not isinstance(target, Attached):
        return _SINKS
    waived_all = not any(unwitnessed(target, receiver) for receiver in config.receivers.values())
    return () if waived_all and not target.witness else (WITNESS,)


def doors_of(profile: Profile, receiver: Receiver) -> tuple[Integration, ...]:
    """The integrations of a receiver whose notices somebody sees."""
    target = profile.target
    if not isinstance(target, Attached):
        return receiver.integrations
    # The witness's entry asks for resolved notices, whatever the receiver's own integrations do.
    return (Integration(WITNESS, 0, send_resolved=True),) if target.witness else ()


def unwitnessed(target: Attached, receiver: Receiver) -> tuple[str, ...]:
    """The receiver's own integrations that are to be judged although nobody sees them, as a profile names them."""
    return tuple(names[0] for names in _all(receiver) if not set(names) & set(target.waive))


def waived(target: Attached, receiver: Receiver) -> tuple[str, ...]:
    """The receiver's own integrations that the profile takes out of the judgement."""
    return tuple(names[0] for names in _all(receiver) if set(names) & set(target.waive))


def wrong_waivers(profile: Profile, config: AlertConfig) -> list[Problem]:
    """What the profile waives although the configuration has no such thing."""
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
