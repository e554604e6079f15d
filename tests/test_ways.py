import asyncio
from collections import deque

import pytest
from drains import relay_on
from fakes import Outbox
from smtp_feed import Post, parcels
from smtp_servers import FaultyServer
from smtp_sink import running

from newsletter.deliveries import over, through
from newsletter.errors import AnswerLost, BadInput, Deferred, Refused, RelayUnavailable, Reply, TransportError
from newsletter.mail.smtp import Kind
from newsletter.mail.transports import Files

WORDS = Reply(451, "4.3.0", "busy", "mx.example.org", "rcpt")


def send(open_way, post):
    """Let a way pull all there is, and return what it was troubled by."""
    troubles = []

    async def run():
        done = asyncio.Event()

        def hear(error):
            troubles.append(error)
            done.set()

        way = open_way(post, hear)
        way.wake()
        way.wake()  # once more changes nothing
        waiting = [asyncio.ensure_future(each.wait()) for each in (done, post.finished)]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED, timeout=20)
        for each in waiting:
            each.cancel()
        await way.close(5)

    asyncio.run(run())
    return troubles


@pytest.mark.parametrize(
    ("error", "kind", "phase"),
    [
        (Refused(WORDS), Kind.REFUSED, "rcpt"),
        (Deferred(WORDS), Kind.DEFERRED, "rcpt"),
        (AnswerLost(WORDS), Kind.LOST, "rcpt"),
        (TransportError(WORDS), Kind.LOST, "rcpt"),
        (BadInput("no message"), Kind.REFUSED, "data"),
        (ZeroDivisionError("a bug"), Kind.LOST, "dot"),
    ],
)
def test_what_a_transport_raises_is_an_answer_and_the_next_message_goes(error, kind, phase):
    post, outbox = Post.of(parcels(2)), Outbox(errors=[error])

    assert send(through(outbox), post) == []

    assert post.kinds() == {1: kind, 2: Kind.ACCEPTED}
    assert post.answer(1).reply.phase == phase
    assert post.answer(1).reply.text


def test_a_transport_that_is_away_is_left_alone():
    post, outbox = Post.of(parcels(3)), Outbox(errors=[RelayUnavailable(WORDS)])

    (trouble,) = send(through(outbox), post)

    assert isinstance(trouble, RelayUnavailable)
    assert post.kinds() == {1: Kind.RELAY}
    assert outbox.sent == []


def test_what_is_not_to_be_sent_after_all_is_returned():
    post = Post.of(parcels(2), content=None)

    assert send(through(Outbox()), post) == []
    assert post.kinds() == {1: Kind.RETURNED, 2: Kind.RETURNED}


def test_a_feed_that_fails_is_told_and_raised():
    post = Post.of(parcels(2), content=ZeroDivisionError("a bug"))

    with pytest.raises(ZeroDivisionError):
        send(through(Outbox()), post)


def test_a_full_folder_is_a_relay_that_is_away(tmp_path):
    (tmp_path / "taken").touch()
    post = Post.of(parcels(2))

    (trouble,) = send(through(Files(tmp_path / "taken")), post)

    assert isinstance(trouble, RelayUnavailable)
    assert post.answer(1).kind is Kind.RELAY


def test_a_message_becomes_a_file(tmp_path):
    post = Post.of(parcels(1))

    assert send(through(Files(tmp_path)), post) == []
    assert post.answer(1).kind is Kind.ACCEPTED
    assert len(list(tmp_path.glob("*.eml"))) == 1


def test_messages_go_over_several_connections():
    post = Post.of(parcels(40))

    with running(delay=0.002) as sink:
        assert send(over(relay_on(sink.port), connections=5), post) == []

    assert set(post.kinds().values()) == {Kind.ACCEPTED}
    assert sorted(sink.recipients()) == sorted(parcel.recipient for parcel in post.taken)


def test_a_relay_that_refuses_one_connection_more_is_no_trouble():
    post = Post.of(parcels(40))

    with running(delay=0.002, most=1) as sink:
        assert send(over(relay_on(sink.port), connections=5), post) == []

    assert set(post.kinds().values()) == {Kind.ACCEPTED}


def test_a_relay_that_refuses_the_first_connection_is_trouble():
    with FaultyServer({"GREETING": "554 5.7.1 go away"}).running() as server:
        (trouble,) = send(over(relay_on(server.port), connections=5), Post(deque(parcels(3))))

    assert "go away" in str(trouble)
