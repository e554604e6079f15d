"""The files of the receiving mail host: what Postfix, Dovecot and opendkim are told, all of it in one folder."""

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from smtp_certificates import make_certificate

from newsletter.mail import keys
from newsletter.mail.dkim import record

NAME = "mx.inbox.test"
DOMAINS = ("inbox.test", "inbox.example.org", "digest.test", "digest.example.org")
SIGNED = DOMAINS[:2]  # what its own users write from
PASSWORD = "pass"
SELECTOR = "host"

# What goes to no mailbox and to no route ends here: nothing of a test may leave the machine.
MAIN_CF = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/mail.log
maillog_file_prefixes = {folder}
inet_interfaces = loopback-only
inet_protocols = ipv4
myhostname = {name}
mydestination =
alias_maps =
local_recipient_maps =
recipient_delimiter = +
virtual_mailbox_domains = {domains}
virtual_mailbox_maps = static:all
virtual_transport = lmtp:unix:{folder}/lmtp
transport_maps = texthash:{folder}/routes
default_transport = error:5.4.4 This host sends nothing elsewhere
smtp_dns_support_level = disabled
smtpd_peername_lookup = no
smtpd_restriction_classes = greylisting
greylisting = check_policy_service unix:{folder}/greylist
smtpd_recipient_restrictions = check_recipient_access regexp:{folder}/answers, permit_mynetworks, reject
smtpd_tls_security_level = may
smtpd_tls_received_header = yes
smtpd_tls_cert_file = {folder}/certificate.pem
smtpd_tls_key_file = {folder}/key.pem
smtpd_milters = unix:{folder}/milter/socket
milter_default_action = tempfail
smtputf8_enable = yes
queue_run_delay = 1s
minimal_backoff_time = 1s
maximal_backoff_time = 2s
"""
MASTER_CF = """
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
flush unix n - n 1000? 0 flush
tlsmgr unix - - n 1000? 1 tlsmgr
scache unix - - n - 1 scache
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
showq unix n - n - - showq
postlog unix-dgram n - n - 1 postlogd
anvil unix - - n - 1 anvil
verify unix - - n - 1 verify
"""
SERVICES = {"rewrite": "trivial-rewrite", "retry": "error"}
SERVICES |= {name: name for name in ("proxymap", "smtp", "lmtp", "error")}
# What `postfix check` makes, only that it takes seconds for it.
QUEUES = ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "maildrop", "private", "public")
QUEUES += ("saved", "trace")
ANSWERS = r"""
/^nosuch(\+[^@]*)?@/ 550 5.1.1 There is no such mailbox
/^full(\+[^@]*)?@/ 552 5.2.2 The mailbox is full
/^defer(\+[^@]*)?@/ 450 4.2.1 The mailbox is busy, come back later
/^greylist(\+[^@]*)?@/ greylisting
"""

# A user who is unknown here is refused by LMTP, after Postfix has taken the mail: the bounce is Postfix's.
DOVECOT = """
base_dir = {folder}/dovecot
log_path = {folder}/dovecot.log
hostname = {name}
protocols = imap lmtp
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
first_valid_uid = 1
mail_uid = mail
mail_gid = mail
mail_location = maildir:~/Maildir
recipient_delimiter = +
submission_host = 127.0.0.1:{smtp_port}
auth_username_format = %n
default_process_limit = 20
passdb {{
  driver = passwd-file
  args = {folder}/nobody
}}
passdb {{
  driver = static
  args = password={password}
  username_filter = !late-nosuch
}}
userdb {{
  driver = passwd-file
  args = username_format=%n {folder}/users
}}
userdb {{
  driver = static
  args = uid=mail gid=mail home={folder}/mail/%n
}}
service imap-login {{
  inet_listener imap {{
    port = {imap_port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service lmtp {{
  unix_listener {folder}/lmtp {{
    mode = 0666
  }}
}}
mail_plugins = $mail_plugins quota
protocol lmtp {{
  postmaster_address = postmaster@inbox.test
  mail_plugins = $mail_plugins sieve
}}
plugin {{
  quota = maildir:User quota
  quota_rule = *:storage=1G
  sieve = file:{folder}/sieve/none.sieve
}}
"""
USERS = """
away:{{PLAIN}}{password}:{uid}:{gid}::{folder}/mail/away::userdb_sieve=file:{folder}/sieve/away.sieve
quota:{{PLAIN}}{password}:{uid}:{gid}::{folder}/mail/quota::userdb_quota_rule=*:bytes=1
"""
AWAY = """
require ["vacation"];
vacation :days 1 :subject "Out of office" "I am away until Monday.";
"""

# What comes from one of its own users is signed, all else is verified. Nothing is asked of the DNS.
OPENDKIM = """
Mode sv
Socket local:{folder}/milter/socket
UMask 000
UserID opendkim
Syslog no
LogResults yes
AuthservID {name}
AlwaysAddARHeader yes
RemoveARAll yes
TestPublicKeys {folder}/records
Domain {signed}
Selector {selector}
KeyFile {folder}/milter/{signed_first}/{selector}.pem
RequireSafeKeys no
Canonicalization relaxed/simple
"""


@dataclass(frozen=True)
class Place:
    """Where a host is: its folder and its ports on loopback."""

    folder: Path
    smtp_port: int
    imap_port: int


def local(routes: Mapping[str, str]) -> tuple[str, ...]:
    """Return the domains whose mail is kept here."""
    return tuple(domain for domain in DOMAINS if domain not in routes)


def write(place: Place, routes: Mapping[str, str]) -> None:
    """Write everything, with the owners that the servers want; `routes` are Postfix's transports by domain."""
    folder = place.folder
    folder.chmod(0o755)
    for name, owner in {"dovecot": "root", "mail": "mail"}.items():
        (folder / name).mkdir()
        shutil.chown(folder / name, owner, owner)
    make_certificate(folder)
    _write_postfix(place, routes)
    _write_dovecot(place)
    _write_opendkim(place)


def _write_postfix(place: Place, routes: Mapping[str, str]) -> None:
    folder = place.folder
    write_postfix(folder, place.smtp_port, MAIN_CF.format(folder=folder, name=NAME, domains=" ".join(local(routes))))
    (folder / "answers").write_text(ANSWERS)
    (folder / "routes").write_text("".join(f"{domain} {transport}\n" for domain, transport in routes.items()))


def write_postfix(folder: Path, port: int, settings: str) -> None:
    """Write what a Postfix needs that listens at a port of loopback and has these settings in its main.cf."""
    for name, owner in {"etc": "root", "queue": "root", "data": "postfix"}.items():
        (folder / name).mkdir()
        shutil.chown(folder / name, owner, owner)
    services = "".join(f"{name} unix - - n - - {program}\n" for name, program in SERVICES.items())
    (folder / "etc/main.cf").write_text(settings)
    (folder / "etc/master.cf").write_text(MASTER_CF.format(port=port) + services)
    (folder / "queue/pid").mkdir()
    for name in QUEUES:
        (folder / "queue" / name).mkdir(mode=0o700)
        shutil.chown(folder / "queue" / name, "postfix")


def _write_dovecot(place: Place) -> None:
    folder = place.folder
    owner = (folder / "mail").stat()
    names = {"folder": folder, "name": NAME, "password": PASSWORD, "smtp_port": place.smtp_port, "imap_port": place.imap_port}
    (folder / "dovecot.conf").write_text(DOVECOT.format(**names))
    (folder / "users").write_text(USERS.format(**names, uid=owner.st_uid, gid=owner.st_gid))
    (folder / "nobody").touch()
    (folder / "sieve").mkdir()
    (folder / "sieve/away.sieve").write_text(AWAY)
    (folder / "sieve/none.sieve").touch()
    shutil.chown(folder / "sieve", "mail")  # Sieve puts what it compiles beside its source


def _write_opendkim(place: Place) -> None:
    folder = place.folder
    key = keys.create(folder / "milter", SIGNED[0], SELECTOR, now=datetime.now(UTC))
    for each in (folder / "milter", key.path.parent, key.path):
        shutil.chown(each, "opendkim")
    (folder / "milter").chmod(0o755)
    public = record(key.keys[0])
    (folder / "records").write_text("".join(f"{SELECTOR}._domainkey.{domain} {public.value}\n" for domain in SIGNED))
    names = {"name": NAME, "selector": SELECTOR, "signed": ",".join(SIGNED), "signed_first": SIGNED[0]}
    (folder / "opendkim.conf").write_text(OPENDKIM.format(folder=folder, **names))


def postfix_master() -> str:
    """Return the program that starts all of Postfix's others."""
    asked = subprocess.run(["postconf", "-h", "daemon_directory"], check=True, capture_output=True, text=True)
    return f"{asked.stdout.strip()}/master"
