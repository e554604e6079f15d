"""Is it whole, plain text in the right language? What a model leaves behind when it slips: scripts, markup, refusals, stumps."""

import re
from collections.abc import Sequence

from newsletter.summarisers.checks.reasons import Reason
from newsletter.text import language_of

MOST_BULLETS = 15
LONGEST_BULLET = 2000  # characters
SHORTEST_SUMMARY = 30  # characters, all bullets

_DASH = re.compile(r"\A\s*(?:[-*•]\s+)?")  # the line of a document may be given as it stands
_KEY = re.compile(
    r"\A\*{1,3}[^*\n]{1,40}(?:\*{1,3}\s*[:：]|[:：]\s?\*{1,3})\s*"
)  # "**What's New**: …": published documents have it
_FONT = re.compile(r"\\(?:text[a-z]{2}|emph|math[a-z]{2})\{([^{}\n]{1,80})\}")
_POINTING = re.compile(r"\[([^\[\]\n]{1,80})\]\(([^()\s]+)\)")
_FOREIGN = re.compile(
    "[\u0400-\u052f\u0530-\u058f\u0590-\u05ff\u0600-\u06ff\u0900-\u0dff\u0e00-\u0eff\u10a0-\u10ff\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff]+"
)
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd]")
_TAGS = "a|b|i|u|p|em|br|hr|h[1-6]|ul|ol|li|div|span|table|tr|td|th|img|sup|sub|pre|code"
_TAGS += "|strong|script|style|font|center|video|iframe|details"
_MARKUP = re.compile(
    rf"</?(?:{_TAGS})(?:\s[^<>]*)?/?>|&(?:amp|lt|gt|quot|nbsp|#\d+);|```|\*\*[^*\n]+\*|__[^_\n]+__|\]\(|^\s*#{{1,6}}\s"
    r"|^\s*[-*•]\s|\\[a-zA-Z]{2,}|\\[%&_#${}()\[\]]|\$[^$\n]{1,80}\$|^\s*\||<\|",
    re.IGNORECASE | re.MULTILINE,
)
_REMNANT = re.compile(
    r"""^\s*[\[{]\s*['"{]|['"]\s*[\]}],?\s*$|["'](?:bullets|summary|text|title|content|key)["']\s*:|\\n|\\u[0-9a-f]{4}""",
    re.IGNORECASE,
)
_LINK = re.compile(r"(?:https?://|www\.)[A-Za-z0-9._~:/?#@!$&*+;=%-]+|(?<!\w)[\w.+-]+@[\w-]+\.[a-z]{2,}", re.IGNORECASE)
_REFUSAL = re.compile(
    r"\b(?:I(?:'m| am)? (?:can(?:no|')t|sorry|unable|not able|apologi[sz]e)|I (?:do not|don't) have (?:access"
    r"|enough)|as an? (?:AI|language model)\b(?=,| I)"
    r"|(?:no|the) (?:abstract|text|content|paper|information) (?:was|is|were"
    r"|has) (?:not )?(?:been )?(?:provided|given|available)\b"
    r"|please (?:provide|share|paste)|could not be summari[sz]ed)"
    r"|죄송(?:합니다|하지만|해요)|(?:초록|논문|본문|내용|텍스트|정보)(?:이|가|은|는)? ?"
    r"(?:제공|주어|입력)되?지? ?(?:않|되어 있지|지지)"
    r"|제공(?:된|해 주신) (?:초록|논문|내용|텍스트)(?:이|가)? ?(?:없|비어)"
    r"|(?:초록|논문|본문)을 제공해|요약할 수 (?:없|있는 내용이)"
    r"|(?:AI|인공지능)(?: 언어)? ?모델로서",
    re.IGNORECASE,
)
_TEMPLATE = re.compile(
    r"\[(?:your|insert|the|여기|내용|제목|논문)\b[^\]]*\]|\[(?:여기|내용|제목)[^\]]*\]|\bhere (?:is|are) (?:the|a|your|three"
    r"|\w+)\b.{0,40}\b(?:summar|bullet)|lorem ipsum"
    r"|^\s*(?:summary|요약|번역|translation|output|answer|json)\s*[:：]|다음은 .{0,30}요약(?:입니다|이에요|한 내용)|<(?:title"
    r"|abstract|bullet)[^>]*>"
    r"|\b(?:bullet point|key point) \d\b|^\s*(?:\.\.\.|…|N/A|TBD|TODO|XXX|없음)\s*\.?$|</?think>|formatting instructions",
    re.IGNORECASE | re.MULTILINE,
)
_END = re.compile(r"[.!?。…:;)\]\"'”’」』%]\s*$")
_STUMP = re.compile(
    r"(?:[,，、(\[{「『“‘/&–—-]|\.\.\.|…)\s*$|(?<![.!?])\b(?:and|or|the|a|an|of|to|in|with|for|by|that|which|및|또는|그리고)\s*$",
    re.IGNORECASE,
)
_ENDS_IN_LINK = re.compile(r"(?:https?://|www\.)\S+$")
_KOREAN_ENDS = "다요죠음임함됨짐움듬줌옴감남봄슴까것점력성과용화법공안개함"  # a headline's noun or a verb's end


