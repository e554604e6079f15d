"""From a delivery to the bytes of its mail.

What many deliveries share (an issue's compiled pieces, a newsletter's identity) is loaded once and kept: a frozen issue
never changes. Making one message is splicing.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache, partial

import structlog
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session, col

from newsletter.deliveries.frozen import FrozenIssue, load_issue
from newsletter.deliveries.kinds import email_of
from newsletter.deliveries.ledger import Claimed
from newsletter.errors import NewsletterError, NotFound
from newsletter.mail import compose, emails
from newsletter.mail.compose import Mailbox, MessageHeaders, Prepared, Selection
from newsletter.mail.dkim import Signer
from newsletter.mail.headers import ListInfo, wire_address
from newsletter.mail.transports import OutgoingMessage
from newsletter.models import DeliveryKind, InboundMail, Issue, Newsletter, NoMatch
from newsletter.tokens import Links

log = structlog.get_logger()
FRESH = 5.0  # seconds
ANSWERED = "in_reply_to"  # among the values: the Message-ID of the mail that is answered, "" where it has none
LETTER = "inbound_id"  # among the values: the mail to us that is passed on
TEST_OF = "test_of"  # among a delivery's values: the issue it tries out, and does not count for
KEPT_ISSUES = 4  # or more, where one batch needs more


@dataclass(frozen=True)
class MailerSettings:
    """What the installation says about its mail."""

    links: Links
    bounce_domain: str = ""  # empty: bounces go to the newsletter's own address
    operator_sender: str = ""  # alarms come from here
    postal_address: str = ""
    inbox_domain: str = ""  # where mail to us comes to; empty: none does, and nobody can unsubscribe by mail
    signers: Callable[[], Mapping[str, Signer]] = dict  # by the domain of the From address; without one a mail goes unsigned


@dataclass(frozen=True)
class Publisher:
    """A newsletter as its mails need it: what is shown, and who signs."""

    publication: emails.Publication
    from_name: str
    from_address: str
    reply_to: str
    short: bool = False  # who finds nothing of an issue gets a short mail, not none

    @property
    def domain(self) -> str:
        """The domain that Message-IDs and List-Ids are made of."""
        return self.from_address.rpartition("@")[2]


def publication_of(newsletter: Newsletter, links: Links, *, language: str = "") -> emails.Publication:
    """Return a newsletter as its emails show it, in its own language or another."""
    return emails.Publication(
        slug=newsletter.slug,
        title=newsletter.title,
        description=newsletter.description,
        language=language or newsletter.language,
        postal_address=newsletter.postal_address,
        home_url=links.home(),
        archive_url=links.archive(newsletter.slug),
    )


class Mailer:
    """Makes mails: `load` fetches what a batch needs, `message` is pure."""

    def __init__(self, settings: MailerSettings, *, fresh: float = FRESH) -> None:
        """Keep nothing yet; believe for `fresh` seconds what newsletters say of themselves."""
        self._settings = settings
        self._fresh = fresh
        self._publishers: dict[int, Publisher] = {}
        self._issues: dict[int, FrozenIssue | Exception] = {}  # an error of ours instead of one that cannot be read
        self._letters: Mapping[int, bytes] = {}  # of this batch alone: they may be large
        self._signers: Mapping[str, Signer] = {}
        self._loaded_at = 0.0

    def load(self, session: Session, batch: Sequence[Claimed]) -> None:
        """Fetch the newsletters, afresh every few seconds, and the issues not at hand; `message` says what is missing."""
        wanted = {row.newsletter_id for row in batch if row.newsletter_id is not None}
        if wanted - set(self._publishers) or time.monotonic() - self._loaded_at >= self._fresh:
            newsletters = session.scalars(select(Newsletter))  # a handful
            self._publishers = {row.id: _publisher(row, self._settings.links) for row in newsletters}
            self._signers, self._loaded_at = self._settings.signers(), time.monotonic()
        letters = {row.values.get(LETTER, 0) for row in batch if row.kind is DeliveryKind.FORWARD}
        self._letters = _load_letters(session, letters)
        issues = {number for number in map(_issue_of, batch) if number is not None}
        self._make_room(issues)
        if issues <= set(self._issues):
            return
        for issue in session.scalars(select(Issue).where(col(Issue.id).in_(issues - set(self._issues)))):
            try:
                self._issues[issue.id] = load_issue(session, issue)
            except NewsletterError as error:  # its own mails cannot be made; those of the others can
                log.warning("issue_broken", issue=issue.id, error=str(error))
            except SQLAlchemyError:
                raise
            except Exception as error:  # a bug of ours: its mails wait until it is mended
                log.exception("issue_broken", issue=issue.id)
                self._issues[issue.id] = error

    def _make_room(self, wanted: set[int]) -> None:
        """Forget the issues that were loaded first, but none that is wanted."""
        spare = [known for known in self._issues if known not in wanted]
        for issue_id in spare[: max(0, len(spare) + len(wanted) - KEPT_ISSUES)]:
            del self._issues[issue_id]

    def message(self, row: Claimed, *, now: datetime) -> OutgoingMessage:
        """Return the message of a delivery of the loaded batch; raises NewsletterError for one that cannot be made."""
        publisher = self._publisher(row)
        if row.kind is DeliveryKind.DIGEST:
            issue = self._issue(row)
            subject = issue.subject if row.issue_id is not None else f"[Test] {issue.subject}"
            prepared, selection = issue.prepared, self._selection(row, publisher, issue)
            slots = self._digest_slots(row, publisher, issue)
        else:
            publication = replace(publisher.publication, language=row.language or publisher.publication.language)
            email = email_of(row.kind, publication, row.values)
            subject, prepared = _prepared(email)
            selection, slots = None, self._slots(row)
        headers = self._headers(row, publisher, subject, slots, now=now)
        sign = self._sign(publisher, now)
        enclosed = self._letter(row) if row.kind is DeliveryKind.FORWARD else None
        content = compose.compose(prepared, headers=headers, slots=slots, selection=selection, enclosed=enclosed, sign=sign)
        return OutgoingMessage(sender=self.return_path(row), recipient=row.address, content=content)

    def finds_nothing(self, row: Claimed) -> bool:
        """Return whether a delivery of the loaded batch is an issue with nothing for its reader, who gets no mail then.

        Of one that cannot be looked at `message` says why.
        """
        if row.issue_id is None or row.kind is not DeliveryKind.DIGEST or not row.wish.chooses:
            return False
        try:
            return not self._publisher(row).short and self._issue(row).select(row.wish, False) is None
        except Exception:  # noqa: BLE001 -- it would break all mails of the batch; what is wrong is told with its own
            return False

    def _selection(self, row: Claimed, publisher: Publisher, issue: FrozenIssue) -> Selection | None:
        """Return the reader's papers; a mail that is made all the same, as a test is, says that there are none for them."""
        return issue.select(row.wish, publisher.short) or issue.select(row.wish, True)

    def _sign(self, publisher: Publisher, now: datetime) -> Callable[[bytes, bytes], bytes] | None:
        """Return what signs for the publisher; None where its domain has no active key."""
        if not self._signers:
            return None
        domain = wire_address(publisher.from_address).rpartition("@")[2]
        signer = self._signers.get(domain.lower())
        return partial(signer.sign, now=now) if signer else None

    def _publisher(self, row: Claimed) -> Publisher:
        if row.newsletter_id is None:
            return self._operator()
        if row.newsletter_id not in self._publishers:
            raise NotFound(f"There is no newsletter {row.newsletter_id} any more.")
        return self._publishers[row.newsletter_id]

    def _issue(self, row: Claimed) -> FrozenIssue:
        issue_id = _issue_of(row)
        if issue_id is None or issue_id not in self._issues:
            raise NotFound(f"Issue {issue_id} is gone or cannot be read.")
        issue = self._issues[issue_id]
        if isinstance(issue, Exception):
            raise issue
        return issue

    def _letter(self, row: Claimed) -> bytes:
        letter = self._letters.get(row.values.get(LETTER, 0))
        if letter is None:
            raise NotFound("The letter that was to be passed on is gone.")
        return letter

    def _operator(self) -> Publisher:
        sender = self._settings.operator_sender
        links = self._settings.links
        publication = emails.Publication(
            slug="operator",
            title="Newsletter",
            description="",
            language="en",
            postal_address=self._settings.postal_address,
            home_url=links.home(),
            archive_url=links.home(),
        )
        return Publisher(publication, "Newsletter", sender, "")

    def _digest_slots(self, row: Claimed, publisher: Publisher, issue: FrozenIssue) -> dict[str, str]:
        links = self._settings.links
        view = links.issue(publisher.publication.slug, issue.name)
        nobodys = {"unsubscribe_url": links.home(), "preferences_url": links.home()}  # of a test
        return {**nobodys, **self._slots(row), "view_url": view}

    def _slots(self, row: Claimed) -> dict[str, str]:
        """Return the recipient's own values: those kept with the delivery, and links made for them alone."""
        links = self._settings.links
        slots = {name: str(value) for name, value in row.values.get("slots", {}).items()}
        if row.subscription_id is not None:
            slots["unsubscribe_url"] = links.unsubscribe(row.subscription_id)
        if row.subscriber_id is not None:
            slots["preferences_url"] = links.preferences(row.subscriber_id)
        if row.kind is DeliveryKind.CONFIRM:
            expires = datetime.fromisoformat(row.values["expires_at"])
            slots["confirm_url"] = links.confirm(row.values["consent_id"], expires)
        return slots | self._private_links(row)

    def _private_links(self, row: Claimed) -> dict[str, str]:
        """Return the links of a mail that answers what somebody asked for about their own data or address."""
        links, values = self._settings.links, row.values
        if row.kind is DeliveryKind.MY_DATA and row.subscriber_id is not None:
            return {"my_data_url": links.my_data(row.subscriber_id, datetime.fromisoformat(values["expires_at"]))}
        if "change_id" in values:
            is_new, expires = row.kind is DeliveryKind.NEW_ADDRESS, datetime.fromisoformat(values["expires_at"])
            link = links.change_of_address(values["change_id"], expires, new=is_new)
            return {"open_url" if is_new else "change_url": link}
        if row.kind is DeliveryKind.NEW_ADDRESS and row.subscriber_id is not None:
            return {"open_url": links.preferences(row.subscriber_id)}
        return {}

    def _headers(
        self, row: Claimed, publisher: Publisher, subject: str, slots: Mapping[str, str], *, now: datetime
    ) -> MessageHeaders:
        answered = row.values.get(ANSWERED)
        return MessageHeaders(
            sender=Mailbox(publisher.from_name, publisher.from_address),
            recipient=row.address,
            subject=subject,
            date=now.replace(microsecond=0),
            message_id=self._settings.links.message_id(row.id, publisher.domain),
            reply_to=row.values.get("reply_to") or self._answers_to(row, publisher),
            mailing_list=self._list_info(row, publisher, slots),
            auto_submitted="auto-generated" if answered is None else "auto-replied",
            extra=(("In-Reply-To", answered), ("References", answered)) if answered else (),
        )

    def _answers_to(self, row: Claimed, publisher: Publisher) -> str:
        """Return where replies go: to the inbox, which knows commands and passes letters on, or else to the newsletter's own."""
        domain = self._settings.inbox_domain
        return f"{publisher.publication.slug}@{domain}" if domain and row.newsletter_id is not None else publisher.reply_to

    def _list_info(self, row: Claimed, publisher: Publisher, slots: Mapping[str, str]) -> ListInfo | None:
        """Return the List-* set of a mail that one can unsubscribe from; a confirmation is no list mail."""
        if row.kind not in _LIST_KINDS or row.subscription_id is None:
            return None
        links, domain = self._settings.links, self._settings.inbox_domain
        return ListInfo(
            title=publisher.publication.title,
            list_id=f"{publisher.publication.slug}.{publisher.domain}",
            unsubscribe_url=slots["unsubscribe_url"],
            unsubscribe_mailto=f"mailto:{links.unsubscribe_mail(row.subscription_id, domain)}?subject=unsubscribe"
            if domain
            else "",
            archive_url=publisher.publication.archive_url,
            help_url=f"mailto:{publisher.publication.slug}-help@{domain}" if domain else "",
            owner_url=f"mailto:{publisher.reply_to or publisher.from_address}",
        )

    def return_path(self, row: Claimed) -> str:
        """Return the envelope sender of a delivery, "" of an answer; raises NotFound where its newsletter is gone."""
        publisher = self._publisher(row)
        if ANSWERED in row.values:  # RFC 3834 section 3.3: nothing comes back to an answer
            return ""
        if self._settings.bounce_domain:
            return self._settings.links.return_path(row.id, self._settings.bounce_domain)
        return publisher.from_address


def _issue_of(row: Claimed) -> int | None:
    """Return the issue that a delivery carries: its own, or the one that it tries out."""
    return row.issue_id if row.issue_id is not None else row.values.get(TEST_OF)


_LIST_KINDS = (DeliveryKind.DIGEST, DeliveryKind.WELCOME, DeliveryKind.ALREADY_SUBSCRIBED)


def _publisher(row: Newsletter, links: Links) -> Publisher:
    return Publisher(publication_of(row, links), row.from_name, row.from_address, row.reply_to, row.no_match is NoMatch.SHORT)


def _load_letters(session: Session, ids: set[int]) -> dict[int, bytes]:
    """Return the mails to us that are to be passed on, of those that are still there."""
    if not ids:
        return {}
    rows = session.execute(select(col(InboundMail.id), col(InboundMail.content)).where(col(InboundMail.id).in_(ids)))
    return {number: content for number, content in rows if content is not None}


@lru_cache(maxsize=64)
def _prepared(email: emails.Email) -> tuple[str, Prepared]:
    from newsletter.mail.render import render  # noqa: PLC0415 -- an issue is rendered already: its sender needs no templates

    rendered = render(email)
    return rendered.subject, compose.prepare(rendered)
