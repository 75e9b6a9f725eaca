"""Every lint finds its fault at its line, and leaves alone what only looks like it."""

# ruff: noqa: E501 - one case is one line: a change of the example, and where the finding stands

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import chaoskit.check.lints  # noqa: F401 - fills the registry
from chaoskit import bundle
from chaoskit.alerting.config import load_config
from chaoskit.alerting.model import Rule
from chaoskit.check.findings import LINTS, Severity, Violation
from chaoskit.check.lint_context import LintContext
from chaoskit.check.run import check
from chaoskit.errors import Place
from tests.check_examples import Edit, found, line_of

R, A, P, PROM, S, M = "rules", "alertmanager", "promise", "prometheus", "scenario", "metrics"
ALERT = "      - alert: WorkerDown\n"
DOWN = "worker_up == 0\n        for: 2m\n        labels: {severity: warning"


def rule(expr: str, name: str = "Extra", more: str = "") -> Edit:
    """One more alert, complete but for what the case is about."""
    text = f"      - alert: {name}\n        expr: {expr}\n        labels: {{severity: warning, team: x}}\n{more}"
    return (
        R,
        "",
        text + "        annotations: {summary: It is so, runbook: https://runbooks.example.com/worker-down}\n",
    )


def down(text: str) -> Edit:
    """Something more that is promised of WorkerDown."""
    return (P, "  WorkerDown:\n", f"  WorkerDown:\n    {text}\n")


NIGHTS: list[Edit] = [
    (
        A,
        "receivers:\n",
        "time_intervals: [{name: nights, time_intervals: [{times: [{start_time: '00:00', end_time: '06:00'}]}]}]\nreceivers:\n",
    ),
    (A, "      receiver: work\n", "      receiver: work\n      active_time_intervals: [nights]\n"),
]


def interval(how: str, parts: str) -> list[Edit]:
    """A route with a time interval of these parts, in which it is mute or active."""
    return [
        (A, "receivers:\n", f"time_intervals:\n  - {{name: odd, time_intervals: [{parts}]}}\nreceivers:\n"),
        (A, "      receiver: work\n", f"      receiver: work\n      {how}_time_intervals: [odd]\n"),
    ]


ALERTING = "alerting: {alertmanagers: [{static_configs: [{targets: ['localhost:9093']}]}]}\n"
OTHER_GROUP: Edit = (
    R,
    "      - alert: ManyErrors\n",
    "  - name: second\n    rules:\n      - alert: ManyErrors\n",
)


def scraped(job: str, address: str) -> Edit:
    """One more job with this target."""
    return (PROM, "", f"  - {{job_name: {job}, static_configs: [{{targets: ['{address}']}}]}}\n")


SHOP = "  - {job_name: shop, dns_sd_configs: [{names: [shop.example.com]}]}\n"
PAGED = (
    A,
    "      - url: http://localhost:9/\n",
    "      - url: http://localhost:9/\n    pagerduty_configs: [{routing_key: x}]\n",
)
LABELLED = (PROM, "", "  - {job_name: shop, static_configs: [{targets: ['shop:9091'], labels: {zone: eu}}], relabel_configs: ["
            "{target_label: stage, replacement: test}, {target_label: __address__, replacement: 'shop:1'}]}\n")  # fmt: skip
"""A job that adds the labels zone and stage."""


def external(label: str) -> Edit:
    return (PROM, "global: {", f"global: {{external_labels: {{{label}}}, ")


def relabelled(step: str) -> Edit:
    """A step for alerts on their way to Alertmanager."""
    return (PROM, "alerting: {", f"alerting: {{alert_relabel_configs: [{step}], ")


def of_job(step: str) -> Edit:
    """A step for the series of the job web."""
    return (PROM, "  - job_name: web\n", f"  - {{job_name: web, metric_relabel_configs: [{step}]}}\n")


def silencing(matchers: str) -> list[Edit]:
    """A silence, and that it is to mute WorkerDown."""
    hush = "  - inject: alertmanager.silence\n    as: hush\n    target: {equipment: alertmanager}\n"
    return [
        (S, "    suppressed_by: AllWorkersDown\n    control: kill\n", "    silenced_by: hush\n"),
        (S, "steps:\n", f"steps:\n{hush}    with: {{matchers: '{matchers}'}}\n"),
    ]


def record(expr: str, name: str = "a:b") -> Edit:
    return (R, "", f"      - record: {name}\n        expr: {expr}\n")


def said(id_: str) -> dict[str, Any]:
    return {
        "elsewhere": {
            "promtool": (),
            "amtool": (),
            "not-understood": (),
            id_: (Violation(Place("rules.yml", 5), "it says no", "mend it"),),
        }
    }


