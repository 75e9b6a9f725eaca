"""A Prometheus whose past was written by a test: samples as they would have been scraped, imported as blocks."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from chaoskit.host.ports import reserve
from chaoskit.stack.binaries import Binaries
from chaoskit.stack.monitoring import start_prometheus

Samples = Mapping[str, Iterable[tuple[float, float]]]
"""By series (`up{job="a"}`): instants in seconds and values."""


def write_blocks(binaries: Binaries, data: Path, samples: Samples, duration: str = "24h") -> None:
    """Adds samples to Prometheus's data folder."""
    text = data.with_suffix(".txt")
    with text.open("w") as file:
        for series, points in samples.items():
            file.writelines(f"{series} {value:.17g} {at:.3f}\n" for at, value in points)
        file.write("# EOF\n")
    command = [
        binaries.promtool,
        "tsdb",
        "create-blocks-from",
        f"--max-block-duration={duration}",
        "openmetrics",
        text,
        data,
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    text.unlink()


@contextmanager
def prometheus(binaries: Binaries, folder: Path, *, retention: str = "10y", scraped: int = 0) -> Iterator[str]:
    """A Prometheus over the blocks in `folder/data`, at the URL that is given.

    It scrapes nothing, but for a page at the port `scraped` each second, as the bundle scrapes the exporter.
    """
    config = folder / "prometheus.yml"
    where = f"static_configs: [{{targets: ['127.0.0.1:{scraped}']}}]"
    job = f"scrape_configs: [{{job_name: sla, honor_labels: true, scrape_interval: 1s, {where}}}]\n"
    config.write_text("global: {scrape_interval: 15s}\n" + (job if scraped else ""))
    port = reserve(1)[0]
    child = start_prometheus(
        binaries, config, folder / "data", port, folder / "prometheus.log",
        flags=[f"--storage.tsdb.retention.time={retention}"],
    )  # fmt: skip
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        child.stop()