def faults(source: str, bullets: Sequence[str], *, language: str, strict: bool) -> list[Reason]:
    """Return what is wrong with the form of a summary; `strict` allows no bold keys, nor the source's own links and TeX."""
    spoken = list(bullets) if strict else [_spoken(source, bullet) for bullet in bullets]
    text = "\n".join(spoken)
    found = [
        _size(spoken),
        _language(text, language),
        _words("script", _foreign(source, text), "The summary has words in a script that the source does not have"),
        _words("control", [repr(each) for each in _CONTROL.findall(text)], "The summary has control characters or broken ones"),
        _words("remnant", _all(_REMNANT, spoken), "The summary has remains of JSON or of a printed list"),
        _words(
            "markup",
            [each for each in _all(_MARKUP, spoken) if strict or not _sources_own(source, each)],
            "The summary has markup, and it must be plain text",
        ),
        _words("link", _links(source, text, strict=strict), "The summary has a link or an address that no summary needs"),
        _words("refusal", _all(_REFUSAL, spoken), "The model refused, or says that it was given nothing"),
        _words("template", _all(_TEMPLATE, bullets), "The summary has text of a template in place of content"),
        _words("truncated", _stumps(spoken, strict=strict), "The summary stops in the middle of a sentence"),
    ]
    return [reason for reason in found if reason]


def _spoken(source: str, bullet: str) -> str:
    """Return a published bullet without its dash and its bold key, and the source's own names and links without their markup."""
    text = _KEY.sub("", _DASH.sub("", bullet, count=1), count=1)
    text = _FONT.sub(lambda found: found[1] if found[1] in source else found[0], text)
    return _POINTING.sub(lambda found: found[0] if found[2].rstrip("/") not in source else f"{found[1]} {found[2]}", text)


def _sources_own(source: str, markup: str) -> bool:
    """Tell TeX that the source has too; what the daily lists leave of it is the macro's name."""
    return markup.startswith(("\\", "$")) and (markup in source or markup.strip("\\$") in source)


def _words(rule: str, words: Sequence[str], sentence: str) -> Reason | None:
    unique = tuple(dict.fromkeys(word.strip() for word in words))
    return Reason(rule, unique, f"{sentence}: {', '.join(f'“{word}”' for word in unique[:3])}.") if unique else None


def _all(pattern: re.Pattern[str], bullets: Sequence[str]) -> list[str]:
    return [found[0][:60] for bullet in bullets for found in pattern.finditer(bullet)]


def too_large(bullets: Sequence[str]) -> Reason | None:
    """Return what is wrong with a summary of too many or too long bullets, None where that is not."""
    if len(bullets) > MOST_BULLETS:
        return Reason("size", (), f"The summary has {len(bullets)} bullets, and {MOST_BULLETS} are the most.")
    if any(len(bullet) > LONGEST_BULLET for bullet in bullets):
        return Reason("size", (), f"A bullet is longer than {LONGEST_BULLET} characters.")
    return None


def _size(bullets: Sequence[str]) -> Reason | None:
    if not bullets or any(not bullet.strip() for bullet in bullets):
        return Reason("size", (), "The summary is empty, or has an empty bullet.")
    if sum(map(len, bullets)) < SHORTEST_SUMMARY:
        return Reason("size", (), "The summary is too short to say anything.")
    return None


def _language(text: str, language: str) -> Reason | None:
    wanted = re.split("[-_]", language.strip().lower(), maxsplit=1)[0]
    if wanted not in {"ko", "en"} or not any(map(str.isalpha, text)) or language_of(text) == wanted:
        return None
    return Reason("language", (), f"The summary is not written in the language asked for ({language}).")


def _foreign(source: str, text: str) -> list[str]:
    return [run for run in _FOREIGN.findall(text) if run not in source]


def _links(source: str, text: str, *, strict: bool) -> list[str]:
    return [link for link in _LINK.findall(text) if strict or link.rstrip(".,;").lower() not in source.lower()]


def _stumps(bullets: Sequence[str], *, strict: bool) -> list[str]:
    """Return the ends of bullets that end nowhere; headlines without a full stop are whole where all are so."""
    filled = [bullet.strip() for bullet in bullets if bullet.strip()]
    headlines = not strict and not any(re.search(r"[.!?。]$", bullet) for bullet in filled)
    return [bullet[-25:] for bullet in filled if not _ended(bullet, headlines=headlines)]


def _ended(bullet: str, *, headlines: bool) -> bool:
    if _ENDS_IN_LINK.search(bullet):
        return True
    if _STUMP.search(bullet) or (bullet.count("(") > bullet.count(")") and not re.search(r"[.!?]$", bullet)):
        return False
    if _END.search(bullet) or bullet[-1] in _KOREAN_ENDS:
        return True
    return headlines and not "가" <= bullet[-1] <= "힣"
