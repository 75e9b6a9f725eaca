"""Mutants: what each operator makes of a configuration, that layout survives, and that what reads the same is none."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from chaoskit import bundle as shipped
from chaoskit.alerting.config import load_config
from chaoskit.mutate.generate import mutants_of, sampled
from chaoskit.mutate.model import OPERATORS, Edit, Mutant, applied, unified
from chaoskit.mutate.source import Bundle, Letters, Text, files_of, parts_of, texts_of
from tests.check_examples import ALERTMANAGER, PROMETHEUS, RULES

TEMPLATE = """\
{{ define "subject" }}{{ if eq .Status "firing" }}FIRING{{ else }}{{ .Status | toUpper }}{{ end }}{{ end }}
{{ define "body" }}{{ template "subject" . }}{{ range .Alerts }}
{{ if .Labels.team }}{{ .Labels.team }}{{ end }}{{ end }}{{ end }}
"""
MORE = """\
groups:
  - name: more
    interval: 30s
    rules:
      - alert: Slow
        expr: |-
          # how slow
          histogram_quantile(0.9, sum by (le, job) (rate(seconds_bucket{path=~"/a|/b", code!="500"}[5m]))) >= 0.5
            unless on (job)
          up == 0
        keep_firing_for: 4m
        labels: {severity: "warning"}
        annotations:
          summary: "{{ $value }} of \\"{{ $labels.job }}\\""
          description: |-
            {{ $value }} s at {{ $labels.job }}
"""
MAIL = """\
global: {smtp_smarthost: 'localhost:25', smtp_from: a@example.com, smtp_require_tls: false}
templates: [mail.tmpl]
route:
  receiver: one
  routes:
    - match: {team: web}
      receiver: two
      group_by: [alertname, job]
      continue: true
    - matchers: ['severity=~"critical|page"', team!="db"]
      receiver: one
    - match_re: {team: a|b}
      group_wait: 5s
      group_interval: 1m
      repeat_interval: 1h
inhibit_rules:
  - source_match: {severity: critical}
    target_matchers:
      - severity="warning"
receivers:
  - name: one
    email_configs:
      - to: ops@example.com
        headers:
          Subject: '{{ template "subject" . }}'
        html: '{{ template "body" . }}'
  - name: two
    webhook_configs:
      - url: http://localhost:9/
"""
SCRAPED = """\
global:
  scrape_interval: 15s
  scrape_timeout: 10s
rule_files: [rules.yml]
alerting:
  alertmanagers:
    - static_configs: [{targets: ['localhost:9093']}]
scrape_configs:
  - job_name: web
    static_configs: [{targets: ['localhost:80']}]
