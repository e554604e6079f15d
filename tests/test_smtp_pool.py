import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from smtp_feed import CONTENT, SOON, Post, parcels
from smtp_loop import OFFER, LoopServer, until

from newsletter.mail.smtp import Kind, Pool, Relay

LARGE = b"Subject: x\r\n\r\n" + (b"y" * 76 + b"\r\n") * 200_000
ONE_BY_ONE = "250 mail.example.net\r\n"


@asynccontextmanager
async def sending(post, *, timeouts=SOON, connections=1, troubled=lambda _: None, messages=100, pauses=(0.01, 0.02), **options):
    """Yield a server and a pool that sends to it what the feed has."""
    async with asyncio.timeout(20), LoopServer(**options).running() as server:
        relay = Relay("127.0.0.1", server.port, security="none", helo="me", timeouts=timeouts, messages_per_connection=messages)
        options = {"connections": connections, "troubled": troubled, "first_pause": pauses[0], "longest_pause": pauses[1]}
        async with Pool(relay, post, **options) as pool:
            pool.wake()
            yield server, pool


def test_every_parcel_ends_once_wherever_the_connection_breaks():
    async def run(said, offer):
        post = Post.of(parcels(3))
        async with sending(post, offer=offer, said_on_first=said) as (server, pool):
            await post.finished.wait()
            await pool.drain()
        return post, server

    for offer in (OFFER, ONE_BY_ONE):
        for said in range(len(f"220 mail.example.net\r\n{offer}") + 3 * 70):
            post, server = asyncio.run(run(said, offer))
            kinds = post.kinds()
            accepted = [number for number, kind in kinds.items() if kind is Kind.ACCEPTED]
            assert len(accepted) == server.answered
            assert {number for number, kind in kinds.items() if kind is Kind.LOST} <= set(post.begun)
            assert set(post.begun) >= set(accepted)
            assert len(post.begun) - len(accepted) <= 1


def test_two_hundred_slow_connections_carry_as_many_messages_at_once():
    async def run():
        post = Post.of(parcels(600))
        async with sending(post, connections=200, delay=0.3) as (server, pool):
            await post.finished.wait()
            await pool.drain()
        return post, server

    post, server = asyncio.run(run())

    assert set(post.kinds().values()) == {Kind.ACCEPTED}
    assert 100 <= server.at_once <= 200


def test_connections_are_opened_as_there_is_work_for_them():
    async def run(count):
        post = Post.of(parcels(count))
        async with sending(post, connections=8, delay=0.02) as (server, pool):
            await post.finished.wait()
            await pool.drain()
        return server.connections

    assert asyncio.run(run(1)) <= 2
    assert asyncio.run(run(100)) == 8


def test_the_more_connections_work_the_more_are_opened_at_the_same_time():
    async def run():
        greetings, seen = asyncio.Semaphore(0), []
        async with sending(Post.of(parcels(9000)), connections=50, before_greeting=greetings.acquire) as (server, _):
            for most in (1, 2, 6, 42, 50):
                await until(lambda most=most: server.connections >= most)
                for _ in range(server.connections - sum(seen)):
                    greetings.release()
                seen.append(server.connections - sum(seen))
        return seen

    assert asyncio.run(run()) == [1, 1, 4, 36, 8]


def test_a_rested_connection_is_used_again_when_there_is_new_work():
    async def run():
        post = Post.of(parcels(1))
        async with sending(post, connections=3) as (server, pool):
            await post.finished.wait()
            post.finished.clear()
            await until(lambda: pool.resting)
            post.waiting.extend(replace(parcel, id=parcel.id + 10) for parcel in parcels(2))
            pool.wake()
            pool.wake()
            await post.finished.wait()
            await pool.drain()
            assert pool.open == 0
            return post, server

    post, _ = asyncio.run(run())

    assert set(post.kinds().values()) == {Kind.ACCEPTED}


@pytest.mark.parametrize("offer", [OFFER, ONE_BY_ONE])
def test_a_drain_finishes_what_was_taken_and_takes_no_more(offer):
    async def run():
        post = Post.of(parcels(100))
        async with sending(post, connections=4, delay=0.02, offer=offer) as (_, pool):
            await until(lambda: len(post.begun) >= 8)
            taken = len(post.taken)
            await pool.drain()
            pool.wake()
        return post, taken

    post, taken = asyncio.run(run())

    assert len(post.taken) == taken
    assert set(post.kinds().values()) == {Kind.ACCEPTED}


