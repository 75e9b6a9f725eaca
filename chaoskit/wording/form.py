"""A notice in the form in which a person reads it, and that form compared with what arrived.

    To: ops@example.com
    Subject: [FIRING:1] WorkerDown <worker>

    {#b3261e} CRITICAL WorkerDown
    Started  <time>
    [Query in Prometheus](<query>)

HTML becomes its text with links and background colours. Each part that differs from notice to notice is a name between
angles: `<worker>` is the label's value and nothing else, `<value>` a number, `<time>`, `<duration>`, `<alertmanager>`
and `<query>` are what they say; `<annotation summary>`, and all between `<range ...>` and `<end>`, may be any text. An
approved text is a pattern: nothing in the notice that arrived is masked, so no mask can hide a part of it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from html.parser import HTMLParser
from urllib.parse import unquote

OPEN, CLOSE = "\u2039", "\u203a"
"""Around names while a text is rendered: no template and no mail gives them a meaning."""
_NAMED = re.compile(r"<(?P<name>[^<>\n]+)>")
_INNER = re.compile(rf"{OPEN}(?P<name>[^{OPEN}{CLOSE}\n]+){CLOSE}")
_ENCODED = re.compile(r"%e2%80%b9(?P<name>.*?)%e2%80%ba", re.IGNORECASE)
_BLOCK = re.compile(r"<(?:range|if|with) [^<>\n]*>.*?<end>", re.DOTALL)
_LINES = re.compile(r"p|div|table|tr|h[1-6]|[uo]l|li|pre|[bh]r|body|section|header|footer|blockquote")
_UNSEEN = frozenset({"head", "style", "script", "title"})
_COLOUR = re.compile(r"(?:^|;)\s*(?P<what>background(?:-color)?|border-left)\s*:[^;]*?(?P<colour>#[0-9a-fA-F]{3,8})")
_NUMBER = r"[-+]?(?:\d[\d.,]*(?:e[-+]?\d+)?|NaN|Inf)[ ]?[%\w\u00b5]*(?: \d+\w+)*"
_PLAIN = {ord("<"): "below", ord(">"): "above"}
_KINDS = {"value": _NUMBER, "time": r"[\w:+./, -]{4,60}?", "duration": r"[\d.a-z\u00b5]+?", "query": r"[^\s)]+?"}
_KINDS |= {"alertmanager": _KINDS["query"], "annotation": r"(?:.|\n)*?"}


def named(name: str) -> str:
    """The placeholder that stands for a value of this name while a text is rendered."""
    return f"{OPEN}{name}{CLOSE}"


def shown(text: str) -> str:
    """The text with names between angles, in links too, without trailing spaces and repeated empty lines."""
    text = _ENCODED.sub(lambda match: named(unquote(match["name"])), text)
    text = _INNER.sub(lambda match: f"<{match['name'].translate(_PLAIN)}>", text)
    return tidy(text)


def tidy(text: str) -> str:
    """A text whose lines have no spaces at their end, and no two empty lines in a row."""
    lines = "\n".join(line.rstrip() for line in text.replace("\r\n", "\n").split("\n"))
    return re.sub(r"\n{3,}", "\n\n", lines).strip("\n")


class _Reader(HTMLParser):
    """Collects what is seen of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._unseen: list[str] = []
        self._links: list[tuple[str, int]] = []
        self._colours: list[str] = []
        self._kept = 0
        self._empty = True
        """Whether the line has nothing yet."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        of = dict(attrs)
        if tag in _UNSEEN:
            self._unseen.append(tag)
        if _LINES.fullmatch(tag):
            self._line()
        elif tag in ("td", "th") and not self._empty:
            self.parts.append("  ")
        self._kept += tag == "pre"
        if tag == "a":
            self._links.append((of.get("href") or "", len(self.parts)))
        if tag == "img":
            self._see(f"[image {of.get('alt') or ''}]({of.get('src') or ''})")
        for match in _COLOUR.finditer(of.get("style") or ""):
            self._colours.append(f"{{{'|' if match['what'] == 'border-left' else ''}{match['colour'].lower()}}} ")

    def handle_endtag(self, tag: str) -> None:
        if self._unseen and tag == self._unseen[-1]:
            self._unseen.pop()
        if _LINES.fullmatch(tag):
            self._line()
        self._kept -= tag == "pre" and self._kept > 0
        if tag == "a" and self._links:
            address, start = self._links.pop()
            text = "".join(self.parts[start:]).strip()
            del self.parts[start:]
            self._see(address if text == address else f"[{text}]({address})")

    def handle_data(self, data: str) -> None:
        if self._unseen or (not data.strip() and (self._empty or not self._kept)):
            self.parts.append(" " if not self._unseen and not self._empty else "")
        else:
            self._see(data if self._kept else re.sub(r"\s+", " ", data))

    def _see(self, text: str) -> None:
        self.parts += [*self._colours, text.lstrip(" ") if self._empty else text]
        self._colours, self._empty = [], False

    def _line(self) -> None:
        if not self._empty:
            self.parts.append("\n")
        self._empty = True


@lru_cache(maxsize=256)  # of many configurations that differ in a rule nearly all pages are the same
def read_html(page: str) -> str:
    """The text that a person reads of a page, line by line; empty where there is nothing to read."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    lines = [re.sub(r"(?<=\S) {3,}", "  ", line).strip() for line in "".join(reader.parts).split("\n")]
    return tidy("\n".join(lines))


