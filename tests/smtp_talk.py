"""Talking to a faulty server through the blocking transport: what the tests of it share."""

from contextlib import contextmanager

import pytest
from smtp_servers import FaultyServer

from newsletter.mail.transports import OutgoingMessage, Relay, Smtp, Timeouts

SOON = Timeouts(connect=5, greeting=5, command=5, data=5, block=5, dot=5, quit=5)
AT_ONCE = Timeouts(connect=5, greeting=0.2, command=0.2, data=0.2, block=0.2, dot=0.2, quit=0.2)
MESSAGE = OutgoingMessage(
    "bounce+1@news.example.net",
    "ari@example.org",
    b"From: digest@news.example.net\r\nMessage-ID: <1.17@news.example.net>\r\n\r\nGood morning.\r\n",
)


@contextmanager
def talking(faults=None, *, timeouts=SOON, **options):
    """Yield a faulty server and a transport to it."""
    server_options = {name: options.pop(name) for name in ("tls", "tls_at_once") if name in options}
    with FaultyServer(faults or {}, **server_options).running() as server:
        relay = Relay(
            "127.0.0.1",
            server.port,
            security=options.pop("security", "none"),
            helo="me.example.net",
            timeouts=timeouts,
            **options,
        )
        with Smtp(relay) as smtp:
            yield server, smtp


def fails(error, phase, faults, code=None, **options):
    """Send to a server with these faults and return the reply within the error."""
    with talking(faults, **options) as (server, smtp):
        with pytest.raises(error) as caught:
            smtp.send(MESSAGE)
        reply = caught.value.reply
        assert reply.phase == phase
        assert reply.server == f"127.0.0.1:{server.port}"
        assert code is None or reply.code == code
        assert reply.text
        return reply
