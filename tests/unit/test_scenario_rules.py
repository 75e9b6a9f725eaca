# ruff: noqa: E501 - golden messages are searched for whole, so they are not broken into pieces
"""Each rule of the format: a scenario that keeps it is read, one that breaks it gets exactly this complaint."""

from __future__ import annotations

import pytest

from chaoskit.errors import BadInput
from chaoskit.scenario.loader import load_scenario

HEAD = "chaoskit: 1\ntitle: t\n"
KILL = "  - {inject: process.kill, as: kill, target: {role: worker}}\n"
SLOW = "  - {inject: db.slow, as: slow}\n"
REPLAY = "  - {do: queue.replay, as: replay}\n"
PAUSE = "  - {wait: 5m, as: pause}\n"


def complaints(text: str) -> list[str]:
    try:
        load_scenario(text, "s.yml")
    except BadInput as error:
        return [str(problem) for problem in error.problems]
    return []


def steps(*lines: str) -> str:
    """A scenario of these steps (the first stands on line 4) that expects nothing."""
    return HEAD + "steps:\n" + "".join(lines) + "expect: nothing\n"


def expecting(*lines: str, before: str = KILL) -> str:
    """A scenario with one step on line 4 (or those given) and these expectations below it."""
    return HEAD + "steps:\n" + before + "expect:\n" + "".join(f"  - {line}\n" for line in lines)


ANYTHING = HEAD + "steps:\n" + KILL + "expect: nothing\n"

TOP = [
    (ANYTHING, "title: t\nsteps:\n" + KILL + "expect: nothing\n",
     "s.yml:1: a scenario says its format version first: 'chaoskit' is missing (write 'chaoskit: 1' on the first line)"),
    (ANYTHING, "title: t\nchaoskit: 1\nsteps:\n" + KILL + "expect: nothing\n",
     "s.yml:2: 'chaoskit' is not the first key (move the format version to the top)"),
    (ANYTHING, ANYTHING.replace("chaoskit: 1", "chaoskit: 2"),
     "s.yml:1: format version 2 is not supported: this chaoskit reads version 1 (install a newer chaoskit)"),
    (ANYTHING, ANYTHING.replace("chaoskit: 1", "chaoskit: '1'"),
     "s.yml:1: 'chaoskit' is the format version, found the text '1' (write 'chaoskit: 1' on the first line)"),
    (ANYTHING, ANYTHING.replace("chaoskit: 1", "chaoskit: true"),
     "s.yml:1: 'chaoskit' is the format version, found true (write 'chaoskit: 1' on the first line)"),
    (ANYTHING, "- chaoskit: 1\n", "s.yml:1: a scenario is a mapping, found a list (write 'chaoskit: 1' on the first line)"),
    (ANYTHING, ANYTHING.replace("title: t", "title:"), "s.yml:2: 'title' of a scenario is empty (write its value, or remove the key)"),
    (ANYTHING, ANYTHING.replace("title: t", "title: [t]"), "s.yml:2: 'title' must be text, found a list"),
    (ANYTHING, ANYTHING.replace("title: t", "title: 5"), "s.yml:2: 'title' must be text, found the number 5 (write \"5\" in quotes)"),
    (ANYTHING, ANYTHING.replace("title: t", "title: ' '"), "s.yml:2: 'title' is blank (write its value, or remove the key)"),
    (ANYTHING + "tags: [a]\n", ANYTHING + "tags: a\n", "s.yml:6: 'tags' must be a list, found the text 'a' (write [smoke])"),
    (ANYTHING + "tags: [a]\n", ANYTHING + "tags: []\n", "s.yml:6: 'tags' is an empty list (write [smoke], or remove the key)"),
    (ANYTHING + "tags: [a, b]\n", ANYTHING + "tags: [a, a]\n", "s.yml:6: 'tags' lists 'a' twice (keep one)"),
    (ANYTHING, HEAD + "expect: nothing\n", "s.yml:1: a scenario needs 'steps' (write a list of inject, change, undo, do and wait)"),
    (ANYTHING, HEAD + "steps: []\nexpect: nothing\n",
     "s.yml:3: 'steps' must be a list of steps, found an empty list (write - inject: KIND, - wait: 5m)"),
    (ANYTHING, HEAD + "steps: {wait: 5m}\nexpect: nothing\n",
     "s.yml:3: 'steps' must be a list of steps, found a mapping (write - inject: KIND, - wait: 5m)"),
    (ANYTHING, HEAD + "steps:\n" + KILL,
     "s.yml:1: a scenario says nothing about what must be noticed (write a list of - alert: NAME, or expect: nothing)"),
    (ANYTHING, HEAD + "steps:\n" + KILL + "expect: []\n",
     "s.yml:5: 'expect' must say what is to be noticed, found an empty list (write a list of - alert: NAME, or expect: nothing)"),
    (ANYTHING, HEAD + "steps:\n" + KILL + "expect:\n",
     "s.yml:5: 'expect' of a scenario is empty (write its value, or remove the key)"),
    (ANYTHING, HEAD + "steps:\n" + KILL + "expect: nothin\n",
     "s.yml:5: 'expect' must say what is to be noticed, found the text 'nothin' (did you mean 'nothing'?)"),
]  # fmt: skip

