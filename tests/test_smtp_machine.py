import random
from collections import Counter

import pytest
from smtp_feed import CONTENT, Post, parcels

from newsletter.mail.smtp import Kind, Parcel
from newsletter.mail.smtp.handshake import Offer
from newsletter.mail.smtp.machine import Machine
from newsletter.mail.smtp.replies import Replies

ALL = Offer(pipelining=True, size=0, eight_bit=True, utf8=True)
FINE = "250 2.1.0 fine\r\n"
GO = "354 go on\r\n"
TAKEN = "250 2.0.0 taken\r\n"


def mail():
    return f"MAIL FROM:<bounce+1@news.example.net> SIZE={len(CONTENT)}\r\n".encode()


def rcpt(number=1):
    return f"RCPT TO:<reader{number}@example.org>\r\n".encode()


def envelope(number=1):
    return mail() + rcpt(number) + b"DATA\r\n"


class Line:
    """A machine and the connection around it, without the socket: `hears` returns what is written in answer."""

    def __init__(self, count=3, offer=ALL, **options):
        self.machine = Machine("mail.example.net:25", offer)
        self.post = Post.of(parcels(count, **options) if isinstance(count, int) else count)
        self.first = self._step()

    def hears(self, text, unsent=0):
        """Return what is written after the server said this."""
        self.machine.receive(text if isinstance(text, bytes) else text.encode(), unsent=unsent)
        return self._step()

    def loses(self, **options):
        """Lose the connection."""
        self.machine.lost("gone", **options)
        self._report()
        return self

    def kinds(self, **options):
        """Return how each parcel ended, in the order of their numbers."""
        return list(self.post.kinds(**options).values())

    def _step(self):
        self._report()
        machine = self.machine
        written = machine.take_output()
        if machine.going:
            parcel = machine.hand_over()
            following = self._envelope() if machine.pipelines else b""
            written += machine.pack(self.post.begin(parcel), following)
        elif machine.idle:
            written += self._envelope()
        self._report()
        return written

    def _envelope(self):
        parcel = self.post.next()
        return self.machine.name(parcel) if parcel else b""

    def _report(self):
        while self.machine.endings:
            self.post.ended(*self.machine.endings.popleft())


def test_an_envelope_is_one_write_and_the_next_goes_out_behind_the_content():
    line = Line(2)

    assert line.first == envelope(1)
    assert line.hears(FINE + FINE + GO) == CONTENT + b".\r\n" + envelope(2)
    assert line.hears(TAKEN + FINE + FINE + GO) == CONTENT + b".\r\n"
    assert line.hears(TAKEN) == b""
    assert line.kinds() == [Kind.ACCEPTED, Kind.ACCEPTED]
    assert line.machine.idle


def test_without_pipelining_each_command_waits_for_its_reply():
    line = Line(2, Offer(size=0))

    assert line.first == mail()
    assert line.hears(FINE) == rcpt()
    assert line.hears(FINE) == b"DATA\r\n"
    assert line.hears(GO) == CONTENT + b".\r\n"
    assert line.hears(TAKEN) == mail()
    assert line.kinds(under_way=1) == [Kind.ACCEPTED]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 20, 50])
def test_replies_may_come_in_any_pieces(size):
    line = Line(2)
    for said in (
        f"{FINE}250-2.1.5 fine\r\n250 2.1.5 really\r\n{GO}",
        f"{TAKEN}{FINE}550-5.1.1 nobody\r\n550 5.1.1 here\r\n554 5.5.1 to whom\r\n",
    ):
        for start in range(0, len(said), size):
            line.hears(said[start : start + size])

    assert line.kinds() == [Kind.ACCEPTED, Kind.REFUSED]
    assert line.machine.idle


def test_a_reply_of_many_long_lines_is_one_reply():
    line = Line(1)
    line.hears(FINE + FINE + GO)
    line.hears("250-2.0.0 " + "very " * 200 + "\r\n250 2.0.0 well\r\n")

    reply = line.post.answer().reply
    assert (reply.code, reply.enhanced, len(reply.text), reply.phase) == (250, "2.0.0", 1000, "dot")


@pytest.mark.parametrize(
    "said", ["", "hello", "2", "25x what", "150 what", "650 what", "250what", "250-" + "x" * 70_000, "x" * 70_000]
)
def test_what_is_no_reply_ends_the_reading(said):
    replies = Replies()

    assert replies.feed(f"250 fine\r\n{said}\r\n250 late\r\n".encode()) == [(250, b"fine\r")]
    assert replies.nonsense


