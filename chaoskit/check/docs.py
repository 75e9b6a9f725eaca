"""The table of all lints for the documentation, rendered from the registry, so that it cannot fall behind."""

from __future__ import annotations

from collections.abc import Iterator

import chaoskit.check.lints  # noqa: F401 - fills the registry
from chaoskit.check.findings import LINTS
from chaoskit.marked import between, row

BEGIN = "<!-- lints: rendered from the registry by python -m chaoskit.check.docs -->"
END = "<!-- end of lints -->"

_TOPICS = {
    "promise": "Promise against configuration",
    "rules": "Rules",
    "annotations": "Annotations",
    "delivery": "From the target to Alertmanager, and on",
    "routes": "Routes and receivers",
    "inhibitions": "Inhibitions",
    "scenarios": "Scenarios",
    "coverage": "Coverage",
    "thresholds": "Thresholds",
    "levels": "Service levels",
    "programs": "promtool and amtool",
}


def table() -> str:
    """Every lint with its severity, its sentence and why it matters, by topic, as Markdown."""
    return "\n".join(_lines()) + "\n"


def rendered(page: str) -> str:
    """The page with the part between the two marks replaced; raises ValueError where a mark is missing."""
    return between(page, BEGIN, table(), END)


def _lines() -> Iterator[str]:
    for topic, title in _TOPICS.items():
        yield ""
        yield f"### {title}"
        yield ""
        yield "| id | severity | what it looks for | why it matters |"
        yield "|---|---|---|---|"
        for lint in LINTS.values():
            if lint.topic == topic:
                yield row(f"`{lint.id}`", str(lint.severity), lint.what, lint.why)
    yield ""


if __name__ == "__main__":
    from pathlib import Path

    page = Path("docs/checks.md")
    page.write_text(rendered(page.read_text()))
