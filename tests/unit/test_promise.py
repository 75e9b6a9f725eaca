"""The promise file says what people were told; a promise that nothing could keep is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from alerting_examples import ALERTMANAGER, RULES, load
from test_scenario_schema import valid

from chaoskit.alerting.config import load_config
from chaoskit.alerting.model import Promise, PromisedLevels, PromisedNotice, PromisedReceiver, PromisedTime
from chaoskit.alerting.promise_schema import ALERT, DOCUMENT, GROUP, JOB, LEVELS, NOTICE, RECEIVER, VOLUME
from chaoskit.alerting.promise_text import COMPUTED, DECIDED, DOCUMENTED, not_yet_promised, promise_text, reasons
from chaoskit.bundle import folder
from chaoskit.check.lint_context import LintContext
from chaoskit.cli import run
from chaoskit.errors import BadInput, Place
from chaoskit.explain.alert import departures
from chaoskit.explain.promise import computed_promise
from chaoskit.yaml_source import read
from tests.readme_commands import lay_out

PROMISE = """chaoskit: 1
delivery: 3s
runbook: https://docs.example.com/runbooks/
subject_contains: [ALERT]
receivers:
  everyone: {recipients: [ops@example.com, night@example.com], resolved: false}
alerts:
  WorkerDown:
    appears: 6s
    clears: 30s
    notices:
      everyone: {for: 1m, group_wait: 30s, repeat: 2h}
"""


def test_the_whole_promise_is_read() -> None:
    promise = load(promise=PROMISE).promise
    file = "notification_windows.yml"
    assert promise.notices == {
        ("WorkerDown", "everyone"): PromisedNotice("WorkerDown", "everyone", 60, 30, 7200, Place(file, 12))
    }
    recipients = ("ops@example.com", "night@example.com")
    assert promise.receivers == {
        "everyone": PromisedReceiver("everyone", recipients, False, Place(file, 6), ("email",))
    }
    assert (promise.appears_s, promise.clears_s, promise.delivery_s) == ({"WorkerDown": 6}, {"WorkerDown": 30}, 3)
    assert (promise.runbook_base, promise.subject_contains) == ("https://docs.example.com/runbooks/", ("ALERT",))


def test_without_a_promise_file_nothing_is_promised() -> None:
    promise = load().promise
    assert promise.notices == {}
    assert promise.receivers == {}
    assert promise.delivery_s is None


@pytest.mark.parametrize(
    ("wrong", "right", "expected"),
    [
        (
            "WorkerDwn:",
            "WorkerDown:",
            ":8: the alert 'WorkerDwn' is not defined in any rule file (did you mean 'WorkerDown'?)",
        ),
        ("everyon: {for", "everyone: {for", ":12: the receiver 'everyon' is not defined"),
        ("everyon: {rec", "everyone: {rec", ":6: the receiver 'everyon' is not defined"),
        ("repeats: 2h", "repeat: 2h", ":12: unknown key 'repeats' in the notice of 'WorkerDown' to 'everyone'"),
        ("for: 1", "for: 1m", "'1' is not a duration"),
        ("group_wait: soon", "group_wait: 30s", "'soon' is not a duration"),
        ("notice:", "notices:", "did you mean 'notices'?"),
        ("resolvd: false", "resolved: false", "did you mean 'resolved'?"),
        ("resolved: maybe", "resolved: false", "expected true or false"),
        ("chaoskit: 2", "chaoskit: 1", "the format version"),
        ("", "chaoskit: 1\n", "the format version, is missing"),
        ("recipients: ops@example.com", "recipients: [ops@example.com, night@example.com]", "expected a list"),
    ],
)
def test_a_mistake_is_named_with_its_place(wrong: str, right: str, expected: str) -> None:
    assert right in PROMISE
    with pytest.raises(BadInput) as caught:
        load(promise=PROMISE.replace(right, wrong, 1))
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("written", "line"), [("runbook: https://docs.example.com/runbooks/", 3), ("subject_contains: [ALERT]", 4)]
)
def test_an_empty_text_that_every_notice_holds_is_no_promise(written: str, line: int) -> None:
    empty = {3: "runbook: ''", 4: "subject_contains: [' ']"}[line]
    with pytest.raises(BadInput, match=f"notification_windows.yml:{line}: an empty text, which every notice holds"):
        load(promise=PROMISE.replace(written, empty))


def test_a_notice_without_one_of_its_three_figures_is_refused() -> None:
    for key in ("for: 1m, ", "group_wait: 30s, ", ", repeat: 2h"):
        with pytest.raises(BadInput, match="does not say"):
            load(promise=PROMISE.replace(key, ""))


WHOLE = """chaoskit: 1
receivers:
  everyone:
    recipients: [ops@example.com]
    at: [localhost:25]
jobs: {app: {scrape: 15s, timeout: 10s}}
groups: {workers: {interval: 15s}}
volume: {healthy: 0..1/day, degraded: 2..5/day, incident: 5..10/day}
alerts:
  WorkerDown:
    labels: {severity: critical, shift: 3}
    levels: {quiet: 100, fires: 101.5}
    phone: {everyone: 2m}
    all_clear: {everyone: 6m15s}
    muted_by: [AllDown]
    hours: always
    notices:
      everyone: {for: 1m, group_wait: 30s, group_interval: 5m, repeat: 2h, grouped_by: [alertname, worker_name]}