# id, changes, part of the line that is pointed at
FAULTS: list[tuple[str, list[Edit], str]] = [
    ("unknown-metric", [(R, DOWN, "worker_upp == 0\n        for: 2m\n        labels: {severity: warning")], "worker_upp == 0"),
    ("unknown-metric", [rule("'{__name__=~\"nothing_.+\"} > 1'")], "nothing_"),
    ("fires-always", [(R, "worker_up == 0\n        for: 2m\n        labels: {severity: warning", "worker_up\n        labels: {severity: warning")], "worker_up"),
    ("fires-always", [rule("worker_up == bool 0")], "== bool 0"),
    ("fires-always", [rule("changes(worker_up[1h])")], "changes("),
    ("never-true", [rule("count(worker_up) == 0")], "count(worker_up) == 0"),
    ("never-true", [rule("rate(http_errors_total[5m]) < 0")], "< 0"),
    ("never-true", [rule("sum(worker_up == 0) > 0")], "sum(worker_up == 0) > 0"),
    ("never-true", [rule("worker_up > 5 and worker_up < 3")], "> 5 and"),
    ("never-true", [rule("5 < (worker_up < 3)")], "5 <"),
    ("never-true", [rule("absent(worker_up) == 0")], "absent"),
    ("always-true", [rule("increase(http_errors_total[5m]) >= 0")], ">= 0"),
    ("rate-over-gauge", [rule("rate(worker_up[5m]) > 1")], "rate(worker_up"),
    ("rate-over-gauge", [record("sum(http_errors_total)", "errors:sum"), rule("increase(errors:sum[5m]) > 1")], "increase(errors:sum"),
    ("delta-over-counter", [rule("delta(http_errors_total[5m]) > 1")], "delta("),
    ("short-range", [rule("rate(http_errors_total[45s]) > 1")], "[45s]"),
    ("short-range", [(PROM, "- job_name: work", "- {job_name: work, scrape_interval: 2m}"), rule('rate(http_errors_total{job="work"}[5m]) > 1')], 'job="work"'),
    ("unguarded-ratio", [record("rate(http_errors_total[5m]) / rate(http_requests_total[5m])")], "/ rate("),
    ("unguarded-ratio", [rule("avg(rate(http_errors_total[5m]) / rate(http_requests_total[5m])) > 0.1")], "avg("),
    ("unguarded-ratio", [rule("rate(http_errors_total[5m]) / rate(http_requests_total[5m]) != 1")], "!= 1"),
    ("duplicate-alert", [(R, "", "      - alert: WorkerDown\n        expr: (worker_up) == 0\n        labels: {team: work, severity: warning}\n        annotations: {summary: It is, runbook: https://runbooks.example.com/worker-down}\n")], "- alert: WorkerDown"),
    ("duplicate-record", [record("vector(1)"), record("vector(2)")], "a:b"),
    ("for-off-beat", [(R, "for: 1m", "for: 50s"), (P, "web: {for: 1m", "web: {for: 50s")], "for: 50s"),
    ("interval-off-beat", [(R, "- name: web", "- name: web\n    interval: 20s")], "- record"),
    ("lost-label", [(R, "'All workers of {{ $labels.job }}", "'All of {{ $labels.worker }}")], "max by (job)"),
    ("lost-label", [rule('sum(worker_up) > 1', more="") , (R, "labels: {severity: warning, team: x}", "labels: {severity: '{{ .Labels.zone }}', team: x}")], "sum(worker_up)"),
    ("no-summary", [(R, "          summary: 'Worker {{ $labels.worker }} is down'\n", "")], "- alert: WorkerDown"),
    ("no-runbook", [(R, "          runbook: https://runbooks.example.com/worker-down\n", "")], "- alert: WorkerDown"),
    ("no-runbook-file", [(R, "com/worker-down", "com/worker-gone")], "annotations:"),
    ("unreachable-route", [(A, "      receiver: work\n", '      receiver: work\n    - matchers: [team=~"web|work"]\n      receiver: everybody\n')], '"web|work"'),
    ("unreachable-route", [(A, '[team="work"]', '[team="work", team!="work"]')], 'team!="work"'),
    ("unreachable-route", [(A, "      receiver: work\n", '      receiver: work\n      routes:\n        - matchers: [team="web"]\n')], '- matchers: [team="web"]'),
    ("unused-receiver", [(A, "      receiver: web\n", "      receiver: work\n")], "- name: web"),
    ("group-wait-longer", [(A, "group_wait: 30s", "group_wait: 6m")], "group_wait: 6m"),
    ("repeat-off-beat", [(A, "repeat_interval: 4h", "repeat_interval: 1h2m")], "repeat_interval: 1h2m"),
    ("resolved-off", [(P, "  everybody: {recipients: [ops@example.com], resolved: true}\n", ""), (A, "        send_resolved: true\n", "")], "email_configs"),
    ("matcher-without-alert", [(A, 'alertname="WorkerDown"', 'alertname="WorkerDwn"')], "- source_matchers"),
    ("second-document", [(R, "", "---\ngroups: []\n")], "---"),
    ("second-document", [(A, "", "--- {}\n")], "---"),
    ("inhibition-never-equal", [(A, "equal: [job]", "equal: [worker]")], "equal: [worker]"),
    ("inhibition-never-equal", [(A, "equal: [job]", "equal: [severity]")], "equal: [severity]"),
    ("inhibition-without-alert", [(A, 'alertname="WorkerDown"', 'team="nobody"')], "- source_matchers"),
    ("inhibition-of-itself", [(A, 'target_matchers: [alertname="WorkerDown"]', 'target_matchers: [alertname="AllWorkersDown"]')], "- source_matchers"),
    ("inhibition-circle", [(A, "receivers:\n", '  - source_matchers: [alertname="WorkerDown"]\n    target_matchers: [alertname="AllWorkersDown"]\nreceivers:\n')], "- source_matchers"),
    ("promise-unknown-alert", [(P, "", "  Nothing:\n    notices:\n      web: {for: 1m, group_wait: 10s, repeat: 4h}\n")], "web: {for: 1m"),
    ("promise-unknown-alert", [(P, "", "  Nothing: {appears: 1m}\n")], ""),
    ("promise-unknown-receiver", [(P, "  web: {resolved: true}", "  web: {resolved: true}\n  nobody: {resolved: true}")], "nobody"),
    ("not-promised", [(P, "  WorkerDown:\n    notices:\n      work: {for: 2m, group_wait: 30s, repeat: 4h}\n", "")], "- alert: WorkerDown"),
    ("not-promised", [(A, "      group_wait: 10s\n", "      group_wait: 10s\n      continue: true\n    - matchers: [severity=\"critical\"]\n      receiver: everybody\n")], "- alert: ManyErrors"),
    ("promise-not-routed", [(A, '[team="web"]', '[team="webb"]')], "web: {for"),
    ("promise-for", [(P, "web: {for: 1m", "web: {for: 3m")], "web: {for: 3m"),
    ("promise-group-wait", [(A, "      group_wait: 10s\n", "      group_wait: 20s\n")], "web: {for"),
    ("promise-repeat", [(A, "repeat_interval: 4h", "repeat_interval: 2h")], "repeat: 4h"),
    ("promise-recipients", [(P, "everybody: {recipients: [ops@example.com]", "everybody: {recipients: [you@example.com]")], "everybody"),
    ("unlike-its-like", [(R, "labels: {severity: warning, team: work}", "labels: {severty: warning, team: work}")], "labels:"),
    ("unlike-its-like", [(R, "labels: {severity: warning, team: work}", "labels: {severity: warning}")], "labels:"),
    ("unlike-its-like", [(R, "labels: {severity: warning, team: work}", "labels: {severity: warning, Team: work}")], "labels:"),
    ("unlike-its-like", [rule("worker_up == 1")], "team: x"),
    ("promise-resolved", [(A, "        send_resolved: true\n", "")], "everybody"),
    ("promise-resolved", [(P, "web: {resolved: true}", "web: {resolved: false}")], "web:"),
    ("promise-to-nobody", [(A, "    webhook_configs:\n      - url: http://localhost:9/\n", "")], "- name: web"),
    ("promise-integration", [(P, "web: {resolved: true}", "web: {resolved: true, integrations: [webhook, slack]}")], "web:"),
    ("promise-runbook", [(R, "runbook: https://runbooks.example.com/worker-down", "runbook: https://example.com/worker-down")], "annotations:"),
    ("promise-unknown-alert", [down("muted_by: [Nothing]")], "muted_by:"),
    ("promise-unknown-receiver", [down("phone: {nobody: 1h}")], "phone:"),
    ("promise-labels", [down("labels: {severity: critical}")], "labels:"),
    ("promise-labels", [down("labels: {severity: warning, zone: a}")], "labels:"),
    ("promise-labels", [down("labels: {severity: warning}"), (R, "worker_up == 0\n        for: 2m\n        labels: {severity: warning, ", "worker_up == 0\n        for: 2m\n        labels: {")], "labels:"),
    ("promise-phone", [down("phone: {work: 3m9s}")], "phone:"),
    ("promise-phone", [down("phone: {work: 3m10s}"), (PROM, "scrape_interval: 15s", "scrape_interval: 16s")], "phone:"),
    ("promise-phone", [down("phone: {web: 1h}")], "phone:"),
    ("promise-all-clear", [down("all_clear: {work: 5m39s}")], "all_clear:"),
    ("promise-all-clear", [down("all_clear: {work: 1h}"), (A, "  - name: work\n    email_configs:\n      - to: ops@example.com\n        send_resolved: true\n", "  - name: work\n    email_configs:\n      - to: ops@example.com\n")], "all_clear:"),
    ("promise-muted-by", [down("muted_by: []")], "muted_by:"),
    *(("promise-muted-within", [down(f"muted_within: [{labels}]")], "muted_within:") for labels in ("", "zone")),
    ("promise-muted-by", [down("muted_by: [AllWorkersDown, ManyErrors]")], "muted_by:"),
    ("promise-hours", [down("hours: always"), *NIGHTS], "hours:"),
    ("promise-hours", [down("hours: nights"), *NIGHTS, (A, "active_time", "mute_time")], "hours:"),
    ("promise-hours", [down("hours: nights")], "hours:"),
    ("interval-constant", interval("active", ""), "name: odd"),
    ("interval-constant", interval("mute", "{years: ['2020:2025']}"), "name: odd"),
    ("interval-constant", interval("mute", "{weekdays: ['sunday:monday']}, {weekdays: ['tuesday:saturday']}"), "name: odd"),
    ("interval-constant", [*interval("mute", "{weekdays: [monday]}"), (A, "      mute_time_intervals: [odd]\n", "      mute_time_intervals: [odd]\n      active_time_intervals: [odd]\n")], "- matchers"),
    ("promise-group-interval", [(P, "work: {for: 2m,", "work: {group_interval: 4m, for: 2m,")], "group_interval: 4m"),
    ("promise-grouped-by", [(P, "work: {for: 2m,", "work: {grouped_by: [alertname, worker], for: 2m,")], "grouped_by:"),
    ("promise-grouped-by", [(P, "work: {for: 2m,", "work: {grouped_by: [...], for: 2m,")], "grouped_by:"),
    ("promise-scrape", [(P, "alerts:\n", "jobs: {web: {scrape: 30s}}\nalerts:\n")], "jobs:"),
    ("promise-scrape", [(P, "alerts:\n", "jobs: {wed: {scrape: 15s}}\nalerts:\n")], "jobs:"),
    ("promise-scrape", [(P, "alerts:\n", "jobs: {web: {scrape: 15s, timeout: 9s}}\nalerts:\n")], "jobs:"),
    ("promise-interval", [(P, "alerts:\n", "groups: {web: {interval: 1m}}\nalerts:\n")], "groups:"),
    ("promise-interval", [(P, "alerts:\n", "groups: {wed: {interval: 15s}}\nalerts:\n")], "groups:"),
    ("promise-address", [(P, "web: {resolved: true}", "web: {resolved: true, at: ['http://localhost:99/']}")], "web:"),
    ("promise-address", [(P, "  work: {", "  work: {at: ['localhost:25', 'localhost:26'], ")], "work:"),
    ("promise-address", [(P, "web: {resolved: true}", "web: {resolved: true, at: ['http://localhost:9/', 'http://localhost:99/']}"), PAGED], "web:"),
    ("promise-address", [(P, "web: {resolved: true}", "web: {resolved: true, at: ['https://events.pagerduty.com/v2/enqueue']}"), PAGED], "web:"),
    ("no-alertmanager", [(PROM, ALERTING, "")], ""),
    ("no-alertmanager", [(PROM, ALERTING, "alerting: {alertmanagers: []}\n")], "alerting:"),
    ("alertmanager-untold", [scraped("alertmanager", "localhost:9093', 'am-2:9093")], "am-2"),
    ("promise-alertmanagers", [(P, "alerts:\n", "alertmanagers: ['am-1:9093']\nalerts:\n")], "alertmanagers:"),
    ("promise-alertmanagers", [(P, "alerts:\n", "alertmanagers: ['localhost:9093', 'am-2:9093']\nalerts:\n")], "alertmanagers:"),
    ("promise-targets", [(P, "alerts:\n", "jobs: {shop: {scrape: 15s, at: ['shop:9091']}}\nalerts:\n"), scraped("shop", "shop:9092")], "jobs:"),
    ("promise-targets", [(P, "alerts:\n", "jobs: {shop: {scrape: 15s, at: ['shop:9091']}}\nalerts:\n"), (PROM, "", SHOP.replace("]}\n", "], static_configs: [{targets: ['evil:1']}]}\n"))], "jobs:"),
    ("promise-alertmanagers", [(P, "alerts:\n", "alertmanagers: ['am-1:9093']\nalerts:\n"), (PROM, "static_configs: [{targets: ['localhost:9093']}]", "static_configs: [{targets: ['evil:1']}], dns_sd_configs: [{names: [am.example.com]}]")], "alertmanagers:"),
    *(
        ("promise-job-labels", [(P, "alerts:\n", f"jobs: {{shop: {{scrape: 15s, labels: [{labels}]}}}}\nalerts:\n"), LABELLED], "jobs:")
        for labels in ("zone", "zone, stage, team")
    ),
    ("target-twice", [scraped("shop", "localhost:9100"), scraped("cart", "127.0.0.1:9100")], "127.0.0.1:9100"),
    ("target-without-port", [scraped("shop", "shop.example.com")], "shop.example.com"),
    ("target-without-port", [(PROM, "localhost:9093", "https://am.example.com")], "am.example.com"),
    ("replica-on-alerts", [external("replica: a")], "external_labels"),
    ("mail-without-tls", [(A, "smtp_smarthost: 'localhost:25'", "smtp_require_tls: false, smtp_smarthost: 'mail.example.com:25'")], "smtp_require_tls"),
    ("mail-without-tls", [(A, "        send_resolved: true\n", "        send_resolved: true\n        smarthost: 'mail.example.com:25'\n        require_tls: false\n")], "require_tls: false"),
    ("certificate-unchecked", [(A, "      - url: http://localhost:9/\n", "      - url: http://localhost:9/\n        http_config: {tls_config: {insecure_skip_verify: true}}\n")], "insecure"),
    ("certificate-unchecked", [(PROM, "- job_name: web", "- {job_name: web, tls_config: {insecure_skip_verify: true}}")], "job_name: web"),
    ("relabelling-drops-alert", [relabelled("{source_labels: [team], regex: work, action: drop}")], "action: drop"),
    ("relabelling-loses-label", [relabelled("{regex: team, action: labeldrop}")], "labeldrop"),
    ("relabelling-loses-label", [relabelled("{regex: 'alertname|severity', action: labelkeep}")], "labelkeep"),
    ("relabelling-drops-metric", [of_job("{source_labels: [__name__], regex: '.+', action: drop}")], "action: drop"),
    ("relabelling-drops-metric", [(PROM, "  - job_name: work\n", ""), of_job("{source_labels: [__name__], regex: 'worker_.+', action: drop}")], "worker_.+"),
    ("reads-other-group", [OTHER_GROUP], "- alert: ManyErrors"),
    ("inhibition-equal-absent", [(A, "equal: [job]", "equal: [job, zone]"), (R, "max by (job)", "max by (job)"), (R, "worker_up == 0\n", "sum by (job) (worker_up) == 0\n")], "equal:"),
    ("scenario-unknown-alert", [(S, "  - alert: WorkerDown\n    from: kill", "  - alert: WorkerDwn\n    from: kill"), (S, "control: kill", "control: elsewhere")], "WorkerDwn"),
    ("scenario-fault", [(S, "inject: process.kill", "inject: process.kil")], "inject: process.kil"),
    ("scenario-fault", [(S, "target: {role: worker}", "target: {role: worker}\n    with: {hlod: true}")], "inject: process.kill"),
    ("scenario-plan", [(S, "target: {role: worker}", "target: {role: worker, count: 9}")], "inject: process.kill"),
    ("scenario-plan", [("profile", "process: worker", "process: NONSENSE")], "handles:"),
    ("scenario-unknown-handle", [(S, "target: {role: worker}", "target: {role: wroker}")], "inject: process.kill"),
    ("scenario-unknown-alert", [("profile", "target: local", "target: local\nstanding: [Watchdog]")], "chaoskit: 1"),
    ("scenario-labels", [(S, "notifies: [work]", "notifies: [work]\n    labels: {severity: critical}")], "- alert: WorkerDown"),
    ("scenario-not-routed", [(S, "notifies: [work]", "notifies: [web]")], "- alert: WorkerDown"),
    ("scenario-not-promised", [(S, "notifies: [work]", "notifies: [everybody]")], "- alert: WorkerDown"),
    ("scenario-not-muted", [(S, "suppressed_by: AllWorkersDown", "suppressed_by: ManyErrors")], "- alert: WorkerDown"),
    ("level-near-threshold", [rule("worker_up > 100"), (S, "target: {role: worker}", "target: {role: worker}\n    with: {level: 95}"), (S, "  - alert: AllWorkersDown", "  - {alert: Extra, from: kill, notifies: {everybody: {within: 9m}}}\n  - alert: AllWorkersDown")], "inject: process.kill"),
    ("scenario-not-muted", silencing("team=web"), "- alert: WorkerDown"),
    ("scenario-control", [(S, "control: kill", "control: elsewhere")], "- alert: WorkerDown"),
    ("level-near-threshold", [(S, "target: {role: worker}", "target: {role: worker}\n    with: {ratio: 5%}"), (S, "  - alert: AllWorkersDown", "  - {alert: ManyErrors, from: kill}\n  - alert: AllWorkersDown")], "inject: process.kill"),
    ("no-runbook-file", [(S, "title: Something", "runbook: nothing\ntitle: Something")], "chaoskit: 1"),
    ("scenario-missing-receiver", [(A, "      receiver: work\n", "      receiver: work\n      continue: true\n    - matchers: [severity=\"warning\"]\n      receiver: web\n")], "- alert: WorkerDown"),
    ("not-yet-promised", [(P, "alerts:\n", "alerts:\n  # computed, not promised yet\n")], "web: {for"),
    ("not-yet-promised", [], "web: {for"),
    ("untested-alert", [], "- alert: ManyErrors"),
    ("untested-route", [], '- matchers: [team="web"]'),
    ("untested-receiver", [], "- name: web"),
    ("untested-inhibition", [(S, "  - alert: WorkerDown\n    from: rest\n    suppressed_by: AllWorkersDown\n    control: kill\n", "")], "- source_matchers"),
]  # fmt: skip