STEPS = [
    (steps("  - {wait: 5m}\n"), steps("  - {wiat: 5m}\n"), "s.yml:4: 'wiat' is not a step's verb (did you mean 'wait'?)"),
    (steps(PAUSE), steps("  - {as: x}\n"), "s.yml:4: a step without a verb (write one of inject, change, undo, do, wait)"),
    (steps(PAUSE), steps("  - wait\n"), "s.yml:4: a step is a mapping, found the text 'wait' (write - wait: 5m)"),
    (steps(PAUSE), steps("  - {wait: 5m, do: command}\n"),
     "s.yml:4: a step does one thing, found 'wait' and 'do' (write two steps, each with its own dash)"),
    (steps(PAUSE), steps("  - {wait: 5m, with: {a: 1}}\n"), "s.yml:4: 'with' is not a key of a wait step (known: wait, as)"),
    (steps(KILL), steps("  - {inject: process.kill, taget: {role: worker}}\n"),
     "s.yml:4: 'taget' is not a key of an inject step (did you mean 'target'?)"),
    (steps(KILL), steps("  - {inject: 'process kill'}\n"),
     "s.yml:4: 'inject' must be a name, found the text 'process kill' (use at most 63 letters, digits, dots, dashes and underscores)"),
    (steps(KILL), steps("  - {inject: db.slow, as: [x]}\n"), "s.yml:4: 'as' must be text, found a list"),
    (steps(KILL, SLOW), steps(KILL, "  - {inject: db.slow, as: kill}\n"),
     "s.yml:5: two steps are called 'kill' (the first is on line 4; rename one)"),
    (steps(KILL), steps("  - {inject: db.slow, as: end}\n"),
     "s.yml:4: 'end' cannot name a step (that name has a meaning of its own; choose another)"),
    (steps("  - {inject: db.slow, with: {by: 2s}}\n"), steps("  - {inject: db.slow, with: 2s}\n"),
     "s.yml:4: 'with' must be a mapping such as {ratio: 95%}, found the text '2s'"),
    (steps(KILL), steps("  - {inject: db.slow, with: }\n"),
     "s.yml:4: 'with' of an inject step is empty (write its value, or remove the key)"),
    (steps("  - inject: [{kind: db.slow}]\n"), steps("  - inject: []\n"),
     "s.yml:4: 'inject' is an empty list (write inject: [{kind: KIND, target: {...}, with: {...}}, ...])"),
    (steps("  - inject: [{kind: db.slow}]\n"), steps("  - inject: [{with: {by: 2s}}]\n"),
     "s.yml:4: a fault needs 'kind' (write inject: [{kind: KIND, target: {...}, with: {...}}, ...])"),
    (steps("  - inject: [{kind: db.slow}]\n"), steps("  - inject: [{kind: db.slow, as: x}]\n"),
     "s.yml:4: 'as' is not a key of a fault (known: kind, target, with)"),
    (steps("  - {inject: [{kind: db.slow, with: {a: 1}}]}\n"), steps("  - {inject: [{kind: db.slow}], with: {a: 1}}\n"),
     "s.yml:4: 'with' stands beside a list of faults (give it to each fault)"),
    (steps("  - {do: http.request, with: {path: /}}\n"), steps("  - {do: {http: x}}\n"), "s.yml:4: 'do' must be text, found a mapping"),
]  # fmt: skip


