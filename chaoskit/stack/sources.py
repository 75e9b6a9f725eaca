"""The machine's own Debian or Ubuntu sources, read from its apt configuration and narrowed to the archive itself.

Third parties' sources are left out, by suite and component here and by the archive's signed Origin in `install`.
No address is known to this code: all come from the machine. Options that switch verification off are not taken
over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

_COMPONENTS = ("main", "universe")  # Ubuntu keeps Prometheus in universe
_POCKETS = ("", "-updates", "-security", "/updates")
_ALIASES = ("stable", "oldstable", "oldoldstable", "testing", "unstable", "sid")
_SCHEMES = ("http:", "https:", "file:", "copy:", "mirror:", "mirror+", "tor+")
_ONE_LINE = re.compile(r"deb\s+(?:\[(?P<options>[^]]*)]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>.+)")


@dataclass(frozen=True, slots=True)
class Source:
    """One archive at one suite; `signed_by` is a keyring's path, a fingerprint, or a whole key block."""

    uri: str
    suite: str
    components: tuple[str, ...]
    signed_by: str = ""

    def deb822(self, architecture: str) -> str:
        """The stanza for a `.sources` file: the package index for this architecture, nothing else."""
        stanza = (
            f"Types: deb\nURIs: {self.uri}\nSuites: {self.suite}\nComponents: {' '.join(self.components)}\n"
            f"Architectures: {architecture}\nTargets: Packages\n"
        )
        return stanza + (f"Signed-By: {self.signed_by}\n" if self.signed_by else "")


def machine_sources(apt_folder: Path) -> list[Source]:
    """Every enabled binary source in `sources.list` and `sources.list.d` (one-line and deb822 forms)."""
    listed = [apt_folder / "sources.list", *sorted((apt_folder / "sources.list.d").glob("*.list"))]
    stanzas = sorted((apt_folder / "sources.list.d").glob("*.sources"))
    found: list[Source] = []
    for file in listed:
        if file.is_file():
            found += _one_line(file.read_text(errors="replace"))
    for file in stanzas:
        found += _deb822(file.read_text(errors="replace"))
    return found


def own_archive(sources: list[Source], codename: str) -> list[Source]:
    """Those that look like the distribution's own: its codename (or an alias such as `stable`) and main."""
    suites = {name + pocket for name in (codename, *_ALIASES) if name for pocket in _POCKETS}
    own = []
    for source in sources:
        components = tuple(each for each in source.components if each in _COMPONENTS)
        if source.suite in suites and "main" in components and source.uri.startswith(_SCHEMES):
            own.append(replace(source, components=components))
    return own


def at_suite(own: list[Source], suite: str, codename: str) -> list[Source]:
    """The same archive at another suite: its base source, security and updates being other suites' affair."""
    base = [source for source in own if source.suite in (codename, *_ALIASES)]
    return [replace(source, suite=suite) for source in base]


def _one_line(text: str) -> Iterator[Source]:
    for line in text.splitlines():
        match = _ONE_LINE.fullmatch(line.partition("#")[0].strip())
        if match:
            options = dict(re.findall(r"([\w-]+)\+?=(\S+)", match["options"] or ""))
            signed_by = options.get("signed-by", "").replace(",", " ")
            yield Source(match["uri"], match["suite"], tuple(match["components"].split()), signed_by)


def _deb822(text: str) -> Iterator[Source]:
    for paragraph in re.split(r"\n[ \t]*\n", text):
        fields = _fields(paragraph)
        if fields.get("enabled", "yes").lower() in ("no", "false", "off", "0"):
            continue
        if "deb" not in fields.get("types", "").split():
            continue
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                components = tuple(fields.get("components", "").split())
                yield Source(uri, suite, components, fields.get("signed-by", ""))


def _fields(paragraph: str) -> Mapping[str, str]:
    """A deb822 paragraph's fields, names in lower case; a key block keeps its lines."""
    fields: dict[str, str] = {}
    name = ""
    for line in paragraph.splitlines():
        if line.startswith("#") or not line.strip():
            continue
        if line[0] in " \t":
            if name:
                fields[name] += "\n" + line
            continue
        name, _, value = line.partition(":")
        name = name.strip().lower()
        fields[name] = value.strip()
    return fields
