"""Asks promtool and amtool, where they are found, about the files that `check` looks at.

The one idea: a template is only known to work once it was rendered. So every text with a template in it is rendered
by amtool, as firing, as resolved, and for an alert that carries nothing but its name.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from chaoskit.alerting.model import AlertConfig, of_role
from chaoskit.check.findings import Severity, Violation
from chaoskit.errors import BadInput, Place, Problem
from chaoskit.stack.binaries import Tool
from chaoskit.stack.monitoring import answer_of
from chaoskit.stack.original import ask, checkers
from chaoskit.wording.notices import notice_data
from chaoskit.yaml_source import read

_TEMPLATE_ERROR = re.compile(r"amtool: error: (?:failed to (?:execute|parse) the template, error: )?")


@dataclass(frozen=True, slots=True)
class TemplateText:
    """One text of an integration that holds a template."""

    text: str
    html: bool
    place: Place
    where: str


def ask_programs(
    config: AlertConfig, yours: Mapping[str, str] | None = None, found: Mapping[str, Tool] | None = None
) -> dict[str, tuple[Violation, ...]]:
    """The programs' findings by lint id; no entry for a program that is not there or has nothing to look at.

    `yours` are the versions that the user has, `found` takes the place of looking for the programs. Starts processes,
    and writes to a temporary folder only. Raises BadInput for what is not understood and no program can settle.
    """
    found = checkers(yours) if found is None else found
    said: dict[str, tuple[Violation, ...]] = {}
    with tempfile.TemporaryDirectory(prefix="chaoskit-check-") as folder, ThreadPoolExecutor(4) as pool:
        asked = pool.submit(ask, config, yours, found)
        amtool = found["amtool"].path if "amtool" in found and config.shows("alertmanager") else None
        if amtool is not None and not config.lost_templates:
            said["template-fails"] = failing_templates(config, amtool, Path(folder), pool)
        answer = asked.result()
    for lint, roles in (("amtool", ("alertmanager",)), ("promtool", ("prometheus", "rules"))):
        if answer.asked.intersection(roles):
            said[lint] = tuple(_said(each.plain) for each in answer.refusals if each.role in roles and not each.yours)
    if unsure := [each.problem for each in answer.unsettled(config)]:
        raise BadInput(unsure)
    refused = {each.problem.place for each in answer.refusals}
    puzzles = [each for each in config.without(answer.set_aside).not_understood if each.problem.place not in refused]
    unseen = answer.unsettled(config, rules=True)
    told = [
        (replace(each.problem, message=each.told), Severity.ERROR if each.broken or each in unseen else None)
        for each in puzzles
    ]
    told += [(replace(each.problem, message=each.told), None) for each in answer.refusals if each.yours]
    said["not-understood"] = tuple(replace(_said(problem), severity=severity) for problem, severity in told)
    return said


def _said(problem: Problem) -> Violation:
    return Violation(problem.place or Place(""), problem.message, problem.hint or "correct it, and check again")


def failing_templates(
    config: AlertConfig, amtool: Path, folder: Path, pool: ThreadPoolExecutor
) -> tuple[Violation, ...]:
    """Each text that cannot be rendered, once. All of a kind are tried together first: most often that is enough."""
    none = folder / "none.tmpl"  # amtool wants a glob, also where the configuration names no template
    none.touch()
    globs = [f"--template.glob={name}" for name in [name for name, _ in of_role(config.sources, "template")] or (none,)]
    texts = list(template_texts(config))
    data = list(_data_files(config, folder))

    @cache
    def render(some: Sequence[str], file: Path, html: bool) -> str:
        kind = "html" if html else "text"
        text = "\n".join(some)
        argv = [str(amtool), "template", "render", *globs, f"--template.type={kind}", f"--template.data={file}"]
        code, said = answer_of([*argv, f"--template.text={text}"])
        return "" if code == 0 else _TEMPLATE_ERROR.sub("", said.strip()) or f"amtool failed with {code}"

    different = {html: tuple(dict.fromkeys(t.text for t in texts if t.html is html)) for html in (False, True)}
    batches = [(some, file, html) for html, some in different.items() for file in data if some]
    failed = [b for b, reason in zip(batches, pool.map(lambda b: render(*b), batches), strict=True) if reason]
    found: dict[Place, Violation] = {}
    for _, file, html in failed:
        for each in (each for each in texts if each.html is html):
            if each.place not in found and (reason := render((each.text,), file, html)):
                message = f"{each.where} fails for {file.stem}: {reason.splitlines()[-1]}"
                found[each.place] = Violation(each.place, message, "guard it with if or with, or correct its name")
    return tuple(found.values())


def template_texts(config: AlertConfig) -> Iterator[TemplateText]:
    """Every text of every integration that holds a template, with its place."""
    for file, text in of_role(config.sources, "alertmanager"):
        try:
            receivers = read(text, file, first=True).listed("receivers")
        except BadInput:
            return
        for receiver in receivers:
            name = receiver.get("name")
            for key, integrations in receiver.pairs:
                for integration in integrations.items:
                    for path, _, node in integration.walk():
                        if "{{" in node.raw:
                            where = f"{'.'.join(path)} in {key.raw} of {name.raw if name else 'a receiver'}"
                            html = key.raw == "email_configs" and path == ("html",)
                            yield TemplateText(node.raw, html, node.place, where)


def _data_files(config: AlertConfig, folder: Path) -> Iterator[Path]:
    """Files with the data to render templates with: two alerts of the configuration, their end, and a bare one."""
    rules = [rule for rule in config.rules if rule.alert][:2]
    some = [{"alertname": rule.alert, **rule.labels, "instance": "example:9090"} for rule in rules]
    notes = [dict(rule.annotations) for rule in rules]
    some, notes = some or [{"alertname": "Example"}], notes or [{}]
    for name, status, labels, texts in (
        ("firing alerts", "firing", some, notes),
        ("resolved alerts", "resolved", some, notes),
        ("an alert without labels and annotations", "firing", [{"alertname": "Example"}], [{}]),
    ):
        file = folder / f"{name}.json"
        file.write_text(
            json.dumps(notice_data("example", status, labels, texts, {"alertname": labels[0]["alertname"]}))
        )
        yield file
