import json
import shutil
import socket
import stat
import sys
from threading import Thread

import dkim as verifier
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from factories import NOW, mailer

from newsletter import wiring
from newsletter.cli import main
from newsletter.config import load
from newsletter.deliveries import ledger
from newsletter.lifecycle import IssueStatus
from newsletter.mail import keys
from newsletter.mail.dkim import record
from newsletter.models import Lane


class Zone:
    """A name server on loopback; `records` are what it knows, `silent` lets it fail."""

    def __init__(self):
        self.records, self.silent = {}, False
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.socket.getsockname()[1]}"
        self.thread = Thread(target=self._serve)

    def _serve(self):
        while True:
            question, asker = self.socket.recvfrom(4096)
            if not question:
                return
            self.socket.sendto(self._answer(dns.message.from_wire(question)).to_wire(max_size=65535), asker)

    def _answer(self, question):
        answer = dns.message.make_response(question)
        answer.flags |= dns.flags.RA
        name = question.question[0].name
        texts = self.records.get(name.to_text(omit_final_dot=True))
        if self.silent:
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif texts is None:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        elif texts:
            answer.answer.append(dns.rrset.from_text(name, 60, "IN", "TXT", *texts))
        return answer

    def publish(self, key):
        """Publish every record of a stored key, as the zone file has it."""
        for half in key.keys:
            name, _, texts = record(half).zone_line.partition(". 3600 IN TXT ")
            self.records[name] = [texts]


@pytest.fixture
def zone():
    """Return a running name server."""
    server = Zone()
    server.thread.start()
    yield server
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
        end.sendto(b"", server.socket.getsockname())
    server.thread.join()
    server.socket.close()


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """Return the empty folder of the keys."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NEWSLETTER_DATA_DIR", str(tmp_path))
    return tmp_path / "dkim"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a folder with two keys of example.org, made once, for that takes time."""
    folder = tmp_path_factory.mktemp("made")
    for selector in ("one", "two"):
        keys.create(folder, "example.org", selector, ed25519=selector == "two", now=NOW)
    return folder / "example.org"


@pytest.fixture
def put(folder, made):
    """Return what puts one of those keys where commands find it."""

    def copied(selector):
        (folder / "example.org").mkdir(parents=True, exist_ok=True)
        for path in made.glob(f"{selector}*"):
            shutil.copy(path, folder / "example.org")
        return keys.find(folder, "example.org", selector)

    return copied