"""
TEXTS = {
    "rules:rules.yml": RULES,
    "rules:more.yml": MORE,
    "alertmanager:alertmanager.yml": MAIL,
    "template:mail.tmpl": TEMPLATE,
    "prometheus:prometheus.yml": SCRAPED,
}
FILES = {key.partition(":")[2]: text for key, text in TEXTS.items()}
EXAMPLES = {
    "threshold-easier": ("ManyErrors.expr", "0.05", "0.025"),
    "threshold-harder": ("AllWorkersDown.expr", "0", "-1"),
    "comparator-edge": ("Slow.expr", ">=", ">"),
    "comparator-flipped": ("WorkerDown.expr", "==", "!="),
    "comparison-dropped": ("WorkerDown.expr", " == 0", ""),
    "guard-flipped": ("job:errors:ratio5m.expr", ">", "<"),
    "guard-dropped": ("job:errors:ratio5m.expr", " > 0", ""),
    "aggregation": ("Slow.expr", "sum", "max"),
    "function": ("Slow.expr", "rate", "irate"),
    "arithmetic": ("job:errors:ratio5m.expr", "/", "*"),
    "set-operator": ("Slow.expr", "unless", "and"),
    "range-longer": ("Slow.expr", "5m", "10m"),
    "range-shorter": ("job:errors:ratio5m.expr", "5m", "2m30s"),
    "group-label-dropped": ("Slow.expr", ", job", ""),
    "quantile": ("Slow.expr", "0.9", "0.98"),
    "metric-misspelt": ("WorkerDown.expr", "", "x"),
    "matcher-misspelt": ("Slow.expr", "", "x"),
    "matcher-negated": ("Slow.expr", "=~", "!~"),
    "matcher-dropped": ("Slow.expr", ', code!="500"', ""),
    "for-longer": ("WorkerDown.for", "2m", "4m"),
    "for-shorter": ("WorkerDown.for", "2m", "1m"),
    "for-dropped": ("WorkerDown.for", "2m", "0s"),
    "for-added": ("Slow.for", "", "for: 1m\n        "),
    "keep-firing-longer": ("Slow.keep_firing_for", "4m", "8m"),
    "keep-firing-dropped": ("Slow.keep_firing_for", "4m", "0s"),
    "keep-firing-added": ("WorkerDown.keep_firing_for", "", "keep_firing_for: 5m\n        "),
    "alert-renamed": ("WorkerDown.alert", "WorkerDown", "WorkerDownX"),
    "record-renamed": ("job:errors:ratio5m.record", "job:errors:ratio5m", "job:errors:ratio5mX"),
    "group-interval": ("group more", "30s", "2m"),
    "severity-changed": ("Slow.labels.severity", "warning", "critical"),
    "label-value-misspelt": ("WorkerDown.labels.team", "work", "workx"),
    "label-name-misspelt": ("WorkerDown.labels.team", "team", "tea"),
    "label-dropped": ("WorkerDown.labels.team", ", team: work", ""),
    "runbook-wrong": (
        "ManyErrors.annotations.runbook",
        "https://runbooks.example.com/many-errors",
        "https://runbooks.example.com/many-errors-x",
    ),
    "template-label-misspelt": ("Slow.annotations.summary", "job", "jo"),
    "template-value-dropped": ("Slow.annotations.description", "{{ $value }} ", ""),
    "group-wait-longer": ("route 3.group_wait", "5s", "15s"),
    "route-interval-shorter": ("route 3.group_interval", "1m", "20s"),
    "repeat-longer": ("route 3.repeat_interval", "1h", "3h"),
    "group-by-dropped": ("route 1.group_by.job", ", job", ""),
    "group-by-added": ("route 1.group_by", "", ", instance"),
    "group-by-everything": ("route 1.group_by", "[alertname, job]", "['...']"),
    "route-receiver-swapped": ("route 1.receiver", "two", "one"),
    "continue-toggled": ("route 1.continue", "true", "false"),
    "route-matcher-misspelt": ("route 1.team", "web", "webx"),
    "route-matcher-label-misspelt": ("route 3.team", "team", "tea"),
    "route-matcher-negated": ("route 2.team", '!="db"', '="db"'),
    "route-matcher-narrowed": ("route 2.severity", "critical|page", "page"),
    "inhibition-matcher-misspelt": ("inhibition 1.source_severity", "critical", "criticalx"),
    "inhibition-matcher-label-misspelt": ("inhibition 1.target_severity", "severity", "severit"),
    "inhibition-matcher-negated": ("inhibition 1.target_severity", '="warning"', '!="warning"'),
    "inhibition-matcher-widened": ("inhibition 1.target_severity", '="warning"', '=~".+"'),
    "equal-added": ("inhibition 1.equal", "", "equal: [instance]\n    "),
    "send-resolved-flipped": ("two.webhook.send_resolved", "", "send_resolved: false\n        "),
    "recipient-misspelt": ("one.email.to", "", "x"),
    "url-wrong": ("two.webhook.url", "", "x"),
    "text-emptied": ("one.email.html", "'{{ template \"body\" . }}'", "''"),
    "template-name-misspelt": ("one.email.headers.Subject", "subject", "subjec"),
    "global-changed": ("global.smtp_require_tls", "false", "true"),
    "template-field-dropped": ("subject: .Status | toUpper", "{{ .Status | toUpper }}", ""),
    "template-call-dropped": ('body: template "subject" .', '{{ template "subject" . }}', ""),
    "template-condition-flipped": ("body: if .Labels.team", ".Labels.team", "not (.Labels.team)"),
    "scrape-interval-longer": ("global.scrape_interval", "15s", "1m"),
    "scrape-timeout-shorter": ("global.scrape_timeout", "10s", "100ms"),
    "target-port-wrong": ("alerting.localhost:9093", "9093", "9094"),
    "job-renamed": ("job web", "web", "web-x"),
    "external-label-added": ("global.external_labels", "", "external_labels: {replica: other}\n  "),
}
"""By operator a site, what stood there and what stands there; edits that take several lines have tests of their own."""


DOWN = RULES[RULES.index("      - alert: WorkerDown") : RULES.index("      - alert: All")]
RUNBOOK = "          runbook: https://runbooks.example.com/many-errors\n"


@pytest.fixture(scope="module")
def small() -> list[Mutant]:
    return mutants_of(TEXTS)


@pytest.fixture(scope="module")
def bundle() -> tuple[dict[tuple[str, str], str], list[Mutant]]:
    files = files_of(load_config(shipped.folder()))
    return files, mutants_of(texts_of(files))


@pytest.mark.parametrize("operator", EXAMPLES)
def test_an_operator_makes_its_change(operator: str, small: list[Mutant]) -> None:
    site, old, new = EXAMPLES[operator]
    made = [(m.edits[0].old, m.edits[0].new) for m in small if (m.operator, m.site) == (operator, site)]
    assert (old, new) in made


def after(small: list[Mutant], operator: str, site: str) -> str:
    mutant = next(m for m in small if (m.operator, m.site) == (operator, site))
    return applied(FILES[mutant.file], mutant.edits)


@pytest.mark.parametrize(
    ("operator", "site", "gone"),
    [
        ("rule-removed", "WorkerDown", DOWN),
        ("annotation-dropped", "ManyErrors.annotations.runbook", RUNBOOK),
        ("group-wait-inherited", "route 3.group_wait", "      group_wait: 5s\n"),
        ("text-dropped", "one.email.headers.Subject", "          Subject: '{{ template \"subject\" . }}'\n"),
        ("integration-removed", "two.webhook", "      - url: http://localhost:9/\n"),
        ("inhibition-removed", "inhibition 1", MAIL[MAIL.index("  - source_match") : MAIL.index("receivers:\n")]),
        ("templates-unloaded", "templates", "templates: [mail.tmpl]\n"),
        ("alerting-dropped", "alerting", SCRAPED[SCRAPED.index("alerting") : SCRAPED.index("scrape_configs")]),
        ("rule-file-dropped", "rule_files.rules.yml", "rules.yml"),
        ("job-removed", "job web", SCRAPED[SCRAPED.index("  - job_name") :]),
    ],
)  # fmt: skip
def test_what_is_removed_takes_its_lines_along_and_nothing_else(
    operator: str, site: str, gone: str, small: list[Mutant]
) -> None:
    mutant = next(m for m in small if (m.operator, m.site) == (operator, site))
    assert after(small, operator, site) == FILES[mutant.file].replace(gone, "", 1)


def test_routes_change_places_with_all_that_is_theirs(small: list[Mutant]) -> None:
    def receivers(text: str) -> list[object]:
        return [each.get("match") or each.get("match_re") for each in yaml.safe_load(text)["route"]["routes"]]

    assert receivers(after(small, "route-swapped", "route 1 and the next")) == [None, {"team": "web"}, {"team": "a|b"}]
    assert receivers(after(small, "route-to-front", "route 3 first")) == [{"team": "a|b"}, {"team": "web"}, None]


def test_source_and_target_of_an_inhibition_change_places(small: list[Mutant]) -> None:
    rule = yaml.safe_load(after(small, "inhibition-swapped", "inhibition 1"))["inhibit_rules"][0]
    assert rule == {"target_match": {"severity": "critical"}, "source_matchers": ['severity="warning"']}


def test_relabelling_takes_what_a_route_needs(small: list[Mutant]) -> None:
    found = yaml.safe_load(after(small, "alert-relabelled", "alerting"))["alerting"]
    assert found["alert_relabel_configs"] == [{"regex": "severity", "action": "labeldrop"}]
    job = yaml.safe_load(after(small, "metric-relabelled", "job web.metric_relabel_configs"))["scrape_configs"][0]
    assert job["metric_relabel_configs"][0]["action"] == "drop"


def test_every_operator_finds_something_in_the_shipped_configuration_and_each_id_is_one_mutants(
    bundle: tuple[dict[tuple[str, str], str], list[Mutant]],
) -> None:
    files, mutants = bundle
    assert len(mutants) >= 1300
    assert len({m.id for m in mutants}) == len({(m.file, m.edits) for m in mutants}) == len(mutants)
    assert {m.operator for m in mutants} == OPERATORS.keys()
    for mutant in mutants:
        assert applied(files[mutant.role, mutant.file], mutant.edits) != files[mutant.role, mutant.file], mutant


def test_an_id_outlives_lines_above_it_and_changes_with_what_is_changed() -> None:
    moved = {**TEXTS, "rules:rules.yml": "# one more line\n" + RULES}
    assert {m.id for m in mutants_of(moved)} == {m.id for m in mutants_of(TEXTS)}
    other = {**TEXTS, "rules:rules.yml": RULES.replace("> 0.05", "> 0.06")}
    easier = [
        {m.id for m in mutants_of(texts) if m.operator == "threshold-easier" and m.site == "ManyErrors.expr"}
        for texts in (TEXTS, other)
    ]
    assert not easier[0] & easier[1]


def test_what_reads_the_same_is_no_mutant() -> None:
    """Level 0: another way to write the same time, the same list; and a limit that cannot be moved."""
    rule = next(each for each in Bundle({"rules:r.yml": RULES}).rules if each.site == "job:errors:ratio5m")
    at = rule.expr.index("5m")
    assert rule.changed((at, at + 2, "300s")).changes == ()
    assert rule.changed((at, at + 2, "301s")).changes != ()
    rules = RULES.replace("max by (job) (worker_up) == 0", "worker_up > -Inf")
    made = mutants_of({"rules:rules.yml": rules}, only=["threshold-easier", "threshold-harder"])
    assert {m.about for m in made} == {"ManyErrors", "WorkerDown"}


def test_an_edit_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(ValueError, match="does not read"):
        applied(RULES, [Edit(1, 1, "routes", "")])


def test_a_diff_shows_the_change_and_its_surroundings(small: list[Mutant]) -> None:
    mutant = next(m for m in small if m.operator == "for-longer" and m.about == "WorkerDown")
    assert [line for line in unified(RULES, mutant).splitlines() if line[:1] in "+-"][2:] == [
        "-        for: 2m",
        "+        for: 4m",
    ]


def test_a_sample_is_reproducible_and_in_proportion(small: list[Mutant]) -> None:
    assert sampled(small, 30, 7) == sampled(list(small), 30, 7) != sampled(small, 30, 8)
    assert len(sampled(small, 30, 7)) == 30
    assert sampled(small, 10_000, 1) == small
    many = [m for m in small if m.operator in ("metric-misspelt", "template-value-dropped")]
    per = {m.operator: 0 for m in many}
    for mutant in sampled(many, len(many) // 2, 3):
        per[mutant.operator] += 1
    for operator, count in per.items():
        assert abs(count - sum(m.operator == operator for m in many) / 2) <= 1


MANIFEST = """\
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
spec:
  groups:
    - name: g
      rules:
        - {alert: Down, expr: up == 0, for: 1m}
