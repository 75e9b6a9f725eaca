"""How long `check` takes as a configuration grows: generated rules, routes, inhibitions, a promise and scenarios.

    python -m benchmarks.check_scale                       # a table of three sizes
    python -m benchmarks.check_scale --rules 10000 --routes 1000 --profile

Nothing is downloaded and no program is asked; the files are written to a temporary folder. The growth exponent is that
of the processor's time between the last two sizes: 1 is linear.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.shared import exponent, machine, peak_mib, show, verdict_on
from chaoskit.alerting.config import load_config
from chaoskit.check.lint_context import LintContext
from chaoskit.check.run import check
from chaoskit.collector import gc_pause
from chaoskit.scenario.loader import load_scenario
from chaoskit.scenario.model import Scenario

SIZES = ((100, 10), (1_000, 100), (10_000, 1_000))
GOAL_S, GOAL_MIB, LINEAR = 10.0, 1024.0, 1.2
IN_A_FILE = 500
SEVERITIES = ("critical", "warning", "info")

_RULE = """\
      - record: svc{i}:errors:ratio5m
        expr: sum by (job) (rate(svc{i}_errors_total[5m])) / (sum by (job) (rate(svc{i}_requests_total[5m])) > 0)
      - alert: Service{i}Errors
        expr: svc{i}:errors:ratio5m > 0.05
        for: 5m
        labels: {{severity: {severity}, team: team{team}, service: service{i}}}
        annotations:
          summary: '{{{{ $labels.job }}}} fails: {{{{ $value }}}}'
          runbook: https://runbooks.example.com/service{i}
"""


def write(folder: Path, rules: int, routes: int) -> None:
    """A configuration with so many rules (half of them alerts) and routes."""
    alerts = rules // 2
    files = [range(first, min(first + IN_A_FILE // 2, alerts)) for first in range(0, alerts, IN_A_FILE // 2)]
    for number, some in enumerate(files):
        text = "".join(_RULE.format(i=i, team=i % routes, severity=SEVERITIES[i % 3]) for i in some)
        (folder / f"rules{number}.yml").write_text(f"groups:\n  - name: group{number}\n    rules:\n{text}")
    (folder / "prometheus.yml").write_text(
        "global: {scrape_interval: 15s, evaluation_interval: 15s}\nrule_files: [rules*.yml]\n"
        "scrape_configs:\n  - job_name: all\n"
    )
    kinds = ('team="team{n}"', 'team="team{n}", severity=~"critical|warning"', 'service=~"service{n}(0|1)?"')
    tree = "".join(
        f"    - matchers: ['{kinds[n % 3].format(n=n)}']\n      receiver: receiver{n}\n"
        f"      continue: {str(n % 5 == 0).lower()}\n"
        for n in range(routes)
    )
    receivers = "".join(f"  - name: receiver{n}\n    webhook_configs: [{{url: 'http://x/'}}]\n" for n in range(routes))
    inhibitions = "".join(
        f'  - source_matchers: [alertname="Service{n}Errors"]\n'
        f'    target_matchers: [team="team{n}"]\n    equal: [job]\n'
        for n in range(routes // 10)
    )
    (folder / "alertmanager.yml").write_text(
        "route:\n  receiver: receiver0\n  routes:\n" + tree + "inhibit_rules:\n"
        '  - source_matchers: [severity="critical"]\n    target_matchers: [severity="warning"]\n    equal: [team]\n'
        + inhibitions + "receivers:\n" + receivers
    )  # fmt: skip
    promised = "".join(
        f"  Service{i}Errors: {{notices: {{receiver{i % routes}: {{for: 5m, group_wait: 30s, repeat: 4h}}}}}}\n"
        for i in range(min(alerts, 5_000))
    )
    (folder / "notification_windows.yml").write_text(f"chaoskit: 1\nalerts:\n{promised}")


def scenarios(alerts: int) -> list[Scenario]:
    """One for every tenth alert."""
    return [
        load_scenario(
            "chaoskit: 1\ntitle: It fails\nsteps:\n  - inject: http.error\n    as: it\n    target: {link: up}\n"
            f"    with: {{ratio: 50%}}\n  - wait: settled\nexpect:\n  - alert: Service{i}Errors\n",
            f"scenario{i}.yml",
        )
        for i in range(0, alerts, 10)
    ]


@dataclass(frozen=True, slots=True)
class Checked:
    """Real seconds for reading and for checking, the processor's for both, and how much was found."""

    rules: int
    routes: int
    read_s: float
    check_s: float
    cpu_s: float
    findings: int


def timed(rules: int, routes: int) -> Checked:
    """A configuration of this size, read and checked as the command does."""
    with tempfile.TemporaryDirectory() as name, gc_pause():
        write(Path(name), rules, routes)
        drills = scenarios(rules // 2)
        began, cpu_s = time.perf_counter(), time.process_time()
        config = load_config(bundle=Path(name))
        read = time.perf_counter()
        outcome = check(LintContext(config, drills))
        spans = read - began, time.perf_counter() - read, time.process_time() - cpu_s
        return Checked(rules, routes, *spans, len(outcome.findings))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rules", type=int)
    options.add_argument("--routes", type=int, default=100)
    options.add_argument("--profile", action="store_true", help="also print where the time goes")
    asked = options.parse_args()
    profile = cProfile.Profile()
    if asked.profile:
        profile.enable()
    found = [timed(*size) for size in (((asked.rules, asked.routes),) if asked.rules else SIZES)]
    profile.disable()
    heads = ("rules", "routes", "read s", "check s", "together s", "CPU s", "findings")
    rows = [
        (
            one.rules, one.routes, f"{one.read_s:.2f}", f"{one.check_s:.2f}", f"{one.read_s + one.check_s:.2f}",
            f"{one.cpu_s:.2f}", one.findings,
        )
        for one in found
    ]  # fmt: skip
    show("Reading and checking", heads, rows)
    largest = found[-1]
    lines = [f"the largest: {verdict_on(largest.read_s + largest.check_s, GOAL_S, ' s')} (real time)"]
    lines += [f"memory: {verdict_on(peak_mib(), GOAL_MIB, ' MiB')}"]
    if len(found) > 1:
        power = exponent([one.rules for one in found], [one.cpu_s for one in found])
        lines += [f"growth exponent: {verdict_on(power, LINEAR)}"]
    print("\n".join([*lines, machine()]))  # noqa: T201
    if asked.profile:
        pstats.Stats(profile).sort_stats("cumulative").print_stats(40)


if __name__ == "__main__":
    main()
