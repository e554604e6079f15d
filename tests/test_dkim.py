import re
import stat
from base64 import b64decode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from functools import partial
from hashlib import sha256
from random import Random

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from dkim.canonicalization import Relaxed
from hypothesis import given
from hypothesis import strategies as st
from mail_samples import KINDS, LANGUAGES, digest, paper, sample, varied

from newsletter.errors import BadInput, Conflict, NotFound, SettingsError
from newsletter.mail import keys
from newsletter.mail.compose import Mailbox, MessageHeaders, Selection, compose, prepare
from newsletter.mail.dkim import OVERSIGNED, Signer, SigningKey, record
from newsletter.mail.headers import ListInfo
from newsletter.mail.published import Standing, judge
from newsletter.mail.render import render

NOW = datetime(2024, 3, 14, 9, tzinfo=UTC)
RSA = SigningKey("news.example.net", "s202403a", generate_private_key(65537, 2048))
ED = SigningKey("news.example.net", "s202403a-ed", Ed25519PrivateKey.generate())
RECORDS = {f"{record(key).name}.".encode(): record(key).value.encode() for key in (RSA, ED)}
SIGN = partial(Signer([RSA]).sign, now=NOW)
HEAD = b"From: a@news.example.net\r\nSubject: one\r\n two\r\nTo: ari@example.org\r\n"
BODY = b"A line\r\n\r\n and another \r\n"
CAST = ("ari@example.org", "bora.lee@example.com", "찬@example.net", "dana@bücher.example")
SLOTS = {
    name: f"https://news.example.net/{name}/{'k' * 60}"
    for name in ("unsubscribe_url", "preferences_url", "view_url", "confirm_url", "requested_at", "cause", "since", "hint")
}
LIST = ListInfo(
    "오늘의 논문", "papers.news.example.net", f"https://news.example.net/u/{'k' * 86}", "mailto:leave@news.example.net"
)


def headers(**changes):
    plain = MessageHeaders(Mailbox("오늘의 논문", "digest@news.example.net"), CAST[0], NOW, "<1.17@news.example.net>")
    return replace(plain, **changes)


def composed(email, **changes):
    prepared = prepare(render(email))
    slots = SLOTS | dict.fromkeys(prepared.wanted - SLOTS.keys(), "a word")
    return compose(prepared, headers=headers(**changes), slots=slots, sign=SIGN)


def verifies(message):
    """Say whether the topmost signature is good, by a verifier that is none of ours."""
    return dkim.verify(message, dnsfunc=lambda name, **_: RECORDS[name])


def tags(message, position=0):
    value = message_from_bytes(message).get_all("DKIM-Signature")[position]
    return {name.strip(): "".join(rest.split()) for name, _, rest in (tag.partition("=") for tag in value.split(";"))}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_mail_verifies(kind, language):
    assert verifies(composed(sample(kind, language), mailing_list=LIST, reply_to="hello@news.example.net"))


def test_any_selection_verifies_for_any_recipient():
    random = Random(17)
    prepared = prepare(render(digest(*(paper(number, "ko") for number in range(1, 13)), language="ko")))
    for recipient in CAST * 3:
        papers = random.sample(range(1, 13), random.randint(1, 12))
        split = random.randint(1, len(papers))
        message = compose(
            prepared,
            headers=headers(recipient=recipient),
            slots=SLOTS,
            selection=Selection(tuple(papers[:split]), tuple(papers[split:])),
            sign=SIGN,
        )
        assert verifies(message)


words = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=200)


@given(subject=words, display=words, references=st.lists(st.integers(), max_size=40))
def test_long_headers_in_any_language_verify(subject, display, references):
    known = " ".join(f"<{number}@news.example.net>" for number in references)
    message = compose(
        PREPARED,
        headers=headers(subject=subject, sender=Mailbox(display, "digest@news.example.net"), extra=(("References", known),)),
        slots=SLOTS,
        sign=SIGN,
    )

    assert verifies(message)


PREPARED = prepare(render(sample("goodbye", "en")))
SIGNED = SIGN(HEAD, BODY) + HEAD + b"\r\n" + BODY


