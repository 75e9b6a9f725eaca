"""YAML is read with positions, without surprises in types, and within bounds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaoskit.alerting.config import load_config
from chaoskit.alerting.rules import rule_document
from chaoskit.errors import BadInput, Place, Problem
from chaoskit.yaml_source import MAX_BYTES, MAX_NODES, nearest, read, read_text


def complaints(text: str) -> list[str]:
    with pytest.raises(BadInput) as caught:
        read(text, "a.yml")
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("true", True), ("False", False), ("null", None), ("~", None), ("", None),
        ("0", 0), ("42", 42), ("-7", -7), ("1.5", 1.5), (".5", 0.5), ("1e3", 1000.0),
        ("on", "on"), ("off", "off"), ("yes", "yes"), ("No", "No"), ("y", "y"),
        ("1:30", "1:30"), ("010", "010"), ("0x1f", "0x1f"), ("0o17", "0o17"), ("1_000", "1_000"),
        ("2024-01-31", "2024-01-31"), (".inf", ".inf"), (".nan", ".nan"), ("1e999", "1e999"),
        ("9" * 5000, "9" * 5000), ("'5'", "5"), ('"true"', "true"), ("!!str 5", "5"), ("=", "="),
    ],
)  # fmt: skip
def test_only_truth_null_and_decimal_numbers_get_a_type(written: str, value: Any) -> None:
    read_value = read(f"key: {written}\n", "a.yml").plain()["key"]
    assert read_value == value
    assert type(read_value) is type(value)


def test_nodes_know_their_line_and_what_was_written() -> None:
    root = read("a: 1\nb:\n  - x\n  - {c: 1.50}\n", "a.yml")
    assert root.place == Place("a.yml", 1)
    assert root.keys == ("a", "b")
    b = root.get("b")
    assert b is not None
    assert [item.place.line for item in b.items] == [3, 4]
    c = b.items[1].get("c")
    assert c is not None
    assert (c.value, c.raw, c.place) == (1.5, "1.50", Place("a.yml", 4))
    assert root.get("nothing") is None
    assert root.plain() == {"a": 1, "b": ["x", {"c": 1.5}]}


def test_aliases_are_expanded() -> None:
    assert read("a: &x {b: [1]}\nc: *x\n", "a.yml").plain() == {"a": {"b": [1]}, "c": {"b": [1]}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("- &x {b: 1, c: 2}\n- {<<: *x, c: 3}\n", [{"b": 1, "c": 2}, {"c": 3, "b": 1}]),
        ("- &x {b: 1}\n- &y {b: 2, d: 4}\n- <<: [*x, *y]\n", [{"b": 1}, {"b": 2, "d": 4}, {"b": 1, "d": 4}]),
        ("- &x {b: 1}\n- &y {<<: *x, c: 2}\n- {<<: *y}\n", [{"b": 1}, {"c": 2, "b": 1}, {"c": 2, "b": 1}]),
        ("a: !!str 5\nb: !!int 5\nc: !!map {d: !!seq [!!null ]}\n", {"a": "5", "b": 5, "c": {"d": [None]}}),
        ("a: >-\n  x\n  y\nb: |\n  z\n", {"a": "x y", "b": "z\n"}),
        ("a: 1\t# told\r\nb: 2\r\n", {"a": 1, "b": 2}),
    ],
)
def test_what_yaml_lets_people_write_is_read_as_they_mean_it(text: str, value: object) -> None:
    """A merge key brings in what is not written beside it; of several mappings the first one wins."""
    assert read(text, "a.yml").plain() == value


@pytest.mark.parametrize(
    "text",
    [
        "\r\n".join(["groups:", "- name: g", "  rules:", "  - {alert: A, expr: up}", ""]),
        "groups:\n- name: g\t\n  rules:\t# none else\n  - alert: A\t\n    expr: up\t\n",
        "groups:\n- name: g\n  rules:\n  - &a {alert: A, expr: up}\n- name: h\n  rules:\n  - *a\n",
        "groups:\n- name: g\n  rules:\n  - alert: !!str A\n    expr: >-\n      up\n",
        "---\ngroups:\n- name: g\n  rules:\n  - {alert: A, expr: up}\n---\ngroups: [\n",
    ],
)
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_rule_file_is_read_as_prometheus_reads_it(tmp_path: Path, text: str, mark: str) -> None:
    """Byte order marks, ends of lines, tabs behind values, anchors across groups, tags, further documents."""
    file = tmp_path / "rules.yml"
    file.write_bytes((mark + text).encode())
    config = load_config(rules=[str(file)])
    assert {(rule.alert, rule.expr) for rule in config.rules} == {("A", "up")}
    assert not config.not_understood
    document = rule_document(config.sources[f"rules:{file}"], "rules.yml", {})[0]
    assert document["groups"][-1]["rules"] == [{"alert": "A", "expr": "up"}]


def test_of_several_documents_the_first_can_be_read_alone_as_prometheus_does() -> None:
    assert read("a: 1\n---\nb: [\n", "a.yml", first=True).plain() == {"a": 1}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\n'a': 3\n", "a.yml:3: the key 'a' appears twice (first on line 1; keep one)"),
        ("a: &x 1\nc:\n  <<: *x\n", "a.yml:1: the number 1 cannot be merged (<< takes a mapping, or a list of them)"),
        ("c:\n  <<: [{a: 1}, [2]]\n", "a.yml:2: a list cannot be merged (<< takes a mapping, or a list of them)"),
        ("!!x {b}\n", "a.yml:1: the tag tag:yaml.org,2002:x is not supported (write the plain value, without a tag)"),
        ("a:\n  - &x [1, *x]\n", "a.yml:2: the alias *x contains itself (write the values out)"),
        ("a: *nope\n", "a.yml:1: the alias *nope names no anchor (quote a value that begins with *)"),
        ("\n1: a\n", 'a.yml:2: the number 1 cannot be a key (keys are text: write "1" in quotes)'),
        ("true: a\n", 'a.yml:1: true cannot be a key (keys are text: write "true" in quotes)'),
        ("? [a]\n: b\n", "a.yml:1: a list cannot be a key (keys are names)"),
        ("a: 1\n---\nb: 1\n", "a.yml:2: a second document begins (keep one document in a file)"),
        ("", "a.yml: the file is empty (nothing but comments and blank lines was found)"),
        ("# only this\n", "a.yml: the file is empty (nothing but comments and blank lines was found)"),
        ("a: 1\nb: \0\n", "a.yml:2: holds a NUL byte (this is not a text file, or it was cut off)"),
        ("a: \ud800\n", "a.yml:1: is not UTF-8 (save the file as UTF-8)"),
        ("[" * 100_000, "a.yml:1: is nested more than 50 levels deep (flatten it)"),
        ("{a: " * 100_000, "a.yml:1: is nested more than 50 levels deep (flatten it)"),
        ("- " * 100_000, "a.yml:1: is nested more than 50 levels deep (flatten it)"),
    ],
)  # fmt: skip
def test_what_is_refused_says_where_and_what_to_do(text: str, expected: str) -> None:
    assert complaints(text) == [expected]


def test_a_tag_makes_no_object() -> None:
    (said,) = complaints("a: 1\nb: !!python/object/apply:os.system [ls]\n")
    assert said.startswith("a.yml:2: the tag tag:yaml.org,2002:python/object/apply:os.system is not supported")


@pytest.mark.parametrize("written", ["!!set {a, b}", "!!omap [a: 1]", "!own [a]"])
def test_a_tag_makes_no_other_collection(written: str) -> None:
    (said,) = complaints(f"a: {written}\n")
    assert "is not supported (write the plain value, without a tag)" in said


def test_a_tab_is_named_as_the_cause() -> None:
    (said,) = complaints("a:\n\tb: 1\n")
    assert said.startswith("a.yml:2: is not valid YAML")
    assert said.endswith("(indent with spaces; YAML does not allow tabs there)")


def test_a_syntax_error_has_its_line_and_a_hint() -> None:
    (said,) = complaints("a: 1\nb: fails: badly\n")
    assert said.startswith("a.yml:2: is not valid YAML")
    assert "put quotes around a value that contains ': '" in said


def test_several_problems_come_together_in_reading_order() -> None:
    said = complaints("a: 1\na: 2\n2: x\nb: [\n")
    assert [one.split(": ")[0] for one in said] == ["a.yml:2", "a.yml:3", "a.yml:5"]


def test_an_alias_bomb_is_refused_before_it_is_expanded() -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]" for old, new in zip("abcdefgh", "bcdefghi", strict=True)]
    (said,) = complaints("\n".join(lines))
    assert f"more than {MAX_NODES} values" in said


def test_depth_counts_what_an_alias_brings() -> None:
    deep = "[" * 30 + "]" * 30
    assert read(f"a: &a {deep}\n", "a.yml")
    nested = "[" * 30 + "*a" + "]" * 30
    assert complaints(f"a: &a {deep}\nb: {nested}\n") == ["a.yml:2: is nested more than 50 levels deep (flatten it)"]


@pytest.mark.parametrize("most", [1000, pytest.param(MAX_NODES, marks=pytest.mark.long)])
def test_as_many_values_as_allowed_are_read(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are counted one by one: a smaller limit says it as well, the whole one also that memory suffices."""
    monkeypatch.setattr("chaoskit.yaml_source.MAX_NODES", most)
    assert len(read("- 1\n" * (most - 1), "a.yml").items) == most - 1
    assert "more than" in complaints("- 1\n" * (most + 1))[0]


