"""Who waits in person goes before a list that waits."""

import pytest
from factories import Make, mailer
from installation import add_readers
from smtp_sink import running

from newsletter import deliveries
from newsletter.deliveries import Pace
from newsletter.lifecycle import DeliveryStatus, IssueStatus
from newsletter.mail.transports import Relay, Smtp
from newsletter.models import Delivery, DeliveryKind
from newsletter.wiring import utcnow

READERS = 1000
EVERY = 100  # messages of the list between two who sign up


class Newcomers:
    """Sign up while the list is being sent: one at every hundredth message, and remember how far the list had come."""

    def __init__(self, make: Make, newsletter_id: int) -> None:
        self.came_at: dict[str, int] = {}
        self._make = make
        self._newsletter_id = newsletter_id

    def look(self, sink) -> None:
        """Let somebody come at every hundredth message; the server calls it before it answers."""
        number = len(sink.taken)
        if number % EVERY == 0:
            name = f"newcomer{number}"
            self.came_at[f"{name}@example.org"] = number
            self._make.delivery(name, newsletter_id=self._newsletter_id, due_at=utcnow(), give_up_at=utcnow().replace(year=9999))


def test_a_confirmation_waits_for_one_window_of_the_list_at_most(make):
    newsletter = make.newsletter()
    addresses = add_readers(make, newsletter, READERS)
    make.issue(newsletter, IssueStatus.PUBLISHED, now=utcnow())
    newcomers = Newcomers(make, newsletter.id)

    with running(delay=0.001, on_message=newcomers.look) as sink, Smtp(Relay("127.0.0.1", sink.port, security="none")) as relay:
        report = deliveries.drain(make.sessions, relay, mailer(), worker="one", clock=utcnow)

    order = sink.recipients()
    waited = [order.index(address) - came_at for address, came_at in newcomers.came_at.items()]
    assert report.sent == READERS + len(waited)
    assert sorted(order) == sorted([*addresses, *newcomers.came_at])
    assert len(waited) >= READERS // EVERY
    assert max(waited) <= Pace().window


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_every_mail_of_a_list_ends_as_sent(make):
    newsletter = make.newsletter()
    add_readers(make, newsletter, 20)
    make.issue(newsletter, IssueStatus.PUBLISHED, now=utcnow())

    with running() as sink, Smtp(Relay("127.0.0.1", sink.port, security="none")) as relay:
        deliveries.drain(make.sessions, relay, mailer(), worker="one", clock=utcnow)

    rows = make.all(Delivery, kind=DeliveryKind.DIGEST)
    assert {row.status for row in rows} == {DeliveryStatus.SENT}
    assert len({message.message_id for message in sink.taken}) == len(rows) == 20
