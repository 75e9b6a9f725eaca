"""Reading a page as a strict reader would: tags that do not balance, things that load or run, and what it says."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "br", "hr", "img", "input"}
LOADS = {"src", "srcset", "poster", "data", "background", "action", "formaction", "xlink:href", "ping", "manifest"}
RUNS = {"script", "object", "embed", "applet", "base", "form", "audio", "video", "img", "image", "use", "foreignobject"}
QUIET = (
    '<!doctype html><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
)


@dataclass
class Page(HTMLParser):
    """What was found; `wrong` holds whatever a page must not have."""

    wrong: list[str] = field(default_factory=list)
    text: str = ""
    tags: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    frames: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._take(tag, attrs)
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._take(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.wrong.append(f"</{tag}> closes nothing")

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "style":
            if re.search(r"url\(|@import|expression\(", data):
                self.wrong.append("the style loads something")
        else:
            self.text += data

    def _take(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tags.append((tag, given))
        self.text += " "
        if len(given) < len(attrs):
            self.wrong.append(f"<{tag}> says an attribute twice")
        if tag in RUNS or (tag == "meta" and given.get("http-equiv", "").lower() == "refresh"):
            self.wrong.append(f"<{tag}>")
        for name, value in given.items():
            loads = name in LOADS or (name == "href" and tag == "link" and value != "data:,")
            leads = name == "href" and re.match(r"\s*[a-z]+:|//", value, re.IGNORECASE) and value != "data:,"
            if loads or leads or name.startswith("on") or (name == "style" and "url(" in value):
                self.wrong.append(f"<{tag} {name}={value!r}>")
        if tag == "iframe":
            self.frames.append(given.get("srcdoc", ""))
            if given.get("sandbox") != "" or not self.frames[-1].startswith(QUIET):
                self.wrong.append("a frame in which something may run or load")

    def shown(self, css_class: str) -> list[dict[str, str]]:
        """The attributes of every element of a class."""
        return [given for _, given in self.tags if css_class in given.get("class", "").split()]


def read_page(data: bytes) -> Page:
    """The page as read; raises AssertionError with everything that is wrong with it."""
    text = data.decode()
    page = Page()
    page.feed(text)
    page.close()
    page.wrong += [f"<{tag}> is left open" for tag in page._open]
    page.wrong += [f"{ord(c):x} stands in it" for c in set(text) if c != "\n" and unicodedata.category(c)[0] == "C"]
    policy = [given["content"] for tag, given in page.tags if given.get("http-equiv") == "Content-Security-Policy"]
    if len(policy) != 1 or not policy[0].startswith("default-src 'none';"):
        page.wrong.append("nothing forbids the page to load")
    assert not page.wrong, page.wrong
    return page
