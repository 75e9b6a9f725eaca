"""The proof that no notification leaves loopback, on the real Alertmanager, where nothing but loopback exists."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from chaoskit.alerting.integrations import KINDS, SEND_RESOLVED
from chaoskit.host.ports import reserve
from chaoskit.localize.redirect import Redirected, redirect
from chaoskit.localize.sink_addresses import SinkAddresses
from chaoskit.stack.monitoring import check_alertmanager

pytestmark = pytest.mark.stack

PROBE = Path(__file__).with_name("redirect_probe.py")
WORDLESS = {kind for kind, integration in KINDS.items() if not integration.word_at}
PROXY = "http://proxy.example.net:3128"

# One entry of every kind, pointing outside in every way its kind knows: addresses, proxies, token servers.
OUTSIDE: dict[str, dict[str, Any]] = {
    "email": {
        "to": "oncall@example.org",
        "smarthost": "mail.example.org:587",
        "auth_username": "mailer",
        "auth_password": "hunter2",
        "auth_identity": "mailer",
        "headers": {"Subject": "[{{ .Status }}] {{ .CommonLabels.alertname }}"},
        "html": "<p>{{ .CommonLabels.severity }}</p>",
    },
    "webhook": {
        "url": "https://user:pass@hooks.example.org/alerts/critical?key=1",
        "http_config": {
            "proxy_url": PROXY,
            "oauth2": {"client_id": "me", "client_secret": "s", "token_url": "https://login.example.org/token"},
        },
    },
    "slack": {
        "api_url": "https://hooks.slack.example.org/services/T0/B0/X",
        "channel": "#oncall",
        "http_config": {"proxy_url": PROXY},
    },
    "pagerduty": {"service_key": "0123456789abcdef", "description": "{{ .CommonLabels.alertname }}"},
    "opsgenie": {"api_key": "k", "api_url": "https://api.opsgenie.example.org/", "update_alerts": True},
    "victorops": {"api_key": "k", "routing_key": "team", "http_config": {"basic_auth": {"username": "a"}}},
    "pushover": {"user_key": "u", "token": "t"},
    "wechat": {"api_secret": "s", "corp_id": "c", "agent_id": "1", "to_user": "@all"},
    "sns": {
        "sigv4": {"region": "eu-west-1", "role_arn": "arn:aws:iam::123456789012:role/alerts"},
        "topic_arn": "arn:aws:sns:eu-west-1:123456789012:alerts",
    },
    "telegram": {"bot_token": "123:abc", "chat_id": 42},
    "discord": {"webhook_url": "https://discord.example.org/api/webhooks/1/x"},
    "webex": {"room_id": "r", "http_config": {"authorization": {"credentials": "c"}}},
    "msteams": {"webhook_url": "https://teams.example.org/hook"},
    "msteamsv2": {"webhook_url": "https://teams.example.org/hook2"},
    "jira": {"api_url": "https://jira.example.org/rest/api/2", "project": "OPS", "issue_type": "Bug"},
    "rocketchat": {"token": "t", "token_id": "i", "channel": "#oncall"},
    "incidentio": {"url": "https://incident.example.org/v2", "alert_source_token": "t"},
    "mattermost": {"webhook_url": "https://mattermost.example.org/hooks/x"},
}
GLOBAL = {
    "smtp_from": "alerts@example.org",
    "smtp_smarthost": "mail.example.org:25",
    "slack_api_url": "https://hooks.slack.example.org/services/T0/B0/GLOBAL",
    "http_config": {"proxy_url": PROXY},
}


def outside_config(kinds: tuple[str, ...]) -> dict[str, Any]:
    """A receiver for each kind, and one with two entries, all of which hear of every alert."""
    receivers: list[dict[str, Any]] = [{"name": "default"}]
    receivers += [{"name": f"by-{kind}", f"{kind}_configs": [OUTSIDE[kind]]} for kind in kinds]
    receivers += [{"name": "both", "email_configs": [{"to": "a@example.org"}, {"to": "b@example.org"}]}]
    routes = [{"receiver": receiver["name"], "continue": True} for receiver in receivers[1:]]
    times = {"group_wait": "0s", "group_interval": "1s", "repeat_interval": "1h"}
    return {
        "global": GLOBAL,
        "route": {"receiver": "default", **times, "routes": routes},
        "receivers": receivers,
    }


def known_kinds(binaries: Any, folder: Path) -> tuple[str, ...]:
    """The kinds that this version of Alertmanager knows, as its own checker says."""
    known = []
    for kind in OUTSIDE:
        file = folder / f"{kind}.yml"
        file.write_text(yaml.safe_dump(outside_config((kind,))))
        if not check_alertmanager(binaries.amtool, file):
            known.append(kind)
    assert len(known) >= 10, f"this Alertmanager knows only {known}"
    return tuple(known)


@pytest.fixture(scope="module")
def kinds(binaries: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """Those of this machine's own Alertmanager."""
    return known_kinds(binaries, tmp_path_factory.mktemp("kinds"))


@cache
def isolated() -> tuple[str, ...]:
    """The words that start a command in a network namespace of its own; the test fails where none can be had."""
    refused = []
    for words in (("unshare", "--net"), ("unshare", "--net", "--map-root-user")):
        try:
            run = subprocess.run([*words, "true"], capture_output=True, text=True, timeout=10, check=False)
        except OSError as error:
            refused.append(f"{' '.join(words)}: {error}")
            continue
        if run.returncode == 0:
            return words
        refused.append(f"{' '.join(words)}: {run.stderr.strip()}")
    pytest.fail(
        "NOT PROVED: this machine gives no network namespace, so nothing shows here that notifications stay on "
        "loopback. Run this test as root, or allow user namespaces. " + "; ".join(refused)
    )


