"""What kind of mail a message is, before anybody is looked for in it: a report, an automatic answer, or mail."""

import re

from newsletter.bounces.reading import addresses
from newsletter.bounces.reading.fields import main_value, parameter, words
from newsletter.bounces.reading.parts import Message

_DAEMON = re.compile(
    r"mailer-?d[ae]+mon|post[-_]?master|mail-?daemon|mdaemon|daemon|mail delivery|mail administrator|mail admin|mail system|"
    r"maildelivery|mailerdaemon|smtp gateway|mail gateway"
    r"|message handling|system administrator|delivery (sub)?system|network administrator|e?mail server|mail ?router|"
    r"auto(mated|matic) (mail|delivery)|bounces?@|메일\s?관리자|메일\s?시스템"
)
_SUBJECT = re.compile(
    r"undeliver|non-?deliver|not deliver|(un)?deliverable|could ?n[o']t (be )?deliver|delivery (status|fail|error|problem|"
    r"report|notif|has failed|delay|incomplete|unsuccessful)|fail(ed|ure) (delivery|notice|mail|to deliver|notification)"
    r"|return(ed|ing) (mail|message|to sender|e-?mail)|mail (delivery|error|system error|failure|failed|not delivered|"
    r"could not)|delayed (mail|message|delivery)|deliver(y|ing) (your )?(message|mail)?.{0,20}(fail|delay)"
    r"|message (status|delivery|not delivered|undeliver|could not|you sent|delayed)|warning: (message|could)|bounce|"
    r"rejected|unknown (user|recipient|address)|user unknown|(e-?mail|mail) (address )?(not|un)\s?(found|known|valid)|"
    r"nondeliverable|automatically rejected|unzustellbar|non remis|no entregad|não entregue|mancato recapito|"
    r"nicht zugestellt|échec de"
    r"|반송|전송\s?실패|발송\s?실패|배달\s?실패|전달\s?실패|전달되지|수신\s?불가|返信|退信|配信(エラー|不能)|送信(エラー|"
    r"できません)|не доставлен|недоставлен|delivery (to|of)|mail block|failed mail"
)
_ANSWER_SUBJECT = re.compile(
    r"out of (the )?office|auto(matic|mated)?[ -]?(re(ply|sponse|sponder)|answer)|vacation|\bon holiday|away from|abwesen|"
    r"absence|ausente|fuera de|부재중|자동\s?(응답|회신|답장)|휴가|不在|自動(返信|応答)|自动回复|ooo\b"
    r"|thank you for (your|contact)|we (have )?received your|ticket|confirm|verif|challenge|read:|gelesen|lu\s?:|수신확인|읽음"
)
_FAILED = re.compile(
    r"(could|can|was|were|been|is|did) ?n[o']t (be |been |yet been )?(deliver|reach|sen[dt]|receive)|cannot be delivered|"
    r"undeliver|unable to deliver"
    r"|deliver(y|ed)? [^.]{0,60}fail|fail(ed|ure) [^.]{0,60}deliver|has been returned|returned (to|because)|"
    r"following address|delivery error"
    r"|permanent (fatal )?(error|failure)|rejected|전달되지|배달되지|전송되지|발송되지|反送|送信できません|无法发送|退回"
)
_LAST_WORDS = re.compile(
    r"will continue (to try|attempting|trying)|(attempts|try|trying) (will continue|again for|to deliver)|"
    r"not yet been (delivered|possible)|has been delayed|is delayed|been delayed|warning message only|just a warning|"
    r"will be (retried|tried|reattempted)"
    r"|still (being|trying|attempting|in the queue|queued)|no action is required|you do not need to (resend|take)|"
    r"delivery (will be|is being) (re)?(tried|attempted)|will keep trying|(?<!no )further (delivery )?attempts will|"
    r"do not need to resend|not resend|계속 (시도|재시도)|배달이 지연|전송이 지연"
)
_DELAYED = re.compile(r"\bdelayed\b|\bdelay\b|warning: (message|could not)|지연")
_GOOD_NEWS = re.compile(
    r"(was|were|has been|have been) (successfully (delivered|relayed|received)|relayed successfully|"
    r"delivered (successfully|to the following|to the recipient|to mailbox))|successfully (delivered|relayed)|"
    r"successful mail delivery|your message was (read|displayed)|return receipt|성공적으로"
)


