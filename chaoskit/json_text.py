"""JSON as it is read everywhere: what cannot be read is one kind of error, nested without end included."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, overload

import msgspec

T = TypeVar("T")
_Hook = Callable[[type, Any], Any]


@overload
def decode(text: bytes | str, *, type: type[T], dec_hook: _Hook | None = None) -> T: ...


@overload
def decode(text: bytes | str, *, type: Any = Any, dec_hook: _Hook | None = None) -> Any: ...


def decode(text: bytes | str, *, type: Any = Any, dec_hook: _Hook | None = None) -> Any:
    """The value of a text, as `type`; raises msgspec.DecodeError where it is none, or is nested without end."""
    return decode_with(msgspec.json.Decoder(type, dec_hook=dec_hook), text)


def decode_with(decoder: msgspec.json.Decoder[T], text: bytes | str) -> T:
    """Decodes JSON as `decode` does, by a msgspec decoder that is kept; raises msgspec.DecodeError alone."""
    try:
        return decoder.decode(text)
    except RecursionError:
        raise msgspec.DecodeError("JSON is nested too deeply") from None
    except UnicodeError as error:
        raise msgspec.DecodeError(str(error)) from None
