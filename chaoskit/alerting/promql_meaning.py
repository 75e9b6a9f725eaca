"""How compressed time changes the value of each PromQL function, and of metrics that hold an instant or a duration.

Under compression the samples keep their values and come k times as fast. So a value is one of

* **plain**: the same at every scale (a count, a ratio, a length in virtual seconds);
* **an instant**: a point on the real clock (`time()`, `timestamp(x)`, a metric such as `x_timestamp_seconds`). Instants
  can be compared with each other and averaged, and the distance between two of them, multiplied by k, is plain;
* **open**: a metric by itself. Nothing shows what it is; where it meets an instant in a difference or a comparison it
  is taken for one, otherwise for plain;
* **constant**.

Functions not listed here are unknown and refused by name.
"""

from __future__ import annotations

import re
from enum import Enum


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


class Kind(Enum):
    """The kind of a PromQL value (see above); CONSTANT counts as plain wherever a plain value will do."""

    PLAIN = "a plain value"
    INSTANT = "an instant"
    OPEN = "a metric"
    CONSTANT = "a constant"


PER_SECOND = frozenset(["rate", "irate", "deriv"])
"""Change per second: k times too large when samples come k times as fast, so the result is divided by k."""

INSTANTS = _names("time timestamp ts_of_min_over_time ts_of_max_over_time ts_of_first_over_time ts_of_last_over_time")
CALENDAR = _names("minute hour day_of_week day_of_month day_of_year days_in_month month year")

FOLLOWING = _names(
    "avg_over_time min_over_time max_over_time quantile_over_time last_over_time first_over_time label_replace "
    "label_join sort sort_desc sort_by_label sort_by_label_desc vector scalar info"
)
"""The result is the same sort of thing as the vector put in."""

COUNTING = _names("absent absent_over_time count_over_time present_over_time changes resets sgn")
"""The result is always plain: a shift or stretch of the clock changes no count."""

PLAIN_ONLY = _names(
    "abs ceil floor round clamp clamp_max clamp_min exp ln log2 log10 sqrt pi deg rad sin cos tan asin acos atan "
    "sinh cosh tanh asinh acosh atanh increase delta idelta sum_over_time stddev_over_time stdvar_over_time "
    "mad_over_time holt_winters double_exponential_smoothing histogram_quantile histogram_quantiles "
    "histogram_fraction histogram_avg histogram_count histogram_sum histogram_stddev histogram_stdvar"
)
"""Needs nothing for plain values and makes no sense of instants."""

FOLLOWING_AGGREGATIONS = _names("min max avg quantile topk bottomk limitk limit_ratio")
COUNTING_AGGREGATIONS = frozenset(["count", "group"])

_CLOCK_UNIT = r"(_(seconds|s|ms|milliseconds|millis|unix|utc))?"
_INSTANT_NAME = re.compile(
    rf"(ALERTS_FOR_STATE|\w*(timestamp|(^|_)(start|boot|completion|schedule)_time|(^|_)last_\w+_time|"
    rf"optime_?date|node_time|not_after|not_before){_CLOCK_UNIT}|kube_\w+_created)",
    re.IGNORECASE,
)
_NO_INSTANT = re.compile(r"\w*_(total|count|sum|bucket)")
_OWN_LENGTH = re.compile(r"(scrape|prometheus|alertmanager)_\w+_seconds(?P<part>_sum|_bucket|_total)?")


def names_an_instant(metric: str) -> bool:
    """Whether a metric's name says that its value is a point on the clock."""
    last = metric.rsplit(":", 1)[-1] if not metric.startswith("ALERTS") else metric
    return bool(_INSTANT_NAME.fullmatch(last)) and not _NO_INSTANT.fullmatch(last)


def names_an_own_length(metric: str) -> bool:
    """Whether a metric is a length that Prometheus or Alertmanager measured on itself, in real seconds."""
    return bool(_OWN_LENGTH.fullmatch(metric)) and not names_an_instant(metric)
