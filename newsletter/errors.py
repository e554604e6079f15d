"""What can go wrong, named for what the caller does next.

NewsletterError            says what, where, and what to do; the CLI prints it and exits 1
├── SettingsError          a setting is missing or wrong: mend it and start again
├── DatabaseError          the database cannot be reached, or is of another version
├── BrokerError            Redis/Valkey cannot be reached or started
├── BadInput               what somebody gave us cannot be used: file, line, field, row
│   ├── BadDocument        a daily document that cannot be read
│   └── BadAddress         an email address that cannot be mailed
├── NotFound               there is no such newsletter, issue, subscriber …
├── Conflict               it is there, but in a state that forbids what was asked
│   └── Stale              somebody else changed it since it was shown: look again
├── BadToken               a link that is forged, or for another purpose
│   └── LinkExpired        one of ours, and too old: ask for a new one
├── BadSignature           a provider's message that is forged, altered or too old: nothing is believed of it
├── SourceError            a source could not be read
│   ├── SourceUnavailable  it did not answer, or asked us to come back later: try again
│   └── SourceMalformed    it answered something that is no list of papers: tell the operator
├── SummaryError           a summariser has no summary for this paper; the paper's alone
│   ├── ModelUnavailable   a language model's endpoint gave no answer of use: try again later
│   ├── ModelMisconfigured the endpoint will not have us: mend the settings
│   ├── BadAnswer          it answered something that is no summary
│   └── ModelDeclined      the model will not write about this paper: do not ask again
└── TransportError         a mail did not go
    ├── RelayUnavailable   the relay refused us or is away: nobody's address is to blame
    ├── Deferred           the server says later (SMTP 4xx) for this message
    ├── Refused            the server says never (SMTP 5xx) for this message
    └── AnswerLost         the message was handed over and no answer came: it may have arrived
"""

from dataclasses import dataclass


class NewsletterError(Exception):
    """Something a person can act on: `str()` says what and where, `hint` what to do about it."""

    def __init__(self, what: str, *, hint: str = "") -> None:
        """Keep the sentence and the hint."""
        super().__init__(what)
        self.hint = hint


class SettingsError(NewsletterError):
    """A setting is missing or wrong."""


class DatabaseError(NewsletterError):
    """The database cannot be reached, or its tables are of another version."""


class BrokerError(NewsletterError):
    """Redis or Valkey cannot be reached or started."""


class BadInput(NewsletterError):
    """What somebody gave us cannot be used."""


class BadDocument(BadInput):
    """A daily document cannot be read; the message begins with `file:line:`."""


class BadAddress(BadInput):
    """An email address that cannot be mailed."""


class NotFound(NewsletterError):
    """There is no such newsletter, issue or subscriber."""


class Conflict(NewsletterError):
    """It is there, but in a state that forbids what was asked."""


class Stale(Conflict):
    """Somebody else changed it since it was shown to who wants to change it."""


class BadToken(NewsletterError):
    """A link that is forged, made for another purpose, or too old."""


class LinkExpired(BadToken):
    """A link of ours that is too old; `numbers` is what it was about, nothing where that is gone."""

    def __init__(self, what: str, *, hint: str = "", numbers: tuple[int, ...] = ()) -> None:
        """Keep the numbers that the link held."""
        super().__init__(what, hint=hint)
        self.numbers = numbers


class BadSignature(NewsletterError):
    """A message that is not proved to be its provider's, unaltered and recent."""


class SourceError(NewsletterError):
    """A source could not be read."""


class SourceUnavailable(SourceError):
    """The source did not answer, or asked us to come back later."""


class SourceMalformed(SourceError):
    """The source answered something that is no list of papers."""


class SummaryError(NewsletterError):
    """A summariser has no summary for this paper."""


class ModelUnavailable(SummaryError):
    """The endpoint of a language model gave no answer of use; it may later."""


class ModelMisconfigured(SummaryError):
    """The endpoint of a language model will not have us as we are set up; asking again is of no use."""


class BadAnswer(SummaryError):
    """A language model answered something that is no summary; `answer` is what it wrote, if that can be given back to it."""

    def __init__(self, what: str, *, hint: str = "", answer: str | None = None) -> None:
        """Keep what the model wrote: None where asking it to mend that is of no use."""
        super().__init__(what, hint=hint)
        self.answer = answer


class ModelDeclined(SummaryError):
    """A language model, or the filter before it, will not write about this paper."""


@dataclass(frozen=True)
class Reply:
    """A mail server's words: basic code, enhanced code (RFC 3463; empty if none), text, and who said it at which step."""

    code: int
    enhanced: str
    text: str
    server: str
    phase: str

    def __str__(self) -> str:
        """Read as the server wrote it, with the phase in front."""
        words = " ".join(word for word in (str(self.code) if self.code else "", self.enhanced, self.text) if word)
        return f"{self.phase}: {words}"


class TransportError(NewsletterError):
    """A mail did not go; `reply` is what the server said, code 0 where it said nothing."""

    def __init__(self, reply: Reply, *, hint: str = "") -> None:
        """Keep the server's reply beside the sentence made of it."""
        super().__init__(f"{reply.server}: {reply}", hint=hint)
        self.reply = reply


class RelayUnavailable(TransportError):
    """The relay refused us at the door, or cannot be reached."""


class Deferred(TransportError):
    """The server says later (SMTP 4xx) for this message."""


class Refused(TransportError):
    """The server says never (SMTP 5xx) for this message."""


class AnswerLost(TransportError):
    """The message was handed over and no answer came: it may have arrived."""