@given(st.randoms(use_true_random=False))
def test_a_server_may_fold_the_header_anew_and_change_its_white_space(random):
    def changed(_):
        return random.choice([" ", "  ", "\t", "\r\n ", "\r\n\t ", " \r\n  "]).encode()

    top, _, rest = SIGNED.partition(b"\r\n\r\n")
    fields = [line.partition(b":") for line in re.split(rb"\r\n(?=\S)", top)]
    again = [random.choice([name.upper(), name.lower()]) + b":" + re.sub(rb"\s+", changed, value) for name, _, value in fields]

    assert verifies(b"\r\n".join(again) + b"\r\n\r\n" + rest)


@pytest.mark.parametrize(
    "head",
    [
        b"From:a@news.example.net\r\nSubject:  many   blanks \r\n",
        b"From: a@news.example.net\r\nSubject: a\r\n\ttab\r\n \tand two\r\n",
        b"FROM: a@news.example.net\r\nSubject:\r\nX-Empty: \r\nTo: \r\n ari@example.org\r\n",
        b"From: a@news.example.net\r\nX-Twice: one\r\nSubject: s\r\nX-Twice: two\r\n",
        "From: 찬@news.example.net\r\nSubject: 오늘의\r\n 논문\r\n".encode(),
    ],
)
def test_what_others_write_verifies_as_well(head):
    assert verifies(SIGN(head, BODY) + head + b"\r\n" + BODY)


def test_a_changed_word_a_changed_body_and_an_added_field_are_found_out():
    assert verifies(SIGNED)
    assert not verifies(SIGNED.replace(b"two", b"too"))
    assert not verifies(SIGNED.replace(b"another", b"another one"))
    for name in OVERSIGNED:
        assert not verifies(f"{name}: added\r\n".encode() + SIGNED), name
        assert not verifies(SIGNED.replace(b"\r\n\r\n", f"\r\n{name}: added\r\n\r\n".encode(), 1)), name


def test_the_tags_say_what_is_signed_and_by_whom():
    message = composed(digest(*varied("en")), mailing_list=LIST, reply_to="hello@news.example.net", feedback_id="1:papers:d:news")
    signed = tags(message)
    names = signed["h"].split(":")
    present = [name.lower() for name in message_from_bytes(message) if name != "DKIM-Signature"]

    assert sorted(names) == sorted([*present, *OVERSIGNED])
    assert {name: signed[name] for name in "vacdsit"} == {
        "v": "1",
        "a": "rsa-sha256",
        "c": "relaxed/simple",
        "d": "news.example.net",
        "s": "s202403a",
        "i": "@news.example.net",
        "t": str(int(NOW.timestamp())),
    }
    assert not signed.keys() & {"l", "x", "z", "q"}
    assert {"list-unsubscribe", "list-unsubscribe-post", "feedback-id"} < set(names)


def test_the_field_is_folded_and_ends_in_one_line_break():
    long = SigningKey("a-rather-long-name-for-a-domain-that-sends-newsletters.example.net", "s202403a", RSA.private)
    for signer in (Signer([RSA]), Signer([long, ED], lifetime=timedelta(days=14))):
        field = signer.sign(HEAD, BODY, now=NOW)

        assert re.fullmatch(rb"(DKIM-Signature: [!-~ ]+\r\n( [!-~ ]+\r\n)+){1,2}", field)
        assert max(map(len, field.split(b"\r\n"))) <= 78


def test_a_signature_may_expire():
    now = datetime.now(UTC)
    fresh, stale = (
        Signer([RSA], lifetime=timedelta(days=14)).sign(HEAD, BODY, now=now - age) for age in (timedelta(), timedelta(20))
    )

    assert int(tags(fresh)["x"]) - int(tags(fresh)["t"]) == 14 * 86400
    assert verifies(fresh + HEAD + b"\r\n" + BODY)
    assert not verifies(stale + HEAD + b"\r\n" + BODY)


