"""From what a connection says of a delivery to what the ledger writes down."""

from newsletter.deliveries.ledger import Outcome
from newsletter.deliveries.verdicts import judge
from newsletter.errors import Reply
from newsletter.lifecycle import DeliveryEvent
from newsletter.mail.smtp import Answer, Kind


def outcome_of(delivery_id: int, answer: Answer, *, attempts: int) -> Outcome:
    """Return what an answer means for a delivery that was tried `attempts` times before."""
    if answer.kind is Kind.ACCEPTED:
        return Outcome(delivery_id, DeliveryEvent.ACCEPT, reply=answer.reply)
    if answer.kind is Kind.RETURNED:
        return Outcome(delivery_id, DeliveryEvent.GIVE_BACK)
    if answer.kind is Kind.LOST:
        return Outcome(delivery_id, DeliveryEvent.LOSE, reason="no answer came: it may have arrived", reply=answer.reply)
    return outcome_of_reply(delivery_id, answer.reply, attempts=attempts)


def outcome_of_reply(delivery_id: int, reply: Reply, *, attempts: int) -> Outcome:
    """Return what a final reply means for a delivery."""
    verdict = judge(reply, attempts=attempts)
    return Outcome(delivery_id, verdict.event, reason=verdict.reason, reply=reply, again_in=verdict.again_in)
