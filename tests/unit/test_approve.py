"""Approved texts: the form in which a person reads a notice, what `check` says of a change, and what a run says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaoskit import bundle
from chaoskit.alerting.config import load_config
from chaoskit.approve.texts import brought, compared, first_change, is_approved, rendered
from chaoskit.cli import run
from chaoskit.errors import ExitCode
from chaoskit.events import Notice, NoticedAlert
from chaoskit.stack.binaries import Binaries, Tool
from chaoskit.stack.monitoring import answer_of
from chaoskit.verify.worded import approved_for, section, unlike_approved
from chaoskit.wording.annotations import expanded
from chaoskit.wording.form import differences, read_html, shown
from chaoskit.wording.notices import notices, receivers_text

RULES = """\
groups:
  - name: shop
    rules:
      - alert: QueueLong
        expr: queue > 100
        labels: {severity: warning}
        annotations:
          summary: 'Queue {{ $labels.queue }} holds {{ $value | humanize }}'
      - alert: ShopDown
        expr: sum(up) == 0
        labels: {severity: critical, team: shop}
        annotations: {summary: 'The shop is down, {{ printf "%.0f" $value }} left'}
"""
ROUTES = """\
global: {smtp_smarthost: 'localhost:25', smtp_from: a@example.com, smtp_require_tls: false}
templates: [t.tmpl]
route:
  receiver: mails
  group_by: [alertname]
  routes: [{matchers: [severity="critical"], receiver: pager, continue: true}, {receiver: mails}]
receivers:
  - name: mails
    email_configs:
      - to: ops@example.com
        send_resolved: true
        headers: {Subject: '{{ template "s" . }}'}
        html: '{{ template "h" . }}'
  - name: pager
    webhook_configs: [{url: 'http://localhost:9/'}]
"""
TEMPLATE = """\
{{ define "s" }}[{{ .Status | toUpper }}:{{ len .Alerts }}] {{ .CommonLabels.alertname }}{{ end }}
{{ define "h" }}<html><head><title>no</title></head><body style="background-color:#FFFFFF">
{{ range .Alerts }}<table><tr><td>Name</td><td><b>{{ .Labels.alertname }}</b> {{ .Labels.queue }}</td></tr>
<tr><td>Since</td><td>{{ .StartsAt.UTC.Format "2006-01-02 15:04:05 UTC" }}
{{- if eq .Status "resolved" }}, {{ .EndsAt.Sub .StartsAt }}{{ end }}</td></tr></table>
<p>{{ .Annotations.summary }}</p><a href="{{ .GeneratorURL }}">Query</a>{{ end }}</body></html>{{ end }}
"""


@pytest.fixture(autouse=True)
def team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A team's files in the test's own folder, with a state folder of its own."""
    monkeypatch.setenv("CHAOSKIT_STATE", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    for name, text in (("rules.yml", RULES), ("am.yml", ROUTES), ("t.tmpl", TEMPLATE)):
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture
def amtool(binaries: Binaries) -> Tool:
    return Tool("amtool", binaries.amtool, binaries.versions["amtool"])


@pytest.fixture(scope="module")
def approved_once(tmp_path_factory: pytest.TempPathFactory, binaries: Binaries) -> Path:
    """The approved texts of the team's files, written once."""
    folder = tmp_path_factory.mktemp("team")
    for name, text in (("rules.yml", RULES), ("am.yml", ROUTES), ("t.tmpl", TEMPLATE)):
        (folder / name).write_text(text)
    config = load_config(rules=[str(folder / "rules.yml")], alertmanager=folder / "am.yml")
    tool = Tool("amtool", binaries.amtool, binaries.versions["amtool"])
    for name, text in rendered(config, tool, folder / "approved")[0].items():
        (folder / "approved" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "approved" / name).write_text(text)
    return folder / "approved"


ARGS = ["--rules", "rules.yml", "--alertmanager", "am.yml"]


def test_approve_writes_what_a_person_reads_and_check_is_silent(team: Path) -> None:
    assert run(["approve", *ARGS]) == ExitCode.PASS
    assert (team / "approved/QueueLong/labels.txt").read_text().splitlines()[1:] == ["instance", "job", "queue"]
    one, three = (team / "approved/QueueLong/mails.email.resolved.txt").read_text().split("# Three alerts\n")
    assert one == (
        "# One alert\n\nTo: ops@example.com\nFrom: a@example.com\nSubject: [RESOLVED:1] QueueLong\n\n"
        "{#ffffff} Name  QueueLong <queue>\nSince  <time>, <duration>\nQueue <queue> holds <value humanize>\n"
        "[Query](<query>)\n\n"
    )
    assert three.count("Queue <queue ") == 3
    assert "label alertname: ShopDown\n" in (team / "approved/ShopDown/pager.webhook.firing.txt").read_text()
    assert "# Three alerts" not in (team / "approved/ShopDown/mails.email.firing.txt").read_text()
    assert run(["check", *ARGS, "--no-levels"]) == ExitCode.PASS


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("rules.yml", "{{ $labels.queue }} holds", "{{ $labels.queu }} holds", "-Queue <queue> holds"),
        ("rules.yml", "team: shop", "team: shops", "-label team: shop | +label team: shops"),
        ("rules.yml", "| humanize", "| humanize1024", "+Queue <queue> holds <value humanize1024>"),
        ("rules.yml", "severity: critical", "severity: page", "ShopDown/pager.webhook.firing.txt is no longer sent"),
        ("am.yml", "smtp_require_tls: false", "smtp_require_tls: true", "localhost:25, without TLS"),
        ("am.yml", "a@example.com", "b@example.com", "+From: b@example.com"),
        ("am.yml", "send_resolved: true", "send_resolved: false", "is no longer sent"),
        ("am.yml", "receiver: pager, continue: true", "receiver: pager, continue: false", "is no longer sent"),
        ("t.tmpl", 'if eq .Status "resolved"', 'if ne .Status "resolved"', "Since  <time>"),
        ("t.tmpl", "#FFFFFF", "#B3261E", "+{#b3261e} Name"),
        ("t.tmpl", "{{ .GeneratorURL }}", "https://elsewhere.example.com", "+[Query](https://elsewhere.example.com)"),
    ],
)  # fmt: skip
def test_a_changed_word_route_or_template_is_an_error(
    team: Path, approved_once: Path, amtool: Tool, file: str, old: str, new: str, said: str
) -> None:
    text = (team / file).read_text()
    assert old in text
    (team / file).write_text(text.replace(old, new, 1))
    config = load_config(rules=["rules.yml"], alertmanager=Path("am.yml"))
    found = compared(config, approved_once, *rendered(config, amtool, approved_once))
    assert said in "\n".join(each.message for each in found)
    assert first_change(config, amtool, approved_once)