def test_a_file_that_is_too_long_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "long.yml"
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(BadInput, match="is larger than 8 MiB"):
        read(read_text(path), str(path))
    path.write_bytes(b"a: 1 #" + b"#" * (MAX_BYTES - 6))
    assert read(read_text(path), str(path)).plain() == {"a": 1}
    with pytest.raises(BadInput, match="is larger than 8 MiB"):
        read("#" * (MAX_BYTES + 1), "a.yml")


def test_bytes_that_are_not_utf8_are_placed(tmp_path: Path) -> None:
    path = tmp_path / "latin.yml"
    path.write_bytes(b"a: 1\nb: caf\xe9\n")
    with pytest.raises(BadInput) as caught:
        read(read_text(path), str(path))
    assert str(caught.value) == f"{path}:2: is not UTF-8: byte 0xe9 (save the file as UTF-8)"


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    path = tmp_path / "bom.yml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read(read_text(path), str(path)).plain() == {"a": 1}


def test_a_file_that_cannot_be_opened_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read: No such file"):
        read(read_text(tmp_path / "absent.yml"), str(tmp_path / "absent.yml"))
    with pytest.raises(BadInput, match="cannot be read: Is a directory"):
        read(read_text(tmp_path), str(tmp_path))


def test_the_nearest_name_is_suggested_whatever_its_case() -> None:
    assert nearest("titel", ["title", "steps"]) == "did you mean 'title'?"
    assert nearest("highcpuusage", ["HighCPUUsage"]) == "did you mean 'HighCPUUsage'?"
    assert nearest("zebra", ["title", "steps"]) == ""
    assert nearest("t" * 10_000, ["title"]) == ""


yaml_like = st.text(alphabet=st.sampled_from(list("ab1:-{}[],&*!|>'\"#\n\t ?%@<~.\0\u2028é")), max_size=120)


@given(st.one_of(yaml_like, st.text(max_size=120)))
def test_any_text_is_read_or_refused_with_a_place(text: str) -> None:
    problems: tuple[Problem, ...] = ()
    try:
        read(text, "a.yml").plain()
    except BadInput as error:
        problems = error.problems or (Problem(None, "says nothing"),)
    assert all(problem.place and problem.place.file == "a.yml" for problem in problems)


# JSON's surrogate pairs and its raw DEL are outside YAML; everything else of JSON is YAML too.
words = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=("Cs",), exclude_characters="\x7f"), max_size=12)
plain_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**17), 10**17) | words,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(words.filter(lambda key: key != "<<"), inner, max_size=4)
    ),
    max_leaves=15,
)


@given(plain_values)
def test_what_json_writes_is_read_back_the_same(value: Any) -> None:
    assert read(json.dumps(value, ensure_ascii=True), "a.yml").plain() == value
