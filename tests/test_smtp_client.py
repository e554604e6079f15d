from contextlib import contextmanager
from dataclasses import replace

import pytest
from smtp_feed import CONTENT, SOON, Post, deliver, parcels
from smtp_servers import DROP, HANG, IDLE, FaultyServer

from newsletter.errors import RelayUnavailable
from newsletter.mail.smtp import Kind, Relay

PIPELINING = "250-mail.example.net\n250-PIPELINING\n250-SIZE 100000000\n250 8BITMIME"
OFFERS = pytest.mark.parametrize("offer", [{}, {"EHLO": PIPELINING}], ids=["one-by-one", "pipelined"])
SHORT = 0.2  # seconds that a test waits for an answer that does not come
LARGE = b"Subject: x\r\n\r\n" + (b"y" * 76 + b"\r\n") * 200_000


@contextmanager
def serving(faults=None, **options):
    """Yield a faulty server and the relay that names it."""
    server_options = {name: options.pop(name) for name in ("tls", "tls_at_once") if name in options}
    faults = {step: list(fault) if isinstance(fault, list) else fault for step, fault in (faults or {}).items()}
    with FaultyServer(faults, **server_options).running() as server:
        options = {"security": "none", "helo": "me.example.net", "timeouts": SOON, **options}
        yield server, Relay("127.0.0.1", server.port, **options)


def send(count=1, faults=None, *, content=CONTENT, until="finished", **options):
    """Send so many parcels to a server with these faults; return it, the feed and the troubles."""
    post = Post.of(parcels(count), content=content)
    with serving(faults, **options) as (server, relay):
        troubles = deliver(post, relay, until=until)
    return server, post, troubles


@OFFERS
def test_messages_go_out_over_one_connection_and_their_replies_come_back(offer):
    server, post, troubles = send(3, offer)

    assert list(post.kinds().values()) == [Kind.ACCEPTED] * 3
    reply = post.answer(1).reply
    assert (reply.code, reply.enhanced, reply.text, reply.phase) == (250, "2.0.0", "taken", "dot")
    assert reply.server == f"127.0.0.1:{server.port}"
    assert server.contents == [CONTENT] * 3
    assert (server.connections, troubles) == (1, [])
    assert server.commands[0] == "EHLO me.example.net"
    assert server.commands[-1] == "QUIT"
    assert "RSET" not in server.commands


@OFFERS
def test_a_connection_carries_no_more_messages_than_it_should(offer):
    server, post, _ = send(5, offer, messages_per_connection=2)

    assert set(post.kinds().values()) == {Kind.ACCEPTED}
    assert (server.connections, len(server.contents), server.commands.count("QUIT")) == (3, 5, 3)


@OFFERS
@pytest.mark.parametrize(
    ("kind", "phase", "faults", "codes"),
    [
        (Kind.REFUSED, "rcpt", {"RCPT": ["550 5.1.1 nobody here"]}, (550, "5.1.1")),
        (Kind.DEFERRED, "rcpt", {"RCPT": ["452 4.2.2 mailbox full"]}, (452, "4.2.2")),
        (Kind.DEFERRED, "rcpt", {"RCPT": ["450 4.7.1 greylisted"]}, (450, "4.7.1")),
        (Kind.DEFERRED, "rcpt", {"RCPT": ["421 4.7.0 too many"]}, (421, "4.7.0")),
        (Kind.DEFERRED, "data", {"DATA": ["451 4.3.0 later"]}, (451, "4.3.0")),
        (Kind.REFUSED, "data", {"DATA": ["554 5.5.1 no valid recipients"]}, (554, "5.5.1")),
        (Kind.DEFERRED, "dot", {"DOT": ["451 4.3.0 later"]}, (451, "4.3.0")),
        (Kind.DEFERRED, "dot", {"DOT": ["421 4.7.28 unusual rate"]}, (421, "4.7.28")),
        (Kind.REFUSED, "dot", {"DOT": ["552 5.3.4 too big"]}, (552, "5.3.4")),
        (Kind.REFUSED, "dot", {"DOT": ["554 5.7.1 spam"]}, (554, "5.7.1")),
        (Kind.REFUSED, "mail", {"MAIL": ["552 5.3.4 too big"]}, (552, "5.3.4")),
        (Kind.LOST, "dot", {"DOT": [DROP]}, (0, "")),
        (Kind.LOST, "dot", {"DOT": ["good"]}, (0, "")),
        (Kind.LOST, "dot", {"DOT": ["354 go on"]}, (0, "")),
    ],
)
def test_a_refusal_from_the_recipient_on_is_about_the_message_and_the_rest_goes_on(offer, kind, phase, faults, codes):
    server, post, _ = send(1, {**offer, **faults})

    answer = post.answer(1)
    assert (answer.kind, answer.reply.phase, (answer.reply.code, answer.reply.enhanced)) == (kind, phase, codes)
    assert answer.reply.text
    assert server.contents.count(CONTENT) == (phase == "dot")


