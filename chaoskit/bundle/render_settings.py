"""The settings of `bundle render --set`: their values, where these stand in the files, and which are allowed.

A value is changed in the text, on the line where the reader found it, so that the comments around it stay. That
needs values that mean the same in every place of a YAML file, so each kind of value is checked for its form first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from chaoskit.errors import BadInput, Place, Problem
from chaoskit.yaml_source import Node, nearest, read

_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])"
_ADDRESS = r"[A-Za-z0-9._+=/-]+@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?"
_FORMS = {
    "HOST:PORT": re.compile(rf"{_HOST}:(?:[1-9][0-9]{{0,4}})"),
    "ADDRESS": re.compile(rf"{_ADDRESS}(?:, ?{_ADDRESS})*"),
    "URL": re.compile(rf"https?://{_HOST}(?::[1-9][0-9]{{0,4}})?(?:/[A-Za-z0-9._~%+=&?/-]*)?"),
    "NAME": re.compile(r"[A-Za-z][A-Za-z0-9_.-]*"),
    "true|false": re.compile(r"true|false"),
}
_NAMED_ONLY = re.compile(r"true|false|null|yes|no|on|off|y|n", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of `--set`: the form of its value, what it is for, and the places (FILE, path) that hold it."""

    form: str
    what: str
    places: tuple[tuple[str, str], ...]
    part: str = ""
    """The optional part of the bundle that it belongs to, if any."""


ALERTMANAGER, PROMETHEUS, PROMISE = "alertmanager.yml", "prometheus_config.yml", "notification_windows.yml"
SETTINGS: Mapping[str, Setting] = {
    "smtp": Setting("HOST:PORT", "the mail relay", ((ALERTMANAGER, "global/smtp_smarthost"),)),
    "smtp.from": Setting("ADDRESS", "the sender of mails", ((ALERTMANAGER, "global/smtp_from"),)),
    "smtp.tls": Setting("true|false", "whether the relay must speak TLS", ((ALERTMANAGER, "global/smtp_require_tls"),)),
    "to": Setting("ADDRESS", "who gets every receiver's mails", ()),
    "webhook": Setting(
        "URL",
        "where critical-alerts posts to",
        ((ALERTMANAGER, "receivers/name=critical-alerts/webhook_configs/*/url"),),
    ),
    "watchdog": Setting(
        "URL",
        "where the watchdog's heartbeat is posted to",
        ((ALERTMANAGER, "receivers/name=watchdog/webhook_configs/*/url"),),
        part="monitoring",
    ),
    "runbooks": Setting("URL", "the address below which runbooks are found", ()),
    "environment": Setting(
        "NAME", "the environment that every alert names", ((PROMETHEUS, "global/external_labels/environment"),)
    ),
    "metrics": Setting(
        "HOST:PORT",
        "the service's metrics",
        (
            (PROMETHEUS, "scrape_configs/job_name=insa-crm/static_configs/*/targets/*"),
            (PROMISE, "jobs/insa-crm/at/*"),
        ),
    ),
    "sla": Setting(
        "HOST:PORT",
        "what chaoskit sla serve-metrics shows",
        (
            (PROMETHEUS, "scrape_configs/job_name=chaoskit-sla/static_configs/*/targets/*"),
            (PROMISE, "jobs/chaoskit-sla/at/*"),
        ),
        part="sla",
    ),
    "prometheus": Setting(
        "HOST:PORT",
        "Prometheus itself",
        (
            (PROMETHEUS, "scrape_configs/job_name=prometheus/static_configs/*/targets/*"),
            (PROMISE, "jobs/prometheus/at/*"),
        ),
    ),
    "alertmanager": Setting(
        "HOST:PORT",
        "the Alertmanager",
        (
            (PROMETHEUS, "alerting/alertmanagers/*/static_configs/*/targets/*"),
            (PROMETHEUS, "scrape_configs/job_name=alertmanager/static_configs/*/targets/*"),
            (PROMISE, "alertmanagers/*"),
            (PROMISE, "jobs/alertmanager/at/*"),
        ),
    ),
}
"""The settings of `--set`, by key. `to.RECEIVER` exists beside them, for every receiver that mails."""

_PROMISED = ("smtp", "webhook", "watchdog")
"""Those whose addresses the promise holds too, below `at`."""