# id, changes: each comes near the fault and is none
HARMLESS: list[tuple[str, list[Edit]]] = [
    ("unlike-its-like", []),
    ("unlike-its-like", [(R, "worker_up == 0\n        for: 2m\n        labels: {severity: warning, team: work}", "worker_up{team=~'.+'} == 0\n        for: 2m\n        labels: {severity: warning}")]),
    ("unlike-its-like", [(R, "labels: {severity: warning, team: work}", "labels: {severity: warning, team: work, area: x}")]),
    ("unlike-its-like", [(R, "labels: {severity: warning, team: work}", "labels: {severity: info, team: work}")]),
    ("unknown-metric", [rule("up == 0"), rule('ALERTS{alertstate="firing"} == 1', "Second"), rule("'{__name__=~\"http_.+\"} > 1'", "Third")]),
    ("unknown-metric", [(M, "", "process_*\n"), rule("process_cpu_seconds_total > 1")]),
    ("fires-always", [rule("absent(worker_up)"), rule("worker_up unless on (job) http_requests_total", "B"), rule("vector(1)", "Heartbeat"), rule('ALERTS{alertstate="firing"}', "C")]),
    ("fires-always", [record("worker_up == 0", "workers:down"), rule("workers:down")]),
    ("never-true", [rule("count(worker_up == 0) > 0"), rule("(count(worker_up) or vector(0)) == 0", "B"), rule("worker_up > 3 and worker_up < 5", "C"), rule("-rate(http_errors_total[5m]) < 0", "D")]),
    ("always-true", [rule("increase(http_errors_total[5m]) > 0"), rule("count(worker_up == 0) >= 1", "B"), rule("absent(worker_up) == 1", "C")]),
    ("rate-over-gauge", [(M, "", "node_vmstat_oom_kill\n"), rule("increase(node_vmstat_oom_kill[5m]) > 0"), record("max_over_time(worker_up[5m])", "x:y")]),
    ("delta-over-counter", [rule("delta(worker_up[5m]) > 1"), rule("deriv(worker_up[5m]) > 1", "B")]),
    ("short-range", [rule("rate(http_errors_total[1m]) > 1"), rule("max_over_time(worker_up[15s]) > 1", "B")]),
    ("unguarded-ratio", [rule("rate(http_errors_total[5m]) / rate(http_requests_total[5m]) > 0.1"), record("worker_up / worker_up"), record("rate(http_errors_total[5m]) / clamp_min(rate(http_requests_total[5m]), 1)", "c:d"), rule("max(rate(http_errors_total[5m]) / rate(http_requests_total[5m])) > 1", "C")]),
    ("duplicate-alert", [rule("worker_up == 0", "WorkerDown")]),
    ("duplicate-record", [record("vector(1)"), (R, "", "      - record: a:b\n        expr: vector(2)\n        labels: {kind: other}\n")]),
    ("for-off-beat", [(R, "for: 1m", "for: 45s"), (P, "web: {for: 1m", "web: {for: 45s")]),
    ("interval-off-beat", [(R, "- name: web", "- name: web\n    interval: 30s")]),
    ("lost-label", [(R, "'All workers of {{ $labels.job }}", "'{{ if $labels.worker }}{{ $labels.worker }}{{ end }} {{ range query `worker_up` }}{{ .Labels.worker }}{{ end }}")]),
    ("no-summary", [(R, "summary: 'Worker {{ $labels.worker }} is down'", "message: 'Worker {{ $labels.worker }} is down'")]),
    ("no-runbook", [(R, "runbook: https://runbooks.example.com/worker-down", "runbook_url: https://runbooks.example.com/worker-down")]),
    ("no-runbook-file", [(R, "com/worker-down", "com/worker-down.md#steps"), (R, "com/many-errors", "com/{{ $labels.job }}")]),
    ("unreachable-route", [(A, "      group_wait: 10s\n", "      group_wait: 10s\n      continue: true\n"), (A, "      receiver: work\n", '      receiver: work\n    - matchers: [team=~"web|work|rest"]\n      receiver: everybody\n')]),
    ("unused-receiver", [(A, "  receiver: everybody\n", "  receiver: web\n"), (A, "      receiver: work\n", "      receiver: work\n    - matchers: [team=\"rest\"]\n      receiver: everybody\n")]),
    ("group-wait-longer", [(A, "group_wait: 30s", "group_wait: 5m")]),
    ("repeat-off-beat", [(A, "repeat_interval: 4h", "repeat_interval: 65m")]),
    ("resolved-off", [(P, "  web: {resolved: true}\n", "")]),
    ("matcher-without-alert", [(A, 'alertname="WorkerDown"', 'alertname=~"Worker.*"'), (A, '[team="web"]', '[team="web", alertname!="Gone"]')]),
    ("never-true", [rule("rate(worker_jobs_total[1d]) == 0 and rate(worker_jobs_total[1d] offset 1d) > 0")]),
    ("never-true", [rule("rate(worker_jobs_total[5m:]) == 0 and rate(worker_jobs_total[5m:] offset 1h) > 0")]),
    ("never-true", [rule("worker_up == 0 and worker_up offset -5m == 1")]),
    ("second-document", [(R, "", "# ---\n...\n"), (A, "", "...\n")]),
    ("inhibition-never-equal", [(A, "equal: [job]", "equal: [team, job]")]),
    ("inhibition-without-alert", [(A, 'alertname="WorkerDown"', 'worker="3"')]),
    ("inhibition-of-itself", [(A, 'alertname="AllWorkersDown"', 'severity=~"critical|warning"'), (A, "equal: [job]", "equal: [job, team]")]),
    ("inhibition-circle", [(A, "receivers:\n", '  - source_matchers: [alertname="WorkerDown"]\n    target_matchers: [alertname="ManyErrors"]\nreceivers:\n')]),
    ("inhibition-circle", [(A, 'source_matchers: [alertname="AllWorkersDown"]\n    target_matchers: [alertname="WorkerDown"]', 'source_matchers: [team="work"]\n    target_matchers: [team="work"]')]),
    ("promise-unknown-alert", [(P, "  WorkerDown:\n", "  WorkerDown:\n    appears: 1m\n")]),
    ("promise-unknown-receiver", [(P, "  web: {resolved: true}\n", "")]),
    ("not-promised", [(A, "      group_wait: 10s\n", "      group_wait: 10s\n      continue: true\n    - matchers: [zone=\"a\"]\n      receiver: everybody\n")]),
    ("promise-not-routed", [(A, '[team="web"]', '[team=~"we.+"]'), (A, '[team="work"]', '[job="work"]')]),
    ("promise-for", [(R, "for: 2m\n        labels: {severity: warning", "for: 119s\n        labels: {severity: warning")]),
    ("promise-group-wait", [(A, "      group_wait: 10s\n", "      group_wait: 10s\n      continue: true\n    - matchers: [severity=\"critical\", team=\"web\"]\n      receiver: web\n      group_wait: 1m\n")]),
    ("promise-repeat", [(A, "repeat_interval: 4h", "repeat_interval: 240m")]),
    ("promise-recipients", [(A, "to: ops@example.com", "to: '{{ template \"to\" . }}'"), (P, "work: {recipients: [ops@example.com], ", "work: {")]),
    ("promise-resolved", [(A, "        send_resolved: true\n", ""), (P, "everybody: {recipients: [ops@example.com], resolved: true}", "everybody: {recipients: [ops@example.com], resolved: false}")]),
    ("promise-to-nobody", [(A, "receivers:\n", "  # none\nreceivers:\n  - name: nowhere\n"), (A, "      receiver: work\n", "      receiver: work\n    - matchers: [severity=\"none\"]\n      receiver: nowhere\n")]),
    ("promise-integration", [(P, "web: {resolved: true}", "web: {resolved: true, integrations: [webhook]}")]),
    ("promise-labels", [down("labels: {severity: warning, team: work, zone: a}"), (R, "{severity: warning, team: work}", "{severity: warning, team: work, zone: '{{ $labels.zone }}'}")]),
    ("promise-phone", [down("phone: {work: 3m10s}")]),
    ("promise-all-clear", [down("all_clear: {work: 5m40s}")]),
    ("promise-muted-by", [down("muted_by: [AllWorkersDown]")]),
    ("promise-muted-within", [down("muted_within: [job]")]),
    ("promise-hours", [down("hours: nights"), *NIGHTS]),
    ("promise-hours", [down("hours: always")]),
    ("promise-hours", [down("hours: days"), *interval("mute", "{times: [{start_time: '00:00', end_time: '06:00'}]}"), (A, "time_intervals:\n", "time_intervals:\n  - {name: days, time_intervals: [{times: [{start_time: '06:00', end_time: '24:00'}]}]}\n")]),
    ("interval-constant", interval("mute", "{years: ['2025:2026']}")),
    ("interval-constant", interval("active", "{weekdays: ['sunday:monday']}, {weekdays: ['wednesday:saturday']}")),
    ("interval-constant", [*interval("mute", "{weekdays: [monday]}"), (A, "receivers:\n", "  - {name: nowhere}\nreceivers:\n")]),
    ("promise-group-interval", [(P, "work: {for: 2m,", "work: {group_interval: 300s, for: 2m,")]),
    ("promise-grouped-by", [(P, "work: {for: 2m,", "work: {grouped_by: [alertname], for: 2m,")]),
    ("promise-scrape", [(P, "alerts:\n", "jobs: {web: {scrape: 15s}}\nalerts:\n")]),
    ("promise-scrape", [(P, "alerts:\n", "jobs: {web: {scrape: 15s, timeout: 10s}}\nalerts:\n")]),
    ("promise-interval", [(P, "alerts:\n", "groups: {web: {interval: 15s}}\nalerts:\n")]),
    ("promise-address", [(P, "web: {resolved: true}", "web: {resolved: true, at: ['http://localhost:9/']}"), (P, "  work: {", "  work: {at: ['localhost:25'], ")]),
    ("promise-address", [(P, "web: {resolved: true}", "web: {resolved: true, at: ['http://localhost:9/']}"), PAGED]),
    ("promise-address", [(P, "web: {resolved: true}", "web: {resolved: true, at: ['http://localhost:9/', 'https://events.pagerduty.com/v2/enqueue']}"), PAGED]),
    ("promise-address", [(P, "web: {resolved: true}", "web: {resolved: true, at: ['http://localhost:9/']}"), (A, "      - url: http://localhost:9/\n", "      - url: http://localhost:9/\n      - url_file: /etc/url\n")]),
    ("promise-runbook", [(P, "runbook: https://runbooks.example.com/\n", ""), (R, "runbook: https://runbooks.example.com/worker-down", "runbook: https://example.com/worker-down")]),
    ("no-alertmanager", [(PROM, "static_configs: [{targets: ['localhost:9093']}]", "dns_sd_configs: [{names: [am.example.com]}]")]),
    ("alertmanager-untold", [scraped("alertmanager", "127.0.0.1:9093")]),
    ("alertmanager-untold", [scraped("node", "am-2:9093")]),
    ("alertmanager-untold", [scraped("alertmanager", "am-2:9093"), (PROM, "static_configs: [{targets: ['localhost:9093']}]", "dns_sd_configs: [{names: [am.example.com]}]")]),
    ("promise-alertmanagers", [(P, "alerts:\n", "alertmanagers: ['127.0.0.1:9093']\nalerts:\n")]),
    ("promise-targets", [(P, "alerts:\n", "jobs: {shop: {scrape: 15s, at: ['shop:9091', 'cart:80']}}\nalerts:\n"), scraped("shop", "cart', 'shop:9091")]),
    ("promise-job-labels", [(P, "alerts:\n", "jobs: {shop: {scrape: 15s, labels: [zone, stage]}}\nalerts:\n"), LABELLED]),
    ("target-twice", [scraped("shop", "localhost:9100"), scraped("cart", "localhost:9101")]),
    ("target-twice", [scraped("shop", "localhost:9100"), (PROM, "", "  - {job_name: probe, metrics_path: /probe, static_configs: [{targets: ['localhost:9100']}]}\n")]),
    ("target-without-port", [scraped("shop", "shop:9100"), (PROM, "", "  - {job_name: probe, relabel_configs: [{target_label: __address__, replacement: 'probe:9115'}], static_configs: [{targets: [shop.example.com]}]}\n")]),
    ("replica-on-alerts", [external("replica: a"), relabelled("{regex: replica, action: labeldrop}")]),
    ("replica-on-alerts", [external("environment: a")]),
    ("mail-without-tls", [(A, "smtp_smarthost: 'localhost:25'", "smtp_require_tls: false, smtp_smarthost: 'localhost:25'")]),
    ("mail-without-tls", [(A, "smtp_smarthost: 'localhost:25'", "smtp_smarthost: 'mail.example.com:25'")]),
    ("certificate-unchecked", [(A, "      - url: http://localhost:9/\n", "      - url: http://localhost:9/\n        http_config: {tls_config: {insecure_skip_verify: false}}\n")]),
    ("relabelling-drops-alert", [relabelled("{source_labels: [zone], regex: work, action: drop}")]),
    ("relabelling-loses-label", [relabelled("{regex: worker, action: labeldrop}")]),
    ("relabelling-loses-label", [relabelled("{source_labels: [team], target_label: team, replacement: $1}")]),
    ("relabelling-drops-metric", [of_job("{source_labels: [__name__], regex: 'worker_.+', action: drop}")]),
    ("relabelling-drops-metric", [of_job("{source_labels: [__name__], regex: 'go_.+', action: drop}"), (PROM, "  - job_name: work\n", "")]),
    ("reads-other-group", []),
    ("inhibition-equal-absent", [(A, "equal: [job]", "equal: [job, zone]")]),
    ("scenario-unknown-alert", [(S, "", "allow:\n  - {alert: ManyErrors, because: it may}\n")]),
    ("scenario-fault", [(S, "target: {role: worker}", "target: {role: worker}\n    with: {hold: true}")]),
    ("scenario-plan", [(S, "target: {role: worker}", "target: {role: worker, count: 2}")]),
    ("scenario-unknown-handle", [(S, "target: {role: worker}", "target: {equipment: prometheus}")]),
    ("scenario-labels", [(S, "notifies: [work]", "notifies: [work]\n    labels: {severity: warning, worker: w1}")]),
    ("scenario-not-routed", [(S, "notifies: [work]", "notifies: {work: promised, web: never}")]),
    ("scenario-not-promised", [(S, "notifies: [work]", "notifies: {work: {within: 3m}}")]),
    ("scenario-not-muted", [(A, "equal: [job]", "equal: [job, zone]"), (R, "max by (job)", "max by (job, zone)")]),
    ("scenario-not-muted", silencing("team=work, worker=w1")),
    ("scenario-control", [(S, "suppressed_by: AllWorkersDown\n    control: kill\n", "labels: {team: work}\n")]),
    ("level-near-threshold", [rule("worker_up > 100"), (S, "target: {role: worker}", "target: {role: worker}\n    with: {level: 120, count: 100}"), (S, "  - alert: AllWorkersDown", "  - {alert: Extra, from: kill, notifies: {everybody: {within: 9m}}}\n  - alert: AllWorkersDown")]),
    ("scenario-missing-receiver", [(A, "      receiver: work\n", "      receiver: work\n      continue: true\n    - matchers: [zone=\"a\"]\n      receiver: web\n")]),
    ("scenario-missing-receiver", [(A, "      receiver: work\n", "      receiver: work\n      continue: true\n    - matchers: [severity=\"warning\"]\n      receiver: web\n"), (S, "notifies: [work]", "notifies: {work: promised, web: never}")]),
    ("not-yet-promised", [(P, "alerts:\n", "# decided here: by the people on call\nalerts:\n")]),
    ("untested-alert", [(S, "  - alert: AllWorkersDown", "  - {alert: ManyErrors, from: kill}\n  - alert: AllWorkersDown")]),
    ("untested-route", [(S, "  - alert: AllWorkersDown", "  - {alert: ManyErrors, from: kill}\n  - alert: AllWorkersDown"), (A, '    - matchers: [team="web"]\n      receiver: web\n      group_wait: 10s\n    - matchers: [team="work"]\n      receiver: work\n', ""), (P, "web: {for: 1m, group_wait: 10s", "everybody: {for: 1m, group_wait: 30s"), (P, "      work: {", "      everybody: {"), (P, "      work: {", "      everybody: {"), (S, "notifies: [work]", "notifies: [everybody]")]),
    ("untested-receiver", [(S, "  - alert: AllWorkersDown", "  - {alert: ManyErrors, from: kill}\n  - alert: AllWorkersDown"), (A, "  receiver: everybody\n", "  receiver: work\n"), (A, "  - name: everybody\n    email_configs:\n      - to: ops@example.com\n        send_resolved: true\n", "")]),
    ("untested-inhibition", []),
]  # fmt: skip