def mail(to: Iterable[str], sender: str, subject: str, html: str, text: str) -> str:
    """A mail as a person reads it: the page, and below it what a reader of plain text sees."""
    head = f"To: {', '.join(to)}\nFrom: {sender}\nSubject: {subject}"
    parts = [head, read_html(html) if html else "", f"-- plain text --\n{text}" if text.strip() else ""]
    return tidy("\n\n".join(part for part in parts if part))


def webhook(
    receiver: str, status: str, alerts: Sequence[tuple[str, Mapping[str, str], Mapping[str, str]]],
    group: Mapping[str, str] | None,
) -> str:  # fmt: skip
    """A webhook's message as text: of each alert its status, labels and annotations, one line each."""
    lines = [f"receiver: {receiver}", f"status: {status}"]
    lines += [f"group {name}: {value}" for name, value in sorted((group or {}).items())]
    for number, (own, labels, texts) in enumerate(alerts, 1):
        lines += ["", f"alert {number}: {own}"]
        lines += [f"label {name}: {value}" for name, value in sorted(labels.items())]
        lines += [f"annotation {name}: {value}" for name, value in sorted(texts.items())]
    return tidy("\n".join(lines))


def differences(approved: str, arrived: str, labels: Sequence[Mapping[str, str]]) -> list[str]:
    """The lines of a difference between an approved text and one that arrived; none where it is as approved.

    `labels` are those of the alerts that it tells of: a name of a label stands for their values alone.
    """
    approved, arrived = tidy(approved), tidy(arrived)
    if re.fullmatch(_pattern(approved, labels), arrived):
        return []
    units = list(_units(approved))
    patterns = [re.compile(_pattern(unit, labels)) for unit in units]
    seen = [next((u for u, p in zip(units, patterns, strict=True) if p.fullmatch(line)), line) for line in
            arrived.split("\n")]  # fmt: skip
    return changed_lines(units, seen) or ["the same lines in another order"]


def changed_lines(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """The lines that differ, each behind - or +; none where the two are equal."""
    found = list(difflib.unified_diff(before, after, n=0, lineterm=""))[2:]  # behind the names of two files
    return [line for line in found if not line.startswith("@@")]


def _units(text: str) -> Iterator[str]:
    """The lines; those of a block that may be any number of lines in one."""
    at = 0
    for match in _BLOCK.finditer(text):
        yield from text[at : match.start()].rstrip("\n").split("\n")
        yield match[0]
        at = match.end()
    yield from text[at:].strip("\n").split("\n") if text[at:].strip("\n") else ()


def _pattern(text: str, labels: Sequence[Mapping[str, str]]) -> str:
    found, at = "", 0
    for match in re.finditer(rf"{_BLOCK.pattern}|{_NAMED.pattern}", text, re.DOTALL):
        found += re.escape(text[at : match.start()])
        found += _stands_for(match["name"], labels) if match["name"] else r"(?:.|\n)*?"
        at = match.end()
    return found + re.escape(text[at:])


def _stands_for(name: str, labels: Sequence[Mapping[str, str]]) -> str:
    first = re.split(r"[ |]", name)[0].casefold()
    values = {value for of in labels for key, value in of.items() if key.casefold() == first}
    if values:
        some = "|".join(re.escape(each) for each in sorted(values, key=len, reverse=True))
        return f"(?i:{some})"
    return _KINDS.get(first, re.escape(f"<{name}>"))
