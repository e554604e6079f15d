"""Notices written for people: who is named in them, and which of their lines are about whom.

Mail servers that know no RFC 3464 all say it in their own way, but the ways have something in common: the address stands
at the head of a line, or after a word such as `to` or `recipient`, or in the server's answer; what happened follows up to
the next address or empty line; and below comes the mail, or its header, after a line that says so.
"""

import re
from dataclasses import dataclass

from newsletter.bounces.reading import addresses
from newsletter.bounces.reading.fields import Fields
from newsletter.bounces.reading.parts import ENCLOSED, Message, plain

LINE_LIMIT = 1500  # lines of a notice that are looked at
LENGTH_LIMIT = 2000  # characters of a line
EXPLANATION = 15  # lines that an explanation has at most
CANDIDATES = 200

_BACK = "original|unsent|undelivered|returned|failed|source|your|bounced|rejected|included|copy of|undeliverable|forwarded"
_BELOW = re.compile(
    rf"^[\s>]*[-=*_+~#|]{{2,}}[^@]{{0,20}}\b({_BACK})\b[^@]{{0,60}}(message|mail|header|text|report|content)"
    rf"|^[-=*_+~#|\s]*((the|your|a|an|this is|here is|headers? of|message|mail) ){{0,3}}\b({_BACK}|headers?|message text|"
    rf"message body)\b"
    r"[^@]{0,60}\b(follows?|below|attached|enclosed|included|as follows|here)\b[^@\w]*(\(max[^@]{0,20})?$"
    r"|below this line|^(the )?(original|returned|undelivered|failed|unsent|old) (message|mail|e-?mail|text)( headers?|"
    r" text| was)?\s?:?\s*$"
    r"|^[-=*_+~#|\s]*(message|mail|original|returned) (message )?headers?( follow(s)?)?( below)?\W*$|^[-=*_+~#\s]*(원본|"
    r"원래)\s?(메일|메시지|편지)[^@]{0,20}$"
    r"|^[-=*_+~#|\s]*(this is |the following is |here is |included is |attached is )?(a |the )?copy of (the|your|this)[^@]{0,80}$"
)
_NOT_THE_MAIL = re.compile(r"address|recipient|user|log follow|error|transcript|reason|detail")
_HEADER_LINE = re.compile(
    r"[>|]?[>|\s]?(received|return-path|message-id|dkim-signature|mime-version|delivered-to|x-[\w-]+):", re.IGNORECASE
)
_ANY_FIELD = re.compile(r"[\s>|]{0,4}[A-Za-z][\w-]{1,40}:|[\s>|]{0,4}\s+\S")
_LISTED_BELOW = re.compile(
    r"(did not reach|(following|these) (recipient|address|user)|(recipient|address)(s|es|\(s\)|\(es\))? (below|follow|"
    r"failed))|not delivered to:"
)
_NOT_THEIRS = re.compile(
    r"(from|sender|mail from:?|reply-to|message-?id|contact|return-path|cc|send (mail|e-?mail|a message) to|reply to"
    r"|originator|return(ed)? to|report(ed)? (this )?to|support|administrator|postmaster|help ?desk|ask|e-?mail to|e-?mail us at"
    r"|assistance,?|from user|mailfrom|questions to|because they are not accepting mail|mail from user|by|"
    r"forward(ed)? (it |this )?to|write to|보낸\s?사람|발신자)\W*$"
)
_THEIRS = re.compile(
    r"(\bto|recipients?|rcpt|users?|address(es)?|\(es\)|addressee|addressed,?|for|accounts?|mailbox(es)?|deliver|delivered|"
    r"reach|unknown|failed"
    r"|following|not|invalid|name|smtp|rfc822|받는\s?사람|수신자|수신인|주소|宛先|收件人|empf[aä]nger|destinat[aá]rio|"
    r"destinataire)[\"'\s:=<(\[*-]*$"
)
_AT_HEAD = re.compile(r"^[\s<>\"'*•·|#(\[\d.)-]*(smtp:|mailto:|rfc822;\s?)?$")
_AFTER_HEAD = re.compile(
    r"""[>"')\]\s]*($|[:;,|(\[<-]|\.\.\.|\son\s|\s(user|invalid|unknown|no|not|mailbox|account)\b)""", re.IGNORECASE
)
_LABELLED = re.compile(r"^[\s>*-]*[^:@.]{2,50}:\s*[<\[\"'(]*$")  # whose it is not was asked before
_IN_ANSWER = re.compile(r"(?<![\d.])[45]\d\d[ -]")
_DAEMONS = re.compile(
    r"(mailer-?daemon|post[-_]?master|mail-?daemon|mail-?deamon|mdaemon|postmast|mailadmin|daemon|mail-?system|double-bounce|"
    r"abuse|hostmaster|administrator"
    r"|no-?reply|noreply|do-?not-?reply|support|help-?desk|webmaster|root|security|e?mail-?support|spam|delist|"
    r"unblock)([+._-].*)?"
)


@dataclass(frozen=True, slots=True)
class Notice:
    """What a message says to people, without the mail it is about."""

    text: str
    remains: str  # what follows in the same text: the mail that came back, or some of it