def is_disposition(message: Message) -> bool:
    """Say whether the message tells that mail was opened or thrown away (RFC 8098): no report on its delivery."""
    stated = message.fields.get("content-type")
    disposition = parameter(stated, "report-type").lower() == "disposition-notification"
    return disposition and not _SUBJECT.search(subject(message))  # a filter that rejects says so in this form, too


def looks_like_report(message: Message, text: str) -> bool:
    """Say whether a message without a report for machines says all the same that mail did not arrive."""
    fields = message.fields
    if fields.get("x-failed-recipients") or message.type == "multipart/report" or fields.get("x-actual-recipient"):
        return True
    if _SUBJECT.search(subject(message)):
        return _is_of_a_server(message) or not (fields.get("in-reply-to") or _is_marked_answer(message))
    if _is_of_a_server(message):
        return not _is_marked_answer(message)
    # People's vacation programs send from nobody, too: theirs are told by what they do not say.
    answers = is_automatic(message) or main_value(fields.get("auto-submitted")).startswith("auto-replied")
    return _is_null(fields.get("return-path")) and says_failed(message, text) and not answers


def _is_of_a_server(message: Message) -> bool:
    """Say whether the sender's name is that of a mail system."""
    fields = message.fields
    sender = words(fields.get("from")).lower()
    return (
        "<>" in sender
        or bool(_DAEMON.search(sender))
        or "mailer-daemon" in " ".join(fields.every("sender", "return-path")).lower()
    )


def _is_null(path: str) -> bool:
    return path.replace(" ", "") == "<>"


def says_failed(message: Message, text: str) -> bool:
    """Say whether subject or text tell in so many words that mail did not arrive."""
    return bool(_SUBJECT.search(subject(message)) or _FAILED.search(_plain(text)))


def is_automatic(message: Message) -> bool:
    """Say whether the message answers by itself (RFC 3834): an absence, a receipt, a question whether we are human."""
    return _is_marked_answer(message) or _is_answer(message)


def _is_marked_answer(message: Message) -> bool:
    fields = message.fields
    marked = fields.every("x-autoreply", "x-autorespond", "x-autoresponder", "x-auto-response-suppress-reply", "x-vacation")
    replied = main_value(fields.get("auto-submitted")).startswith("auto-replied") and bool(fields.get("in-reply-to"))
    return bool(marked) or replied or fields.get("precedence").strip().lower() == "auto_reply" or _is_answer(message)


def _is_answer(message: Message) -> bool:
    return bool(_ANSWER_SUBJECT.search(subject(message))) and not _SUBJECT.search(subject(message))


def subject(message: Message) -> str:
    """Return the subject in small letters."""
    return words(message.fields.get("subject")).lower()


def is_still_trying(message: Message, text: str) -> bool:
    """Say whether a notice tells of a delay: the mail may still arrive."""
    return bool(_LAST_WORDS.search(_plain(text)) or _LAST_WORDS.search(subject(message)) or _DELAYED.search(subject(message)))


def is_good_news(message: Message, text: str) -> bool:
    """Say whether a notice tells that the mail was delivered."""
    return bool(_GOOD_NEWS.search(_plain(text)) or _GOOD_NEWS.search(subject(message)))


def _plain(text: str) -> str:
    return " ".join(text[:20_000].lower().split())


def failed_recipients(message: Message) -> list[str]:
    """Return whom Exim and Google name in a field of the header."""
    return addresses.found_in(" , ".join(message.fields.every("x-failed-recipients", "x-actual-recipient")))
