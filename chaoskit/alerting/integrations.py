"""The kinds of integration that are known, and of each the setting that says where to, the contents, the credentials.

Read from Alertmanager's configuration types, versions 0.25 to 0.34. Nothing is taken for granted: a setting that
is in none of these lists, as a newer version may bring, keeps its integration from being redirected as it is,
because the unknown setting could be another way out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

DUMMY = "door"  # stands where a secret stood

_REMEMBERS = "its client looks up issues first, so only a server that remembers them hears of a resolve"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


@dataclass(frozen=True, slots=True)
class Integration:
    """One kind of integration, as its `<kind>_configs` entries are written.

    `contents` stay as configured; `fixed` replace what was configured (credentials the kind insists on become
    dummies), `absent` are set only where missing; `left_out` are known and dropped, and those among them in
    `noted` are worth telling, with the reason. `word_at` is where the sink's word goes: it is sent along, and
    Alertmanager never shows it (empty where there is no such place: the socket alone tells then who sends).
    `built_in` is the address that Alertmanager takes where none is written; empty where there is none, or several.
    `no_address` says why this kind cannot be pointed at a sink. `resolved` is the default of `send_resolved`: off where
    a message cannot be updated.
    """

    kind: str
    address: str = ""
    contents: frozenset[str] = frozenset()
    fixed: Mapping[str, Any] = field(default_factory=dict)
    absent: Mapping[str, Any] = field(default_factory=dict)
    left_out: frozenset[str] = frozenset()
    noted: Mapping[str, str] = field(default_factory=dict)
    word_at: tuple[str, ...] = ("http_config", "authorization", "credentials")
    no_address: str = ""
    built_in: str = ""
    resolved: bool = True

    @property
    def known(self) -> frozenset[str]:
        """Every setting that redirecting this kind has an answer for."""
        named = {self.address, "send_resolved", "http_config", *self.word_at[:1]}
        return self.contents | self.left_out | named | set(self.fixed) | set(self.absent) | set(self.noted)


_ALL = (
    Integration(
        "email",
        resolved=False,
        address="smarthost",
        contents=_words("to from hello headers html text threading"),
        fixed={"require_tls": False, "auth_username": DUMMY},
        word_at=("auth_password",),
        left_out=_words("auth_password_file auth_secret auth_secret_file auth_identity tls_config force_implicit_tls"),
    ),
    Integration("webhook", address="url", contents=_words("max_alerts timeout payload"), left_out=_words("url_file")),
    Integration(
        "slack",
        resolved=False,
        address="api_url",
        contents=_words(
            "channel username color title title_link pretext text message_text fields short_fields footer "
            "fallback callback_id icon_emoji icon_url image_url thumb_url link_names mrkdwn_in actions timeout"
        ),
        left_out=_words("api_url_file app_token app_token_file app_url"),
        noted={
            "update_message": "works with Slack's own address only; each notice comes as a message of its own",
            "post_updates_to_thread": "works with Slack's own address only; notices come outside threads",
        },
    ),
    Integration(
        "pagerduty",
        address="url",
        built_in="https://events.pagerduty.com/v2/enqueue",
        contents=_words(
            "client client_url description details images links source severity class component group timeout"
        ),
        fixed={"routing_key": DUMMY},
        left_out=_words("routing_key_file"),
        noted={
            "service_key": "the address of PagerDuty's first API is fixed; the second API is used",
            "service_key_file": "the address of PagerDuty's first API is fixed; the second API is used",
        },
    ),
    Integration(
        "opsgenie",
        address="api_url",
        built_in="https://api.opsgenie.com/",
        contents=_words(
            "message description source details entity responders actions tags note priority update_alerts"
        ),
        word_at=("api_key",),
        left_out=_words("api_key_file"),
    ),
    Integration(
        "victorops",
        address="api_url",
        built_in="https://alert.victorops.com/integrations/generic/20131114/alert/",
        contents=_words("routing_key message_type state_message entity_display_name monitoring_tool custom_fields"),
        fixed={"api_key": DUMMY},
        left_out=_words("api_key_file"),
    ),
    Integration(
        "pushover",
        no_address="its address is fixed in Alertmanager",
        built_in="https://api.pushover.net/1/messages.json",
    ),
    Integration(
        "wechat",
        resolved=False,
        address="api_url",
        built_in="https://qyapi.weixin.qq.com/cgi-bin/",
        contents=_words("corp_id message to_user to_party to_tag agent_id message_type"),
        fixed={"api_secret": DUMMY},
        absent={"corp_id": DUMMY},
        left_out=_words("api_secret_file"),
    ),
    Integration(
        "sns",
        address="api_url",
        contents=_words("topic_arn phone_number target_arn subject message attributes"),
        # Explicit keys keep the client from asking a metadata service or assuming a role elsewhere.
        fixed={"sigv4": {"region": "us-east-1", "access_key": DUMMY, "secret_key": DUMMY}},
        left_out=_words("use_aws_http_client"),
        word_at=(),  # it signs its messages in the header where the word would stand
    ),
    Integration(
        "telegram",
        address="api_url",
        built_in="https://api.telegram.org",
        contents=_words("message disable_notifications parse_mode timeout"),
        # The room is a number and hidden like every account of a service, so one of ours stands in its place.
        fixed={"bot_token": f"0:{DUMMY}", "chat_id": 1},
        left_out=_words("bot_token_file chat_id_file message_thread_id"),
    ),
    Integration(
        "discord",
        address="webhook_url",
        contents=_words("title message content username avatar_url"),
        left_out=_words("webhook_url_file"),
    ),
    Integration(
        "webex", address="api_url", built_in="https://webexapis.com/v1/messages", contents=_words("message room_id")
    ),
    Integration(
        "msteams", address="webhook_url", contents=_words("title summary text"), left_out=_words("webhook_url_file")
    ),
    Integration("msteamsv2", address="webhook_url", contents=_words("title text"), left_out=_words("webhook_url_file")),
    Integration("jira", no_address=_REMEMBERS),
    Integration(
        "rocketchat",
        resolved=False,
        address="api_url",
        built_in="https://open.rocket.chat/",
        contents=_words(
            "channel color title title_link text fields short_fields emoji icon_url image_url thumb_url "
            "link_names actions"
        ),
        fixed={"token": DUMMY, "token_id": DUMMY},
        left_out=_words("token_file token_id_file"),
    ),
    Integration(
        "incidentio",
        address="url",
        contents=_words("max_alerts timeout"),
        word_at=("alert_source_token",),
        left_out=_words("url_file alert_source_token_file"),
    ),
    Integration(
        "mattermost",
        address="webhook_url",
        contents=_words(
            "channel username text fallback color pretext author_name author_link author_icon title title_link "
            "fields thumb_url footer footer_icon image_url icon_url icon_emoji attachments type props priority"
        ),
        left_out=_words("webhook_url_file"),
    ),
)

KINDS: Mapping[str, Integration] = {integration.kind: integration for integration in _ALL}
SEND_RESOLVED = {kind: one.resolved for kind, one in sorted(KINDS.items())}
"""The default of `send_resolved` by kind of integration."""