@pytest.mark.parametrize(("id_", "edits", "at"), FAULTS, ids=[f"{c[0]}-{i}" for i, c in enumerate(FAULTS)])
def test_a_fault_is_found_where_it_stands(id_: str, edits: list[Edit], at: str) -> None:
    mine = [each for each in found(edits) if each.id == id_]
    assert mine
    assert any(at in line_of(edits, each) for each in mine), [str(each.place) for each in mine]
    assert not id_.startswith("promise-") or LINTS[id_].severity in {each.severity for each in mine}
    assert all(each.message and each.todo and each.why.endswith(".") for each in mine)


@pytest.mark.parametrize(("id_", "edits"), HARMLESS, ids=[f"{c[0]}-{i}" for i, c in enumerate(HARMLESS)])
def test_what_only_looks_like_a_fault_is_left_alone(id_: str, edits: list[Edit]) -> None:
    assert [each for each in found(edits) if each.id == id_] == []


UNSEEN: list[tuple[str, list[Edit], str]] = [
    ("promise-address", [(P, "web: {resolved: true}", "web: {resolved: true, at: ['http://localhost:9/']}"), (A, "url: http://localhost:9/", "url_file: /etc/url")], "web:"),
    ("promise-address", [(P, "web: {resolved: true}", "web: {resolved: true, at: ['http://localhost:9/', 'https://sns.example.com/']}"), (PAGED[0], PAGED[1], PAGED[2].replace("pagerduty_configs: [{routing_key: x}]", "sns_configs: [{topic_arn: 'arn:x', sigv4: {region: x}}]"))], "web:"),
    ("promise-address", [(P, "web: {resolved: true}", "web: {resolved: true, at: ['http://localhost:9/', 'https://hooks.example.com/']}"), (A, PAGED[1], PAGED[1] + "    slack_configs: [{api_url_file: /etc/url}]\n"), (A, "global: {", "global: {slack_api_url: 'https://slack.example.com/', ")], "web:"),
    ("promise-targets", [(P, "alerts:\n", "jobs: {shop: {scrape: 15s, at: ['shop:9091']}}\nalerts:\n"), (PROM, "", SHOP)], "jobs:"),
    ("promise-job-labels", [(P, "alerts:\n", "jobs: {shop: {scrape: 15s, labels: [zone]}}\nalerts:\n"), (PROM, "", SHOP)], "jobs:"),
    ("promise-alertmanagers", [(P, "alerts:\n", "alertmanagers: ['am-1:9093']\nalerts:\n"), (PROM, "static_configs: [{targets: ['localhost:9093']}]", "dns_sd_configs: [{names: [am.example.com]}]")], "alertmanagers:"),
]  # fmt: skip


