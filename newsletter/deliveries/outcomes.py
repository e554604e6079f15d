"""From what a connection says of a delivery to what the ledger writes down."""

from newsletter.deliveries.ledger import Outcome
from newsletter.deliveries.verdicts import ACCEPTED, LOST, Verdict, judge
from newsletter.errors import Reply
from newsletter.lifecycle import DeliveryEvent
from newsletter.mail.smtp import Answer, Kind, Parcel

RETURNED = Verdict(DeliveryEvent.GIVE_BACK, "")
_KNOWN = {Kind.ACCEPTED: ACCEPTED, Kind.RETURNED: RETURNED, Kind.LOST: LOST}


def blames_our_guess(parcel: Parcel, answer: Answer) -> bool:
    """Return whether a server refused at MAIL a message whose size was announced by that of others of its kind."""
    was_guessed = bool(parcel.about) and not parcel.size
    return was_guessed and answer.kind is Kind.REFUSED and answer.reply.phase == "mail" and bool(answer.reply.code)


def verdict_of(answer: Answer, *, attempts: int) -> Verdict:
    """Return what an answer means for a delivery that was tried `attempts` times before."""
    known = _KNOWN.get(answer.kind)
    return judge(answer.reply, attempts=attempts) if known is None else known


def outcome_of(delivery_id: int, verdict: Verdict, reply: Reply) -> Outcome:
    """Return what the ledger writes down; what never began has no words of a server."""
    words = None if verdict is RETURNED else reply
    return Outcome(delivery_id, verdict.event, reason=verdict.reason, reply=words, again_in=verdict.again_in)


def outcome_of_reply(delivery_id: int, reply: Reply, *, attempts: int) -> Outcome:
    """Return what a final reply means for a delivery."""
    return outcome_of(delivery_id, judge(reply, attempts=attempts), reply)
