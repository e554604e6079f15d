"""What is said of a message's size before it leaves, and what becomes of one that is too large (RFC 1870)."""

import pytest

from newsletter.mail.smtp import Kind, Parcel
from newsletter.mail.smtp.envelope import Cannot, envelope
from newsletter.mail.smtp.handshake import Offer
from newsletter.mail.smtp.machine import Machine

WORDS = "message of {} bytes is larger than the server takes ({})"


def parcel(number=1, **sizes):
    return Parcel(number, "b@c.org", "ari@example.org", clean=True, **sizes)


@pytest.mark.parametrize(
    ("sizes", "limit", "announced"),
    [
        ({}, 70, b""),
        ({"size": 70}, 70, b" SIZE=70"),
        ({"size": 70}, 0, b" SIZE=70"),
        ({"size": 70}, None, b""),
        ({"about": 70}, 70, b" SIZE=70"),
        ({"about": 71}, 70, b""),  # nobody knows
        ({"size": 68, "about": 71}, 70, b" SIZE=68"),
    ],
)
def test_a_size_is_announced_where_the_server_asks_for_it(sizes, limit, announced):
    assert envelope(parcel(**sizes), Offer(size=limit), "mx")[0] == b"MAIL FROM:<b@c.org>" + announced + b"\r\n"


def test_what_is_known_to_be_too_large_is_not_asked_of_the_server():
    with pytest.raises(Cannot) as refused:
        envelope(parcel(size=71), Offer(size=70), "mx")

    assert (refused.value.reply.enhanced, refused.value.reply.text) == ("5.3.4", WORDS.format(71, 70))


def ready(offer):
    """Return a machine whose server waits for a message's content."""
    machine = Machine("mx", offer)
    machine.name(parcel())
    for said in (b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"):
        machine.receive(said)
    machine.hand_over()
    return machine


@pytest.mark.parametrize("pipelining", [False, True])
def test_content_that_turns_out_to_be_too_large_does_not_leave(pipelining):
    offer = Offer(size=10, pipelining=pipelining)
    assert ready(offer).pack(b"01234567\r\n", b"") == b"01234567\r\n.\r\n"

    machine = ready(offer)
    following = machine.name(parcel(2)) if pipelining else b""
    assert machine.pack(b"012345678\r\n", following) == b""

    ends = [(ended.id, answer.kind) for ended, answer in machine.endings]
    assert ends == [(1, Kind.REFUSED), (2, Kind.RETURNED)][: 1 + pipelining]
    reply = machine.endings[0][1].reply
    assert (reply.code, reply.enhanced, reply.phase, reply.text) == (0, "5.3.4", "data", WORDS.format(11, 10))
    assert (machine.over, machine.trouble) == (True, None)
