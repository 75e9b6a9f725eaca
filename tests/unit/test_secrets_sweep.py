"""A canary in every setting of every integration, and in none of the places where people or files get to see it.

Settings are known or not, values are well formed or not, and stand where they belong or in place of a mapping. Only
the words of a notice, which are made to be shown, and the name of a receiver are left out.
"""

from __future__ import annotations

import itertools
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from chaoskit.alerting.config import load_config, load_texts
from chaoskit.alerting.config_secrets import CONTENTS, redact, secrets_of
from chaoskit.alerting.integrations import KINDS, SEND_RESOLVED
from chaoskit.cli import run
from chaoskit.errors import BadInput
from chaoskit.stack import original
from chaoskit.stack.binaries import nearest
from chaoskit.witness.config import additions
from tests.check_examples import PROMETHEUS, RULES

CANARY = "QzCanaryQz7734"
Case = tuple[str, Any]
Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

VALUES: tuple[Any, ...] = (
    CANARY,
    f"https://user:{CANARY}@hooks.example.com/{CANARY}/x?token={CANARY}#{CANARY}",
    f"http://h/%zz{CANARY}",
    f"{CANARY}://h/",
    f"http://h:{CANARY}/",
    f"https://h/{{{{ .{CANARY} }}}}",
    [CANARY],
    {"nested": CANARY, "password": {"deep": [CANARY]}},
    f"line\n{CANARY}\n",
)
CLIENTS: tuple[Any, ...] = (
    CANARY,
    {"basic_auth": CANARY},
    {"basic_auth": {"username": CANARY, "password": CANARY}},
    {"authorization": CANARY},
    {"authorization": {"type": CANARY, "credentials": CANARY}},
    {
        "oauth2": {
            "client_id": CANARY,
            "client_secret": CANARY,
            "token_url": f"http://u:{CANARY}@h/",
            "scopes": [CANARY],
        }
    },
    {"proxy_url": f"http://u:{CANARY}@h/", "proxy_connect_header": {"X": [CANARY]}},
    {"http_headers": {"X-Any": {"values": [CANARY], "secrets": [CANARY]}}},
    {"tls_config": {"key": CANARY, "cert": CANARY}},
    {"later": CANARY},
)
OTHERS = ("api_key", "token", "user_key", "webhook_url", "url", "api_url", "sigv4", "later_setting", "auth_password")


def kinds() -> list[str]:
    return sorted({*KINDS, *SEND_RESOLVED, "later"})


def settings_of(kind: str) -> list[str]:
    known = KINDS[kind].known if kind in KINDS else frozenset()
    return sorted({*known, *OTHERS} - CONTENTS - {"http_config", ""})


def entries() -> Iterator[Case]:
    """By kind what stands below its `_configs` key."""
    for kind in kinds():
        yield kind, CANARY
        yield kind, [CANARY]
        yield kind, {"api_key": CANARY}
        for setting, value in itertools.product(settings_of(kind), VALUES):
            yield kind, [{setting: value}]
        for client in CLIENTS:
            yield kind, [{"http_config": client}]
    # A notice shows such an address; what may be a capability in it is hidden all the same.
    for kind, setting in (("pagerduty", "client_url"), ("slack", "title_link"), ("discord", "avatar_url")):
        yield kind, [{setting: VALUES[1]}]
    yield "pagerduty", [{"links": [{"href": VALUES[1]}]}]


def text_of(*cases: Case) -> str:
    receivers = [{"name": f"people{n}", f"{kind}_configs": entry} for n, (kind, entry) in enumerate(cases)]
    text: str = yaml.dump({"route": {"receiver": "people0"}, "receivers": receivers}, Dumper=Dumper, sort_keys=False)
    return text