def kill_at(target: str) -> str:
    return steps(f"  - {{inject: process.kill, target: {target}}}\n")


TARGETS = [
    (kill_at("{role: worker, count: 2}"), kill_at("{role: worker, cuont: 2}"),
     "s.yml:4: 'cuont' is not a key of a target (did you mean 'count'?)"),
    (kill_at("{role: worker, count: 1}"), kill_at("{role: worker, count: 0}"),
     "s.yml:4: 'count' must be a whole number of 1 or more, found the number 0"),
    (kill_at("{role: worker, share: 50%}"), kill_at("{role: worker, share: 50}"),
     "s.yml:4: 'share' must be a share above 0% and at most 100%, found the number 50 (write 50%)"),
    (kill_at("{role: worker, share: 100%}"), kill_at("{role: worker, share: 0%}"),
     "s.yml:4: 'share' must be a share above 0% and at most 100%, found the text '0%' (write a percentage such as 75%)"),
    (kill_at("{role: worker, all: true}"), kill_at("{role: worker, all: yes}"),
     "s.yml:4: 'all' can only be true, found the text 'yes' (remove it, or write 'count')"),
    (kill_at("{role: worker, all: true}"), kill_at("{role: worker, all: true, count: 2}"),
     "s.yml:4: a target has 'count' and 'all' (keep one of them)"),
    (kill_at("{role: worker}"), kill_at("{role: worker, link: upstream}"),
     "s.yml:4: a target has 'role' and 'link' (keep one of them)"),
    (kill_at("{name: prometheus}"), kill_at("{count: 2}"),
     "s.yml:4: 'target' names no handle (write for example {role: worker, count: 1} or {link: upstream})"),
    (kill_at("{role: worker}"), kill_at("worker"),
     "s.yml:4: 'target' must be a mapping with a handle, found the text 'worker' "
     "(write for example {role: worker, count: 1} or {link: upstream})"),
]  # fmt: skip

ORDER = [
    (steps(SLOW, "  - {change: slow, with: {by: 3s}}\n"), steps("  - {change: slow, with: {by: 3s}}\n", SLOW),
     "s.yml:4: 'slow' is changed before it is defined (its step is on line 5; move this one below)"),
    (steps(SLOW, "  - {undo: slow}\n"), steps(SLOW, "  - {undo: slwo}\n"), "s.yml:5: 'slwo' names no step (did you mean 'slow'?)"),
    (steps(SLOW, "  - {undo: all}\n"), steps("  - {undo: all}\n"),
     "s.yml:4: 'undo: all', but nothing is in force here (remove the step)"),
    (steps(SLOW, "  - {undo: slow}\n"), steps(SLOW, "  - {undo: slow}\n", "  - {undo: slow}\n"),
     "s.yml:6: 'slow' is no longer in force here (it has been undone; inject the fault again in a step with another name)"),
    (steps(SLOW, KILL, "  - undo: [slow, kill]\n"), steps(SLOW, "  - undo: [slow, slow]\n"),
     "s.yml:5: 'slow' is no longer in force here (it has been undone; inject the fault again in a step with another name)"),
    (steps(SLOW, "  - {change: slow, with: {a: 1}}\n", "  - {undo: slow}\n"),
     steps(SLOW, "  - {undo: all}\n", "  - {change: slow, with: {a: 1}}\n"),
     "s.yml:6: 'slow' is no longer in force here (it has been undone; inject the fault again in a step with another name)"),
    (steps(SLOW, "  - {undo: all}\n"), steps(SLOW, "  - undo: [all]\n"),
     "s.yml:5: 'all' stands in a list (write undo: all, or name each step)"),
    (steps(SLOW, "  - {undo: all}\n"), steps(SLOW, "  - undo: []\n"),
     "s.yml:5: 'undo' is an empty list (name what to undo, or write undo: all)"),
    (steps(SLOW), steps(SLOW, "  - {undo: end}\n"), "s.yml:5: 'end' cannot be undone (all faults end after the last step: remove this)"),
    (steps(REPLAY), steps(REPLAY, "  - {undo: replay}\n"),
     "s.yml:5: 'replay' is an action, and only faults are undone (an action has no undo)"),
    (steps(PAUSE), steps(PAUSE, "  - {undo: pause}\n"),
     "s.yml:5: 'pause' is no fault, and only faults are undone (nothing is in force here)"),
    (steps(SLOW, "  - {change: slow, as: less, with: {a: 1}}\n"),
     steps(SLOW, "  - {change: slow, as: less, with: {a: 1}}\n", "  - {change: less, with: {a: 1}}\n"),
     "s.yml:6: 'less' is a change, and only faults are changed (name the fault: slow)"),
    (steps("  - {change: load, with: {rate: 1/s}}\n"), steps("  - {change: load, with: {}}\n"),
     "s.yml:4: 'with' of a change step holds nothing (say the new level)"),
    (steps("  - {change: load, with: {rate: 1/s}}\n"), steps("  - {change: load}\n"),
     "s.yml:4: a change step needs 'with' (say the new level, such as with: {ratio: 4%})"),
    (steps("  - {change: load, with: {rate: 1/s}}\n", "  - {undo: all}\n"),
     steps("  - {change: load, with: {rate: 1/s}}\n", "  - {undo: load}\n"),
     "s.yml:5: 'load' cannot be undone (write change: load with the former figures, or leave it to the end)"),
    (steps("  - {inject: [{kind: a}, {kind: a}], as: x}\n", "  - {change: x, with: {a: 1}}\n"),
     steps("  - {inject: [{kind: a}, {kind: b}], as: x}\n", "  - {change: x, with: {a: 1}}\n"),
     "s.yml:5: 'x' started faults of several kinds: a, b (inject the fault to be changed in a step of its own)"),
]  # fmt: skip


