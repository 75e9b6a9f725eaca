"""A mail's HTML, read strictly: what a browser would have to repair fails here instead."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"meta", "br", "hr", "img", "link", "input", "col"}
BLOCKS = {"table", "div", "h1", "h2", "h3", "p", "pre", "ul", "ol"}
PHRASING_ONLY = {"p", "h1", "h2", "h3", "pre", "span", "a", "strong", "title"}
PARENTS = {
    "html": {""},
    "head": {"html"},
    "body": {"html"},
    "meta": {"head"},
    "title": {"head"},
    "tbody": {"table"},
    "tr": {"table", "tbody"},
    "td": {"tr"},
    "th": {"tr"},
}
"""What may be the parent of what; anything else belongs into the body, and not directly into a table or a row."""


class Invalid(AssertionError):
    """The page is not valid HTML."""


class Page(HTMLParser):
    """Texts with their tags, links and styles of a valid page; raises Invalid for any other."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.links: list[str] = []
        self.styles: list[tuple[str, str]] = []
        """(tag, style) in their order."""
        self.texts: list[tuple[str, str]] = []
        """(tag, text) in their order."""
        self._open: list[str] = []
        self._seen: set[str] = set()
        if not html.lower().startswith("<!doctype html>"):
            raise Invalid("it begins with no doctype: browsers draw it as of 1998")
        self.feed(html)
        self.close()
        if self._open:
            raise Invalid(f"{self._open} are not closed")
        if not {"html", "head", "title", "body"} <= self._seen:
            raise Invalid("html, head, title or body is missing")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        parent = self._open[-1] if self._open else ""
        names = [name for name, _ in attrs]
        if len(set(names)) < len(names):
            raise Invalid(f"<{tag}> has an attribute twice")
        if any(name.startswith("on") for name in names) or tag in ("script", "iframe", "object"):
            raise Invalid(f"<{tag}> executes something")
        written = self.get_starttag_text() or ""
        if any(f'{name}="' not in written for name in names):
            raise Invalid(f"{written} has an attribute without quotes")
        if tag in PARENTS and parent not in PARENTS[tag]:
            raise Invalid(f"<{tag}> inside <{parent}>")
        if tag not in PARENTS and ("body" not in self._open or parent in ("table", "tbody", "tr", "html")):
            raise Invalid(f"<{tag}> inside <{parent}>")
        if tag in BLOCKS and any(above in PHRASING_ONLY for above in self._open):
            raise Invalid(f"<{tag}> inside {self._open}")
        if tag in ("html", "head", "body", "title", "h1") and tag in self._seen:
            raise Invalid(f"a second <{tag}>")
        self._seen.add(tag)
        given = dict(attrs)
        if tag == "a":
            self.links.append(given.get("href") or "")
        if given.get("style"):
            self.styles.append((tag, given["style"] or ""))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            raise Invalid(f"</{tag}> closes something else")

    def handle_data(self, data: str) -> None:
        parent = self._open[-1] if self._open else ""
        if data.strip():
            if parent in ("table", "tbody", "tr", "html", "head", ""):
                raise Invalid(f"text inside <{parent}>: {data.strip()!r}")
            self.texts.append((parent, data.strip()))

    def inside(self, tag: str) -> list[str]:
        """The texts that stand directly in this tag."""
        return [text for where, text in self.texts if where == tag]
