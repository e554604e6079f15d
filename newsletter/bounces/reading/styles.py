"""Whose notice it is: only for people who want to know which form was read; nothing depends on it."""

from newsletter.bounces.reading.parts import Message

OTHER = "notice"
_LOOKED_AT = 4000  # characters

_IN_HEADER = (
    ("smtp32", "imail"),
    ("lotus", "domino"),
    ("domino", "domino"),
    ("groupwise", "groupwise"),
    ("exchange", "exchange"),
    ("internet mail service", "exchange"),
    ("naver", "naver"),
    ("daum", "daum"),
    ("hanmail", "daum"),
    ("kakao", "daum"),
    ("googlemail.com", "google"),
    ("yahoo", "yahoo"),
    ("aol.com", "aol"),
    ("mail.ru", "mail.ru"),
    ("yandex", "yandex"),
)
_IN_TEXT = (
    ("this is the qmail-send program", "qmail"),
    ("i'm afraid i wasn't able to deliver", "qmail"),
    ("created automatically by mail delivery software", "exim"),
    ("this is the mail system at", "postfix"),
    ("this is the postfix program", "postfix"),
    ("transcript of session follows", "sendmail"),
    ("did not reach the following recipient", "exchange"),
    ("did not reach some or all", "exchange"),
    ("generating server:", "exchange"),
    ("unknown user:", "imail"),
    ("delivery to the following recipient failed permanently", "google"),
    ("unable to deliver message to the following address(es)", "yahoo"),
    ("courier mail server", "courier"),
    ("delivery to the following recipients failed", "microsoft"),
)


def style_of(message: Message, notice: str) -> str:
    """Return the name of the server that writes such notices, `notice` for any other."""
    text = " ".join(notice[:_LOOKED_AT].lower().split())
    said = next((name for words, name in _IN_TEXT if words in text), "")
    header = " ".join(message.fields.every("from", "x-mailer", "subject", "x-mailer-version")).lower()
    return said or next((name for words, name in _IN_HEADER if words in header), OTHER)