@pytest.mark.parametrize(("grace", "kind"), [(5, Kind.ACCEPTED), (0, Kind.LOST)])
def test_a_close_waits_for_answers_as_long_as_it_may_and_gives_the_rest_back(grace, kind):
    async def run():
        post = Post.of(parcels(100))
        async with sending(post, connections=4, delay=0.1) as (_, pool):
            await until(lambda: len(post.begun) >= 4)
            await pool.close(grace)
            return post, list(post.begun)

    post, begun = asyncio.run(run())

    kinds = post.kinds()
    assert {kinds[number] for number in begun[-4:]} == {kind}
    assert {kinds[number] for number in kinds if number not in begun} == {Kind.RETURNED}
    assert post.begun == begun


def test_a_pool_that_never_got_a_connection_closes_at_once():
    async def run():
        async with sending(Post.of(parcels(1)), said_on_first=0) as (_, pool):
            await pool.drain()

    asyncio.run(run())


def test_a_parcel_may_be_held_back_at_the_last_moment():
    async def run():
        post = Post.of(parcels(2), content=None)
        async with sending(post) as (server, pool):
            await post.finished.wait()
            await pool.drain()
        return post, server

    post, server = asyncio.run(run())

    assert set(post.kinds().values()) == {Kind.RETURNED}
    assert server.answered == 0


def test_a_feed_that_fails_stops_the_pool_and_is_told():
    class Broken(Post):
        def next(self):
            if self.broken == "next" and self.taken:
                raise ZeroDivisionError("next")
            return super().next()

        def ended(self, parcel, answer):
            super().ended(parcel, answer)
            if self.broken == "ended":
                raise ZeroDivisionError("ended")

    async def run(broken):
        post, told = Broken.of(parcels(5)), []
        post.broken = broken
        post.content = ZeroDivisionError("begin") if broken == "begin" else CONTENT
        async with sending(post, troubled=told.append) as (_, pool):
            await until(lambda: told)
            with pytest.raises(ZeroDivisionError, match=broken):
                await pool.drain()
        return post, told

    for broken in ("next", "begin", "ended"):
        post, told = asyncio.run(run(broken))
        post.kinds()
        assert [str(error) for error in told] == [broken] * len(told)


def test_a_relay_that_ends_every_connection_is_asked_ever_more_seldom():
    async def run():
        post, told = Post.of(parcels(1)), []
        async with sending(post, offer="421 4.3.2 no\r\n", troubled=told.append, pauses=(0.01, 0.16), connections=20) as (
            server,
            pool,
        ):
            start = asyncio.get_running_loop().time()
            await until(lambda: len(told) == 6)
            assert pool.away
            return asyncio.get_running_loop().time() - start, server.connections

    took, connections = asyncio.run(run())

    assert took >= 0.01 + 0.02 + 0.04 + 0.08 + 0.16
    assert connections == 6


def test_a_relay_that_comes_back_is_used_again():
    async def run():
        post, told = Post.of(parcels(20)), []
        async with sending(post, said_on_first=5, troubled=told.append, connections=4) as (_, pool):
            await post.finished.wait()
            await pool.drain()
        return post, told

    post, told = asyncio.run(run())

    assert set(post.kinds().values()) == {Kind.ACCEPTED}
    assert len(told) == 1


def test_a_server_that_stops_reading_is_given_up_and_has_not_got_the_message():
    async def run():
        post, stop = Post.of(parcels(1), content=LARGE), asyncio.Event()
        async with sending(post, while_reading=stop.wait, offer=ONE_BY_ONE, timeouts=replace(SOON, block=0.2)) as (_, pool):
            await post.finished.wait()
            stop.set()
            await pool.drain()
        return post

    answer = asyncio.run(run()).answer()

    assert (answer.kind, answer.reply.phase, answer.reply.text) == (Kind.DEFERRED, "data", "timed out after 0.2 s")


def test_a_server_that_reads_slowly_gets_the_time_it_needs():
    async def run():
        post = Post.of(parcels(1), content=LARGE)
        loop = asyncio.get_running_loop()
        timeouts = replace(SOON, block=0.3)
        async with sending(post, while_reading=lambda: asyncio.sleep(0.01), timeouts=timeouts) as (_, pool):
            start = loop.time()
            await post.finished.wait()
            took = loop.time() - start
            await pool.drain()
        return post, took

    post, took = asyncio.run(run())

    assert post.kinds() == {1: Kind.ACCEPTED}
    assert took > 0.3