def test_a_lone_dot_answers_a_server_that_wants_the_content_of_a_refused_message():
    line = Line(2)

    assert line.hears(f"{FINE}550 5.1.1 nobody\r\n{GO}") == b".\r\n"
    assert line.kinds() == [Kind.REFUSED]
    assert line.hears("250 2.0.0 taken, whatever it was\r\n") == envelope(2)
    assert line.hears(FINE + FINE + GO) == CONTENT + b".\r\n"
    assert line.hears(TAKEN) == b""
    assert line.kinds() == [Kind.REFUSED, Kind.ACCEPTED]
    assert line.post.begun == [2]


@pytest.mark.parametrize(
    "refused", ["550 5.1.1 nobody\r\n503 5.5.1 no recipients\r\n", "250 fine\r\n554 5.5.1 no recipients\r\n"]
)
def test_a_transaction_that_was_refused_is_reset_before_the_next(refused):
    line = Line(2)

    assert line.hears(FINE + refused) == b"RSET\r\n" + envelope(2)
    assert line.hears(FINE + FINE + FINE + GO) == CONTENT + b".\r\n"
    assert line.hears(TAKEN) == b""
    assert line.kinds() == [Kind.REFUSED, Kind.ACCEPTED]


@pytest.mark.parametrize("said", [FINE + "503 5.5.1 need MAIL\r\n250 fine\r\n", FINE + FINE + "503 5.5.1 need RCPT\r\n"])
def test_a_server_that_is_out_of_step_blames_nobody(said):
    line = Line(2)
    line.hears(said)

    assert line.kinds() == [Kind.DEFERRED]
    assert line.machine.over


def test_a_server_that_cannot_start_afresh_gets_nothing_more():
    line = Line(2)
    line.hears(f"{FINE}450 4.7.1 greylisted\r\n451 no\r\n")
    line.hears("500 what\r\n")

    assert line.kinds() == [Kind.DEFERRED, Kind.RETURNED]
    assert line.machine.over
    assert line.machine.trouble is None


def test_a_refused_sender_is_about_us_and_the_connection_ends_politely():
    line = Line(2)

    assert line.hears("550 5.7.515 not authenticated\r\n503 what\r\n503 what\r\n") == b"QUIT\r\n"
    assert line.kinds() == [Kind.RELAY]
    assert line.machine.trouble.code == 550
    line.hears("221 bye\r\n")
    assert line.machine.over
    assert Line(1).hears(f"450 4.3.0 later\r\n503 what\r\n{GO}") == b".\r\n"


@pytest.mark.parametrize("said", ["552 5.3.4 too big\r\n", "552 too big\r\n", "553 5.6.7 no such letters\r\n"])
def test_a_size_or_an_address_that_is_refused_at_mail_is_about_the_message(said):
    line = Line(2)

    assert line.hears(f"{said}503 what\r\n503 what\r\n") == envelope(2)
    assert line.kinds(under_way=1) == [Kind.REFUSED]


@pytest.mark.parametrize("said", ["550 5.7.1 no more\r\n", "451 4.3.0 no more\r\n", "421 4.3.0 bye\r\n"])
def test_a_refusal_right_behind_the_354_keeps_the_content_here(said):
    line = Line(2)
    line.hears(FINE + FINE + GO + said)

    assert line.kinds() == [Kind.REFUSED if said.startswith("5") else Kind.DEFERRED]
    assert line.post.begun == []
    assert line.machine.over


@pytest.mark.parametrize(
    ("said", "kind"), [("552 5.3.4 too big", Kind.REFUSED), ("421 4.3.0 bye", Kind.DEFERRED), ("250 ok", Kind.DEFERRED)]
)
def test_an_answer_while_the_dot_is_still_here_is_not_the_dots(said, kind):
    line = Line(2)
    line.hears(FINE + FINE + GO)
    line.hears(f"{said}\r\n", unsent=len(envelope(2)) + 1)

    assert line.kinds() == [kind, Kind.RETURNED]
    assert line.post.answer(1).reply.phase == "data"
    assert line.machine.over


def test_an_answer_counts_when_only_the_next_envelope_is_still_here():
    line = Line(2)
    line.hears(FINE + FINE + GO)
    line.hears(TAKEN, unsent=len(envelope(2)))

    assert line.kinds(under_way=1) == [Kind.ACCEPTED]