def parse_settings(options: Iterable[str], parts: Iterable[str], receivers: Iterable[str]) -> dict[str, str]:
    """The settings that these `key=value` options give; raises BadInput with everything wrong in any of them.

    `receivers` are those that mail, and `parts` the optional ones that are rendered.
    """
    problems: list[Problem] = []
    found: dict[str, str] = {}
    chosen, mailing = set(parts), tuple(receivers)
    for option in options:
        place = Place(f"--set {option}")
        key, equals, value = (word.strip() for word in option.partition("="))
        setting = SETTINGS["to"] if key.startswith("to.") else SETTINGS.get(key)
        if not equals or not key:
            problems.append(Problem(place, "is not of the form key=value", "write --set smtp=mail.example.com:25"))
        elif setting is None:
            known = (*SETTINGS, *(f"to.{name}" for name in mailing))
            hint = nearest(key, known) or "the settings are " + ", ".join((*SETTINGS, "to.RECEIVER"))
            problems.append(Problem(place, f"'{key}' is not a setting", hint))
        elif key.startswith("to.") and key[3:] not in mailing:
            hint = nearest(key[3:], mailing) or "those that do are " + ", ".join(mailing)
            problems.append(Problem(place, f"'{key[3:]}' is not a receiver that mails", hint))
        elif key in found:
            problems.append(Problem(place, f"'{key}' is given twice", "give it once"))
        elif wrong := _wrong(value, setting.form):
            problems.append(Problem(place, f"{wrong} for {setting.what}", f"write {key}={setting.form}"))
        elif setting.part and setting.part not in chosen:
            problems.append(
                Problem(place, f"there is no such setting without {setting.part}", f"add --with {setting.part}")
            )
        else:
            found[key] = value
    if problems:
        raise BadInput(problems)
    return found


def apply(settings: Mapping[str, str], texts: Mapping[str, str]) -> dict[str, str]:
    """The texts, by file name, with the settings' values in their places; all else is left as it stands."""
    trees = {name: read(text, name) for name, text in texts.items() if name.endswith(".yml")}
    # What is said of one receiver holds over what is said of all.
    keys = sorted(settings, key=lambda name: (name.startswith("to."), name))
    edits = {
        (name, node.start, node.end): (node.raw, new)
        for key in keys
        for name, node, new in _changes(key, settings[key], trees)
    }
    changed = dict(texts)
    for (name, start, end), (old, new) in sorted(edits.items(), reverse=True):
        before, written, after = changed[name][:start], changed[name][start:end], changed[name][end:]
        changed[name] = before + written.replace(old, new) + after
    return changed


def _wrong(value: str, form: str) -> str:
    if not _FORMS[form].fullmatch(value):
        return f"{value!r} is no {form}" if value else "there is no value"
    port = value.rpartition(":")[2] if form == "HOST:PORT" else ""
    if port and int(port) > 65535:
        return f"{port} is no port"
    if form == "NAME" and _NAMED_ONLY.fullmatch(value):  # some reader of YAML takes it for something else
        return f"{value!r} is no name"
    return ""


def _changes(key: str, value: str, trees: Mapping[str, Node]) -> Iterator[tuple[str, Node, str]]:
    if key == "runbooks":
        yield from _runbooks(value.rstrip("/") + "/", trees)
        return
    places = SETTINGS[key].places if key in SETTINGS else ()
    if key == "to" or key.startswith("to."):
        who = key[3:] or "*"
        listed = "*" if who == "*" else f"name={who}"
        places = ((ALERTMANAGER, f"receivers/{listed}/email_configs/*/to"), (PROMISE, f"receivers/{who}/recipients/*"))
    replaced = set()
    for name, path in places:
        for node in _find(trees[name], path.split("/")):
            replaced.add(node.raw)
            yield name, node, value
    if key in _PROMISED:
        sent_to = _find(trees[PROMISE], ["receivers", "*", "at", "*"])
        yield from ((PROMISE, node, value) for node in sent_to if node.raw in replaced)


def _runbooks(base: str, trees: Mapping[str, Node]) -> Iterator[tuple[str, Node, str]]:
    (old,) = _find(trees[PROMISE], ["runbook"])
    yield PROMISE, old, base
    for name, tree in trees.items():
        for node in _find(tree, ["groups", "*", "rules", "*", "annotations", "runbook"]):
            yield name, node, base + node.raw.removeprefix(old.raw)


def _find(node: Node, path: list[str]) -> Iterator[Node]:
    """The nodes at a path: a key, `*` for each element of a list or value of a mapping, `key=value` for a list's."""
    if not path:
        yield node
        return
    first, rest = path[0], path[1:]
    below: Iterable[Node | None]
    if first == "*":
        below = (*node.items, *(value for _, value in node.pairs))
    elif "=" in first:
        key, _, wanted = first.partition("=")
        below = (item for item in node.items if (named := item.get(key)) and named.raw == wanted)
    else:
        below = (node.get(first),)
    for each in below:
        if each is not None:
            yield from _find(each, rest)
