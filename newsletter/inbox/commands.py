"""What a mail asks for, in English or Korean: a line that says it and nothing else, in the subject or at the head of the text.

A word somewhere in a letter is no command: who writes "I told a friend to subscribe" wants to be read by a person. Pure.
"""

import re
import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum

LINE_LIMIT = 120  # characters of a command
LETTER = 200  # characters: who writes more than this beside a command's line wrote a letter


class Verb(StrEnum):
    """What is asked for."""

    SUBSCRIBE = "subscribe"
    UNSUBSCRIBE = "unsubscribe"
    HELP = "help"


@dataclass(frozen=True)
class Command:
    """What is asked for, of which newsletter, and in which language."""

    verb: Verb
    slug: str = ""  # as it is named in the line; "" where none is
    language: str = "en"


_POLITE = r"(?:please|pls|plz|kindly|thanks|thank you|thx|hi|hello|hey|sir|madam|team|all|now|immediately|asap)"
_WISH = r"(?:i(?: d| would|) (?:want|like|wish|need) to|(?:can|could|would|will) you|just)"
_LIST = (
    r"(?:(?:from|to|for) )?(?:(?:this|the|your|my|all|any) )*(?:mailing |email )?"
    r"(?:lists?|newsletters?|digests?|emails?|e-mails?|mails?|mailings?|updates?)"
)
_OFF = (
    r"unsubscribe(?: me)?|stop(?: it)?|remove(?: me)?|opt[ -]?out|sign ?off|cancel(?: (?:my )?subscription)?|leave|quit|"
    r"take me off|stop (?:sending|emailing|mailing)(?: me)?"
)
_ON = r"subscribe(?: me)?|join|sign ?up|sign me up"
_ENGLISH = {
    Verb.UNSUBSCRIBE: re.compile(rf"(?:{_POLITE} |{_WISH} )*(?:{_OFF})(?: {_LIST})?(?: {_POLITE})*"),
    Verb.SUBSCRIBE: re.compile(rf"(?:{_POLITE} |{_WISH} )*(?:{_ON})(?: {_LIST})?(?: {_POLITE})*"),
    Verb.HELP: re.compile(
        rf"(?:{_POLITE} )*(?:help(?: me)?|info|commands?|how (?:do|can|to) ?(?:i )?(?:{_OFF}|{_ON})(?: {_LIST})?)(?: {_POLITE})*"
    ),
}
# Korean is written with or without spaces, so it is read without any.
_BEFORE = r"(?:안녕하세요|저는|저를|저도|제|이제|혹시|그만|이|이메일|메일|뉴스레터|소식지|을|를)*"
_AFTER = (
    r"(?:을|를|은|이)?(?:신청|요청|처리|희망|부탁)*(?:을|를)?"
    r"(?:해주세요|해주십시오|해주시기바랍니다|해줘요|해줘|하고싶습니다|하고싶어요|하겠습니다|하기|할게요|할래요|합니다|해요|드립니다|"
    r"드려요|드릴게요|바랍니다|바라요|원합니다|원해요|입니다|이요|요|좀|시켜주세요|받고싶어요|받고싶습니다|받을게요|받겠습니다)*"
    r"(?:감사합니다|고맙습니다|고마워요)?"
)
_KOREAN = {
    Verb.UNSUBSCRIBE: re.compile(
        rf"{_BEFORE}(?:구독(?:을)?(?:해지|취소|중단|중지|철회|그만)|수신(?:을)?(?:거부|해지|차단|중단)|해지|탈퇴|"
        rf"그만구독|그만보내주세요|보내지마세요|그만받을게요|그만받고싶어요){_AFTER}"
    ),
    Verb.SUBSCRIBE: re.compile(rf"{_BEFORE}(?:구독신청|구독|가입){_AFTER}"),
    Verb.HELP: re.compile(rf"{_BEFORE}(?:도움말|도움|도와주세요|사용법|안내){_AFTER}"),
}
_HANGUL = re.compile("[\uac00-\ud7a3]")
_NOT_A_WORD = re.compile(r"[^\w\s-]|_")
_ANSWER = re.compile(r"(?:(?:re|aw|sv|antw|답장|회신)\s*(?:\[\d+\])?\s*[:\uff1a]\s*|\[[^\]]{1,80}\]\s*)+", re.IGNORECASE)
_GREETING = re.compile(r"(?:hi|hello|hey|dear|good (?:morning|day|evening))(?: \w+){0,3}|안녕하세요|안녕하십니까")
_QUOTED = re.compile(r"\s*[>|\uff5c]")
_END = re.compile(
    r"--\s*$|-{2,}\s*(?:original|forwarded|원본|전달|begin)|_{10,}|sent from my\b|(?:내|나의) .{1,30}에서 보냄|"
    r".{0,200}(?:님이|에서).{0,80}(?:작성|쓴 글|썼습니다|보냄)\s*:?\s*$|(?:from|보낸 ?사람|보낸이)\s*:|.{0,300}\bwrote\s*:\s*$",
    re.IGNORECASE,
)
_ATTRIBUTION = re.compile(r"on\b.{0,300}(?:\d|@)", re.IGNORECASE)  # its "wrote:" may stand on a later line
_WROTE = re.compile(r".{0,300}\bwrote\s*:\s*$", re.IGNORECASE)


def command_of(subject: str, text: str, slugs: Collection[str]) -> Command | None:
    """Return the command that a mail is; None for a letter. `slugs` are the newsletters that it may name."""
    own = list(_own_lines(text))
    letter = sum(map(len, own)) > LETTER
    by_subject = _in_line(_ANSWER.sub("", subject.strip(), count=1), slugs)
    if by_subject and not (letter and by_subject.verb is Verb.HELP):
        return by_subject
    own = own[1:] if len(own) > 1 and _GREETING.fullmatch(_plain(own[0])) else own
    return None if letter or not own else _in_line(own[0], slugs)


def _own_lines(text: str) -> Iterator[str]:
    """Yield the lines the writer wrote: nothing quoted, no signature, no blank lines."""
    lines = text.split("\n")
    for position, line in enumerate(lines):
        following = lines[position + 1 : position + 3]
        if _END.match(line) or (_ATTRIBUTION.match(line) and any(map(_WROTE.match, following))):
            return
        if line.strip() and not _QUOTED.match(line):
            yield line.strip()


def _in_line(line: str, slugs: Collection[str]) -> Command | None:
    """Return the command that a line is, with a newsletter's slug in it or without."""
    plain = _plain(line)
    if len(plain) > LINE_LIMIT:
        return None
    if verb := _verb(plain):
        return _command(verb, plain)
    words = plain.split()
    for slug in slugs:
        if slug in words and (verb := _verb(" ".join(word for word in words if word not in {slug, "from", "to"}))):
            return _command(verb, plain, slug)
    return None


def _command(verb: Verb, plain: str, slug: str = "") -> Command:
    return Command(verb, slug, "ko" if _HANGUL.search(plain) else "en")


def _verb(plain: str) -> Verb | None:
    korean = _HANGUL.search(plain) is not None
    patterns, line = (_KOREAN, plain.replace(" ", "")) if korean else (_ENGLISH, plain)
    return next((verb for verb, pattern in patterns.items() if pattern.fullmatch(line)), None)


def _plain(line: str) -> str:
    """Return the words of a line in small letters, without what stands between them."""
    return " ".join(_NOT_A_WORD.sub(" ", unicodedata.normalize("NFKC", line[: LINE_LIMIT * 4]).casefold()).split())
