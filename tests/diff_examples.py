"""A small configuration of its own for explaining and comparing, and random ones whose alerts' labels are all known."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import strategies as st

from chaoskit.alerting.config import load_texts
from chaoskit.alerting.model import AlertConfig

PROMETHEUS = """\
global: {scrape_interval: 15s, evaluation_interval: 15s}
scrape_configs: [{job_name: crm}]
"""
RULES = """\
groups:
  - name: g
    rules:
      - record: ratio
        expr: sum(rate(errors_total[5m])) / sum(rate(requests_total[5m]))
      - alert: WorkerDown
        expr: count(worker_up == 0) > 0
        for: 1m
        labels: {severity: critical, component: worker}
        annotations: {summary: A worker is down}
      - alert: DiskLow
        expr: min(disk_free) < 0.1
        for: 5m
        labels: {severity: warning, component: system}
      - alert: Errors
        expr: sum(ratio) > 0.05
        labels: {severity: critical, component: api}
"""
ALERTMANAGER = """\
route:
  receiver: everybody
  group_by: [alertname]
  routes:
    - matchers: [severity="critical"]
      receiver: critical
      group_wait: 10s
      continue: true
    - matchers: [component="worker"]
      receiver: workers
inhibit_rules:
  - source_matchers: [alertname="WorkerDown"]
    target_matchers: [alertname="Errors"]
receivers:
  - name: everybody
    email_configs: [{to: all@example.com, send_resolved: true}]
  - name: critical
    webhook_configs: [{url: http://localhost/critical}]
  - name: workers
    email_configs: [{to: ops@example.com, send_resolved: true}]
"""
PROMISE = """\
chaoskit: 1
receivers:
  workers: {recipients: [ops@example.com], resolved: true}
alerts:
  WorkerDown: {notices: {workers: {for: 1m, group_wait: 30s, repeat: 4h}}}
"""


def config(rules: str = RULES, alertmanager: str = ALERTMANAGER, promise: str = PROMISE) -> AlertConfig:
    texts = {"prometheus:p.yml": PROMETHEUS, "rules:r.yml": rules, "alertmanager:a.yml": alertmanager}
    return load_texts({**texts, "promise:w.yml": promise} if promise else texts)


@dataclass(frozen=True)
class Node:
    severity: str
    receiver: str
    wait: int
    continues: bool
    children: tuple[Node, ...] = field(default=())

    def text(self, indent: int) -> str:
        pad = " " * indent
        matcher = f"matchers: ['severity=~\"{self.severity}\"']"
        said = f"{pad}- {matcher}\n{pad}  receiver: {self.receiver}\n{pad}  group_wait: {self.wait}s\n"
        said += f"{pad}  continue: {str(self.continues).lower()}\n"
        return said + (
            f"{pad}  routes:\n" + "".join(c.text(indent + 4) for c in self.children) if self.children else ""
        )


def nodes(depth: int = 1) -> st.SearchStrategy[Node]:
    below = st.lists(nodes(depth - 1), max_size=2).map(tuple) if depth else st.just(())
    severities = st.sampled_from(["critical", "warning", "critical|warning", ".*", "none", ""])
    receivers = st.sampled_from(["everybody", "critical", "workers"])
    return st.builds(Node, severities, receivers, st.sampled_from([10, 30]), st.booleans(), below)


@st.composite
def configurations(draw: st.DrawFn) -> AlertConfig:
    routes = "".join(node.text(4) for node in draw(st.lists(nodes(), max_size=3)))
    sides = st.sampled_from(["WorkerDown", "DiskLow", "Errors"])
    rules = "".join(
        f"  - source_matchers: ['alertname=\"{source}\"']\n    target_matchers: ['alertname=\"{target}\"']\n"
        f"    equal: [{equal}]\n"
        for source, target, equal in draw(
            st.lists(st.tuples(sides, sides, st.sampled_from(["", "severity"])), max_size=2)
        )
    )
    head = "route:\n  receiver: everybody\n  group_by: [alertname]\n" + (f"  routes:\n{routes}" if routes else "")
    inhibitions = f"inhibit_rules:\n{rules}" if rules else ""
    return config(alertmanager=head + inhibitions + ALERTMANAGER[ALERTMANAGER.index("receivers:") :], promise="")
