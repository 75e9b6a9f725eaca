"""What Prometheus's and Alertmanager's own programs say: they were asked beforehand, and their words are kept here."""

from __future__ import annotations

from collections.abc import Iterator

from chaoskit.check.facts import Facts
from chaoskit.check.findings import Said, Severity, lint
from chaoskit.errors import Place
from chaoskit.yaml_source import second_document


@lint("promtool", Severity.ERROR, "programs", ("promtool",))
def promtool(facts: Facts) -> Iterator[Said]:
    """`promtool check rules` or `promtool check config` refuses a file.

    Prometheus does not start with it, or goes on with the rules that it had.
    """
    return iter(facts.elsewhere.get("promtool", ()))


@lint("amtool", Severity.ERROR, "programs", ("amtool",))
def amtool(facts: Facts) -> Iterator[Said]:
    """`amtool check-config` refuses the Alertmanager configuration.

    Alertmanager does not start with it, or goes on with the routes that it had.
    """
    return iter(facts.elsewhere.get("amtool", ()))


@lint("not-understood", Severity.WARNING, "programs", ("not-understood",))
def not_understood(facts: Facts) -> Iterator[Said]:
    """Something is newer than the programs here, or than this reader; or it is wrong, which is an error.

    Nothing is said of what rests on it, and its neighbours are checked without it.
    """
    return iter(facts.elsewhere.get("not-understood", ()))


@lint("template-fails", Severity.ERROR, "programs", ("amtool",))
def template_fails(facts: Facts) -> Iterator[Said]:
    """A notice's template cannot be rendered.

    amtool check-config does not see this: the notice is lost, or comes with an empty body, again and again.
    """
    return iter(facts.elsewhere.get("template-fails", ()))


@lint("second-document", Severity.WARNING, "programs", ())
def second(facts: Facts) -> Iterator[Said]:
    """A rule file or a configuration of Prometheus or Alertmanager goes on with a second YAML document.

    They read the first one only: what stands behind it is in force nowhere, and nothing says so.
    """
    for key, text in facts.config.sources.items():
        role, _, file = key.partition(":")
        if role in ("rules", "alertmanager", "prometheus") and (line := second_document(text)):
            message = "a second document begins here, which is never read"
            yield Said(Place(file, line), message, "put it into a file of its own, or join the two")