@dataclass(frozen=True, slots=True)
class Named:
    """Somebody a notice names, and the lines that are about them."""

    recipient: str
    said: str
    clearly: bool = True  # False: somewhere in a sentence, which may be about anybody


def notice_of(message: Message) -> Notice:
    """Return what the message says to people, cut off where the mail that came back begins."""
    texts = []
    for part in message.parts:
        if part.type in ENCLOSED:
            break
        if part.type in {"text/plain", "text/html"} and not part.enclosed:
            texts.append(part)
    spoken = [part for part in texts if part.type == "text/plain" and part.text.strip()] or texts
    lines = [line[:LENGTH_LIMIT] for line in "\n".join(plain(part) for part in spoken).split("\n")[:LINE_LIMIT]]
    end = next((number for number, line in enumerate(lines) if number and _begins_mail(lines, number, line)), len(lines))
    return Notice("\n".join(lines[:end]).strip("\n"), "\n".join(lines[end + (_is_marker(lines[end:])) :]))


def _is_marker(rest: list[str]) -> bool:
    return bool(rest) and not _HEADER_LINE.match(rest[0])


def _begins_mail(lines: list[str], number: int, line: str) -> bool:
    if _HEADER_LINE.match(line):
        following = next((later for later in lines[number + 1 : number + 3] if later.strip()), "")
        return bool(_ANY_FIELD.match(following))
    said = line.lower().strip()
    return len(said) < 120 and bool(_BELOW.search(said)) and not _NOT_THE_MAIL.search(said)  # noqa: PLR2004 -- such a line is short


def named_in(notice: Notice, own: frozenset[str]) -> list[Named]:
    """Return whom a notice names, as far as one can tell that it means them; never an address in `own` (small letters)."""
    lines = notice.text.split("\n")
    listed = next((number for number, line in enumerate(lines) if _LISTED_BELOW.search(line.lower())), 0)
    every = _mentions(lines, own)
    mentions = [mention for mention in every if mention[0] >= listed] or every
    best = max((rank for _, _, rank in mentions), default=0)
    chosen = list(dict.fromkeys(address for _, address, rank in mentions if rank == best))
    if best < _CLEARLY:
        chosen = chosen[:1]
    numbers = {number for number, _, _ in mentions}
    return [Named(address, _said(lines, address, numbers, mentions), best >= _CLEARLY) for address in chosen[:CANDIDATES]]


_CLEARLY = 2


def _mentions(lines: list[str], own: frozenset[str]) -> list[tuple[int, str, int]]:
    """Return line, address and rank of each mention: 3 at the head of a line, 2 in a clear place, 1 somewhere."""
    found: list[tuple[int, str, int]] = []
    for number, line in enumerate(lines):
        if "@" not in line or len(found) > CANDIDATES:
            continue
        for address in addresses.found_in(line):
            before = line[: line.find(address)].lower()
            if address.lower() in own or _DAEMONS.fullmatch(address.split("@")[0].lower()) or _is_theirs(before, lines, number):
                continue
            found.append((number, address, _rank(line, before, line[len(before) + len(address) :])))
    return found


def _is_theirs(before: str, lines: list[str], number: int) -> bool:
    """Say whether what stands before an address says that it is somebody else's."""
    bare = before.rstrip(" <\"'([")
    if bare.endswith(("generated from", "expanded from", "expanded from:")):
        return False  # who was asked for, before the mail was forwarded
    if not bare and number:
        bare = lines[number - 1].lower().rstrip(" <\"'([")
        return bare.endswith(("from", "sender", "contact", "mail from:", "accepting mail from"))
    return bool(_NOT_THEIRS.search(bare[-80:]))


def _rank(line: str, before: str, after: str) -> int:
    if _AT_HEAD.match(before) and _AFTER_HEAD.match(after):
        return 3
    if _LABELLED.match(before) or _THEIRS.search(before[-60:]) or _IN_ANSWER.search(line):
        return 2
    return 1


def _said(lines: list[str], address: str, numbers: set[int], mentions: list[tuple[int, str, int]]) -> str:
    """Return the lines about an address: from each mention of it to the next of another, or to an empty line."""
    about: list[str] = []
    for number in [number for number, known, _ in mentions if known == address][:5]:
        about.append(lines[number])
        for later in range(number + 1, min(number + EXPLANATION, len(lines))):
            if later in numbers or (not lines[later].strip() and (len(about) > 1 or not lines[later - 1].strip())):
                break
            about.append(lines[later])
    return "\n".join(about)


def own_addresses(message: Message, enclosed: Fields) -> frozenset[str]:
    """Return the addresses that are the sender's or the reporter's own, in small letters."""
    fields = [
        *message.fields.every("to", "from", "delivered-to", "sender", "reply-to", "return-path", "cc", "errors-to"),
        *enclosed.every("from", "sender", "return-path", "reply-to", "errors-to"),
    ]
    meant = addresses.found_in(" , ".join(enclosed.every("to")))
    return frozenset(map(str.lower, addresses.found_in(" , ".join(fields)))) - frozenset(map(str.lower, meant))
