import socket
import threading
from contextlib import closing
from dataclasses import dataclass, field

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.resolver
import dns.rrset
import pytest

from newsletter.subscribers.domains import KEPT, KEPT_IN_DOUBT, MOST_KEPT, MailDomains

RECORDS = {
    "takes.example": {"MX": ["10 mx.takes.example."]},
    "several.example": {"MX": ["10 mx.takes.example.", "0 ."]},  # broken, but somebody is named
    "null.example": {"MX": ["0 ."]},
    "only-a.example": {"A": ["192.0.2.1"]},
    "only-aaaa.example": {"AAAA": ["2001:db8::1"]},
    "nothing.example": {"TXT": ['"no mail here"']},
    "xn--bcher-kva.example": {"MX": ["10 mx.takes.example."]},
}


@dataclass
class NameServer:
    """A name server on loopback that knows `RECORDS`."""

    rcode: int | None = None  # instead of an answer
    silent: bool = False
    asked: list[tuple[str, str]] = field(default_factory=list)
    door: socket.socket = field(default_factory=lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))

    def serve(self):
        """Answer until an empty packet comes."""
        while True:
            content, peer = self.door.recvfrom(4096)
            if not content:
                return
            query = dns.message.from_wire(content)
            self.asked.append((str(query.question[0].name)[:-1], dns.rdatatype.to_text(query.question[0].rdtype)))
            if not self.silent:
                self.door.sendto(self._answer(query).to_wire(), peer)

    def _answer(self, query):
        reply, (name, kind) = dns.message.make_response(query), self.asked[-1]
        reply.flags |= dns.flags.RA
        if self.rcode is not None or name not in RECORDS:
            reply.set_rcode(dns.rcode.NXDOMAIN if self.rcode is None else self.rcode)
        elif kind in RECORDS[name]:
            reply.answer.append(dns.rrset.from_text_list(query.question[0].name, 60, "IN", kind, RECORDS[name][kind]))
        return reply

    def resolver(self):
        """Return what asks this server."""
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = ["127.0.0.1"], self.door.getsockname()[1]
        return resolver


@pytest.fixture
def server():
    server = NameServer()
    server.door.bind(("127.0.0.1", 0))
    thread = threading.Thread(target=server.serve)
    thread.start()
    yield server
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as end:
        end.sendto(b"", server.door.getsockname())
    thread.join()
    server.door.close()


@pytest.mark.parametrize(
    ("domain", "takes", "questions"),
    [
        ("takes.example", True, "MX"),
        ("several.example", True, "MX"),
        ("null.example", False, "MX"),
        ("only-a.example", True, "MX A"),
        ("only-aaaa.example", True, "MX A AAAA"),
        ("nothing.example", False, "MX A AAAA"),
        ("absent.example", False, "MX"),
        ("bücher.example", True, "MX"),
    ],
)
def test_a_domain_takes_mail_by_its_mail_servers_or_its_own_address(server, domain, takes, questions):
    assert MailDomains(server.resolver()).takes_mail(domain) is takes
    assert [kind for _, kind in server.asked] == questions.split()


@pytest.mark.parametrize("rcode", [dns.rcode.SERVFAIL, dns.rcode.REFUSED, dns.rcode.FORMERR])
def test_trouble_of_the_dns_is_no_fault_of_an_address(server, rcode):
    server.rcode = rcode

    assert MailDomains(server.resolver()).takes_mail("absent.example")


def test_a_silent_name_server_holds_a_domain_up_once(server):
    server.silent = True
    domains = MailDomains(server.resolver())

    assert domains.takes_mail("absent.example")
    asked = len(server.asked)
    assert domains.takes_mail("absent.example")
    assert len(server.asked) == asked


@pytest.mark.parametrize("domain", ["a..b", "x" * 80 + ".example"])
def test_what_cannot_be_asked_for_is_let_through(server, domain):
    assert MailDomains(server.resolver()).takes_mail(domain)


@pytest.mark.parametrize(("rcode", "kept"), [(None, KEPT), (dns.rcode.SERVFAIL, KEPT_IN_DOUBT)])
def test_an_answer_is_kept_for_a_while(server, rcode, kept):
    server.rcode = rcode
    now = 1000.0
    domains = MailDomains(server.resolver(), lambda: now)
    domains.takes_mail("takes.example")
    asked = len(server.asked)

    now += kept - 1
    domains.takes_mail("takes.example")
    assert len(server.asked) == asked
    now += 2
    domains.takes_mail("takes.example")
    assert len(server.asked) > asked


def test_no_more_than_so_many_answers_are_kept(server):
    domains = MailDomains(server.resolver())
    domains.takes_mail("takes.example")
    for number in range(MOST_KEPT):
        domains._known[f"{number}.example"] = (True, 0.0)  # noqa: SLF001 -- ten thousand questions would take too long

    domains.takes_mail("absent.example")

    assert len(domains._known) <= MOST_KEPT + 1  # noqa: SLF001 -- as above
    assert "takes.example" not in domains._known  # noqa: SLF001 -- as above
