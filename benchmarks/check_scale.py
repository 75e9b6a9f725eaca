"""How long `check` takes as a configuration grows: generated rules, routes, inhibitions, a promise and scenarios.

    python -m benchmarks.check_scale                       # a table of three sizes
    python -m benchmarks.check_scale --rules 10000 --routes 1000 --profile

Nothing is downloaded and no program is asked; the files are written to a temporary folder.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import tempfile
import time
from pathlib import Path

from chaoskit.alerting.config import load_config
from chaoskit.check.lint_context import LintContext
from chaoskit.check.run import Outcome, check
from chaoskit.scenario.loader import load_scenario
from chaoskit.scenario.model import Scenario

SIZES = ((100, 10), (1_000, 100), (10_000, 1_000))
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


def timed(rules: int, routes: int) -> tuple[float, float, Outcome]:
    """Seconds for reading and for checking, and what came of it."""
    with tempfile.TemporaryDirectory() as name:
        write(Path(name), rules, routes)
        drills = scenarios(rules // 2)
        began = time.perf_counter()
        config = load_config(bundle=Path(name))
        read = time.perf_counter()
        outcome = check(LintContext(config, drills))
        return read - began, time.perf_counter() - read, outcome


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rules", type=int)
    options.add_argument("--routes", type=int, default=100)
    options.add_argument("--profile", action="store_true", help="also print where the time goes")
    asked = options.parse_args()
    sizes = ((asked.rules, asked.routes),) if asked.rules else SIZES
    print(f"{'rules':>8} {'routes':>8} {'read':>8} {'check':>8} {'together':>9} {'findings':>9}")  # noqa: T201
    for rules, routes in sizes:
        profile = cProfile.Profile() if asked.profile else None
        if profile:
            profile.enable()
        read, checked, outcome = timed(rules, routes)
        if profile:
            profile.disable()
        times = f"{read:7.2f}s {checked:7.2f}s {read + checked:8.2f}s"
        print(f"{rules:8} {routes:8} {times} {len(outcome.findings):9}")  # noqa: T201
        if profile:
            pstats.Stats(profile).sort_stats("cumulative").print_stats(40)


if __name__ == "__main__":
    main()
