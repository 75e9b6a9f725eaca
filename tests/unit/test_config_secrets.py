"""What a journal may hold of a configuration."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from chaoskit.alerting import config_secrets


def redact(config: dict[str, Any]) -> Any:
    return yaml.safe_load(config_secrets.redact(yaml.safe_dump(config)))


def test_secrets_go_and_everything_else_stays() -> None:
    config = {
        "global": {
            "smtp_auth_password": "S",
            "smtp_from": "a@b",
            "slack_api_url": "https://S",
            "opsgenie_api_key": "S",
        },
        "route": {"receiver": "ops", "match": {"token": "a label, no secret"}},
        "receivers": [
            {
                "name": "ops",
                "slack_configs": [{"api_url": "https://hooks/S", "channel": "#a", "title_link": "https://wiki/page"}],
                "telegram_configs": [{"bot_token": "S", "chat_id": 42, "api_url": "https://api.telegram.org"}],
                "webhook_configs": [
                    {
                        "url": "https://me:S@hooks/alerts/critical?key=S",
                        "http_config": {
                            "authorization": {"type": "Bearer", "credentials": "S"},
                            "oauth2": {"client_secret": "S", "endpoint_params": {"any": "S"}, "scopes": ["x"]},
                            "proxy_connect_header": {"Proxy-Authorization": ["S"]},
                            "http_headers": {"X": {"secrets": ["S"], "files": ["/f"]}},
                        },
                    }
                ],
                "sns_configs": [{"sigv4": {"access_key": "S", "secret_key": "S", "region": "eu"}}],
                "pushover_configs": [{"user_key_file": "/run/key", "token": "S"}],
            }
        ],
    }
    redacted = redact(config)
    secret = "<secret>"
    (receiver,) = redacted["receivers"]
    assert redacted["route"] == config["route"]
    assert redacted["global"] == {
        "smtp_auth_password": secret, "smtp_from": "a@b", "slack_api_url": secret, "opsgenie_api_key": secret,
    }  # fmt: skip
    assert receiver["slack_configs"] == [{"api_url": secret, "channel": "#a", "title_link": "https://wiki/page"}]
    assert receiver["telegram_configs"][0] == {
        "bot_token": secret,
        "chat_id": secret,
        "api_url": "https://api.telegram.org",
    }
    assert receiver["webhook_configs"][0]["url"] == "https://<secret>@hooks/alerts/critical?<secret>"
    assert receiver["sns_configs"][0]["sigv4"] == {"access_key": secret, "secret_key": secret, "region": secret}
    assert receiver["pushover_configs"] == [{"user_key_file": "/run/key", "token": secret}]
    client = receiver["webhook_configs"][0]["http_config"]
    assert client["authorization"] == {"type": secret, "credentials": secret}
    assert client["oauth2"] == {"client_secret": secret, "endpoint_params": {"any": secret}, "scopes": [secret]}
    assert client["proxy_connect_header"] == {"Proxy-Authorization": [secret]}
    assert client["http_headers"] == {"X": {"secrets": [secret], "files": [secret]}}


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:pw@host/path", "https://<secret>@host/path"),
        ("https://host/hooks/T0123456789abcdef0", "https://host/hooks/<secret>"),
        ("http://localhost:8080/alerts/critical", "http://localhost:8080/alerts/critical"),
        ("https://host/Hooks/alerts?x#y", "https://host/<secret>/alerts?<secret>"),
        ("http://[", "<secret>"),
        ("http://host/%zzS", "http://host/<secret>"),
        ("S", "<secret>"),
        ("https://host/{{ .S }}", "<secret>"),
    ],
)
def test_urls_keep_what_tells_where_they_lead(url: str, shown: str) -> None:
    config = {"receivers": [{"webhook_configs": [{"url": url}]}]}
    assert redact(config)["receivers"][0]["webhook_configs"][0]["url"] == shown


def test_what_is_not_known_to_be_none_is_a_secret_and_credentials_in_any_text_go() -> None:
    assert redact({"global": {"note": "S", "smtp_from": "ftp://me:S@host"}}) == {
        "global": {"note": "<secret>", "smtp_from": "ftp://<secret>@host"}
    }
    receivers = ["S", {"name": "a", "slack_configs": "S"}, {"name": "b", "slack_configs": ["S", {"text": "shown"}]}]
    assert redact({"tracing": {"endpoint": "S"}, "receivers": receivers}) == {
        "tracing": {"endpoint": "<secret>"},
        "receivers": [
            "<secret>",
            {"name": "a", "slack_configs": "<secret>"},
            {"name": "b", "slack_configs": ["<secret>", {"text": "shown"}]},
        ],
    }