@pytest.mark.parametrize(("id_", "edits", "at"), UNSEEN, ids=[f"{c[0]}-{i}" for i, c in enumerate(UNSEEN)])
def test_a_promise_that_the_text_neither_keeps_nor_breaks_is_a_warning_and_no_silence(
    id_: str, edits: list[Edit], at: str
) -> None:
    """What is discovered, or stands in a file, nothing that only reads can compare."""
    (mine,) = (each for each in found(edits) if each.id == id_)
    assert mine.severity is Severity.WARNING
    assert "not compared with the promise, since " in mine.message
    assert at in line_of(edits, mine)


@pytest.mark.parametrize("id_", ["promtool", "amtool", "template-fails", "not-understood"])
def test_what_a_program_says_is_a_finding_and_its_silence_is_none(id_: str) -> None:
    how_bad = Severity.WARNING if id_ == "not-understood" else Severity.ERROR
    assert [(each.id, each.severity) for each in found([], **said(id_)) if each.id == id_] == [(id_, how_bad)]
    assert not [each for each in found([]) if each.id == id_]


def test_an_equal_label_that_every_scrape_adds_and_a_recorded_ratio_lacks_is_an_error() -> None:
    """Of the shipped configuration: CircuitBreakerOpen carries `instance`, HighErrorRate reads a sum without it."""
    config = load_config(bundle.folder())
    rules = config.inhibit_rules
    assert not [*LINTS["inhibition-never-equal"].find(LintContext(config))]
    for number, rule_ in enumerate(rules):
        changed = replace(rule_, equal=(*rule_.equal, "instance"))
        config_ = replace(config, inhibit_rules=(*rules[:number], changed, *rules[number + 1 :]))
        found_ = [*LINTS["inhibition-never-equal"].find(LintContext(config_))]
        assert [each.severity for each in found_] == ([Severity.ERROR] if number < 3 else []), number