def test_an_ed25519_key_signs_beside_the_rsa_key():
    fields = Signer([RSA, ED]).sign(HEAD, BODY, now=NOW)
    first, _, second = fields.partition(b"\r\nDKIM-Signature:")
    message = fields + HEAD + b"\r\n" + BODY
    name, value = Relaxed.canonicalize_headers([(b"DKIM-Signature", second)])[0]
    signed_fields = [tuple(line.split(b":", 1)) for line in re.split(rb"(?<=\r\n)(?=\S)", HEAD)]
    relaxed = Relaxed.canonicalize_headers([*reversed(signed_fields)])
    signed = b"".join(b"%b:%b" % field for field in [*relaxed, (name, re.sub(rb" b=.*", b" b=", value).rstrip(b"\r\n"))])

    assert verifies(message)
    assert tags(message)["a"] == "rsa-sha256"
    assert tags(message, 1)["a"] == "ed25519-sha256"
    assert tags(message, 1)["bh"] == tags(message)["bh"]
    ED.private.public_key().verify(b64decode(tags(message, 1)["b"]), sha256(signed).digest())  # RFC 8463 section 3
    assert first


def test_the_same_mail_at_the_same_time_has_the_same_signature():
    assert SIGN(HEAD, BODY) == SIGN(HEAD, BODY)


def test_the_record_of_an_ed25519_key_is_that_of_the_standard():
    seed = b64decode("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")  # RFC 8463 appendix A.2
    key = SigningKey("football.example.com", "brisbane", Ed25519PrivateKey.from_private_bytes(seed))

    assert record(key).name == "brisbane._domainkey.football.example.com"
    assert record(key).value == "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="


def test_a_zone_file_has_the_record_in_strings_of_255_bytes():
    strings = re.findall(r'"([^"]*)"', record(RSA).zone_line)

    assert "".join(strings) == record(RSA).value
    assert [len(string) <= 255 for string in strings] == [True, True]
    assert record(RSA).zone_line.startswith("s202403a._domainkey.news.example.net. 3600 IN TXT ")


VALUE = record(RSA).value


