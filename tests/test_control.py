import pytest
from factories import NOW

from newsletter.deliveries import ledger
from newsletter.lifecycle import DeliveryStatus
from newsletter.models import DeliveryKind, Lane


def _begun(sessions, lane):
    with sessions.begin() as session:
        ids = [row.id for row in ledger.claim(session, lane, worker="one", limit=100, now=NOW)]
        return ledger.begin(session, ids, worker="one", now=NOW)


@pytest.mark.parametrize(("lane", "owed"), [(Lane.PERSON, True), (Lane.LIST, False)])
def test_a_digest_without_a_subscription_is_owed_only_as_a_test(sessions, make, lane, owed):
    digest = make.delivery(kind=DeliveryKind.DIGEST, lane=lane.value)

    assert bool(_begun(sessions, lane)) is owed
    assert (make.again(digest).status is DeliveryStatus.SKIPPED) is not owed