"""
FILE = "notification_windows.yml"


def whole(promise: str = WHOLE) -> Promise:
    """Read with a second alert, and with a job, a group and a time interval for it to name."""
    rules = RULES + "      - {alert: AllDown, expr: up == 0}\n"
    alertmanager = ALERTMANAGER + "\ntime_intervals: [{name: office-hours, time_intervals: [{weekdays: [monday]}]}]\n"
    return load(rules=rules, alertmanager=alertmanager, promise=promise).promise


def test_everything_that_people_rely_on_can_be_promised() -> None:
    promise = whole()
    alert = promise.alerts["WorkerDown"]
    assert alert.labels == {"severity": "critical", "shift": "3"}
    assert alert.levels == PromisedLevels(100, 101.5, Place(FILE, 12))
    assert alert.phone == {"everyone": PromisedTime(120, Place(FILE, 13))}
    assert alert.all_clear == {"everyone": PromisedTime(375, Place(FILE, 14))}
    assert (alert.muted_by, alert.hours, alert.at("hours")) == (("AllDown",), "always", Place(FILE, 16))
    notice = promise.notices["WorkerDown", "everyone"]
    assert (notice.group_interval_s, notice.grouped_by) == (300, ("alertname", "worker_name"))
    assert promise.receivers["everyone"].at == ("localhost:25",)
    assert promise.jobs == {"app": PromisedTime(15, Place(FILE, 6))}
    assert promise.timeouts == {"app": PromisedTime(10, Place(FILE, 6))}
    assert promise.groups == {"workers": PromisedTime(15, Place(FILE, 7))}
    assert [str(each) for each in promise.volume.values()] == ["0..1/day", "2..5/day", "5..10/day"]


def test_what_is_not_written_is_not_promised() -> None:
    promise = load(promise=PROMISE).promise
    assert (promise.alerts, promise.jobs, promise.groups, promise.volume) == ({}, {}, {}, {})
    assert promise.notices["WorkerDown", "everyone"].grouped_by is None
    assert promise.receivers["everyone"].at is None


def test_that_nothing_may_mute_an_alert_can_be_promised() -> None:
    assert whole(WHOLE.replace("[AllDown]", "[]")).alerts["WorkerDown"].muted_by == ()


@pytest.mark.parametrize(
    ("right", "wrong", "expected"),
    [
        ("labels:", "lables:", ":11: unknown key 'lables' in the promise for 'WorkerDown' (did you mean 'labels'?)"),
        ("severity: critical", "severity: [critical]", ":11: 'severity' in 'labels' is a list"),
        ("fires: 101.5", "fires: many", ":12: 'fires' of 'levels' is"),
        (", fires: 101.5", "", ":12: 'fires' of 'levels' is missing"),
        ("fires: 101.5", "fires: 100", ":12: 'levels' is quiet at the same value at which it fires"),
        ("fires: 101.5", "fire: 101.5", "did you mean 'fires'?"),
        ("phone: {everyone", "phone: {everyon", ":13: the receiver 'everyon' is not defined in the Alertmanager"),
        ("phone: {everyone: 2m}", "phone: {everyone: soon}", ":13: everyone: 'soon' is not a duration"),
        ("phone: {everyone: 2m}", "phone: {everyone: 0s}", ":13: 'phone' of 'everyone' is zero"),
        ("phone: {everyone: 2m}", "phone: {everyone: }", ":13: 'phone' of 'everyone' is missing"),
        ("phone: {everyone: 2m}", "phone: 2m", ":13: 'phone' is the text '2m'"),
        ("[AllDown]", "[AllDwn]", ":15: the alert 'AllDwn' is not defined in any rule file (did you mean 'AllDown'?)"),
        ("[AllDown]", "[WorkerDown]", ":15: 'WorkerDown' is said to mute itself"),
        ("[AllDown]", "[AllDown, AllDown]", ":15: 'muted_by' lists 'AllDown' twice"),
        ("hours: always", "hours: office-hour", ":16: the time interval 'office-hour' is not defined in the Alert"),
        ("group_interval: 5m", "group_interval: 5", ":18: group_interval: '5' is not a duration"),
        ("[alertname, worker_name]", "alertname", ":18: 'grouped_by' is the text 'alertname', expected a list"),
        ("[alertname, worker_name]", "[..., alertname]", ":18: grouped_by holds '...' beside other labels"),
        ("jobs: {app", "jobs: {ap", ":6: the job 'ap' is not defined in the Prometheus configuration"),
        ("scrape: 15s", "scrap: 15s", ":6: unknown key 'scrap' in the promised job 'app' (did you mean 'scrape'?)"),
        ("{scrape: 15s, ", "{", ":6: 'scrape' of the job 'app' is missing"),
        ("timeout: 10s", "timeout: 0s", ":6: 'timeout' of the job 'app' is zero"),
        ("timeout: 10s", "timeout: ", ":6: 'timeout' of the job 'app' is missing"),
        ("groups: {workers", "groups: {worker", ":7: the group 'worker' is not defined in any rule file (did you"),
        ("interval: 15s", "interval: 0s", ":7: 'interval' of the group 'workers' is zero"),
        ("healthy: 0", "helthy: 0", ":8: unknown key 'helthy' in 'volume' (did you mean 'healthy'?)"),
        ("2..5/day", "5..2/day", ":8: 'degraded' of 'volume' is the text '5..2/day', expected notices on a day (write"),
        ("2..5/day", "2..5", ":8: 'degraded' of 'volume' is the text '2..5'"),
        ("at: [localhost:25]", "at: localhost", ":5: 'at' is the text 'localhost', expected a list"),
    ],
)
def test_a_mistake_in_what_else_is_promised_is_named_with_its_place(right: str, wrong: str, expected: str) -> None:
    assert right in WHOLE
    with pytest.raises(BadInput) as caught:
        whole(WHOLE.replace(right, wrong, 1))
    assert expected in str(caught.value)


def test_all_mistakes_are_named_at_once() -> None:
    wrong = WHOLE.replace("fires: 101.5", "fires: x").replace("0..1/day", "some").replace("always", "nights")
    with pytest.raises(BadInput) as caught:
        whole(wrong)
    assert [problem.place.line for problem in caught.value.problems if problem.place] == [8, 12, 16]


def test_the_schema_takes_what_the_reader_takes_and_each_key_has_an_example_of_its_own() -> None:
    for text in (PROMISE, WHOLE, (folder() / FILE).read_text()):
        assert valid(read(text, FILE).plain(), DOCUMENT)
    assert not valid(read(WHOLE.replace("labels:", "lables:"), FILE).plain(), DOCUMENT)
    assert not valid(read(WHOLE.replace("0..1/day", "0-1"), FILE).plain(), DOCUMENT)
    for record in (DOCUMENT, ALERT, NOTICE, RECEIVER, JOB, GROUP, LEVELS, VOLUME):
        for schema in record["properties"].values():
            assert schema["description"]
            assert schema["examples"]
            assert all(valid(example, schema) for example in schema["examples"])


MARKED = """\
chaoskit: 1
# decided here: a look and a half
jobs: {app: {scrape: 15s}}
alerts:
  # documented: the table of alerts, row 3
  One:
    appears: 6s
    notices:
      a: {for: 1m}
      # computed, not promised yet
      b: {for: 1m}
      c: {for: 1m}

  Two:
    hours: always # decided here: it wakes people
    muted_by: []
    # decided here:
    labels: {a: b}
  # computed, not promised yet
  Three: {hours: always}
