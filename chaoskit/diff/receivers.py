"""Receivers in two configurations: who reads them, who hears the end, where and in which words their notices go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from chaoskit.alerting.config_secrets import becoming
from chaoskit.alerting.model import AlertConfig, Integration, Receiver
from chaoskit.diff.model import Change
from chaoskit.diff.written import Settings, Written
from chaoskit.errors import Place


def receiver_changes(
    old: AlertConfig, new: AlertConfig, written: tuple[Written, Written], heard: set[str]
) -> Iterator[Change]:
    """What differs for the readers of the receivers in `heard`, and for those of all of them."""
    for name in new.receivers:
        if name in heard and name in old.receivers:
            yield from _receiver(old.receivers[name], new.receivers[name], written)
    place = Place(written[1].file or written[0].file)
    for key, was, is_ in _differing(written[0].general, written[1].general):
        yield Change("receiver", "", "", f"every receiver, global {key}", was, is_, "", place)
    for name, was, is_ in _differing(written[0].intervals, written[1].intervals):
        yield Change("quiet", "", "", f"time interval {name}", was, is_, "", place)
    if written[0].templates != written[1].templates:
        counts = [f"{len(each)} template files" for each in (w.templates for w in written)]
        why = "templates decide what mails and messages look like"
        yield Change("text", "", "", "the templates' texts", counts[0], f"{counts[1]}, other texts", why, place)


def _receiver(old: Receiver, new: Receiver, written: tuple[Written, Written]) -> Iterator[Change]:
    kinds = dict.fromkeys(each.kind for each in (*old.integrations, *new.integrations))
    for kind in kinds:
        was, is_ = (tuple(e for e in receiver.integrations if e.kind == kind) for receiver in (old, new))
        if not was or not is_ or len(was) != len(is_):
            yield _change(new, kind, f"{len(was) or 'none'}", f"{len(is_) or 'none'}")
        texts = _recipients(was), _recipients(is_)
        if texts[0] != texts[1] and was and is_:
            yield _change(new, "mails go to" if kind == "email" else f"{kind} goes to", *texts)
        if was and is_ and _resolved(was) != _resolved(is_):
            yield _change(new, f"{kind} tells the all-clear", _resolved(was), _resolved(is_))
        settings = [each.integrations.get((new.name, kind), ()) for each in written]
        yield from _settings(new, kind, settings[0], settings[1])


def _settings(receiver: Receiver, kind: str, was: Sequence[Settings], is_: Sequence[Settings]) -> Iterator[Change]:
    left = list(is_)
    before = []
    for each in was:
        if each in left:
            left.remove(each)
        else:
            before.append(each)
    for one, other in zip(before, left, strict=False):
        for key, old, new in _differing(one, other):
            yield _change(receiver, f"{kind} {key}", old, new)


def _recipients(integrations: Sequence[Integration]) -> str:
    return ", ".join(dict.fromkeys(sorted(to for each in integrations for to in each.to))) or "nobody"


def _resolved(integrations: Sequence[Integration]) -> str:
    said = sorted({"yes" if each.send_resolved else "no" for each in integrations})
    return " and ".join(said)


def _differing(old: Settings, new: Settings) -> Iterator[tuple[str, str, str]]:
    for key in sorted(old.keys() | new.keys()):
        was, is_ = old.get(key, ""), new.get(key, "")
        if was != is_:
            yield key, *becoming(was or "nothing", is_ or "nothing")


def _change(receiver: Receiver, what: str, old: str, new: str) -> Change:
    return Change("receiver", "", receiver.name, what, old, new, "", receiver.place)