LOST_AT = [
    ("", [Kind.RELAY], "mail"),
    (FINE, [Kind.DEFERRED], "rcpt"),
    (FINE + FINE, [Kind.DEFERRED], "data"),
    (FINE + FINE + GO, [Kind.LOST, Kind.RETURNED], "dot"),
    (FINE + FINE + GO + "250 2.0.0 tak", [Kind.LOST, Kind.RETURNED], "dot"),
    (FINE + FINE + GO + TAKEN, [Kind.ACCEPTED, Kind.RETURNED], "dot"),
    (FINE + FINE + GO + TAKEN + FINE, [Kind.ACCEPTED, Kind.DEFERRED], "dot"),
    (FINE + FINE + GO + TAKEN + FINE + FINE + GO, [Kind.ACCEPTED, Kind.LOST, Kind.RETURNED], "dot"),
]


@pytest.mark.parametrize(("said", "kinds", "phase"), LOST_AT)
def test_what_a_lost_connection_means_depends_on_how_far_it_had_come(said, kinds, phase):
    line = Line(3)
    for reply in said.splitlines(keepends=True):
        line.hears(reply)
    line.loses()

    assert line.kinds() == kinds
    assert line.post.answer(1).reply.phase == phase
    assert (line.machine.trouble is None) == (TAKEN in said)
    assert line.loses().kinds() == kinds


@pytest.mark.parametrize(("said", "kinds", "phase"), LOST_AT)
def test_when_we_end_the_connection_nobody_is_to_blame(said, kinds, phase):
    line = Line(3)
    for reply in said.splitlines(keepends=True):
        line.hears(reply)
    line.loses(ours=True)

    assert [kind for kind in line.kinds() if kind not in {Kind.ACCEPTED, Kind.LOST}] == [Kind.RETURNED]
    assert line.machine.trouble is None


def test_content_whose_dot_never_left_was_not_taken():
    line = Line(1)
    line.hears(FINE + FINE + GO)

    assert line.loses(unsent=1).kinds() == [Kind.DEFERRED]


@pytest.mark.parametrize(
    ("said", "kinds"),
    [
        ([], [Kind.RELAY]),
        ([FINE], [Kind.DEFERRED]),
        ([FINE, FINE], [Kind.DEFERRED]),
        ([FINE, FINE, GO], [Kind.DEFERRED, Kind.RETURNED]),
        ([FINE, FINE, GO, TAKEN], [Kind.ACCEPTED, Kind.RETURNED]),
        ([FINE, FINE, GO, TAKEN, FINE], [Kind.ACCEPTED, Kind.DEFERRED]),
    ],
)
def test_a_goodbye_may_come_at_any_time(said, kinds):
    for goodbye in ("421 4.7.0 enough\r\n", "421 enough\r\n250 fine\r\n354 go on\r\n"):
        line = Line(3)
        for reply in said:
            line.hears(reply)
        line.hears(goodbye)
        assert line.kinds() == kinds
        assert line.machine.over
        assert line.post.endings[-1][1].reply.code in {421, 250}


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize("said", ["421 4.4.2 idle too long\r\n", "250 fine\r\n", "hello\r\n"])
def test_what_is_said_between_messages_ends_the_connection_and_blames_nobody(pipelining, said):
    line = Line(1, Offer(pipelining=pipelining))
    for reply in (FINE, FINE, GO, TAKEN, said):
        line.hears(reply)

    assert line.kinds() == [Kind.ACCEPTED]
    assert line.machine.over
    assert line.machine.trouble is None


def test_what_the_server_says_to_quit_changes_nothing():
    for said in ("221 bye\r\n", "421 bye\r\n", "500 what\r\n", "hello\r\n"):
        line = Line(1)
        line.hears(FINE + FINE + GO)
        line.hears(TAKEN)
        line.machine.quit()
        line.hears(said)
        assert line.machine.over
        assert line.kinds() == [Kind.ACCEPTED]


@pytest.mark.parametrize(
    ("offer", "changes", "enhanced"),
    [
        (Offer(size=50), {"size": 51}, "5.3.4"),
        (Offer(size=50), {"recipient": "ü@example.org"}, "5.6.7"),
        (Offer(eight_bit=True), {"needs_utf8": True}, "5.6.7"),
        (ALL, {"recipient": "ari@a>\r\nRCPT TO:<b@c.org"}, "5.1.3"),
        (ALL, {"recipient": "ari@example.org SIZE=1"}, "5.1.3"),
        (ALL, {"recipient": ""}, "5.1.3"),
        (ALL, {"sender": "bora\r\nQUIT"}, "5.1.7"),
    ],
)
def test_what_the_server_cannot_take_is_not_asked_of_it(offer, changes, enhanced):
    line = Line([Parcel(**{"id": 1, "sender": "bora@example.net", "recipient": "ari@example.org", **changes})], offer)

    assert line.first == b""
    assert line.kinds() == [Kind.REFUSED]
    assert (line.post.answer().reply.code, line.post.answer().reply.enhanced) == (0, enhanced)
    assert line.machine.idle