@pytest.fixture
def run(monkeypatch, capfd):
    """Return what runs `newsletter dkim …` and returns the exit code, what it printed, and its error."""

    def command(*words):
        monkeypatch.setattr(sys, "argv", ["newsletter", "dkim", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capfd.readouterr()
        return ended.value.code, said.out, said.err

    return command


def test_a_key_is_made_and_its_record_can_be_copied(run, folder):
    code, out, _ = run("create", "Example.ORG")

    key = keys.find(folder, "example.org", f"s{wiring.utcnow():%Y%m}a")
    made = record(key.keys[0])
    assert code == 0
    assert {made.name, made.value, made.zone_line} < set(out.splitlines())
    assert f"newsletter dkim activate example.org {key.selector}" in out.splitlines()
    assert str(key.path) in out
    assert "PRIVATE" not in out
    assert stat.S_IMODE(key.path.stat().st_mode) == 0o600
    assert not key.active


def test_a_second_key_is_made_beside_it_if_asked_for(run, folder):
    code, out, _ = run("create", "example.org", "--selector", "one", "--ed25519")

    assert code == 0
    assert out.count("v=DKIM1; k=rsa; p=") == 2
    assert "one-ed._domainkey.example.org" in out.splitlines()
    assert sorted(path.name for path in (folder / "example.org").iterdir()) == ["one-ed.pem", "one.pem"]


@pytest.mark.parametrize("domain", ["ari@example.org", "example", "https://example.org"])
def test_who_gives_no_domain_is_told_what_one_is(run, folder, domain):
    code, out, err = run("create", domain)

    assert (code, out) == (1, "")
    assert err.splitlines() == [
        f"error: {domain!r} is no domain.",
        "       Give what follows the @ in the address that mail is sent from: example.org",
    ]
    assert not folder.exists()


def test_a_selector_that_is_taken_is_refused_and_its_key_kept(run, put):
    key = put("one")
    before = key.path.read_bytes()

    code, _, err = run("create", "example.org", "--selector", "one")

    assert code == 1
    assert "example.org has a key one already" in err
    assert key.path.read_bytes() == before


def test_a_folder_that_cannot_be_written_is_named(run, folder):
    folder.write_text("a file where the folder should be")

    code, _, err = run("create", "example.org")

    assert code == 1
    assert str(folder) in err
    assert "Traceback" not in err


def test_the_list_shows_which_key_is_active(run, folder, put):
    assert "no key" in run("list")[1]
    put("one")
    put("two")
    keys.activate(folder, "example.org", "two")

    lines = [line.split() for line in run("list")[1].splitlines()]
    told = json.loads(run("list", "--json")[1])

    assert lines[1:] == [["example.org", "one", "rsa", "2048"], ["example.org", "two", "rsa", "2048,", "ed25519", "active"]]
    assert [(key["selector"], key["active"]) for key in told] == [("one", False), ("two", True)]
    assert told[0]["records"][0]["name"] == "one._domainkey.example.org"


def test_a_key_is_made_active_only_when_everyone_can_see_it(run, folder, zone, put):
    first, second = put("one"), put("two")

    code, out, err = run("activate", "example.org", "one", "--resolver", zone.address)
    assert code == 1
    assert "one was not made active" in err
    assert "one._domainkey.example.org (rsa): not published" in out
    assert record(first.keys[0]).value in out.splitlines()

    zone.publish(first)
    code, out, _ = run("activate", "example.org", "one", "--resolver", zone.address)
    assert (code, out.splitlines()[-1]) == (0, "Mail from example.org is signed with one now.")

    assert run("activate", "example.org", "two", "--resolver", zone.address)[0] == 1
    zone.publish(second)
    code, out, _ = run("activate", "example.org", "two", "--resolver", zone.address)
    assert "leave its record published for two weeks" in out
    assert [key.selector for key in keys.listing(folder) if key.active] == ["two"]


def test_a_key_can_be_made_active_where_no_name_server_answers_or_none_is_asked(run, zone, put):
    put("one")
    put("two")
    zone.silent = True

    code, out, _ = run("activate", "example.org", "one", "--resolver", zone.address)
    assert code == 0
    assert "not known" in out
    assert run("activate", "example.org", "two", "--unchecked")[0] == 0
    assert run("activate", "example.org", "three", "--unchecked")[0] == 1


def test_check_is_content_when_the_active_key_is_published(run, folder, zone, put):
    first, second = put("one"), put("two")

    code, out, err = run("check", "example.org", "--resolver", zone.address)
    assert code == 1
    assert out.count("not published") == 3
    assert "no key is published yet" in err

    zone.publish(second)
    assert run("check", "example.org", "--resolver", zone.address)[0] == 0

    keys.activate(folder, "example.org", "one")
    code, _, err = run("check", "example.org", "--resolver", zone.address)
    assert code == 1
    assert "signed with one fails" in err

    zone.publish(first)
    code, out, err = run("check", "example.org", "--resolver", zone.address)
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "one._domainkey.example.org (rsa, active): published",
        "two._domainkey.example.org (rsa): published",
        "two-ed._domainkey.example.org (ed25519): published",
    ]


@pytest.mark.parametrize(
    ("texts", "why"), [(['"v=DKIM1; p="'], "withdrawn"), (['"a"', '"b"'], "2 TXT records"), (["v=spf1"], "no DKIM key: v=spf1")]
)
def test_check_says_what_is_wrong_with_a_record(run, zone, texts, why, put):
    put("one")
    zone.records["one._domainkey.example.org"] = texts

    code, out, _ = run("check", "example.org", "--resolver", zone.address)

    assert code == 1
    assert "published wrongly" in out
    assert why in out


def test_check_says_so_when_it_cannot_ask(run, zone, put):
    put("one")
    zone.silent = True

    code, out, err = run("check", "example.org", "--resolver", zone.address)

    assert code == 1
    assert "one._domainkey.example.org (rsa): not known" in out
    assert "no name server could be asked, so this says nothing about the keys" in err


def test_what_cannot_be_checked_is_named(run, put):
    assert "example.org has no key" in run("check", "example.org")[2]
    put("one")

    assert "'ns.example.org' is no name server" in run("check", "example.org", "--resolver", "ns.example.org")[2]
    assert "is no name server" in run("check", "example.org", "--resolver", "127.0.0.1:dns")[2]


def test_a_digest_is_signed_when_its_domain_has_an_active_key(sessions, make, folder, put):
    newsletter = make.newsletter(from_address="news@Example.org")
    make.reader("ari", newsletter)
    make.issue(newsletter, IssueStatus.PUBLISHED)
    key = put("one")
    value = record(key.keys[0]).value.encode()
    with sessions.begin() as session:
        (row,) = ledger.claim(session, Lane.LIST, worker="one", limit=1, now=NOW)

    def content(**settings):
        ours = mailer(signers=wiring.signers_of(load(**settings)))
        with sessions.read() as session:
            ours.load(session, [row])
        return ours.message(row, now=NOW).content

    assert b"DKIM-Signature" not in content()
    keys.activate(folder, "example.org", "one")
    assert verifier.verify(content(), dnsfunc=lambda *_, **__: value)
    assert b"DKIM-Signature" not in content(dkim="relay")