def elsewhere() -> Iterator[str]:
    """Outside of receivers, and in texts that are no YAML."""
    for value in VALUES:
        for top in (
            {"global": {"slack_api_url": value}},
            {"global": {"later": value}},
            {"global": value},
            {"later": value},
            {"route": {"receiver": "a", "later": value}},
            {"route": {"receiver": "a", "routes": [{"receiver": "a", "routes": [{"later": value}]}]}},
        ):
            yield yaml.safe_dump({"route": {"receiver": "a"}, "receivers": [{"name": "a"}], **top})
    for broken in (
        f"api_key: *{CANARY}",
        f"api_key: !{CANARY} x",
        f"api_key: '{CANARY}",
        f"api_key: {CANARY}: {CANARY}",
    ):
        yield f"route: {{receiver: a}}\nreceivers:\n  - name: a\n    pagerduty_configs:\n      - {broken}\n"
    yield f"receivers: [{CANARY}]\nroute: {{receiver: a}}\n"
    yield f"receivers: {CANARY}\nroute: {{receiver: a}}\n"
    yield CANARY


def told(ask: Callable[[], object]) -> str:
    try:
        return repr(ask())
    except BadInput as bad:
        return str(bad)


def whole(text: str) -> str:
    """Whatever a command may say or write of this configuration without asking a program."""
    texts = {"prometheus:p.yml": PROMETHEUS, "rules:r.yml": RULES, "alertmanager:a.yml": text}
    url = "http://127.0.0.1:9765"
    return "\n".join([told(lambda: load_texts(texts)), told(lambda: additions(text, url)), redact(text)])


def test_no_value_of_an_integration_is_shown_unless_it_is_known_to_be_none() -> None:
    together = [list(cases) for _, cases in itertools.groupby(entries(), lambda case: case[0])]
    shown = [cases[0][0] for cases in together if CANARY in whole(text_of(*cases))]
    assert shown == []
    # In one text a problem that is told may keep another from being told.
    alone = [case for case in random.Random(3).sample(list(entries()), 150) if CANARY in whole(text_of(case))]
    assert alone == []


def test_nor_is_one_outside_of_receivers_or_in_what_is_no_yaml() -> None:
    shown = [text for text in elsewhere() if CANARY in whole(text)]
    assert shown == []


def test_a_programs_words_are_masked_whole_quoted_cut_short_and_changed_in_case() -> None:
    text = text_of(("webhook", [{"url": f"http://h/%zz{CANARY}"}, {"http_config": {"bearer_token": CANARY}}]))
    secrets = secrets_of(text)
    for words in (
        f'parse "http://h/%zz{CANARY}": invalid URL escape "%zz"',
        f"cannot unmarshal !!str `{CANARY[:7]}...` into config.plain",
        f'unsupported scheme "{CANARY.lower()}" for URL',
        f"the token {CANARY} is no token",
        f'invalid port ":{CANARY}" after host',
    ):
        assert CANARY[:7].lower() not in secrets.mask(words).lower()
    public = 'undefined receiver "people0" used in route'
    assert secrets.mask(public) == public


def test_what_makes_up_a_notice_is_shown() -> None:
    """The control: it is not that everything is hidden."""
    text = text_of(("slack", [{"channel": "#ops", "text": "{{ .CommonLabels.alertname }}", "api_url": CANARY}]))
    assert "#ops" in redact(text)
    assert "CommonLabels" in redact(text)
    accounts = {setting for kind in KINDS.values() for setting in kind.contents} - CONTENTS
    assert accounts == {
        *("routing_key", "corp_id", "agent_id", "to_user", "to_party", "to_tag", "room_id"),
        *("topic_arn", "target_arn", "phone_number"),
    }


