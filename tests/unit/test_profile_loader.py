# ruff: noqa: E501 - golden messages are searched for whole, so they are not broken into pieces
"""A profile is read whole; each rule has one that keeps it and one that breaks it."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaoskit.errors import BadInput, Place
from chaoskit.handles.practice import Cache, Database, Link, Queue, Scrape, Slice
from chaoskit.handles.role import Role
from chaoskit.scenario.model import (
    Abort,
    Access,
    Attached,
    Handles,
    Header,
    Limits,
    LoadPlan,
    Secret,
)
from chaoskit.scenario.profile import load_profile, load_profile_file, plural

ROOT = Path(__file__).parents[2]
LOCAL = "chaoskit: 1\ntarget: local\n"
LOAD = "load: {users: 20}\n"
ATTACHED = (
    "{prometheus: 'http://p:9090', alertmanager: 'https://a/', metrics: 'http://m:9091/metrics', environment: staging}"
)


def complaints(text: str) -> list[str]:
    try:
        load_profile(text, "p.yml")
    except BadInput as error:
        return [str(problem) for problem in error.problems]
    return []


def test_a_local_profile_as_written() -> None:
    profile = load_profile(
        "chaoskit: 1\ntarget: local\ntime_scale: 30\nload: {rate: 12.5/s, mix: {leads: 3, reports: 0}}\n"
        "standing: [Watchdog]\nhandles:\n  role: {worker: {process: worker, label: worker_name}, api: {process: api}}\n"
        "  link: {upstream: {proxy: up}}\n  queue: {agent-tasks: {admin: crm}}\n"
        "limits: {fault: 90s, run: 10m, workers: 75%, apis: 1, memory: 1GiB, cpu: 0.5, connections: 50%}\n"
        "abort: [{query: 'disk < 0.02'}, {alert: RealTrouble}]\n",
        "some/where.yml",
    )
    assert (profile.name, profile.target, profile.time_scale) == ("where", "local", 30.0)
    assert profile.load == LoadPlan(12.5, None, None, {"leads": 3, "reports": 0})
    assert profile.standing == ("Watchdog",)
    assert profile.handles == Handles(
        {
            "role": {"worker": Role("worker", "worker_name"), "api": Role("api")},
            "link": {"upstream": Link("up")},
            "queue": {"agent-tasks": Queue("crm")},
        }
    )
    assert profile.limits == Limits(90.0, 600.0, {"workers": 0.75, "apis": 1.0}, 2**30, 0.5, 0.5)
    assert profile.abort == (
        Abort("disk < 0.02", None, Place("some/where.yml", 11)),
        Abort(None, "RealTrouble", Place("some/where.yml", 11)),
    )


def test_a_short_profile_gets_the_defaults() -> None:
    profile = load_profile(LOCAL + LOAD, "p.yml")
    assert (profile.time_scale, profile.standing, profile.handles, profile.abort) == (60.0, (), Handles(), ())
    assert profile.limits == Limits()
    assert profile.load == LoadPlan(None, 20, None, {})


def test_an_attached_profile_runs_in_real_time() -> None:
    profile = load_profile(f"chaoskit: 1\ntarget: {{attached: {ATTACHED}}}\n{LOAD}", "p.yml")
    assert profile.time_scale == 1
    assert profile.target == Attached("http://p:9090", "https://a", "http://m:9091/metrics", "staging")


def test_an_attached_profile_as_written() -> None:
    """Everything that an attached target may say of itself; its load may be left out."""
    profile = load_profile(
        "chaoskit: 1\ntarget:\n  attached:\n    prometheus: https://h/prometheus/\n    alertmanager: https://h/am\n"
        "    metrics: http://127.0.0.1:9091/metrics\n    environment: staging\n    label: env\n"
        "    witness: http://127.0.0.1:9765\n    service: http://127.0.0.1:8000\n    access:\n"
        "      prometheus: {username: u, password_file: pw, ca_file: ca.pem, headers: {X-Scope-OrgID: t, X-Api-Key: {env: KEY}}}\n"
        "      witness: {bearer_env: TOKEN}\n    waive: [critical-alerts/email, team/webhook/1]\n"
        "handles: {role: {worker: {match: 'w (?P<name>.+)', label: worker_name}}}\n",
        "staging.yml",
    )
    assert not profile.load.given
    assert profile.handles.of("role") == {"worker": Role("", "worker_name", "w (?P<name>.+)")}
    assert profile.target == Attached(
        "https://h/prometheus",
        "https://h/am",
        "http://127.0.0.1:9091/metrics",
        "staging",
        "env",
        "http://127.0.0.1:9765",
        "http://127.0.0.1:8000",
        {
            "prometheus": Access(
                "u",
                Secret("pw"),
                None,
                (Header("X-Scope-OrgID", "t"), Header("X-Api-Key", "", Secret("", "KEY"))),
                "ca.pem",
            ),
            "witness": Access(bearer=Secret("", "TOKEN")),
        },
        ("critical-alerts/email", "team/webhook/1"),
    )


def test_the_shipped_local_profile_is_what_its_comments_say() -> None:
    profile = load_profile_file(ROOT / "profiles" / "local.yml")
    assert (profile.name, profile.target, profile.time_scale, profile.standing) == ("local", "local", 60.0, ())
    assert profile.load == LoadPlan(
        25.0, None, None, {"leads": 3, "opportunities": 1, "reports": 1, "agent-requests": 5}
    )
    assert profile.handles == Handles(
        {
            "role": {"worker": Role("worker", "worker_name")},
            "link": {"upstream": Link("upstream")},
            "queue": {"agent-tasks": Queue("crm")},
            "cache": {"reports": Cache("crm")},
            "database": {"crm": Database("crm")},
            "slice": {"crm": Slice("crm")},
            "scrape": {"crm": Scrape("metrics")},
        }
    )
    assert profile.limits == Limits(120.0, 900.0, {"workers": 0.75}, 2**30, 1.0, 1.0)


def test_the_shipped_local_profile_can_be_run_in_real_time() -> None:
    path = ROOT / "profiles" / "local.yml"
    slow = load_profile_file(path, ["time_scale=1", "limits.fault=2h", "limits.run=3h"])
    assert (slow.time_scale, slow.limits.fault_s, slow.limits.run_s) == (1.0, 7200.0, 10_800.0)


@pytest.mark.parametrize(
    ("one", "several"),
    [
        ("worker", "workers"),
        ("proxy", "proxies"),
        ("relay", "relays"),
        ("box", "boxes"),
        ("batch", "batches"),
        ("payments", "payments"),
        ("pass", "passes"),
    ],
)
def test_plurals(one: str, several: str) -> None:
    assert plural(one) == several


def local(rest: str) -> str:
    """A local profile with load on line 3 and this on line 4."""
    return LOCAL + LOAD + rest


def attached(more: str) -> str:
    """An attached profile whose target says this as well, on line 2."""
    return f"chaoskit: 1\ntarget: {{attached: {ATTACHED[:-1]}{more}}}}}\n"


def access(value: str) -> str:
    return attached(f", access: {{prometheus: {value}}}")


def mailbox(value: str, name: str = "a/email") -> str:
    return attached(f", mailboxes: {{{name}: {value}}}")


def chat(value: str, name: str = "a/slack") -> str:
    return attached(f", chats: {{{name}: {value}}}")


def load(value: str) -> str:
    return f"{LOCAL}load: {value}\n"


def role(value: str) -> str:
    return local(f"handles: {{role: {value}}}\n")


USES = "(write local, or attached: {prometheus: URL, alertmanager: URL, metrics: URL, environment: NAME})"
MAILBOX = "(write {imap: imaps://HOST, username: USER, password_file: FILE} or {maildir: PATH})"
CHAT = "(write {channel: ID, token_file: FILE}, {service: ID, token_file: FILE} or {http: {url: URL, find: REGEX}})"
IMAP = "{imap: 'imaps://m', username: u, password_file: f}"
EXAMPLE = r"such as (?P<time>\S+) (?P<status>FIRING|RESOLVED) (?P<text>.*)"
PAGE = "{http: {url: 'https://c', find: '(?P<time>.)(?P<status>.)(?P<text>.)'}}"
LOADS = "(write {rate: 40/s, mix: {leads: 3, reports: 1}}, {users: 20}, or {locustfile: PATH})"
OK = LOCAL + LOAD
RULES = [
    (OK, "chaoskit: 1\n" + LOAD, f"p.yml:1: a profile needs 'target' {USES}"),
    (OK, OK.replace("local", "locl"), "p.yml:2: 'target' cannot be the text 'locl' (did you mean 'local'?)"),
    (OK, OK.replace("local", "[local]"), f"p.yml:2: 'target' cannot be a list {USES}"),
    (OK.replace("local", f"{{attached: {ATTACHED}}}"), OK.replace("local", f"{{attached: {ATTACHED.replace(', environment: staging', '')}}}"),
     "p.yml:2: an attached target needs 'environment' (the environment's name, as the target's own labels tell it)"),
    (OK, OK.replace("local", f"{{attached: {ATTACHED.replace('http://p:9090', 'p:9090')}}}"),
     "p.yml:2: 'prometheus' must be a URL, found the text 'p:9090' (write http://HOST:PORT)"),
    (OK, OK.replace("local", f"{{attached: {ATTACHED.replace('http://p:9090', 'http://[')}}}"),
     "p.yml:2: 'prometheus' must be a URL, found the text 'http://[' (write http://HOST:PORT)"),
    (OK.replace("local", f"{{attached: {ATTACHED}}}") + "time_scale: 1\n", OK.replace("local", f"{{attached: {ATTACHED}}}") + "time_scale: 60\n",
     "p.yml:4: an attached target runs in real time (write time_scale: 1, or remove it)"),
    (attached(""), attached("").replace("http://p:9090", "http://u:geheim@p:9090"),
     "p.yml:2: 'prometheus' carries a user or a password (write the URL without them, and access: {NAME: {username: USER, password_file: FILE}} beside it)"),
    (attached(""), attached("").replace("http://p:9090", "http://p:9090?tenant=1"), "p.yml:2: 'prometheus' has a query or a fragment (write the address alone)"),
    (attached(", label: env"), attached(", label: e-nv"), "p.yml:2: 'label' must be a label's name, found the text 'e-nv' (write environment)"),
    (attached(", witness: 'http://w'"), attached(", witness: w"), "p.yml:2: 'witness' must be a URL, found the text 'w' (write http://HOST:PORT)"),
    (attached(", waive: [a/email]"), attached(", waive: [email]"),
     "p.yml:2: an entry of 'waive' names no integration: the text 'email' (write RECEIVER/INTEGRATION, such as critical-alerts/email, or RECEIVER/INTEGRATION/INDEX)"),
    (attached(", access: {metrics: {bearer_file: f}}"), attached(", access: {service: {bearer_file: f}}"),
     "p.yml:2: 'service' is not a key of 'access' (known: prometheus, alertmanager, metrics, witness)"),
    (access("{bearer_file: f}"), access("{bearer: f}"), "p.yml:2: 'bearer' is not a key of 'prometheus' of 'access' (did you mean 'bearer_env'?)"),
    (access("{bearer_file: f}"), access("{bearer_file: f, bearer_env: E}"), "p.yml:2: 'prometheus' of 'access' has 'bearer_file' and 'bearer_env' (keep one)"),
    (access("{bearer_env: E}"), access("{bearer_env: 'gehe-im'}"), "p.yml:2: 'bearer_env' must be the name of an environment variable (write STAGING_PASSWORD)"),
    (access("{username: u, password_env: E}"), access("{username: u, password_env: E, bearer_env: E}"),
     "p.yml:2: 'prometheus' of 'access' has a user and a bearer token (keep one)"),
    (access("{username: u, password_env: E}"), access("{username: u}"),
     "p.yml:2: 'prometheus' of 'access' lacks 'password_file or password_env' (basic auth takes a user and a password)"),
    (access("{username: u, password_env: E}"), access("{password_env: E}"),
     "p.yml:2: 'prometheus' of 'access' lacks 'username' (basic auth takes a user and a password)"),
    (access("{headers: {Authorization: {file: f}}}"), access("{headers: {Authorization: Bearer geheim}}"),
     "p.yml:2: the header 'Authorization' may be a secret, and a profile holds no secrets (write Authorization: {file: FILE} or {env: VARIABLE})"),
    (access("{headers: {X: {file: f}}}"), access("{headers: {X: {file: f, env: E}}}"), "p.yml:2: the header 'X' needs 'file' or 'env' (write one of them)"),
    (access("{headers: {X: y}}"), access("{headers: {X Y: y}}"), "p.yml:2: 'X Y' is no name of a header (write letters, digits and dashes)"),
    (access("{headers: {X: y}}"), access("{headers: [X]}"), "p.yml:2: 'headers' must be a mapping by name, found a list (write {X-Scope-OrgID: team})"),
    (role("{worker: {match: 'w (?P<name>.+)'}}"), role("{worker: {match: 'w .+'}}"),
     r"p.yml:4: 'match' has no group that is the process's name (write 'crm worker (?P<name>\S+)')"),
    (role("{worker: {match: 'w (?P<name>.+)'}}"), role("{worker: {match: 'w ('}}"),
     r"p.yml:4: 'match' is no regular expression: missing ), unterminated subpattern at position 2 (write 'crm worker (?P<name>\S+)')"),
    (local("time_scale: 1\n"), local("time_scale: 0.5\n"), "p.yml:4: 'time_scale' must be a number from 1 to 1000, found the number 0.5"),
    (local("time_scale: 60\n"), local("time_scale: 60x\n"), "p.yml:4: 'time_scale' must be a number from 1 to 1000, found the text '60x'"),
    (local("standing: []\n"), local("standing: Watchdog\n"), "p.yml:4: 'standing' must be a list, found the text 'Watchdog' (write [Watchdog])"),
    (local("standing: []\n"), local("standng: []\n"), "p.yml:4: 'standng' is not a key of a profile (did you mean 'standing'?)"),
    (OK, LOCAL, f"p.yml:1: a profile needs 'load' {LOADS}"),
    (load("{rate: 40/s}"), load("{rate: 40}"), "p.yml:3: 'rate' has no unit: 40 (write 40/s)"),
    (load("{rate: 40/s}"), load("{rate: 40/m}"), "p.yml:3: 'rate' must be a rate above 0, found the text '40/m' (write it per second, such as 40/s)"),
    (load("{rate: 40/s}"), load("{rate: nan/s}"), "p.yml:3: 'rate' must be a rate above 0, found the text 'nan/s' (write it per second, such as 40/s)"),
    (load("{rate: 40/s}"), load("{rate: 0/s}"), "p.yml:3: 'rate' must be a rate above 0, found the text '0/s' (write it per second, such as 40/s)"),
    (load("{users: 2}"), load("{users: 2, rate: 4/s}"), "p.yml:3: 'load' has 'rate' and 'users' (keep one: the open model or the closed one)"),
    (load("{users: 2}"), load("{users: 0}"), "p.yml:3: 'users' must be a whole number of 1 or more, found the number 0"),
    (load("{users: 100000}"), load("{users: 100001}"), "p.yml:3: 'users' is more than 100000: 100001 (one machine cannot play so many)"),
    (load("{users: 2}"), load("{mix: {leads: 1}}"), f"p.yml:3: 'load' says neither 'rate' nor 'users' nor 'locustfile' {LOADS}"),
    (load("{locustfile: a.py, users: 3}"), load("{locustfile: a.py, mix: {leads: 1}}"),
     "p.yml:3: 'mix' stands beside 'locustfile', which has tasks of its own (remove one)"),
    (attached(", witness: 'http://w', recorder: witness"), attached(", recorder: witness"),
     "p.yml:2: recorder: witness needs a witness, and attached: names none (add witness: URL)"),
    (mailbox(IMAP), mailbox("{imap: 'imaps://m', username: u}"), f"p.yml:2: the mailbox 'a/email' lacks 'username' or 'password_file' {MAILBOX}"),
    (mailbox(IMAP), mailbox("{folder: f}"), f"p.yml:2: the mailbox 'a/email' needs 'imap' or 'maildir' {MAILBOX}"),
    (mailbox(IMAP), mailbox(IMAP.replace("imaps://", "imaps://u:geheim@")),
     "p.yml:2: 'imap' is no address of imaps or imap (write imaps://HOST[:PORT]; users and passwords have keys of their own)"),
    (mailbox("{maildir: m}"), mailbox("{maildir: m}", "a/slack"),
     "p.yml:2: the mailbox 'a/slack' is not that of an email integration (chats have a key of their own)"),
    (mailbox("{maildir: m}"), attached(", mailboxes: []"), f"p.yml:2: 'mailboxes' must be a mapping by integration, found a list {MAILBOX}"),
    (chat("{channel: C, token_file: f}"), chat("{channel: C}"), f"p.yml:2: the chat 'a/slack' lacks 'token_file' {CHAT}"),
    (chat("{channel: C, token_file: f}"), chat("{service: S, token_file: f}"), f"p.yml:2: the chat 'a/slack' needs 'channel' or 'http' {CHAT}"),
    (chat(PAGE), chat(PAGE.replace("(?P<text>.)", "")), f"p.yml:2: 'find' of the chat 'a/slack' lacks (?P<text>...) ({EXAMPLE})"),
    (chat(PAGE), chat(PAGE.replace("(?P<text>.)", "(")),
     "p.yml:2: 'find' of the chat 'a/slack' is no regular expression: missing ), unterminated subpattern at position 24 "
     f"({EXAMPLE})"),
    (load("{users: 2, mix: {leads: 0, b: 1}}"), load("{users: 2, mix: {leads: 0}}"),
     "p.yml:3: 'mix' has only weights of 0 (give one request a weight)"),
    (load("{users: 2, mix: {leads: 3}}"), load("{users: 2, mix: {leads: 30%}}"),
     "p.yml:3: the weight of 'leads' must be a whole number, found the text '30%'"),
    (load("{users: 2, mix: {leads: 3}}"), load("{users: 2, mix: [leads]}"),
     "p.yml:3: 'mix' must be a mapping of weights, found a list (write {leads: 3})"),
    (role("{worker: {process: w}}"), role("{worker: {label: w}}"), "p.yml:4: the role 'worker' needs 'process'"),
    (role("{worker: {process: w, label: l}}"), role("{worker: {process: w, labl: l}}"),
     "p.yml:4: 'labl' is not a key of the role 'worker' (did you mean 'label'?)"),
    (role("{worker: {process: w}}"), role("[worker]"), "p.yml:4: 'role' must be a mapping by name, found a list (write {NAME: {process: ...}})"),
    (role("{worker: {process: w}}"), local("handles: {roles: {}}\n"), "p.yml:4: 'roles' is not a key of 'handles' (did you mean 'role'?)"),
    (local("handles: {link: {up: {proxy: x}}}\n"), local("handles: {link: {up: {}}}\n"), "p.yml:4: the link 'up' needs 'proxy'"),
    (local("handles: {queue: {q: {admin: x}}}\n"), local("handles: {queue: {q: {}}}\n"), "p.yml:4: the queue 'q' needs 'admin'"),
    (local("limits: {fault: 60s}\n"), local("limits: {fault: 60}\n"), "p.yml:4: 'fault' has no unit: 60 (write 60s for seconds or 60m for minutes)"),
    (local("limits: {fault: 60s, run: 60s}\n"), local("limits: {fault: 61s, run: 60s}\n"),
     "p.yml:4: a fault may last 61 s, longer than a run with 60 s (raise 'run' or lower 'fault'; both are real time)"),
    (local("limits: {memory: 64MiB}\n"), local("limits: {memory: 64}\n"), "p.yml:4: 'memory' has no unit: 64 (write a size such as 64MiB or 1GiB)"),
    (local("limits: {memory: 64MiB}\n"), local("limits: {memory: 64mb}\n"),
     "p.yml:4: 'memory' must be a size above 0, found the text '64mb' (write a size such as 64MiB or 1GiB)"),
    (local("limits: {memory: 1GB}\n"), local(f"limits: {{memory: {'9' * 400}GB}}\n"), None),
    (local("limits: {cpu: 1}\n"), local("limits: {cpu: 0}\n"), "p.yml:4: 'cpu' must be a number from 0.01 to 1024, found the number 0"),
    (local("handles: {role: {worker: {process: w}}}\nlimits: {workers: 75%}\n"), local("handles: {role: {worker: {process: w}}}\nlimits: {worker: 75%}\n"),
     "p.yml:5: 'worker' is not a key of 'limits' (did you mean 'workers'?)"),
    (local("handles: {role: {worker: {process: w}}}\nlimits: {workers: 75%}\n"), local("handles: {role: {worker: {process: w}}}\nlimits: {workers: 75}\n"),
     "p.yml:5: 'workers' must be a share above 0% and at most 100%, found the number 75 (write 75%)"),
    (local("abort: [{query: x}]\n"), local("abort: [{query: x, alert: A}]\n"),
     "p.yml:4: an abort condition has 'query' and 'alert' (write one condition per entry)"),
    (local("abort: [{alert: A}]\n"), local("abort: [{}]\n"), "p.yml:4: an abort condition needs 'query' or 'alert' (write one condition per entry)"),
    (local("abort: [{alert: A}]\n"), local("abort: {alert: A}\n"), "p.yml:4: 'abort' must be a list, found a mapping (write [{query: PROMQL}])"),
]  # fmt: skip


@pytest.mark.parametrize("kept", list(dict.fromkeys(kept for kept, _, _ in RULES)))
def test_what_keeps_the_rules_is_read(kept: str) -> None:
    assert complaints(kept) == []


@pytest.mark.parametrize(("broken", "complaint"), [(broken, complaint) for _, broken, complaint in RULES])
def test_what_breaks_a_rule_gets_exactly_one_complaint(broken: str, complaint: str | None) -> None:
    found = complaints(broken)
    assert len(found) == 1
    assert complaint is None or found == [complaint]