def test_a_mails_own_word_on_tls_counts_in_each_spelling_that_alertmanager_takes(team: Path) -> None:
    own = ROUTES.replace("require_tls: false", "require_tls: true").replace(
        "send_resolved", "require_tls: no\n        send_resolved"
    )
    (team / "am.yml").write_text(own)
    assert "localhost:25, without TLS" in receivers_text(load_config(rules=["rules.yml"], alertmanager=Path("am.yml")))


def test_update_shows_the_difference_first_and_without_it_nothing_is_replaced(
    team: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["approve", *ARGS])
    (team / "rules.yml").write_text(RULES.replace("The shop is down", "Nothing is sold"))
    file = team / "approved/ShopDown/mails.email.firing.txt"
    before = file.read_text()
    capsys.readouterr()
    assert run(["approve", *ARGS]) == ExitCode.FAIL
    assert "-The shop is down" in capsys.readouterr().out
    assert file.read_text() == before
    run(["approve", *ARGS, "--update"])
    assert "+Nothing is sold" in capsys.readouterr().out
    assert "Nothing is sold" in file.read_text()
    (team / "am.yml").write_text(ROUTES.replace("send_resolved: true", "send_resolved: false"))
    run(["approve", *ARGS, "--update"])
    assert not (team / "approved/ShopDown/mails.email.resolved.txt").exists()
    assert run(["check", *ARGS, "--no-levels"]) == ExitCode.PASS


