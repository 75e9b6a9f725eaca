# ruff: noqa: E501 - golden messages are searched for whole, so they are not broken into pieces
"""`load` of a profile: every model, shape and bound is read, each wrong one is refused where it stands, and what was
read is what the generator gets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from test_scenario_schema import valid

from chaoskit import bundle
from chaoskit.alerting.config import ConfigFiles
from chaoskit.crm.physics import REQUESTS
from chaoskit.errors import BadInput, Place
from chaoskit.load.model import MOST_IN_FLIGHT, LoadSpec
from chaoskit.plan.model import Plan
from chaoskit.report.load import load_line
from chaoskit.run.planning import Asked, plan_for
from chaoskit.run.traffic import changed_spec, check_load, expand, load_spec, locustfile_of, weights
from chaoskit.scenario import load as load_keys
from chaoskit.scenario.model import FailIf, LoadPlan
from chaoskit.scenario.profile import PROFILE, load_profile
from chaoskit.scenario.shape import Shape
from chaoskit.stack.local import MIX
from chaoskit.yaml_source import read
from tests.load_examples import look_at

HOST = "http://127.0.0.1:8000"


def profile_with(load: str) -> str:
    return f"chaoskit: 1\ntarget: local\nload:\n  {load}\nhandles: {{role: {{worker: {{process: worker, label: worker_name}}}}}}\n"


def read_load(load: str, *settings: str) -> LoadPlan:
    return load_profile(profile_with(load), "p.yml", settings).load


def complaints(load: str) -> list[str]:
    try:
        read_load(load)
    except BadInput as error:
        return [str(problem) for problem in error.problems]
    return []


def planned(tmp_path: Path, load: str, *settings: str, steps: str = "") -> Plan:
    """The plan of a scenario with this load, made as `chaoskit plan` makes it."""
    profile = tmp_path / "p.yml"
    profile.write_text(profile_with(load))
    scenario = "worker-unhealthy"
    if steps:
        path = tmp_path / "s.yml"
        path.write_text(f"chaoskit: 1\ntitle: t\nsteps:\n{steps}expect: nothing\n")
        scenario = str(path)
    return plan_for(Asked(scenario, str(profile), ConfigFiles(bundle.folder()), settings))[0]


SHAPES = {
    "constant": Shape(),
    "{ramp: {over: 30s}}": Shape(kind="ramp", low=0.1, length_s=30),
    "{ramp: {from: 50%, over: 1m}}": Shape(kind="ramp", low=0.5, length_s=60),
    "{spike: {to: 5, at: 20s, for: 5s}}": Shape(kind="spike", peak=5, start_s=20, length_s=5),
    "{step: {steps: 4, each: 15s}}": Shape(kind="step", steps=4, length_s=15),
    "{soak: {for: 10m}}": Shape(kind="soak", length_s=600),
    "{soak: {up: 20s, for: 10m}}": Shape(kind="soak", start_s=20, length_s=600),
}


@pytest.mark.parametrize("written", SHAPES)
def test_each_shape_is_read_in_both_models(written: str) -> None:
    for model in ("rate: 40/s", "users: 20"):
        load = f"{model}\n  shape: {written}"
        assert read_load(load).shape == SHAPES[written]
        assert valid(read(profile_with(load), "p.yml").plain(), PROFILE.document)


def test_examples_in_messages_work() -> None:
    assert {
        name: read_load(f"users: 1\n  shape: {example}").shape.kind for name, example in load_keys.EXAMPLES.items()
    } == {name: name for name in load_keys.EXAMPLES}


def test_an_option_sets_each_part_of_a_load() -> None:
    load = read_load(
        "rate: 40/s",
        "load.rate=90/s",
        "load.shape.spike={to: 3, at: 0, for: 5s}",
        "load.processes=2",
        "load.mix.leads=7",
        "load.in_flight=30",
    )
    assert load == LoadPlan(
        90.0,
        None,
        None,
        {"leads": 7},
        shape=Shape(kind="spike", peak=3, start_s=0, length_s=5),
        processes=2,
        in_flight=30,
    )


def test_what_is_read_is_what_the_generator_gets(tmp_path: Path) -> None:
    """Nothing that can be written is lost on the way."""
    plan = planned(
        tmp_path,
        "users: 30\n  mix: {leads: 3, reports: 1, opportunities: 0}\n  shape: {soak: {up: 1s, for: 5s}}\n"
        "  processes: 2\n  timeout: 700ms\n  think: 250ms\n  drain: 12s",
    )
    spec = load_spec(plan, HOST, REQUESTS)
    assert (spec.rate, spec.users, spec.processes, spec.think_s) == (None, 30, 2, 0.25)
    assert (spec.connect_timeout_s, spec.network_timeout_s) == (0.7, 0.7)
    assert (spec.drain_for_s, spec.usual_drain_s) == (12.0, pytest.approx(1.9))
    assert spec.shape == Shape(kind="soak", start_s=1, length_s=5)
    assert spec.mix == {"leads/1": 3, "leads/2": 3, "reports": 2}
    assert spec.requests["leads/2"].method == "POST"
    opened = load_spec(planned(tmp_path, "rate: 40/s\n  in_flight: 77"), HOST, REQUESTS)
    assert (opened.rate, opened.users, opened.in_flight_bound) == (40.0, None, 77)


def test_without_a_mix_all_requests_are_alike(tmp_path: Path) -> None:
    spec = load_spec(planned(tmp_path, "users: 3"), HOST, {"a": [{"path": "/a"}], "b": [{"path": "/b"}] * 2})
    assert spec.mix == {"a": 2, "b/1": 1, "b/2": 1}


def test_turns_keep_the_weights_in_proportion_exactly() -> None:
    specs = expand({"a": [{"path": "/"}] * 3, "b": [{"path": "/"}], "c/d": [{"path": "/"}] * 2})
    assert weights({"a": 1, "b": 1, "c/d": 1}, specs) == {"a/1": 2, "a/2": 2, "a/3": 2, "b": 6, "c/d/1": 3, "c/d/2": 3}


RULES = [
    ("shape: ramp", "p.yml:5: 'shape' ramp needs settings (write {ramp: {from: 10%, over: 30s}})"),
    ("shape: rampp", "p.yml:5: 'shape' must be one of constant, ramp, spike, step, soak, stages, found the text 'rampp' (did you mean 'ramp'?)"),
    ("shape: {sine: {over: 1s}}", "p.yml:5: 'sine' is no shape with settings (did you mean 'spike'?)"),
    ("shape: {constant: {}}", "p.yml:5: 'constant' is no shape with settings (write shape: constant)"),
    ("shape: {ramp: {over: 1s}, soak: {for: 1s}}",
     "p.yml:5: 'shape' must be one of constant, ramp, spike, step, soak, stages, found 2 of them (write constant or, for instance, {ramp: {from: 10%, over: 30s}})"),
    ("shape: {ramp: 30s}", "p.yml:5: the shape 'ramp' is a mapping, found the text '30s' (write {ramp: {from: 10%, over: 30s}})"),
    ("shape: {ramp: {over: 30}}", "p.yml:5: 'over' has no unit: 30 (write 30s for seconds or 30m for minutes)"),
    ("shape: {ramp: {from: 10%}}", "p.yml:5: the shape 'ramp' needs 'over' (how long it takes)"),
    ("shape: {ramp: {from: 0%, over: 30s}}", "p.yml:5: 'from' must be a share above 0% and at most 100%, found the text '0%' (write a percentage such as 75%)"),
    ("shape: {spike: {to: 1001, at: 1s, for: 1s}}", "p.yml:5: 'to' must be a number from 0 to 1000, found the number 1001"),
    ("shape: {spike: {to: 2, for: 1s}}", "p.yml:5: the shape 'spike' needs 'at' (when it begins, counted from the beginning of the load)"),
    ("shape: {step: {steps: 1001, each: 1s}}", "p.yml:5: 'steps' must be at most 1000, found the number 1001"),
    ("shape: {step: {steps: 0, each: 1s}}", "p.yml:5: 'steps' must be a whole number of 1 or more, found the number 0"),
    ("shape: {step: {steps: 2, each: 1s, eech: 1s}}", "p.yml:5: 'eech' is not a key of the shape 'step' (did you mean 'each'?)"),
    ("shape: {soak: {for: 0s}}", "p.yml:5: 'for' must be longer than 0 (write a duration such as 30s or 5m)"),
    ("processes: 0", "p.yml:5: 'processes' must be a whole number of 1 or more, found the number 0"),
    ("processes: 65", "p.yml:5: 'processes' must be at most 64, found the number 65"),
    ("shape: {stages: []}", "p.yml:5: 'stages' is an empty list (write shape: {stages: [{for: 1m, to: 50%, over: 10s}, {for: 5m, to: 100%}]}, or remove the key)"),
    ("shape: {stages: [{to: 50%}]}", "p.yml:5: a stage needs 'for' (how long it lasts, with the way there)"),
    ("shape: {stages: [{for: 5s, to: 50}]}", "p.yml:5: 'to' must be a share of the level, found the number 50 (write 50% or 200%)"),
    ("shape: {stages: [{for: 5s, to: 50%, ovr: 2s}]}", "p.yml:5: 'ovr' is not a key of a stage (did you mean 'over'?)"),
    ("fail_if: [{name: leads}]", "p.yml:5: an entry of 'fail_if' limits nothing (write failed: 1% or p95: 800ms)"),
    ("fail_if: [{faild: 1%, p95: 1s}]", "p.yml:5: 'faild' is not a key of an entry of 'fail_if' (did you mean 'failed'?)"),
    ("fail_if: [{p95: 800}]", "p.yml:5: 'p95' has no unit: 800 (write 800s for seconds or 800m for minutes)"),
    ("fail_if: {p95: 1s}", "p.yml:5: 'fail_if' must be a list, found a mapping (write fail_if: [{name: checkout, failed: 1%, p95: 800ms}])"),
    ("optoins: {a: 1}", "p.yml:5: 'optoins' is not a key of 'load' (did you mean 'options'?)"),
    ("drain: 11m", "p.yml:5: 'drain' is longer than 30 s: 11m (write 2s)"),
    ("workers: 8", "p.yml:5: 'workers' of load is a mapping, found the number 8 (write {expect: 8, bind: 10.0.0.5, token_file: load-token})"),
    ("workers: {expect: 0, token_file: t}", "p.yml:5: 'expect' must be a whole number of 1 or more, found the number 0"),
    ("workers: {expect: 2}", "p.yml:5: 'workers' of load needs 'token_file' (token_file: load-token, made by (umask 077; openssl rand -hex 32 > load-token))"),
    ("workers: {token_file: t}", "p.yml:5: 'workers' of load needs 'expect' (how many there are: expect: 8)"),
    ("workers: {expect: 2, token_file: t, bind: 0.0.0.0}", "p.yml:5: 'bind' must be one IP address of this machine, found every address of the machine (write the address that the workers reach, such as 10.0.0.5)"),
    ('workers: {expect: 2, token_file: t, bind: "::"}', "p.yml:5: 'bind' must be one IP address of this machine, found every address of the machine (write the address that the workers reach, such as 10.0.0.5)"),
    ('workers: {expect: 2, token_file: t, bind: "*"}', "p.yml:5: 'bind' must be one IP address of this machine, found every address of the machine (write the address that the workers reach, such as 10.0.0.5)"),
    ("workers: {expect: 2, token_file: t, port: 65536}", "p.yml:5: 'port' must be at most 65535, found the number 65536"),
    ("workers: {expect: 2, token_fil: t, token_file: t}", "p.yml:5: 'token_fil' is not a key of 'workers' of load (did you mean 'token_file'?)"),
    ("timeout: 11m", "p.yml:5: 'timeout' is longer than 600 s: 11m (write 2s)"),
    ("timeout: 2", "p.yml:5: 'timeout' has no unit: 2 (write 2s for seconds or 2m for minutes)"),
]  # fmt: skip
MODELS = [
    ("rate: 40/s\n  think: 1s", "p.yml:5: 'think' is a user's wait, and a rate has no users (remove one)"),
    ("rate: 40/s\n  workers: {expect: 2, token_file: t}\n  processes: 2", "p.yml:6: 'processes' stands beside 'workers', each of which is one (remove one)"),
    ("users: 4\n  in_flight: 9", "p.yml:5: 'in_flight' bounds an open load, and this one has no 'rate' (remove one)"),
    ("rate: 40/s\n  locustfile: a.py", "p.yml:4: 'rate' stands beside 'locustfile', whose users take no rate (write users: 20; its users decide themselves how often they ask)"),
    ("locustfile: a.py\n  think: 1s", "p.yml:5: 'think' stands beside 'locustfile', whose users have a wait_time (remove one)"),
    ("users: 4\n  options: {tenant: x}", "p.yml:5: 'options' is for a locustfile, and this load has none (remove one)"),
    ("users: 4\n  tags: [read]", "p.yml:5: 'tags' is for a locustfile, and this load has none (remove one)"),
    ("locustfile: a.py\n  options: {tenant: {a: 1}}", "p.yml:5: 'tenant' of 'options' must be a value or a list, found a mapping"),
    ("rate: 4/s\n  spawn_rate: 2/s", "p.yml:5: 'spawn_rate' is how fast users come, and a rate has no users (remove one)"),
    ("users: 4\n  shape: {stages: [{for: 5s, to: 50%, over: 6s}]}", "p.yml:5: 'over' of a stage is longer than its 'for' (the way there is a part of the stage)"),
    ("users: 4\n  shape: {stages: [{for: 5s, to: 0%}]}", "p.yml:5: 'stages' never rise above 0 (write to: 100% in one of them)"),
    ("users: 3\n  processes: 4", "p.yml:5: 3 users cannot be shared by 4 processes (give each process at least one user)"),
    ("locustfile: a.py\n  processes: 11", "p.yml:5: 10 users cannot be shared by 11 processes (give each process at least one user)"),
    ("users: 3\n  workers: {expect: 4, token_file: t}", "p.yml:5: 3 users cannot be shared by 4 workers (give each worker at least one user)"),
    ("rate: 60000/s\n  shape: {spike: {to: 2, at: 1s, for: 1s}}", "p.yml:4: 'rate' is more than 100000/s at its highest: 120000/s (lower 'rate', or the peak of the load's shape)"),
    ("users: 60000\n  shape: {spike: {to: 2, at: 1s, for: 1s}}", "p.yml:4: 'users' is more than 100000: 120000 (one machine cannot play so many)"),
]  # fmt: skip


@pytest.mark.parametrize(("load", "said"), [(f"rate: 40/s\n  {line}", said) for line, said in RULES] + MODELS)
def test_what_is_wrong_is_refused_at_its_line(load: str, said: str) -> None:
    assert complaints(load) == [said]


@pytest.mark.parametrize(
    "load",
    [
        f"users: 90\n  {line}"
        for line, said in RULES
        if said and "0%" not in line and "0s" not in line and "11m" not in line
    ]
    + [one for one, _ in MODELS[:9]],
)
def test_what_is_wrong_in_one_place_is_not_valid_in_an_editor(load: str) -> None:
    assert not valid(read(profile_with(load), "p.yml").plain(), PROFILE.document)


def test_all_problems_are_told_at_once() -> None:
    assert len(complaints("rate: 4\n  shape: {ramp: {}}\n  processes: x\n  mix: []")) == 4


def test_a_locustfile_of_ones_own_gets_ten_users_and_is_looked_for_beside_the_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text("x = 1\n")
    plan = planned(tmp_path, "locustfile: mine.py")
    assert (plan.profile.load.users, locustfile_of(plan.profile.load)) == (10, tmp_path / "mine.py")
    spec = load_spec(plan, HOST, REQUESTS)
    assert (spec.locustfile, spec.users, spec.mix, spec.requests) == (str(tmp_path / "mine.py"), 10, {}, {})
    here = tmp_path / "here"
    here.mkdir()
    (here / "other.py").write_text("x = 1\n")
    monkeypatch.chdir(here)
    plan = planned(tmp_path, "users: 3", "load={locustfile: other.py, users: 4}")
    assert (plan.profile.load.users, locustfile_of(plan.profile.load)) == (4, here / "other.py")


def refused(tmp_path: Path, load: str, *settings: str, steps: str = "") -> list[str]:
    with pytest.raises(BadInput) as caught:
        planned(tmp_path, load, *settings, steps=steps)
    return [str(problem).replace(f"{tmp_path}/", "") for problem in caught.value.problems]


def test_what_only_a_look_can_tell_is_told_before_anything_starts(tmp_path: Path) -> None:
    """An unknown request, a locustfile that is missing or no Python, a pool too large: with file and line."""
    assert refused(tmp_path, "users: 2\n  mix: {leeds: 1}") == [
        "p.yml:5: load: the target has no request 'leeds' (did you mean 'leads'?)"
    ]
    (missing,) = refused(tmp_path, "locustfile: nix.py")
    assert missing.startswith("p.yml:4: locustfile 'nix.py' does not exist (looked for nix.py;")
    (tmp_path / "bad.py").write_text("x = 1\ndef y(:\n")
    assert refused(tmp_path, "locustfile: bad.py") == ["bad.py:2: is not Python: invalid syntax (mend this line)"]
    (pool,) = refused(tmp_path, "rate: 9/s\n  in_flight: 1801\n  processes: 2")
    assert (
        pool
        == "p.yml:5: 'in_flight' is 1801, and 2 processes of the generator hold 1800 (raise 'processes' to 3, or lower 'in_flight')"
    )
    (pool,) = refused(tmp_path, "rate: 9/s\n  in_flight: 1801\n  workers: {expect: 2, token_file: none}")[:1]
    assert pool.endswith("(raise 'expect' to 3, or lower 'in_flight')")
    assert MOST_IN_FLIGHT == 900


def test_changes_of_the_load_are_read_before_the_run(tmp_path: Path) -> None:
    steps = "- change: load\n  with: {rate: 100/s, shape: {ramp: {over: 5s}}, mix: {reports: 1}}\n- wait: 1m\n"
    planned(tmp_path, "rate: 40/s", steps=steps)
    assert refused(tmp_path, "users: 9", steps=steps) == [
        "s.yml:4: the load has users, and a change gives it a rate (change 'users', or give load a rate)"
    ]
    wrong = "- change: load\n  with: {users: 3, mix: {nix: 1}, processes: 2}\n- wait: 1m\n"
    said = refused(tmp_path, "rate: 40/s", steps=wrong)
    assert len(said) == 3
    for part, one in zip(
        (
            "'processes' is not a key of a change of load",
            "the load has a rate, and a change gives it users",
            "no request 'nix'",
        ),
        said,
        strict=True,
    ):
        assert part in one
        assert one.startswith("s.yml:4: ")


def a_spec(**different: Any) -> LoadSpec:
    specs = expand({"a": [{"path": "/1"}, {"path": "/2"}], "b": [{"path": "/b"}]})
    return LoadSpec(**{"host": HOST, "rate": 4.0, "mix": weights({"a": 1}, specs), "requests": specs, **different})


def test_a_change_keeps_what_it_does_not_name() -> None:
    spec = a_spec()
    assert changed_spec(spec, {}) == spec
    changed = changed_spec(spec, {"rate": "8/s", "mix": {"b": 2, "a": 1}, "shape": {"ramp": {"over": "5s"}}})
    assert (changed.rate, changed.mix) == (8.0, {"a/1": 1, "a/2": 1, "b": 4})
    assert changed.shape == Shape(kind="ramp", low=0.1, length_s=5)
    assert changed.requests == spec.requests
    spec.check_change(changed)
    closed = changed_spec(a_spec(rate=None, users=4), {"users": 7})
    assert (closed.rate, closed.users) == (None, 7)


@pytest.mark.parametrize(
    "settings", [{"rate": 8}, {"rates": "8/s"}, {"mix": {"c": 1}}, {"users": 0}, {"shape": "ramp"}]
)
def test_a_change_that_cannot_be_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        changed_spec(a_spec(), settings)


def test_the_mix_known_beforehand_is_what_the_target_tells() -> None:
    assert set(MIX) == set(REQUESTS)


def test_the_plan_shows_the_load_in_one_line() -> None:
    assert load_line(
        read_load(
            "rate: 40/s\n  in_flight: 9\n  mix: {leads: 3, reports: 0}\n  shape: {step: {steps: 4, each: 15s}}\n  processes: 2"
        )
    ) == (
        "40/s in an open model, at most 9 unanswered; 4 equal steps up, 15s each; mix leads 3; 2 processes; time-out 2s (real)"
    )
    assert load_line(read_load("users: 20")) == (
        "20 users in a closed model, each thinking for about 1s; all requests of the target alike; time-out 2s (real)"
    )
    assert load_line(read_load("locustfile: a.py\n  shape: {spike: {to: 2.5, at: 1m, for: 10s}}")) == (
        "10 users in a closed model; spike to 2.5 times it after 1m for 10s; tasks of a.py; time-out 2s (real)"
    )
    assert load_line(read_load("users: 1\n  drain: 9s")).endswith("; the end may take 9s (real)")
    assert "ramp from 10% of it within 30s" in load_line(read_load("users: 1\n  shape: {ramp: {over: 30s}}"))
    assert "up within 5s, 1m at full level, then down" in load_line(
        read_load("users: 1\n  shape: {soak: {up: 5s, for: 1m}}")
    )


@pytest.mark.parametrize(
    ("source", "said", "line"),
    [
        ("x = 1\n", "has no user class", 0),
        ("import nowhere\n", "ModuleNotFoundError: No module named 'nowhere'", 1),
        ("print('noise')\ndef deep():\n    raise RuntimeError('no such luck')\ndeep()\n", "RuntimeError: no such luck", 3),
        ("import os\nos._exit(7)\n", "ended the process that imported it with 7", 0),
        ("from locust import LoadTestShape, User\nclass A(User): pass\nclass S(LoadTestShape):\n    def tick(self): return None\n", "has a LoadTestShape", 0),
    ],
)  # fmt: skip
def test_a_locustfile_is_tried_before_a_run(tmp_path: Path, source: str, said: str, line: int) -> None:
    path = tmp_path / "own.py"
    path.write_text(source)
    (problem,) = look_at(path)
    assert said in problem.message
    assert problem.place == Place(str(path), line)


def test_what_a_module_beside_it_raises_is_told_with_the_modules_own_line(tmp_path: Path) -> None:
    path, beside = tmp_path / "own.py", tmp_path / "beside.py"
    path.write_text("import beside\n")
    beside.write_text("a = 1\nrows = open('users.csv')\n")
    (tmp_path / "users.csv").touch()
    (problem,) = look_at(path)
    assert problem.place == Place(str(beside), 2)
    assert problem.hint == (
        f"{path}:1 imports it; it is beside the locustfile: open(Path(__file__).parent / 'users.csv') finds it from everywhere"
    )


def test_a_good_locustfile_has_no_problem_and_one_that_hangs_is_ended(tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    path.write_text(
        "from locust import HttpUser, task\nclass A(HttpUser):\n    @task\n    def t(self): self.client.get('/')\n"
    )
    assert look_at(path) == []
    path.write_text("import time\ntime.sleep(60)\n")
    (problem,) = look_at(path, timeout_s=0.5)
    assert "is not imported within 0.5 s" in problem.message


def test_limits_of_a_mix_name_requests_that_the_target_has(tmp_path: Path) -> None:
    load = planned(tmp_path, "users: 2\n  fail_if: [{name: leads, failed: 1%, p95: 800ms}, {failed: 0%}]").profile.load
    assert load.fail_if == (FailIf("leads", 0.01, {95: 0.8}), FailIf("", 0.0, {}))
    assert "fails if leads is above 1% failed, P95 800ms" in load_line(load)
    with pytest.raises(BadInput, match="no request 'laeds'") as found:
        planned(tmp_path, "users: 2\n  fail_if: [{name: GET leads/1, p50: 1s}, {name: laeds, p50: 1s}]")
    assert len(found.value.problems) == 1


def test_a_load_is_checked_with_the_names_that_are_given(tmp_path: Path) -> None:
    plan = planned(tmp_path, "users: 2\n  mix: {leads: 1}")
    check_load(plan, ["leads"])
    with pytest.raises(BadInput, match="no request 'leads'"):
        check_load(plan, ["a"])