def wait(condition: str) -> str:
    return expecting("alert: A", before=KILL + f"  - {{wait: {condition}}}\n")


FORMS = "(write 5m, settled, {alert: A, state: firing}, or {query: PROMQL, at_most: 5m})"
WAITS = [
    (wait("30s"), wait("30"), "s.yml:5: 'wait' has no unit: 30 (write 30s for seconds or 30m for minutes)"),
    (wait("30s"), wait("'30'"), "s.yml:5: 'wait' is not a duration: the text '30' (write 30s for seconds or 30m for minutes)"),
    (wait("1m30s"), wait("1.5m"), "s.yml:5: 'wait' is not a duration: the text '1.5m' (write 1m30s)"),
    (wait("5m"), wait("5 min"), "s.yml:5: 'wait' is not a duration: the text '5 min' (write 5m)"),
    (wait("1s"), wait("0s"), "s.yml:5: 'wait' must be longer than 0 (write a duration such as 30s or 5m)"),
    (wait("1s"), wait("-5"), "s.yml:5: 'wait' is negative: -5 (write a duration such as 30s or 5m)"),
    (wait("1y"), wait("2y"), "s.yml:5: 'wait' is longer than a year: 2y (write a duration such as 30s or 5m)"),
    (wait("1s"), wait("9" * 400 + "s"), None),
    (wait("settled"), wait("setled"), "s.yml:5: 'wait' cannot be the text 'setled' (did you mean 'settled'?)"),
    (wait("1s"), wait("true"), "s.yml:5: 'wait' must be a duration, found true (write 30s or 5m)"),
    (wait("1s"), wait("[5m]"), "s.yml:5: a wait is a mapping, found a list " + FORMS),
    (wait("{alert: A, state: firing}"), wait("{alert: A, state: fireing}"),
     "s.yml:5: 'state' must be one of pending, firing, notified, suppressed, resolved, found the text 'fireing' (did you mean 'firing'?)"),
    (wait("{alert: A, state: pending}"), wait("{alert: A}"),
     "s.yml:5: a wait needs 'state' (one of pending, firing, notified, suppressed, resolved)"),
    (wait("{query: up, at_most: 5m}"), wait("{query: up}"),
     "s.yml:5: a wait needs 'at_most' (a query may never hold: bound the wait, such as at_most: 5m)"),
    (wait("{query: up, at_most: 5m}"), wait("{query: up, at_most: 5m, state: firing}"),
     "s.yml:5: 'state' belongs to an alert, not to a query (remove it)"),
    (wait("{alert: A, state: firing, at_most: 5m}"), wait("{alert: A, state: firing, query: up, at_most: 5m}"),
     "s.yml:5: a wait has 'alert' and 'query' " + FORMS),
    (wait("{alert: A, state: firing}"), wait("{state: firing}"), "s.yml:5: a wait has neither 'alert' nor 'query' " + FORMS),
    (expecting("alert: A", before=KILL + "  - {wait: settled}\n"), expecting("alert: A", before="  - {wait: settled}\n" + KILL),
     "s.yml:4: 'wait: settled' before any expectation's 'from' (move it down, or write a duration)"),
    (steps("  - {wait: 10m}\n"), steps("  - {wait: settled}\n"),
     "s.yml:4: 'wait: settled', but nothing is expected (write a duration, such as wait: 10m)"),
]  # fmt: skip

