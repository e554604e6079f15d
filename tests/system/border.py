"""A mail server in front of our inbox as docs/operating.md tells how to set one up: Postfix with opendkim and opendmarc.

It is the MX of one domain: it checks what comes, writes what it found, and hands it to our process by LMTP or SMTP. Nothing is
asked of the DNS: keys and policies stand in files.
"""

import contextlib
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from installation import ROOT, eventually
from mail_host import GUARD, PATIENCE, greets, removed
from mail_host_files import postfix_master, write_postfix

from newsletter.embedded.processes import Program, end, spawn
from newsletter.embedded.valkey import free_port

NAME = "mx.digest.test"
LOGS = ("mail.log", "postfix.log", "opendkim.log", "opendmarc.log")
MAIN_CF = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/mail.log
maillog_file_prefixes = {folder}
inet_interfaces = loopback-only
inet_protocols = ipv4
mynetworks =
myhostname = {name}
mydestination =
alias_maps =
local_recipient_maps =
default_transport = error:5.4.4 This host sends nothing elsewhere
smtp_dns_support_level = disabled
smtpd_peername_lookup = no
smtputf8_enable = yes
milter_default_action = tempfail
header_checks = regexp:{folder}/header_checks
address_verify_map =
address_verify_poll_delay = 1s
queue_run_delay = 1s
minimal_backoff_time = 1s
maximal_backoff_time = 2s
"""
OPENDKIM = """
Mode v
Socket {socket}
UserID opendkim
Syslog no
LogResults yes
AuthservID {name}
AlwaysAddARHeader yes
TestPublicKeys {folder}/records
"""
OPENDMARC = """
Socket {socket}
UserID opendmarc
Syslog no
AuthservID {name}
SPFSelfValidate true
IgnoreHosts {folder}/nobody
PublicSuffixList /usr/share/publicsuffix/public_suffix_list.dat
TestDNSData {folder}/policies
"""


@dataclass(frozen=True)
class Border:
    """Where it takes mail, and its folder."""

    folder: Path
    port: int

    def log(self) -> str:
        """Return what its servers wrote to their logs."""
        texts = {name: self.folder / name for name in LOGS}
        return "\n".join(f"-- {name}\n{path.read_text(errors='replace')}" for name, path in texts.items() if path.exists())


@contextlib.contextmanager
def guarding(domain: str, to: str, *, port: int, records: Mapping[str, str]) -> Iterator[Border]:
    """Start one for a domain at a port; `to` is how our inbox is reached, as "lmtp:inet:127.0.0.1:2525".

    `records` is what it finds in the DNS, by name. Leaves nothing behind; wants root.
    """
    folder = Path(tempfile.mkdtemp(prefix="newsletter-border-", dir="/tmp"))
    border, milters = Border(folder, port), (free_port(), free_port())
    with contextlib.ExitStack() as stack:
        stack.callback(eventually, lambda: removed(folder), lambda: f"{folder} could not be removed")
        _write(border, milters, _documented(domain, to, milters), records)
        for program in _programs(folder):
            stack.callback(end, spawn(program), grace=program.grace)
        eventually(lambda: greets(port, b"220"), border.log, seconds=PATIENCE)
        yield border


def _documented(domain: str, to: str, milters: tuple[int, int]) -> str:
    """Return the settings of Postfix that docs/operating.md gives, for this domain, inbox and milters."""
    text = (ROOT / "docs/operating.md").read_text()
    block = re.search(r"```\n(relay_domains = .*?)```", text, re.DOTALL)[1]
    for shown, ours in {
        "news.example.com": domain,
        "lmtp:inet:127.0.0.1:2525": to,
        "inet:127.0.0.1:8891": f"inet:127.0.0.1:{milters[0]}",
        "inet:127.0.0.1:8893": f"inet:127.0.0.1:{milters[1]}",
    }.items():
        assert shown in block
        block = block.replace(shown, ours)
    return block


def _write(border: Border, milters: tuple[int, int], documented: str, records: Mapping[str, str]) -> None:
    folder = border.folder
    folder.chmod(0o755)
    write_postfix(folder, border.port, MAIN_CF.format(folder=folder, name=NAME) + documented)
    (folder / "header_checks").write_text("/^Authentication-Results:/ IGNORE\n")
    (folder / "nobody").write_text("192.0.2.1\n")
    lines = [f"{name} {value}\n" for name, value in records.items()]
    (folder / "records").write_text("".join(line for line in lines if "._domainkey." in line))
    (folder / "policies").write_text("".join(line for line in lines if "._domainkey." not in line))
    for program, text, port in (("opendkim", OPENDKIM, milters[0]), ("opendmarc", OPENDMARC, milters[1])):
        (folder / f"{program}.conf").write_text(text.format(folder=folder, name=NAME, socket=f"inet:{port}@127.0.0.1"))


def _programs(folder: Path) -> Iterator[Program]:
    for name, words in {
        "opendkim": ("opendkim", "-f", "-x", str(folder / "opendkim.conf")),
        "opendmarc": ("opendmarc", "-f", "-c", str(folder / "opendmarc.conf")),
        "postfix": (postfix_master(), "-c", str(folder / "etc"), "-d"),
    }.items():
        yield Program(name, (*GUARD, *words), folder / f"{name}.log", grace=0.0 if "open" in name else 10.0)
