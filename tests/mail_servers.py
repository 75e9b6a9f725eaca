"""exim and dovecot, real and on loopback: mails to one address come to lie in a Maildir, which IMAP shows.

Root starts both, and owns nothing of theirs: exim does not deliver as root, and dovecot reads as the mail's user.
"""

from __future__ import annotations

import os
import pwd
import signal
import smtplib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from chaoskit.host.ports import reserve
from chaoskit.waiting import await_true
from tests.staging_servers import answers, folder, program

USER = "Debian-exim"
PASSWORD = "the-password-of-ops"
_EXIM = """primary_hostname = shop.test
domainlist local_domains = shop.test
spool_directory = {folder}/spool
log_file_path = {folder}/log/%slog
pid_file_path = {folder}/exim.pid
exim_user = {user}
exim_group = {user}
keep_environment =
daemon_smtp_ports = {smtp}
local_interfaces = 127.0.0.1
tls_advertise_hosts =
host_lookup =
rfc1413_hosts =
acl_smtp_rcpt = check
begin acl
check:
  accept domains = +local_domains
         verify = recipient
  deny message = no such user
begin routers
local:
  driver = accept
  domains = +local_domains
  local_parts = ops
  transport = maildir
begin transports
maildir:
  driver = appendfile
  maildir_format
  directory = {folder}/box/Maildir
  create_directory
  user = {user}
  group = {user}
"""
_DOVECOT = """protocols = imap
listen = 127.0.0.1
base_dir = {folder}/dovecot
log_path = {folder}/dovecot.log
ssl = no
disable_plaintext_auth = no
mail_location = maildir:{folder}/box/Maildir
first_valid_uid = 1
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={user} gid={user} home={folder}/box
}}
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
  chroot =
}}
service anvil {{
  chroot =
}}
"""


class MailServers:
    """A mail server that knows the user `ops` alone, and the server of the mailbox that it delivers to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.smtp, self.imap = reserve(2)
        for name in ("spool", "log", "box"):
            (folder / name).mkdir()
            os.chown(folder / name, pwd.getpwnam(USER).pw_uid, pwd.getpwnam(USER).pw_gid)
        known = {"folder": folder, "user": USER, "smtp": self.smtp, "imap": self.imap, "password": PASSWORD}
        (folder / "exim.conf").write_text(_EXIM.format(**known))
        (folder / "dovecot.conf").write_text(_DOVECOT.format(**known))

    def start_exim(self) -> None:
        """Listens, and takes mails."""
        _run(program("exim4"), "-C", self.folder / "exim.conf", "-bd")
        assert await_true(lambda: answers(self.smtp), 20, 0.05)

    def stop_exim(self) -> None:
        """Takes no more; idempotent."""
        _end(self.folder / "exim.pid")

    def start_dovecot(self) -> None:
        """Lets the mailbox be read."""
        _run(program("dovecot"), "-c", self.folder / "dovecot.conf")

    def stop_dovecot(self) -> None:
        """Lets it be read no more; idempotent."""
        with suppress(OSError, ValueError, psutil.NoSuchProcess):
            master = psutil.Process(int((self.folder / "dovecot" / "master.pid").read_text()))
            talking = master.children(recursive=True)
            master.terminate()
            for one in (*talking, master):  # who is logged in may stay for a while
                with suppress(psutil.NoSuchProcess):
                    if one is not master:
                        one.kill()
                    one.wait(20)


def _run(*command: str | Path) -> None:
    """A server that goes on in the background would hold a pipe open."""
    nowhere = subprocess.DEVNULL
    subprocess.run(command, check=True, timeout=20, stdin=nowhere, stdout=nowhere, stderr=nowhere)


def _end(pid_file: Path) -> None:
    with suppress(OSError, ValueError):
        os.kill(int(pid_file.read_text()), signal.SIGTERM)
        pid_file.unlink()


@contextmanager
def mail_servers() -> Iterator[MailServers]:
    """Both, running; skips where they are not installed, or cannot be started as this user."""
    if os.geteuid() != 0 or not (program("exim4") and program("dovecot")):
        pytest.skip("exim4 and dovecot are not installed, or this is not root (make test-staging)")
    with folder() as at:
        servers = MailServers(at)
        try:
            servers.start_exim()
            servers.start_dovecot()
            with smtplib.SMTP("127.0.0.1", servers.smtp, timeout=5) as client:
                mail = "From: before@shop.test\r\n\r\nThe box exists.\r\n"
                client.sendmail("before@shop.test", ["ops@shop.test"], mail)
            assert await_true(lambda: any((at / "box" / "Maildir" / "new").glob("*")), 20, 0.05)
            yield servers
        finally:
            servers.stop_exim()
            servers.stop_dovecot()
