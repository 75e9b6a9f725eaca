"""Do passwords and notices go over the network so that others cannot read or change them?"""

from __future__ import annotations

from collections.abc import Iterator

from chaoskit.alerting.config_fields import is_false, root_of
from chaoskit.alerting.prometheus_shown import host_and_port
from chaoskit.check.findings import Severity, Violation, lint
from chaoskit.check.lint_context import LintContext


@lint("mail-without-tls", Severity.WARNING, "delivery", ("alertmanager",))
def mail_without_tls(context: LintContext) -> Iterator[Violation]:
    """Mails go to a relay on another machine without TLS.

    Every machine on the way can read the notices and the relay's password, and change or drop them.
    """
    root = root_of(context.config.sources, "alertmanager")
    for mail in (each for receiver in root.listed("receivers") for each in receiver.listed("email_configs")):
        required = mail.get("require_tls") or root.at("global", "smtp_require_tls")
        relay = mail.get("smarthost") or root.at("global", "smtp_smarthost")
        if required is not None and is_false(required) and relay is not None and not _here(relay.raw):
            message = f"mails go to {relay.raw} without TLS"
            yield Violation(required.place, message, "leave TLS required, the default")


@lint("certificate-unchecked", Severity.WARNING, "delivery", ())
def certificate_unchecked(context: LintContext) -> Iterator[Violation]:
    """`insecure_skip_verify` takes any certificate for the right one.

    A machine that answers in place of the right one gets the notices and credentials, or gives the metrics.
    """
    for role in ("alertmanager", "prometheus"):
        for path, _, node in root_of(context.config.sources, role).walk():
            if path[-1:] == ("insecure_skip_verify",) and node.value is True:
                message = f"{'.'.join(path)} is on"
                yield Violation(node.place, message, "give ca_file in place of insecure_skip_verify")


def _here(relay: str) -> bool:
    return host_and_port(relay).rpartition(":")[0] == "localhost"