@OFFERS
def test_messages_behind_a_refused_one_go_out_over_the_same_connection(offer):
    for faults in ({"RCPT": ["250 fine", "550 5.1.1 nobody"]}, {"DATA": ["354 go on", "451 4.3.0 later"]}):
        server, post, _ = send(4, {**offer, **faults})
        assert [kind for kind in post.kinds().values() if kind is not Kind.ACCEPTED] == [post.answer(2).kind]
        assert server.connections == 1
        assert server.contents.count(CONTENT) == 3


@OFFERS
@pytest.mark.parametrize("fault", ["421 4.7.0 slow down", "550 5.7.515 not authenticated", "451 4.3.0 later", DROP])
def test_a_refused_sender_is_about_the_relay(offer, fault):
    _, post, troubles = send(3, {**offer, "MAIL": fault}, until="troubled")

    assert post.kinds() == {1: Kind.RELAY}
    assert isinstance(troubles[0], RelayUnavailable)
    assert troubles[0].reply == post.answer(1).reply
    assert troubles[0].reply.phase == "mail"


@pytest.mark.parametrize(
    ("faults", "phase", "code"),
    [
        ({"GREETING": "421 4.3.2 away"}, "greeting", 421),
        ({"GREETING": "554 5.7.1 your address is listed"}, "greeting", 554),
        ({"GREETING": DROP}, "greeting", 0),
        ({"GREETING": "good morning"}, "greeting", 0),
        ({"EHLO": "451 later"}, "helo", 451),
        ({"EHLO": DROP}, "helo", 0),
        ({"EHLO": "250 mail.example.net\n250 and more"}, "helo", 0),
        ({"GREETING": HANG}, "greeting", 0),
        ({"EHLO": HANG}, "helo", 0),
    ],
)
def test_a_server_that_turns_us_away_is_a_trouble_and_no_parcel_is_taken(faults, phase, code):
    timeouts = replace(SOON, greeting=SHORT, command=SHORT)
    _, post, troubles = send(1, faults, until="troubled", timeouts=timeouts)

    assert (troubles[0].reply.phase, troubles[0].reply.code) == (phase, code)
    assert post.taken == []


def test_a_server_that_is_not_there_is_a_trouble():
    with serving() as (_, relay):
        pass
    troubles = deliver(Post.of(parcels(1)), relay, until="troubled")

    assert (troubles[0].reply.phase, troubles[0].reply.code) == ("connect", 0)


@OFFERS
@pytest.mark.parametrize(
    ("step", "kind", "phase"),
    [("MAIL", Kind.RELAY, "mail"), ("RCPT", Kind.DEFERRED, "rcpt"), ("DATA", Kind.DEFERRED, "data"), ("DOT", Kind.LOST, "dot")],
)
def test_a_server_that_says_nothing_is_not_waited_for_for_ever(offer, step, kind, phase):
    times = {"MAIL": "command", "RCPT": "command"}
    _, post, _ = send(1, {**offer, step: HANG}, timeouts=replace(SOON, **{times.get(step, step.lower()): SHORT}))

    assert (post.answer(1).kind, post.answer(1).reply.phase) == (kind, phase)
    assert post.answer(1).reply.text == "timed out after 0.2 s"


@OFFERS
def test_parts_of_an_answer_do_not_lengthen_the_time_for_it(offer):
    class Dripping(FaultyServer):
        def answer(self, step):
            return "250-well\n" * 50 + HANG if step == "DOT" else super().answer(step)

    post = Post.of(parcels(1))
    with Dripping(offer).running() as server:
        relay = Relay("127.0.0.1", server.port, security="none", helo="me", timeouts=replace(SOON, dot=SHORT))
        deliver(post, relay)

    assert post.kinds() == {1: Kind.LOST}


@pytest.mark.parametrize("fault", ["421 4.3.0 no more", DROP])
def test_a_server_that_closes_while_the_content_is_being_sent_has_not_got_the_message(fault):
    server, post, _ = send(1, {"BLOCK": fault}, content=LARGE)

    assert (post.answer(1).kind, post.answer(1).reply.phase) == (Kind.DEFERRED, "data")
    assert server.contents == []


@OFFERS
@pytest.mark.parametrize("faults", [{IDLE: [DROP]}, {IDLE: ["421 4.4.2 idle too long"]}, {"MAIL": ["250 fine", "421 enough"]}])
def test_what_was_not_begun_when_a_connection_ended_is_given_back(offer, faults):
    class Again(Post):
        def ended(self, parcel, answer):
            if answer.kind is Kind.RETURNED:
                self.waiting.append(replace(parcel, id=parcel.id + 100))
            super().ended(parcel, answer)

    post = Again.of(parcels(2))
    with serving({**offer, **faults}) as (server, relay):
        assert deliver(post, relay) == []

    assert [kind for kind in post.kinds().values() if kind is not Kind.RETURNED] == [Kind.ACCEPTED] * 2
    assert (server.connections, len(server.contents)) == (2, 2)