@pytest.mark.stack
@pytest.mark.parametrize("command", ["check", "explain"])
def test_commands_and_amtool_show_none_of_a_few(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert nearest("amtool") is not None
    monkeypatch.chdir(tmp_path)
    Path("rules.yml").write_text(RULES)
    cases = [*map(text_of, random.Random(7).sample(list(entries()), 10)), *list(elsewhere())[-7:]]
    words = ["explain", "WorkerDown"] if command == "explain" else ["check"]
    for text in cases:
        Path("am.yml").write_text(text)
        run([*words, "--rules", "rules.yml", "--alertmanager", "am.yml"])
        said = capsys.readouterr()
        assert CANARY[:7].lower() not in (said.out + said.err).lower(), text


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.stack
def test_amtools_words_on_all_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rules.yml").write_text(RULES)
    for text in [*map(text_of, entries()), *elsewhere()]:
        Path("am.yml").write_text(text)
        said = told(lambda: original.ask(load_config(None, ["rules.yml"], Path("am.yml"))).refusals)
        assert CANARY[:7].lower() not in said.lower(), text


WEBHOOK = f"https://user:{CANARY}@hooks.example.com/{CANARY}/x?token={CANARY}"
INTEGRATIONS: dict[str, dict[str, Any]] = {
    "webhook": {
        "url": WEBHOOK,
        "http_config": {
            "basic_auth": {"username": CANARY, "password": CANARY},
            "proxy_url": f"http://u:{CANARY}@h:9/",
        },
    },
    "slack": {"api_url": WEBHOOK, "channel": "#ops", "http_config": {"authorization": {"credentials": CANARY}}},
    "pagerduty": {"routing_key": CANARY, "url": WEBHOOK},
    "opsgenie": {"api_key": CANARY, "api_url": WEBHOOK},
    "victorops": {"api_key": CANARY, "routing_key": "k", "api_url": WEBHOOK},
    "pushover": {"user_key": CANARY, "token": CANARY},
    "wechat": {"api_secret": CANARY, "corp_id": CANARY, "agent_id": CANARY, "api_url": WEBHOOK},
    "sns": {
        "topic_arn": f"arn:aws:sns:us-east-2:{CANARY}",
        "sigv4": {"access_key": CANARY, "secret_key": CANARY, "region": "us-east-2"},
    },
    "telegram": {"bot_token": CANARY, "chat_id": 7734},
    "email": {
        "to": "a@example.com",
        "from": "b@example.com",
        "smarthost": "mail.example.com:25",
        "auth_username": CANARY,
        "auth_password": CANARY,
        "auth_secret": CANARY,
        "auth_identity": CANARY,
    },
}


@pytest.mark.long
@pytest.mark.drill
@pytest.mark.stack
def test_a_whole_rehearsal_leaves_none_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor one whose rules are newer than promtool; the rehearsal's own, private alertmanager.yml has none either."""
    monkeypatch.chdir(tmp_path)
    Path("rules.yml").write_text(RULES + "      - {alert: Newer, expr: 'rate(x_total[5m*2]) > 1'}\n")
    receivers = [{"name": kind, f"{kind}_configs": [one]} for kind, one in INTEGRATIONS.items()]
    routes = [{"receiver": kind, "continue": True} for kind in INTEGRATIONS]
    tree = {"receiver": "webhook", "group_wait": "5s", "routes": routes}
    given = {"global": {"slack_api_url": WEBHOOK}, "route": tree, "receivers": receivers}
    Path("am.yml").write_text(yaml.safe_dump(given))
    command = [sys.executable, "-m", "chaoskit", "rehearse", "rules.yml", "--alertmanager", "am.yml", "--out", "runs"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=170, check=False)
    assert "(webhook)" in done.stdout, done.stdout + done.stderr
    assert CANARY not in done.stdout + done.stderr
    written = [file for file in Path("runs").rglob("*") if file.is_file()]
    held = [file for file in written if CANARY.lower() in file.read_text(errors="replace").lower()]
    assert any(file.name == "events.jsonl" for file in written)
    assert held == []
    own = [file for file in written if file.name == "alertmanager.yml"]
    assert {file.stat().st_mode & 0o777 for file in own} == {0o600}
    assert all("sns_configs" in file.read_text() for file in own)
    assert f"/{CANARY}" not in "".join(file.read_text() for file in held)


@pytest.mark.parametrize(
    "setting",
    [
        f"target=http://u:{CANARY}@h",
        f"target.attached.prometheus=http://u:{CANARY}@h",
        f"target={{attached: {{prometheus: 'http://u:{CANARY}@h', alertmanager: 'http://{CANARY}@h'}}}}",
        f"load.rate=http://u:{CANARY}@h",
        f"access.prometheus.password={CANARY}",
        f"target.attached.access={{prometheus: {{password: {CANARY}, headers: {{Authorization: {CANARY}}}}}}}",
        f"target.attached.access.prometheus.headers.X-Token={CANARY}",
    ],
)
def test_an_options_secret_is_not_repeated(setting: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(["plan", "worker-unhealthy", "--set", setting])
    said = capsys.readouterr()
    assert CANARY not in said.out + said.err
    assert "--set " in said.err
