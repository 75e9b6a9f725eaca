"""Redirection as a function: what the new configuration says, whatever the old one said."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from chaoskit.alerting.config_alertmanager import read_alertmanager
from chaoskit.alerting.config_fields import Reading
from chaoskit.alerting.integrations import KINDS
from chaoskit.errors import EquipmentError
from chaoskit.localize.redirect import Redirected, absolute_glob, redirect
from chaoskit.localize.sink_addresses import SinkAddresses, reply_to

FOLDER = Path("/etc/alertmanager")


def book(http_port: int = 20000) -> SinkAddresses:
    ports = iter(range(20001, 30000))
    return SinkAddresses(http_port, lambda: next(ports))


def run(config: dict[str, Any]) -> Redirected:
    return redirect(config, book(), folder=FOLDER)


def with_receiver(**configs: Any) -> dict[str, Any]:
    return {"route": {"receiver": "ops"}, "receivers": [{"name": "ops", **configs}]}


def addresses(value: Any) -> Iterator[str]:
    """Every string anywhere in a configuration that could be dialled."""
    if isinstance(value, dict):
        for key, child in value.items():
            if key in ("smarthost", "address") or "url" in str(key):
                yield str(child)
            yield from addresses(child)
    elif isinstance(value, list):
        for child in value:
            yield from addresses(child)


def test_each_mail_has_a_port_of_its_own_and_each_http_integration_a_path() -> None:
    result = run(
        with_receiver(
            email_configs=[{"to": "a", "smarthost": "m:25"}, {"to": "b"}],
            webhook_configs=[{"url": "http://x/alerts/critical"}, {"url": "http://x"}],
        )
    )
    assert [(door.integration, door.index, door.kind, door.port, door.path) for door in result.doors] == [
        ("email", 0, "smtp", 20001, ""),
        ("email", 1, "smtp", 20002, ""),
        ("webhook", 0, "http", 20000, "/door/2/alerts/critical"),
        ("webhook", 1, "http", 20000, "/door/3"),
    ]
    (receiver,) = result.config["receivers"]
    assert receiver["email_configs"][0] == {
        "to": "a",
        "smarthost": "127.0.0.1:20001",
        "require_tls": False,
        "auth_username": "door",
        "auth_password": result.doors[0].word,
        "send_resolved": False,
    }
    assert receiver["webhook_configs"][0] == {
        "url": "http://127.0.0.1:20000/door/2/alerts/critical",
        "send_resolved": True,
        "http_config": {"follow_redirects": False, "authorization": {"credentials": result.doors[2].word}},
    }
    words = {door.word for door in result.doors}
    assert len(words) == 4
    assert all(len(word) >= 32 and word not in repr(result.doors) for word in words)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_no_kind_keeps_an_address_a_credential_or_an_http_client_of_its_own(kind: str) -> None:
    known = KINDS[kind].known - KINDS[kind].contents - {"send_resolved", ""}
    entry: dict[str, Any] = dict.fromkeys(known, "https://OUTSIDE.example.org")
    entry["http_config"] = {"proxy_url": "http://OUTSIDE", "oauth2": {"token_url": "http://OUTSIDE"}}
    result = run(with_receiver(**{f"{kind}_configs": [entry]}))
    assert "OUTSIDE" not in str(result.config)
    assert list(addresses(result.config)) == [result.doors[0].address]


def test_a_setting_that_is_not_known_could_be_a_way_out_so_the_integration_becomes_a_webhook() -> None:
    result = run(with_receiver(slack_configs=[{"channel": "#a", "second_url": "https://outside.example.org"}]))
    (receiver,) = result.config["receivers"]
    assert "slack_configs" not in receiver
    assert receiver["webhook_configs"][0]["url"] == result.doors[0].address
    assert receiver["webhook_configs"][0]["send_resolved"] is False  # Slack's default, not a webhook's
    assert list(result.replaced) == ["receiver ops, slack 0: sent as a webhook: its setting second_url is not known"]


def test_a_kind_that_is_not_known_becomes_a_webhook_behind_the_receivers_own() -> None:
    result = run(with_receiver(pigeon_configs=[{"loft": "x"}], webhook_configs=[{"url": "http://x"}]))
    (receiver,) = result.config["receivers"]
    assert "pigeon_configs" not in receiver
    assert [entry["url"] for entry in receiver["webhook_configs"]] == [
        "http://127.0.0.1:20000/door/1",
        "http://127.0.0.1:20000/door/0",
    ]
    assert (result.doors[0].integration, result.doors[0].speaks) == ("pigeon", "webhook")


def test_top_level_and_global_settings_that_are_not_known_are_left_out_and_named() -> None:
    config = with_receiver() | {
        "tracing": {"endpoint": "outside:4317"},
        "global": {"resolve_timeout": "5m", "smtp_from": "a@b", "slack_api_url": "https://x", "event_url": "https://y"},
    }
    result = run(config)
    assert result.config["global"] == {"resolve_timeout": "5m", "smtp_from": "a@b"}
    assert "tracing" not in result.config
    assert [each.partition(": ")[0] for each in result.replaced] == ["tracing", "global.event_url"]


def test_the_first_pagerduty_api_has_a_fixed_address_so_the_second_is_used_and_that_is_said() -> None:
    result = run(with_receiver(pagerduty_configs=[{"service_key": "secret"}]))
    entry = result.config["receivers"][0]["pagerduty_configs"][0]
    assert "service_key" not in entry
    assert entry["routing_key"] == "door"
    assert result.replaced[0].partition(": ")[0] == "receiver ops, pagerduty 0, service_key"


def test_time_intervals_are_taken_out_and_every_route_that_had_some_is_named() -> None:
    config = with_receiver() | {
        "time_intervals": [{"name": "night", "time_intervals": []}],
        "route": {
            "receiver": "ops",
            "routes": [
                {"receiver": "ops", "mute_time_intervals": ["night"]},
                {"routes": [{"active_time_intervals": ["night", "weekend"]}]},
            ],
        },
    }
    result = run(config)
    assert "night" not in str(result.config)
    assert result.pinned == (
        "route.routes[0] (receiver ops): mute_time_intervals night left out: the route is never muted in this run",
        "route.routes[1].routes[0]: active_time_intervals night, weekend left out: "
        "the route is always active in this run",
    )


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [("templates/*.tmpl", "/etc/alertmanager/templates/*.tmpl"), ("/opt/*.tmpl", "/opt/*.tmpl")],
)
def test_template_globs_mean_the_same_from_anywhere(pattern: str, expected: str) -> None:
    assert absolute_glob(FOLDER, pattern) == expected


def test_a_folder_with_a_bracket_in_its_name_is_no_glob() -> None:
    assert absolute_glob(Path("/a[1]b"), "*.tmpl") == r"/a\[1]b/*.tmpl"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://x/a/../../door/9/b", "/door/0/door/9/b"),
        ("https://x/hooks/1a2b3c4d5e6f7a8b9c0d", "/door/0"),
        ("https://x/{{ .Receiver }}", "/door/0"),
        ("https://x/a%2f..%2fb", "/door/0"),
        ("https://x/a?key=secret#f", "/door/0/a"),
        ("http://[", "/door/0"),
    ],
)
def test_the_path_of_a_webhook_follows_only_where_it_is_plain(url: str, path: str) -> None:
    result = run(with_receiver(webhook_configs=[{"url": url}]))
    assert result.doors[0].path == path


def test_the_original_is_left_as_it_is() -> None:
    config = with_receiver(slack_configs=[{"fields": [{"title": "t"}]}])
    config["route"]["routes"] = [{"mute_time_intervals": ["n"]}]
    before = copy.deepcopy(config)
    result = run(config)
    result.config["receivers"][0]["slack_configs"][0]["fields"].clear()
    assert config == before


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"global": "x"}, "'global' is the text 'x', expected keys"),
        ({"templates": "x"}, "'templates' is"),
        ({"templates": [{"a": "b"}]}, "'templates'"),
        ({"receivers": {"name": "ops"}}, "'receivers' is"),
        ({"receivers": [7]}, "a receiver is"),
        ({"receivers": [{"email_configs": []}]}, "'name'"),
        (
            {"receivers": [{"name": "ops", "email_configs": {"to": "a"}}]},
            "'email_configs' is",
        ),
        ({"route": {"receiver": "ops", "routes": [7]}}, "a route is"),
        ({"route": {"receiver": "ops", "routes": {}}}, "'routes' is"),
        ({"route": {"receiver": "ops", "routes": [{"mute_time_intervals": [{}]}]}}, "'mute_time_intervals'"),
    ],
    ids=str,
)
def test_what_could_not_be_redirected_is_refused_when_it_is_read(wrong: dict[str, Any], complaint: str) -> None:
    reading = Reading()
    read_alertmanager(reading, yaml.safe_dump(with_receiver() | wrong), "alertmanager.yml")
    assert any(complaint in str(problem) for problem in reading.problems), reading.problems


def test_two_mail_doors_never_share_a_port() -> None:
    doors = SinkAddresses(20000, lambda: 20001)
    doors.add("a", "email", 0, send_resolved=False, speaks="email")
    with pytest.raises(EquipmentError, match="20001 was given out twice"):
        doors.add("a", "email", 1, send_resolved=False, speaks="email")


def test_a_token_request_is_no_notice() -> None:
    wechat = book().add("a", "wechat", 0, send_resolved=False, speaks="wechat")
    assert not wechat.is_notice("GET", "/door/0/gettoken?corpid=c")
    assert wechat.is_notice("POST", "/door/0/message/send?access_token=x")
    opsgenie = book().add("a", "opsgenie", 0, send_resolved=True, speaks="opsgenie")
    assert opsgenie.is_notice("POST", "/door/0/v2/alerts")
    assert not opsgenie.is_notice("PUT", "/door/0/v2/alerts/x/message")


def test_amazons_client_wants_xml() -> None:
    assert reply_to("sns")[0] == "text/xml"
    assert reply_to("webhook")[0] == "application/json"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just("https://outside.example.org"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=5,
)
SETTINGS = sorted({setting for kind in KINDS.values() for setting in kind.known - kind.contents})
ENTRY = st.dictionaries(st.sampled_from(SETTINGS) | st.text(max_size=5), JSON, max_size=4)
RECEIVER = st.dictionaries(
    st.sampled_from([f"{kind}_configs" for kind in (*KINDS, "pigeon")]), st.lists(ENTRY, max_size=2), max_size=3
)
TOP = st.sampled_from(["global", "tracing", "event_recorder"])
SECTION = st.dictionaries(st.text(max_size=5) | st.just("http_config"), JSON, max_size=3)


@given(st.lists(RECEIVER, max_size=3), st.dictionaries(TOP, SECTION))
def test_whatever_is_configured_nothing_but_doors_can_be_dialled(
    receivers: list[dict[str, Any]], top: dict[str, Any]
) -> None:
    config = {
        **top,
        "route": {"receiver": "r0"},
        "receivers": [{"name": f"r{number}", **each} for number, each in enumerate(receivers)],
    }
    result = redirect(config, book(), folder=FOLDER)
    integrations = [entry for each in receivers for entries in each.values() for entry in entries]
    assert len(result.doors) == len(integrations)
    assert sorted(addresses(result.config)) == sorted(door.address for door in result.doors)
    assert "outside.example.org" not in str(result.config)
