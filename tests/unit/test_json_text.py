"""JSON that cannot be read is one kind of error, whatever is wrong with it."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from chaoskit import json_text


class Alert(msgspec.Struct):
    name: str
    file: Path = Path()


DECODER = msgspec.json.Decoder(Alert)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "Input data was truncated"),
        (b"{", "Input data was truncated"),
        (b'{"name":7}', "Expected `str`, got `int` - at `$.name`"),
        (b'{"name":"\xff"}', "'utf-8' codec can't decode byte 0xff"),
        ('{"name":"\ud800"}', "'utf-8' codec can't encode character"),
        (b'{"more":' + b"[" * 100_000, "JSON is nested too deeply"),
    ],
    ids=["empty", "torn", "another type", "bytes of no text", "text of no bytes", "nested without end"],
)
def test_json_that_cannot_be_read_is_one_kind_of_error(text: bytes | str, why: str) -> None:
    with pytest.raises(msgspec.DecodeError, match=re.escape(why)):
        json_text.decode(text, type=Alert)
    with pytest.raises(msgspec.DecodeError, match=re.escape(why)):
        json_text.decode_with(DECODER, text)


def test_json_is_read_as_what_it_is_or_as_the_type_that_is_asked_for() -> None:
    assert json_text.decode('{"name": "HighErrorRate"}') == {"name": "HighErrorRate"}
    assert json_text.decode_with(DECODER, b'{"name": "HighErrorRate"}') == Alert("HighErrorRate")
    told = json_text.decode(b'{"name":"x","file":"a/b"}', type=Alert, dec_hook=lambda kind, given: kind(given))
    assert told == Alert("x", Path("a/b"))