TWO = KILL + SLOW
EXPECTATIONS = [
    (expecting("alert: A"), expecting("A"), "s.yml:6: an expectation is a mapping, found the text 'A' (write - alert: NAME)"),
    (expecting("alert: A"), expecting("instances: 1"), "s.yml:6: an expectation needs 'alert' (name the rule)"),
    (expecting("{alert: A, notifies: [r]}"), expecting("{alert: A, notify: [r]}"),
     "s.yml:6: 'notify' is not a key of an expectation (did you mean 'notifies'?)"),
    (expecting("{alert: A, from: slow}", before=TWO), expecting("alert: A", before=TWO),
     "s.yml:7: an expectation needs 'from': there are 2 inject steps (one of kill, slow)"),
    (expecting("{alert: A, from: replay}", before=REPLAY), expecting("alert: A", before=REPLAY),
     "s.yml:5: an expectation needs 'from': there is no inject step (one of replay)".replace(":5", ":6")),
    (expecting("{alert: A, from: kill}"), expecting("{alert: A, from: kil}"),
     "s.yml:6: 'from' names no step: 'kil' (did you mean 'kill'?)"),
    (expecting("{alert: A, from: kill}"), expecting("{alert: A, from: end}"), "s.yml:6: 'from' cannot be 'end' (known: kill)"),
    (expecting("{alert: A, from: kill}", before=KILL + PAUSE), expecting("{alert: A, from: pause}", before=KILL + PAUSE),
     "s.yml:7: 'from' names 'pause', a wait, which changes nothing (known: kill)"),
    (expecting("{alert: A, from: kill, until: slow}", before=TWO), expecting("{alert: A, from: slow, until: kill}", before=TWO),
     "s.yml:7: 'until' comes before 'from': 'kill' runs before 'slow' (name a later one, or end)"),
    (expecting("{alert: A, until: end}"), expecting("{alert: A, until: kill}"),
     "s.yml:6: 'until' is the same step as 'from': 'kill' (name a later one, or end)"),
    (expecting("{alert: A, until: never}"), expecting("{alert: A, until: nevr}"),
     "s.yml:6: 'until' names no step: 'nevr' (known: kill)"),
    (expecting("{alert: A, instances: 3}"), expecting("{alert: A, instances: 0}"),
     "s.yml:6: 'instances' must be a whole number of 1 or more, found the number 0"),
    (expecting("{alert: A, instances: 3}"), expecting("{alert: A, instances: true}"),
     "s.yml:6: 'instances' must be a whole number of 1 or more, found true"),
    (expecting("{alert: A, labels: {a: 1}}"), expecting("{alert: A, labels: {}}"),
     "s.yml:6: 'labels' must be a mapping with at least one key, found a mapping"),
    (expecting("{alert: A, labels: {a: x}}"), expecting("{alert: A, labels: {a: [x]}}"),
     "s.yml:6: 'a' of 'labels' must be text, found a list"),
    (expecting("{alert: A, resolves: true}"), expecting("{alert: A, resolves: false}"),
     "s.yml:6: 'resolves' must be true or false_alarm, found false "
     "(for an alert that is still firing at the end write until: never)"),
    (expecting("{alert: A, resolves: true}"), expecting("{alert: A, resolves: false_alrm}"),
     "s.yml:6: 'resolves' must be true or false_alarm, found the text 'false_alrm' (did you mean 'false_alarm'?)"),
    (expecting("{alert: A, resolves: false_alarm}"), expecting("{alert: A, resolves: false_alarm, until: never}"),
     "s.yml:6: 'resolves: false_alarm' means before 'until', which is never (name the step in 'until')"),
    (expecting("alert: A", "alert: B"), expecting("alert: A", "alert: A"),
     "s.yml:7: 'A' from 'kill' is expected twice (first on line 6; write one expectation, or tell them apart by 'labels')"),
    (expecting("{alert: A, labels: {x: 1}}", "{alert: A, labels: {x: 2}}"),
     expecting("{alert: A, labels: {x: 1}}", "{alert: A, labels: {x: 1}}"),
     "s.yml:7: 'A' from 'kill' is expected twice (first on line 6; write one expectation, or tell them apart by 'labels')"),
]  # fmt: skip


