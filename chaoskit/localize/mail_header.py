"""Which alerts a mail lists, told by Alertmanager itself in a header of its own rather than guessed from the HTML.

`HEADER_TEMPLATE` goes under `headers:` of an email_config, as `HEADER_NAME`. Alertmanager renders it with Go's
text/template (only built-in functions are used) and then Q-encodes the result unless it is printable ASCII; the
percent-encoding keeps it so, hence on one line. One word for each alert:

    firing;1795477500250000000;;alertname=WorkerUnhealthy&worker_name=worker-1&
    status startsAt(ns)        endsAt(ns), of a resolved one only

The end of a firing alert is the zero time, for which UnixNano is undefined in Go, so it is left out.

`GROUP_TEMPLATE` goes there as `GROUP_NAME`: the labels of the mail's group, spelled the same way.
"""

from __future__ import annotations

from urllib.parse import unquote_plus

from chaoskit.events import NoticedAlert

HEADER_NAME = "X-Chaoskit-Alerts"

HEADER_TEMPLATE = (
    "{{ range .Alerts }}{{ .Status }};{{ .StartsAt.UnixNano }};"
    '{{ if eq .Status "resolved" }}{{ .EndsAt.UnixNano }}{{ end }};'
    "{{ range .Labels.SortedPairs }}{{ .Name | urlquery }}={{ .Value | urlquery }}&{{ end }} {{ end }}"
)

GROUP_NAME = "X-Chaoskit-Group"
GROUP_TEMPLATE = "{{ range .GroupLabels.SortedPairs }}{{ .Name | urlquery }}={{ .Value | urlquery }}&{{ end }};"

_NANOS = 10**9


def parse_header(value: str) -> tuple[list[NoticedAlert], list[str]]:
    """The alerts that a rendered header lists, and what in it could not be read."""
    alerts: list[NoticedAlert] = []
    problems: list[str] = []
    for word in value.split():
        try:
            alerts.append(_alert(word))
        except ValueError as error:
            problems.append(f"{HEADER_NAME}: '{word[:200]}' cannot be read: {error}")
    if not alerts and not problems:
        problems.append(f"{HEADER_NAME} lists no alert")
    return alerts, problems


def _alert(word: str) -> NoticedAlert:
    fields = word.split(";")
    if len(fields) != 4:
        raise ValueError(f"{len(fields)} fields where 4 were expected")
    status, starts, ends, pairs = fields
    labels = _labels(pairs)
    if status == "firing":
        return NoticedAlert(status="firing", labels=labels, starts_at=int(starts) / _NANOS)
    if status == "resolved":
        return NoticedAlert(
            status="resolved", labels=labels, starts_at=int(starts) / _NANOS, ends_at=int(ends) / _NANOS
        )
    raise ValueError(f"'{status}' is neither firing nor resolved")


def parse_group(value: str) -> dict[str, str]:
    """The labels in a rendered header of the group; raises ValueError for one that cannot be read."""
    if not value.endswith(";"):
        raise ValueError(f"{GROUP_NAME}: '{value[:200]}' has no end")
    return _labels(value.removesuffix(";"))


def _labels(pairs: str) -> dict[str, str]:
    labels: dict[str, str] = {}
    for pair in pairs.removesuffix("&").split("&") if pairs else []:
        name, equals, text = pair.partition("=")
        if not name or not equals:
            raise ValueError(f"'{pair}' is no label")
        labels[unquote_plus(name)] = unquote_plus(text)
    return labels