def test_a_label_that_its_like_bear_says_who_hears_of_the_alert_without_it(tmp_path: Path) -> None:
    """Where nearly all rules of the file bear it, by a name that is nearly the same."""
    rules, routes = tmp_path / "rules.yml", tmp_path / "am.yml"
    rule_ = "- {{alert: {0}Down, expr: {1}_up == 0, for: 1m, labels: {{{2}: critical}}}}\n"
    written = [("Checkout", "checkout", "severty"), ("Cart", "cart", "severity"), ("Search", "search", "severity")]
    rules.write_text("groups:\n- name: shop\n  rules:\n" + "".join(f"  {rule_.format(*each)}" for each in written))
    routes.write_text(
        "route: {receiver: chat, routes: [{matchers: [severity=critical], receiver: pager}]}\n"
        "receivers: [{name: chat}, {name: pager}]\n"
    )
    config = load_config(rules=[str(rules)], alertmanager=routes)
    (said_,) = [each for each in check(LintContext(config)).findings if each.id == "unlike-its-like"]
    assert str(said_.place) == f"{rules}:4"
    assert said_.message == (
        '"severty" stands once and "severity" in every other rule; CheckoutDown has no severity,'
        " so it goes to chat where its like go to pager"
    )


def test_every_change_of_a_label_of_a_shipped_alert_is_noticed() -> None:
    """Each missing, misspelt, or with a value of its own; as they are, nothing is said."""
    config = load_config(bundle.folder())

    def noticed(*rules: Rule) -> bool:
        return any(LINTS["unlike-its-like"].find(LintContext(replace(config, rules=rules))))

    assert not noticed(*config.rules)
    missed = []
    for rule_ in (each for each in config.rules if each.alert):
        for label in ("severity", "component", "team"):
            rest = {name: value for name, value in rule_.labels.items() if name != label}
            value = rule_.labels[label]
            for labels in (rest, {**rest, f"{label}s": value}, {**rest, label: value[1:]}, {**rest, label: "zzz"}):
                if not noticed(*(replace(one, labels=labels) if one is rule_ else one for one in config.rules)):
                    missed.append((rule_.alert, labels))
    assert missed == []


def test_the_example_itself_has_no_warning() -> None:
    assert [str(each) for each in found([]) if each.severity > Severity.INFO] == []


def test_every_lint_has_a_case_in_which_it_speaks_and_one_in_which_it_does_not() -> None:
    programs = {"promtool", "amtool", "template-fails", "not-understood", "approved-texts"}
    # Those of service levels are test_sla_lints.py's, those of thresholds test_probes.py's.
    elsewhere = {"threshold-not-promised"}
    mine = {id_ for id_, one in LINTS.items() if one.topic not in ("levels", "thresholds")} - elsewhere
    assert {case[0] for case in FAULTS} | programs == mine
    assert {case[0] for case in HARMLESS} | programs == mine