def notifies(value: str) -> str:
    return expecting(f"{{alert: A, notifies: {value}}}")


NOTIFIES = [
    (notifies("[r]"), notifies("r"), "s.yml:6: 'notifies' must be a list, found the text 'r' (write [critical-alerts])"),
    (notifies("{r: never}"), notifies("[]"), "s.yml:6: 'notifies' is an empty list (if a receiver must hear nothing, write {RECEIVER: never})"),
    (notifies("{r: never}"), notifies("{}"), "s.yml:6: 'notifies' is an empty mapping (name the receivers, or remove the key)"),
    (notifies("[r, q]"), notifies("[r, r]"), "s.yml:6: 'notifies' lists 'r' twice (keep one)"),
    (notifies("{r: promised}"), notifies("{r: promise}"),
     "s.yml:6: 'notifies' for 'r' must be one of promised, never, found the text 'promise' (did you mean 'promised'?)"),
    (notifies("{r: {within: 3m}}"), notifies("{r: {within: 3}}"),
     "s.yml:6: 'within' has no unit: 3 (write 3s for seconds or 3m for minutes)"),
    (notifies("{r: {within: 3m}}"), notifies("{r: {witin: 3m}}"),
     "s.yml:6: 'witin' is not a key of 'notifies' for 'r' (did you mean 'within'?)"),
    (notifies("{r: {within: 3m}}"), notifies("{r: {}}"),
     "s.yml:6: 'notifies' for 'r' is an empty mapping (write promised, never, or a mapping such as {within: 3m})"),
    (notifies("{r: {within: 3m, not_before: 0}}"), notifies("{r: {within: 3m, not_before: 3m}}"),
     "s.yml:6: 'notifies' for 'r': 'not_before' is not earlier than 'within' (swap or widen them)"),
    (notifies("{r: {notices: 1..2}}"), notifies("{r: {notices: 2..1}}"), "s.yml:6: 'notices' ends below its start: 2..1 (write 1..2)"),
    (notifies("{r: {notices: 0..1}}"), notifies("{r: {notices: 0}}"),
     "s.yml:6: 'notifies' for 'r': no notice at all (write never instead of {notices: 0})"),
    (notifies("{r: {contains: {subject: x}}}"), notifies("{r: {contains: {subjct: x}}}"),
     "s.yml:6: 'subjct' is not a key of 'contains' (did you mean 'subject'?)"),
    (notifies("{r: {contains: {subject: x}}}"), notifies("{r: {contains: {subject: ' '}}}"),
     "s.yml:6: 'notifies' for 'r': contains an empty subject, which every notice does (write the text)"),
]  # fmt: skip