"""


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (3, DECIDED), (7, DOCUMENTED), (9, DOCUMENTED), (11, COMPUTED), (12, DOCUMENTED), (15, DECIDED), (16, ""),
        (18, ""), (20, COMPUTED),
    ],
)  # fmt: skip
def test_why_a_figure_is_promised_stands_beside_it_or_above_what_holds_it(line: int, said: str) -> None:
    """The nearest comment counts; one beside a sibling does not, and one without a reason says nothing."""
    assert reasons(MARKED.split("\n"))[line - 1] == said


def test_an_alert_is_promised_once_each_of_its_figures_says_why() -> None:
    unsaid = not_yet_promised({f"promise:{FILE}": MARKED})
    assert {alert: place.line for alert, place in unsaid.items()} == {"One": 11, "Two": 16, "Three": 20}
    assert not_yet_promised({}) == {}


def test_a_promise_that_is_written_reads_as_the_same_promise() -> None:
    promise = whole()
    again = whole(promise_text(promise))
    assert (again.notices.keys(), again.volume.keys()) == (promise.notices.keys(), promise.volume.keys())
    assert promise_text(again, COMPUTED) == promise_text(promise, COMPUTED)
    assert set(not_yet_promised({f"promise:{FILE}": promise_text(promise, COMPUTED)})) == {"WorkerDown"}


def test_what_is_computed_for_a_configuration_holds_for_it_and_counts_as_no_promise_yet(tmp_path: Path) -> None:
    file = tmp_path / FILE
    assert run(["promise", "write", "--out", str(file)]) == 0
    assert run(["promise", "write", "--out", str(file)]) == 2
    config = load_config(folder(), promise=file)
    assert not [each for each in departures(LintContext(config)) if each.broken]
    assert set(not_yet_promised(config.sources)) == {rule.alert for rule in config.rules if rule.alert}


def test_a_group_is_promised_only_where_a_mail_or_a_webhook_shows_it(tmp_path: Path) -> None:
    """A chat and a pager tell no labels of their group: promised there it would be UNKNOWN in every run."""
    lay_out(tmp_path)
    config = load_config(rules=[str(tmp_path / "rules.yml")], alertmanager=tmp_path / "alertmanager.yml")
    groups = {notice.receiver: notice.grouped_by for notice in computed_promise(config).notices.values()}
    assert groups == {"on-call": None, "team-chat": None, "office": ("alertname",)}