def probe(folder: Path, binaries: Any, config: dict[str, Any], doors: Redirected, await_: Any) -> dict[str, Any]:
    job = {
        "folder": str(folder),
        "config": config,
        "doors": [asdict(door) for door in doors.doors],
        "binaries": {name: str(path) for name, path in asdict(binaries).items() if name != "versions"},
        "await": await_,
    }
    (folder / "job.json").write_text(json.dumps(job))
    # A machine whose environment names proxies must make no difference.
    env = {**os.environ, "HTTP_PROXY": PROXY, "HTTPS_PROXY": PROXY, "http_proxy": PROXY, "NO_PROXY": ""}
    run = subprocess.run(
        [*isolated(), sys.executable, PROBE, folder / "job.json"],
        env=env, capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    report: dict[str, Any] = json.loads(run.stdout)
    assert report["network"] == {"interfaces": ["lo"], "routes": 0}, "the namespace is not isolated"
    return report


def redirected(kinds: tuple[str, ...], folder: Path) -> Redirected:
    ports = reserve(4)
    mail = iter(ports[1:])
    return redirect(outside_config(kinds), SinkAddresses(ports[0], lambda: next(mail)), folder=folder)


@pytest.fixture(scope="module")
def delivered(
    generation: Any, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Redirected, dict[str, Any], tuple[str, ...]]:
    """One alert, fired and resolved, through the redirected configuration; with the kinds that are in it."""
    folder = tmp_path_factory.mktemp("redirected")
    kinds = known_kinds(generation, folder)
    result = redirected(kinds, folder)
    return result, probe(folder, generation, result.config, result, "doors"), kinds


def test_every_integration_reaches_its_own_door_and_nothing_else_is_tried(
    delivered: tuple[Redirected, dict[str, Any], tuple[str, ...]],
) -> None:
    result, report, kinds = delivered
    assert len(result.doors) == len(kinds) + 2
    for door in result.doors:
        heard = report["heard"][str(door.number)]
        assert len(heard) == (2 if door.send_resolved else 1), (door, heard)
    assert report["failures"] == {}, "something tried another address than its door"


def test_every_kind_bears_its_doors_word_and_alertmanager_shows_no_word(
    delivered: tuple[Redirected, dict[str, Any], tuple[str, ...]],
) -> None:
    """The sinks name what Alertmanager sent without the word of its door, which they believe for its socket alone."""
    result, report, kinds = delivered
    assert report["strangers"] == []
    assert report["without word"] == ""
    assert report["shown"] == []
    assert {door.speaks for door in result.doors if not door.word} == WORDLESS & set(kinds)


def test_contents_stay_as_configured_and_secrets_do_not(
    delivered: tuple[Redirected, dict[str, Any], tuple[str, ...]],
) -> None:
    result, report, _ = delivered
    heard = {door.receiver: report["heard"][str(door.number)][0] for door in result.doors}

    assert heard["by-email"]["subject"] == "[firing] Probe"
    assert "<p>critical</p>" in heard["by-email"]["html"]
    assert heard["by-webhook"]["alerts"][0]["labels"]["alertname"] == "Probe"
    assert '"channel":"#oncall"' in heard["by-slack"]["text"]
    assert '"chat_id":"1"' in heard["by-telegram"]["text"]  # a room is an account of a service: one of ours
    assert "arn%3Aaws%3Asns%3Aeu-west-1" in heard["by-sns"]["text"]
    webhook = next(door for door in result.doors if door.receiver == "by-webhook")
    assert webhook.path == "/door/1/alerts/critical"
    assert "hunter2" in json.dumps(OUTSIDE)
    for secret in ("hunter2", "123:abc", "0123456789abcdef"):
        assert secret not in json.dumps(report)


def test_what_cannot_be_redirected_comes_as_a_webhook_and_is_named(
    delivered: tuple[Redirected, dict[str, Any], tuple[str, ...]],
) -> None:
    result, report, _ = delivered
    door = next(door for door in result.doors if door.integration == "pushover")
    assert door.speaks == "webhook"
    assert report["heard"][str(door.number)][0]["alerts"][0]["labels"]["alertname"] == "Probe"
    assert "receiver by-pushover, pushover 0" in [each.partition(": ")[0] for each in result.replaced]


def test_without_redirection_nothing_reaches_the_doors(binaries: Any, kinds: tuple[str, ...], tmp_path: Path) -> None:
    """The negative control: the same alert, namespace and sinks; every integration tries, and fails."""
    result = redirected(kinds, tmp_path)
    report = probe(tmp_path, binaries, outside_config(kinds), result, list(kinds))

    assert set(report["heard"]) == {str(door.number) for door in result.doors}
    assert not any(report["heard"].values())
    assert set(kinds) <= set(report["failures"])


def test_the_defaults_of_send_resolved_are_those_of_alertmanager(
    binaries: Any, kinds: tuple[str, ...], tmp_path: Path
) -> None:
    """Alertmanager shows its configuration with the defaults filled in."""
    result = redirected(kinds, tmp_path)
    report = probe(tmp_path, binaries, outside_config(kinds), result, [])
    in_force = {
        key.removesuffix("_configs"): entries[0]["send_resolved"]
        for receiver in report["config"]["receivers"]
        for key, entries in receiver.items()
        if key.endswith("_configs")
    }
    assert in_force == {kind: SEND_RESOLVED.get(kind, True) for kind in kinds}
