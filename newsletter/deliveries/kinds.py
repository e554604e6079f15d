"""From what is kept with a delivery to the email that it is, for each kind but the digest, which is an issue's."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from newsletter.mail import emails
from newsletter.mail.emails import Email, Publication
from newsletter.models import Cadence, DeliveryKind

_Values: TypeAlias = Mapping[str, Any]


def email_of(kind: DeliveryKind, publication: Publication, values: Mapping[str, Any]) -> Email:
    """Return the email of a delivery's kind, filled from its values."""
    plain = _PLAIN.get(kind)
    return plain(publication) if plain else _FILLED[kind](publication, values)


def _welcome(publication: Publication, values: _Values) -> Email:
    return emails.WelcomeEmail(
        publication,
        cadence=values.get("cadence", Cadence.DAILY.value),  # a row that was queued before it told
        send_hour=values["send_hour"],
        zone=values["zone"],
        latest_url=values["latest_url"],
        latest_title=values["latest_title"],
    )


def _new_address(publication: Publication, values: _Values) -> Email:
    return emails.NewAddressEmail(publication, known="change_id" not in values)


def _help(publication: Publication, values: _Values) -> Email:
    return emails.HelpEmail(publication, domain=values["domain"], leaving=values["leaving"])


def _forward(publication: Publication, values: _Values) -> Email:
    return emails.ForwardEmail(publication, proven=values.get("proven", False))


def _remark(publication: Publication, values: _Values) -> Email:
    told = values["paper"]
    paper = emails.PaperCard(
        paper_id=told["paper_id"],
        title=told["title"],
        url=told["url"],
        authors=(),
        more_authors=False,
        votes=None,
        thumbnail_url="",
        bullets=tuple(told["bullets"]),
        origin=told["origin"],
        model=told["model"],
        checked=told["checked"],
        summary_language=told["summary_language"],
    )
    return emails.RemarkEmail(
        publication,
        issue=values["issue"],
        paper=paper,
        prompt_version=values["prompt_version"],
        matter=values["matter"],
        words=tuple(values["words"]),
        reply_to=values["reply_to"],
        desk_url=values["desk_url"],
    )


_PLAIN: dict[DeliveryKind, Callable[[Publication], Email]] = {
    DeliveryKind.CONFIRM: emails.ConfirmEmail,
    DeliveryKind.GOODBYE: emails.GoodbyeEmail,
    DeliveryKind.ALREADY_SUBSCRIBED: emails.AlreadySubscribedEmail,
    DeliveryKind.PREFERENCES: emails.PreferencesEmail,
    DeliveryKind.MY_DATA: emails.MyDataEmail,
    DeliveryKind.CHANGE_OF_ADDRESS: emails.ChangeOfAddressEmail,
    DeliveryKind.ALARM: emails.AlarmEmail,
}
_FILLED: dict[DeliveryKind, Callable[[Publication, _Values], Email]] = {
    DeliveryKind.WELCOME: _welcome,
    DeliveryKind.NEW_ADDRESS: _new_address,
    DeliveryKind.HELP: _help,
    DeliveryKind.FORWARD: _forward,
    DeliveryKind.REMARK: _remark,
}