def test_nothing_is_rendered_twice(team: Path, amtool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_config(rules=["rules.yml"], alertmanager=Path("am.yml"))
    now, failed = rendered(config, amtool, team / "approved")
    assert failed == []
    monkeypatch.setattr("chaoskit.approve.texts.answer_of", lambda argv: pytest.fail(f"{argv} is asked again"))
    assert rendered(config, amtool, team / "approved") == (now, [])


def test_texts_as_approved_have_no_first_change_and_one_that_changed_is_all_that_is_rendered(
    team: Path, approved_once: Path, amtool: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load_config(rules=["rules.yml"], alertmanager=Path("am.yml"))
    monkeypatch.setenv("CHAOSKIT_STATE", str(team / "nothing-remembered"))
    assert [first_change(config, amtool, approved_once) for _ in ("rendered", "remembered")] == ["", ""]
    (team / "t.tmpl").write_text(TEMPLATE.replace("</b>", "!</b>"))
    config = load_config(rules=["rules.yml"], alertmanager=Path("am.yml"))
    asked: list[list[str]] = []

    def counted(argv: list[str]) -> tuple[int, str]:
        asked.append(argv)
        return answer_of(argv)

    monkeypatch.setattr("chaoskit.approve.texts.answer_of", counted)
    wanted = next(iter(compared(config, approved_once, *rendered(config, amtool, team / "elsewhere"))))
    everything = len(asked)
    monkeypatch.setenv("CHAOSKIT_STATE", str(team / "nothing-remembered-again"))
    asked.clear()
    assert first_change(config, amtool, approved_once) == wanted.message
    assert len(asked) < everything


def test_a_text_that_cannot_be_rendered_is_told_with_the_reason(team: Path, approved_once: Path, amtool: Tool) -> None:
    (team / "t.tmpl").write_text(TEMPLATE.replace(".Labels.alertname }}</b>", ".Labels.alertname.nothing }}</b>"))
    config = load_config(rules=["rules.yml"], alertmanager=Path("am.yml"))
    now, failed = rendered(config, amtool, approved_once)
    assert {each.name.split(".")[0] for each in failed} == {"QueueLong/mails", "ShopDown/mails"}
    assert all("nothing" in each.reason for each in failed)
    found = [each.message for each in compared(config, approved_once, now, failed)]
    assert len(found) == 4
    assert all("cannot be rendered: amtool" in each for each in found)


@pytest.mark.parametrize(
    ("words", "missing"), [(["approve"], ["promtool", "amtool"]), (["promise", "tests", "--out", "made"], ["promtool"])]
)
def test_each_program_that_is_needed_and_missing_is_named(
    words: list[str],
    missing: list[str],
    team: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("chaoskit.cli.sources.checkers", lambda _: {})
    assert run([*words, "--rules", "rules.yml", "--alertmanager", "am.yml"]) is ExitCode.USAGE
    said = capsys.readouterr().err
    assert [name for name in ("promtool", "amtool") if f"{name} was not found" in said] == missing
    assert "chaoskit doctor --install fetches it" in said


def test_without_approved_texts_nothing_is_compared(team: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert not is_approved(team / "approved")
    run(["check", *ARGS, "--no-levels"])
    assert "no texts of notices were approved (chaoskit approve)" in " ".join(capsys.readouterr().out.split())


def test_the_shipped_texts_are_as_approved(amtool: Tool) -> None:
    """Each notice has one; of one alert they are rendered here, of all whenever `check` runs on what is shipped."""
    config, folder = load_config(bundle.folder()), bundle.folder() / "approved"
    names = {each.name for each in notices(config, brought(folder))}
    assert names == {str(file.relative_to(folder)) for file in folder.glob("*/*.*.*.txt")}
    one = ("CircuitBreakerOpen",)
    assert list(compared(config, folder, *rendered(config, amtool, folder, one), one)) == []


def test_without_words_of_its_own_a_mail_has_alertmanagers(team: Path, approved_once: Path, amtool: Tool) -> None:
    (team / "am.yml").write_text(ROUTES.replace("        html: '{{ template \"h\" . }}'\n", ""))
    config = load_config(rules=["rules.yml"], alertmanager=Path("am.yml"))
    now, failed = rendered(config, amtool, approved_once)
    assert failed == []
    assert "View in Alertmanager](<alertmanager>/#/alerts?receiver=mails)" in now["ShopDown/mails.email.firing.txt"]


# The pure parts.


@pytest.mark.parametrize(
    ("template", "result"),
    [
        ("{{ $labels.a }} and {{ .Labels.b }}", "‹a› and "),
        ("{{ $value }}", "‹value›"),
        ("{{- $value | humanizePercentage -}} x", "‹value humanizePercentage›x"),
        ('{{ printf "%.1f" $value }}', '‹value printf "%.1f" $value›'),
        ("{{ range query `x > {{` }}{{ .Labels.z }}{{ end }}", "‹range query `x > {{`›‹z›‹end›"),
        ("{{/* nothing */}}{{ $x := 1 }}y", "y"),
        ("{{ externalURL }}", "‹externalURL›"),
    ],
)
def test_what_prometheus_makes_of_a_template_as_far_as_a_rule_tells(template: str, result: str) -> None:
    assert expanded(template, {"a": "‹a›"}) == result


def test_a_page_is_read_line_by_line_with_links_and_colours() -> None:
    page = (
        "<html><head><style>p {}</style></head><body><p style='border-left:1px solid #AA0000'>a <b>b</b>\n c</p>"
        "<table><tr><td>x</td><td>y</td></tr></table><pre>1\n\n  2</pre><a href='https://e.org/?a=1&amp;b=2'>"
        "https://e.org/?a=1&amp;b=2</a> <img alt=logo src=/x.png> <a href=/y></a></body></html>"
    )
    assert read_html(page) == "{|#aa0000} a b c\nx  y\n1\n\n2\nhttps://e.org/?a=1&b=2 [image logo](/x.png) [](/y)"


LABELS = [{"alertname": "A", "worker": "w-1"}]


@pytest.mark.parametrize(
    ("approved", "arrived", "same"),
    [
        ("<worker> is down", "w-1 is down", True),
        ("<worker> is down", "w-2 is down", False),
        ("<WORKER> is down", "W-1 is down", True),
        ("worker: <worker>", "w-1: w-1", False),
        ("<value> left", "0 left", True),
        ("<value humanizePercentage> fail", "95.24% fail", True),
        ("<value> fail", "all fail", False),
        ("since <time>", "since 2026-11-29 14:45:19 UTC", True),
        ("after <duration>", "after 3m22s", True),
        ("[Q](<query>)", "[Q](http://h:1/graph?g0.expr=up%20%3D%3D%200&g0.tab=1)", True),
        ("a\n<range query `x`>\n- <y><end>\nb", "a\n\n- one\n- two\nb", True),
        ("a\n<range query `x`>\n- <y><end>\nb", "a\n- one\nc", False),
        ("a <unknown>", "a <unknown>", True),
        ("a\nb", "b\na", False),
    ],
)
def test_a_name_stands_for_what_it_names_and_nothing_else(approved: str, arrived: str, same: bool) -> None:
    assert (differences(approved, arrived, LABELS) == []) is same


def test_a_difference_tells_the_lines_that_differ() -> None:
    assert differences("a <worker>\nb\nc", "a w-1\nx\nc", LABELS) == ["-b", "+x"]


def test_a_line_that_begins_with_dashes_is_among_those_that_differ() -> None:
    assert differences("a\n-- plain text --\nb", "a\n++ b\nb", LABELS) == ["--- plain text --", "+++ b"]


@settings(max_examples=40)
@given(st.text(alphabet="ab <>\n.*(", max_size=40))
def test_a_text_without_names_is_like_itself_alone(text: str) -> None:
    plain = shown(re.sub("[<>]", "", text))
    assert differences(plain, plain, []) == []
    assert differences(plain, plain + "z", []) != []


def arrived(**changes: object) -> Notice:
    alert = NoticedAlert(status="firing", labels={"alertname": "QueueLong", "queue": "q"})
    given_ = {
        "receiver": "mails", "integration": "email", "index": 0, "sent": (0.0, 1.0), "status": "firing",
        "alerts": [alert], "recipients": ["ops@example.com"], "sender": "a@example.com", "subject": "QueueLong q",
        "html": "<p>down</p>",
    }  # fmt: skip
    return Notice(**{**given_, **changes})  # type: ignore[arg-type]


HEAD = "To: ops@example.com\nFrom: a@example.com\nSubject: QueueLong <queue>"
TEXT = f"# One alert\n\n{HEAD}\n\ndown\n\n# Three alerts\n\nmany\n"
SOURCES = {"approved:QueueLong/mails.email.firing.txt": TEXT}


def test_what_arrived_is_compared_with_the_text_of_as_many_alerts() -> None:
    one = arrived()
    text = approved_for(one, "QueueLong", SOURCES)
    assert unlike_approved(one, text) == []
    assert unlike_approved(arrived(html="<p>up</p>"), text) == ["-down", "+up"]
    assert unlike_approved(arrived(sender="b@example.com"), text) == ["-From: a@example.com", "+From: b@example.com"]
    assert section(TEXT, 3) == "many\n"
    for other in (
        arrived(alerts=one.alerts * 2),
        arrived(by="mailbox x"),
        arrived(integration="slack"),
        arrived(index=1),
    ):
        assert approved_for(other, "QueueLong", SOURCES) == ""
    assert approved_for(one, "ShopDown", SOURCES) == ""