---
kind: PrometheusRule
spec: {groups: [{name: h, rules: [
  {alert: Up, expr: "up{a=\\"b\\"} == 1", labels: {team: x}}]}]}
"""


def test_rules_within_manifests_are_changed_where_they_stand() -> None:
    texts = parts_of("rules", "m.yml", MANIFEST)
    mutants = mutants_of(texts)
    assert {m.about for m in mutants if m.about} == {"Down", "Up"}
    for mutant in mutants:
        assert applied(MANIFEST, mutant.edits) != MANIFEST
    misspelt = next(m for m in mutants if m.operator == "matcher-misspelt")
    assert '\\"bx\\"' in applied(MANIFEST, misspelt.edits)


WORDS = st.lists(
    st.text("ab{}=~0:#'\"\\| ", min_size=1, max_size=6).map(str.strip).filter(bool), min_size=1, max_size=4
)
STYLES = ("'", '"', "|-", "|", ">-", "plain", "'folded", '"folded', '"escaped')


def written_as(style: str, words: list[str]) -> str:
    """The words as a scalar of this style, on lines of their own where it has any."""
    between = "\n    \n\n     " if style == "'folded" else "\n     "
    quoted = [json.dumps(word)[1:-1] for word in words]
    match style:
        case "'":
            return "'" + " ".join(words).replace("'", "''") + "'"
        case '"':
            return json.dumps("\n".join(words))
        case "plain":
            return between.join(words)
        case "'folded":
            return "'" + between.join(word.replace("'", "''") for word in words) + "'"
        case '"folded':
            return '"' + (between + "\\n ").join(quoted) + '"'
        case '"escaped':
            return '"' + " \\\n     ".join(quoted) + '"'
    return style + "".join(f"\n    {word}" for word in words)


@settings(max_examples=200)
@given(WORDS, st.sampled_from(STYLES), st.data())
def test_letters_of_a_value_are_changed_as_it_is_written(words: list[str], style: str, data: st.DataObject) -> None:
    """Whatever the style, the value reads as if its letters had been replaced, and what follows stays."""
    text = f"a:\n  key: {written_as(style, words)}\n  next: 1\n"
    try:
        before = yaml.safe_load(text)["a"]
    except (yaml.YAMLError, TypeError):
        return  # such words cannot be written like that
    if before.keys() != {"key", "next"} or not isinstance(before["key"], str) or not before["key"].strip():
        return
    source = Text("rules", "f.yml", text)
    node = source.root.get("a").get("key")  # type: ignore[union-attr]
    assert node is not None
    start = data.draw(st.sampled_from([at for at, letter in enumerate(node.raw) if not letter.isspace()]))
    change = Letters(source, node).change(start, start + 1, "X")
    read = yaml.safe_load(applied(text, source.edits([change])))["a"]
    assert read == {"key": node.raw[:start] + "X" + node.raw[start + 1 :], "next": 1}


def test_configurations_without_some_parts_have_mutants_of_the_others() -> None:
    assert {m.role for m in mutants_of({"rules:rules.yml": RULES})} == {"rules"}
    assert {m.role for m in mutants_of({"alertmanager:a.yml": ALERTMANAGER})} == {"alertmanager"}
    assert {m.role for m in mutants_of({"prometheus:p.yml": PROMETHEUS})} == {"prometheus"}
    assert mutants_of({"rules:rules.yml": "groups: [", "alertmanager:a.yml": "{}"}) == []


def test_the_contrary_of_send_resolved_is_that_of_what_alertmanager_reads() -> None:
    configs = "wechat_configs: [{to_user: x}], webhook_configs: [{url: 'http://x', send_resolved: yes}]"
    text = f"receivers: [{{name: r, {configs}}}]"
    found = mutants_of({"alertmanager:a.yml": text}, ["send-resolved-flipped"])
    assert [(each.site, each.edits[0].new) for each in found] == [
        ("r.wechat.send_resolved", "send_resolved: true, "),
        ("r.webhook.send_resolved", "false"),
    ]


def test_send_resolved_that_says_the_default_may_be_left_out() -> None:
    """Webhooks are told of the end anyhow: that reads the same, and is no mutant."""
    configs = "webhook_configs: [{url: 'http://x', send_resolved: true}, {url: 'http://y', send_resolved: false}]"
    text = f"receivers: [{{name: r, email_configs: [{{to: x, send_resolved: true}}], {configs}}}]"
    found = mutants_of({"alertmanager:a.yml": text}, ["send-resolved-dropped"])
    assert [(each.site, each.edits[0].old) for each in found] == [
        ("r.email.send_resolved", ", send_resolved: true"),
        ("r.webhook.send_resolved", ", send_resolved: false"),
    ]