BOTH = ("{alert: A, from: kill}", "{alert: B, from: kill}")
MUTED = "{alert: A, from: slow, suppressed_by: B, control: kill}"
SUPPRESSION = [
    (expecting(*BOTH, MUTED, before=TWO), expecting("{alert: A, suppressed_by: B}"),
     "s.yml:6: an expectation needs 'control' (name a step or scenario in which the alert is delivered without the source)"),
    (expecting("{alert: A, suppressed_by: B, control: another-scenario, then: delivered}"), expecting("{alert: A, then: delivered}"),
     "s.yml:6: 'then' stands without 'suppressed_by' (add suppressed_by:, or remove it)"),
    (expecting("{alert: A, from: kill, silenced_by: slow}", before=TWO), expecting("{alert: A, silenced_by: slow}"),
     "s.yml:6: 'silenced_by' names no step: 'slow' (known: kill)"),
    (expecting("{alert: A, from: kill, silenced_by: slow}", before=TWO),
     expecting("{alert: A, from: kill, silenced_by: slow, suppressed_by: B, control: other}", before=TWO),
     "s.yml:7: 'silenced_by' stands beside 'suppressed_by', and a silence would hide the inhibition (write two scenarios)"),
    (expecting("{alert: A, suppressed_by: B, control: another-scenario}"), expecting("{alert: A, control: kill}"),
     "s.yml:6: 'control' stands without 'suppressed_by' (add suppressed_by:, or remove it)"),
    (expecting("{alert: A, suppressed_by: B, control: other, then: silent}"),
     expecting("{alert: A, suppressed_by: B, control: other, then: silnt}"),
     "s.yml:6: 'then' must be one of silent, delivered, found the text 'silnt' (did you mean 'silent'?)"),
    (expecting(*BOTH, MUTED, before=TWO), expecting(BOTH[1], MUTED, before=TWO),
     "s.yml:8: the control 'kill' does not expect 'A' to be delivered (add - alert: A with from: kill)"),
    (expecting(*BOTH, MUTED, before=TWO), expecting("{alert: A, suppressed_by: B, control: kill}"),
     "s.yml:6: 'control' is the suppressed step itself: 'kill' (name one without the source)"),
    (expecting(*BOTH, MUTED, before=TWO), expecting("{alert: A, suppressed_by: B, control: end}"),
     "s.yml:6: 'control' cannot be 'end' (name a step here, or a scenario)"),
]  # fmt: skip

ADD = "(write - alert: NAME and its because: REASON)"
REST = [
    (ANYTHING + "allow: [{alert: A, because: b}]\n", ANYTHING + "allow: [A]\n",
     "s.yml:6: an entry of 'allow' is a mapping, found the text 'A' " + ADD),
    (ANYTHING + "allow: [{alert: A, because: b}]\n", ANYTHING + "allow: [{alert: A}]\n",
     "s.yml:6: an entry of 'allow' needs 'because' (say why it may fire)"),
    (ANYTHING + "allow: [{alert: A, because: b}]\n", ANYTHING + "allow: [{because: b}]\n",
     "s.yml:6: an entry of 'allow' needs 'alert' " + ADD),
    (ANYTHING + "allow: [{alert: A, because: b}]\n", ANYTHING + "allow: []\n",
     "s.yml:6: 'allow' must be a list, found an empty list (write - alert: NAME and its because: REASON, or remove the key)"),
    (ANYTHING + "allow: [{alert: A, because: b}]\n", ANYTHING + "allow: [{alert: A, because: b}, {alert: A, because: c}]\n",
     "s.yml:6: 'A' is allowed twice (first on line 6; keep one)"),
    (ANYTHING + "notices: {total: ..10}\n", ANYTHING + "notices: {total: many}\n",
     "s.yml:6: 'notices' of 'total' must be a number or a range, found the text 'many' (write 2, 1..3, ..10 or 2..)"),
    (ANYTHING + "notices: {total: 2..}\n", ANYTHING + "notices: {total: ..}\n",
     "s.yml:6: 'notices' of 'total' must be a number or a range, found the text '..' (write 2, 1..3, ..10 or 2..)"),
    (ANYTHING + "notices: {total: 1..3}\n", ANYTHING + "notices: 3\n",
     "s.yml:6: 'notices' must be a mapping, found the number 3 (write {total: ..10})"),
]  # fmt: skip

RULES = [*TOP, *STEPS, *TARGETS, *ORDER, *WAITS, *EXPECTATIONS, *NOTIFIES, *SUPPRESSION, *REST]


@pytest.mark.parametrize("kept", list(dict.fromkeys(kept for kept, _, _ in RULES)))
def test_what_keeps_the_rules_is_read(kept: str) -> None:
    assert complaints(kept) == []


@pytest.mark.parametrize(("broken", "complaint"), [(broken, complaint) for _, broken, complaint in RULES])
def test_what_breaks_a_rule_gets_exactly_one_complaint(broken: str, complaint: str | None) -> None:
    found = complaints(broken)
    assert len(found) == 1
    assert complaint is None or found == [complaint]


def test_a_broken_step_causes_no_complaints_about_its_name() -> None:
    text = expecting(
        "{alert: A, from: x, until: y}", before="  - {injct: a, as: x}\n" + KILL + "  - {undo: x, as: y}\n"
    )
    assert complaints(text) == ["s.yml:4: 'injct' is not a step's verb (did you mean 'inject'?)"]