@pytest.mark.parametrize(
    ("offer", "changes", "expected"),
    [
        (Offer(), {"size": 70}, b"MAIL FROM:<b@c.org>\r\n"),
        (Offer(size=0), {"size": 70}, b"MAIL FROM:<b@c.org> SIZE=70\r\n"),
        (Offer(size=70), {"size": 0}, b"MAIL FROM:<b@c.org>\r\n"),
        (Offer(size=70), {"sender": ""}, b"MAIL FROM:<>\r\n"),
        (ALL, {"needs_utf8": True}, b"MAIL FROM:<b@c.org> BODY=8BITMIME SMTPUTF8\r\n"),
        (Offer(utf8=True), {"sender": "ü@bücher.example"}, "MAIL FROM:<ü@xn--bcher-kva.example> SMTPUTF8\r\n".encode()),
    ],
)
def test_what_the_server_offers_is_used_where_it_is_needed(offer, changes, expected):
    line = Line([Parcel(**{"id": 1, "sender": "b@c.org", "recipient": "ari@example.org", **changes})], offer)

    assert line.first.startswith(expected)


def test_dots_are_doubled_unless_the_content_is_known_to_need_none():
    for clean, sent in ((False, b"..a\r\n..\r\nb.\r\n.\r\n"), (True, b".a\r\n.\r\nb.\r\n.\r\n")):
        line = Line(1, clean=clean)
        line.post.content = b".a\r\n.\r\nb.\r\n"
        assert line.hears(FINE + FINE + GO) == sent


@pytest.mark.parametrize("content", [b"a\nb\r\n", b"a\rb\r\n", "ü\r\n".encode()])
def test_content_that_cannot_be_carried_does_not_leave(content):
    line = Line(2, clean=False)
    line.post.content = content

    assert line.hears(FINE + FINE + GO) == b""
    assert line.kinds() == [Kind.REFUSED, Kind.RETURNED]
    assert line.post.answer(1).reply.enhanced == "5.6.0"
    assert line.machine.over


# Whatever the server says, in whatever pieces

PHRASES = [
    *(FINE, FINE, FINE, GO, GO, TAKEN, "250-2.0.0 a\r\n250 b\r\n", "250 ", "\r\n", "hm\r\n"),
    *("550 5.1.1 no\r\n", "451 later\r\n", "421 bye\r\n", "552 big\r\n", "503 what\r\n", "221 bye\r\n"),
]


@pytest.mark.parametrize("pipelining", [True, False])
def test_every_parcel_ends_exactly_once_whatever_the_server_says(pipelining):
    seen = Counter()
    for seed in range(4000):
        chance = random.Random(seed)
        friendly = [FINE, FINE, GO, TAKEN] * 3 if pipelining else [FINE, FINE, GO, TAKEN] * 2
        said = [phrase if chance.random() < 0.9 else chance.choice(PHRASES) for phrase in friendly]
        line = Line(3, Offer(pipelining=pipelining))
        spoken, heard = "".join(said).encode(), 0
        while heard < len(spoken) and not line.machine.over:
            size = chance.choice((1, 5, 16, 40))
            line.hears(spoken[heard : heard + size], unsent=chance.choice((0, 0, 0, 0, 0, 60, 1000)))
            heard += size
        line.loses(unsent=chance.choice((0, 1)))
        seen.update(line.kinds())
        for number, answer in line.post.endings:
            _check(number, answer, line.post.begun)
    assert set(seen) == set(Kind)


def _check(number, answer, begun):
    assert (answer.kind in {Kind.ACCEPTED, Kind.LOST}) <= (number in begun)
    assert (answer.kind is Kind.ACCEPTED) <= (answer.reply.code // 100 == 2 and answer.reply.phase == "dot")
    assert (answer.kind is Kind.LOST) <= (answer.reply.code == 0)
    assert (answer.kind is Kind.REFUSED) <= (answer.reply.code >= 500)
    assert (answer.kind is Kind.RETURNED) <= (number not in begun)