@pytest.mark.parametrize(
    ("texts", "standing", "why"),
    [
        ([VALUE], Standing.PUBLISHED, ""),
        ([VALUE.removeprefix("v=DKIM1; ").replace("; ", " ;").replace("k=rsa", "")], Standing.PUBLISHED, ""),
        ([VALUE.replace("MII", "MI I ") + "; h=sha256:sha1; t=s"], Standing.PUBLISHED, ""),
        ([VALUE + "; t=y"], Standing.PUBLISHED, "t=y"),
        ([], Standing.WRONG, "0 TXT records"),
        ([VALUE, VALUE], Standing.WRONG, "2 TXT records"),
        (["v=spf1 -all"], Standing.WRONG, "no DKIM key: v=spf1 -all"),
        ([VALUE.replace("DKIM1", "DKIM2")], Standing.WRONG, "no DKIM key"),
        (["v=DKIM1; p="], Standing.WRONG, "withdrawn"),
        ([VALUE[:-20]], Standing.WRONG, "another key, of 372 characters; ours has 392"),
        ([VALUE.replace("rsa", "ed25519")], Standing.WRONG, "k= says ed25519"),
        ([VALUE + "; h=sha1"], Standing.WRONG, "sha256"),
    ],
)
def test_a_record_is_compared_with_what_should_stand_there(texts, standing, why):
    finding = judge(texts, RSA)

    assert finding.standing is standing
    assert why in finding.why
    assert bool(why) == bool(finding.why)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a folder with the keys a and b of one domain and one of another; nobody changes it."""
    folder = tmp_path_factory.mktemp("data") / "dkim"
    keys.create(folder, "example.org", ed25519=True, now=NOW)
    keys.create(folder, "example.org", now=NOW)
    keys.create(folder, "Bücher.example", "mine.eu", now=NOW)
    return folder


@pytest.fixture
def folder(made, tmp_path):
    """Return a copy of those keys."""
    for path in made.glob("*/*"):
        copy = tmp_path / path.relative_to(made)
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(path.read_bytes())
    return tmp_path


def test_keys_are_for_their_owner_alone_and_named_by_month(made):
    assert sorted(str(path.relative_to(made)) for path in made.glob("*/*")) == [
        "example.org/s202403a-ed.pem",
        "example.org/s202403a.pem",
        "example.org/s202403b.pem",
        "xn--bcher-kva.example/mine.eu.pem",
    ]
    assert {stat.S_IMODE(path.stat().st_mode) for path in made.glob("*/*")} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (made, *made.iterdir())} == {0o700}
    assert [[half.algorithm for half in key.keys] for key in keys.listing(made)] == [["rsa", "ed25519"], ["rsa"], ["rsa"]]
    assert [key.selector for key in keys.listing(made, "bücher.example")] == ["mine.eu"]


def test_no_key_is_overwritten(folder):
    before = {path: path.read_bytes() for path in folder.glob("*/*")}

    with pytest.raises(Conflict, match="s202403a already"):
        keys.create(folder, "example.org", "s202403a", ed25519=True, now=NOW)

    assert {path: path.read_bytes() for path in folder.glob("*/*")} == before


@pytest.mark.parametrize(
    "domain", ["", "example", "ari@example.org", "../example.org", "a b.org", "-a.org", "x." * 127 + "org", "*.org"]
)
def test_what_is_no_domain_gets_no_key(tmp_path, domain):
    with pytest.raises(BadInput, match="is no domain"):
        keys.create(tmp_path, domain, now=NOW)

    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "selector", ["Two", "a b", "../x", "a/b", "s-ed", "x" * 62, ".a", "a" * 60 + "." + "b" * 60 + ("." + "c" * 60) * 2]
)
def test_what_is_no_selector_gets_no_key(tmp_path, selector):
    with pytest.raises(BadInput, match="is no selector"):
        keys.create(tmp_path, "example.org", selector, now=NOW)


def test_a_key_signs_only_once_it_is_active_and_a_rotation_is_seen_at_once(folder):
    signers = keys.ActiveKeys(folder)
    assert signers() == {}

    keys.activate(folder, "example.org", "s202403a")
    assert list(signers()) == ["example.org"]
    assert [tags(signers()["example.org"].sign(HEAD, BODY, now=NOW), place)["s"] for place in (0, 1)] == [
        "s202403a",
        "s202403a-ed",
    ]
    assert signers() is signers()

    keys.activate(folder, "example.org", "s202403b")
    keys.activate(folder, "BÜCHER.example", "mine.eu")
    assert tags(signers()["example.org"].sign(HEAD, BODY, now=NOW))["s"] == "s202403b"
    assert tags(signers()["xn--bcher-kva.example"].sign(HEAD, BODY, now=NOW))["d"] == "xn--bcher-kva.example"
    assert [key.selector for key in keys.listing(folder) if key.active] == ["s202403b", "mine.eu"]


@pytest.mark.parametrize("selector", ["s202403c", "s202403a-ed", "../example.org/s202403a", ""])
def test_only_a_key_that_is_there_can_be_made_active(folder, selector):
    with pytest.raises(NotFound, match="has no key"):
        keys.activate(folder, "example.org", selector)


def test_mail_that_should_be_signed_does_not_go_unsigned(folder):
    keys.activate(folder, "example.org", "s202403b")
    (folder / "example.org/s202403b.pem").unlink()
    with pytest.raises(SettingsError, match=r"s202403b\.pem, is not there"):
        keys.load_signers(folder)

    (folder / "example.org/active").write_text("")
    with pytest.raises(SettingsError, match="is not there"):
        keys.ActiveKeys(folder)()


def pem(private):
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (b"", "no private key in PEM"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "no private key in PEM"),
        (pem(ED.private), "not an RSA key"),
        (
            RSA.private.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())[:900],
            "no private key in PEM",
        ),
    ],
)
def test_a_file_that_is_no_key_is_named(folder, content, wrong):
    (folder / "example.org/s202403b.pem").write_bytes(content)

    with pytest.raises(SettingsError, match=rf"example\.org/s202403b\.pem.*{wrong}"):
        keys.listing(folder)


def test_a_key_made_elsewhere_can_be_used(folder):
    other = RSA.private.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    (folder / "example.org/relay2023.pem").write_bytes(other)

    assert keys.activate(folder, "example.org", "relay2023").keys[0].public == RSA.public
