"""The words in which servers say why: each table finds one meaning, in small letters with single spaces.

Every expression is bounded, so that the time is that of the text's length: what repeats says how often at most.
"""

import re


def _any_of(*expressions: str) -> re.Pattern[str]:
    return re.compile("|".join(expressions))


_BOX = r"(?:mail ?box|mail ?folder|inbox|in-box|account|mail ?drop|post ?box)"
_STORE = r"(?:mailbox|inbox|account|storage|message store|mail store)"
_BOUND = r"(?:size|limit|maximum|quota|capacity|storage|allocation)"
_SOMEBODY = (
    r"(?:users?|recipients?|mailbox|accounts?|address(?:es)?|addressee|alias|e-?mail|mail ?drop|local[- ]part|login|userid|"
    r"username|name"
    r"|destination|customer|subscriber|person|rcpt)"
)
_THEIR = r"(?: \S{1,80}){0,2}?"  # the address, or a word or two, between who and what
_IS = r"(?:is |are |was |were |has been |have been |: ?|- ?)?"
_NOT_KNOWN = (
    r"(?:unknown|not known|not found|not exist|does ?n[o']t exist|do ?n[o']t exist|does not exist|did not exist|"
    r"do not exist|invalid"
    r"|not valid|non-?existent|not recogni[sz]ed|unrecogni[sz]ed|not listed|no longer exists?|couldn't be found|"
    r"could not be found"
    r"|wasn't found|cannot be found|isn't (?:valid|known))"
)
_CANNOT = r"(?:does not|doesn't|do not|don't|did not|didn't|cannot|can't|could not|couldn't|no longer|not|unable to)"
_DOMAIN = r"(?:host|domain|hostname|mail ?host|mail ?domain|server)(?: name)?s?"

FULL = _any_of(
    rf"{_BOX}(?: \S{{1,80}})?(?: is| was| has become| are)? (?:currently )?(?:too )?full\b",
    rf"full {_BOX}|mailbox_?full|mbxfull|over ?quota|quota_?exceeded|disk full|no space left|would exceed|(?:too|"
    rf"so) many messages (?:in|on)",
    r"over[ -](?:the |their |its |his )?(?:disk |storage |mail )?(?:quota|limit|allocation)",
    r"\bquota\b.{0,40}\b(?:exceed|full|reached|violation|limit|over)",
    r"(?:exceed|reach|over|above|out of|hit|beyond)\w*\b.{0,60}\bquota\b",
    r"(?:out of|insufficient|not enough|exceed\w*|no|lack of|over|low on)(?: \w+){0,4} (?:storage|disk|space)\b|mail ?box space",
    r"(?:storage|space) (?:limit|allocation|exceed|is full)|mailbox size|recipient storage",
    rf"(?:exceed\w*|reached|over|above)(?: \w+){{0,4}} {_STORE}(?: \w+){{0,2}} {_BOUND}",
    rf"{_STORE}(?: \w+){{0,4}} (?:exceed\w*|reached|over|at)(?: \w+){{0,4}} {_BOUND}",
    r"(?:용량|한도|할당량|저장\s?공간)[^.]{0,20}(?:초과|부족|가득|꽉)|(?:편지함|메일함|사서함|우편함)[^.]{0,20}(?:가득|"
    r"초과|꽉|full)",
    r"メールボックス[^。]{0,20}(?:一杯|いっぱい|満|超)|容量[^。]{0,20}超|[邮郵]箱已[满滿]|空间不足",
    r"speicherplatz|postfach (?:ist )?voll|bo[iî]te[^.]{0,30}pleine|buz[oó]n[^.]{0,20}lleno|casella[^.]{0,20}piena",
    r"caixa[^.]{0,20}(?:cheia|lotada)|переполнен",
)
GONE = _any_of(
    rf"\b{_SOMEBODY}{_THEIR} {_IS}{_NOT_KNOWN}\b",
    r"\b(?:unknown|no such|invalid|unrecogni[sz]ed|non-?existent|non-?existing|bad|illegal|undefined|unknown or illegal|"
    r"undeliverable)"
    rf"(?: local| virtual| mail| e-?mail| destination| recipient'?s?| rcpt| final| internet| delivery){{0,2}} {_SOMEBODY}\b",
    r"\b(?:user_?unknown|unknown_?user|recipient_?unknown|unknown_?recipient|no_?such_?user|recip(?:ient)?notfound|"
    r"mailboxnotfound)\b",
    r"does( not|n't) (?:appear to )?exist|\bresolver\.adr\.",
    r"(?:isn't|is not|are not|not) (?:an? )?(?:valid|known|existing|active|correct|legal)(?: \w+){0,2} "
    r"(?:user|recipient|mailbox|account|address|alias|name)",
    rf"{_CANNOT} (?:have|has|find|locate|match|contain|recogni[sz]e)(?: \w+){{0,2}} "
    r"(?:an? |any |your |this |the |that |such )?(?:\S{1,60} )?(?:user|account|mailbox|recipient|address|entry)\b",
    r"no (?:such )?(?:mailbox|mail box|account|user|recipient|one|person|address|matche?s?)\b"
    r".{0,30}\b(?:here|name|found|query|by that|with that|exists?|server|system|known)",
    r"no such (?:local )?(?:user|mailbox|address|account|recipient|person)|user not (?:local|here|found|known|exist)",
    r"not (?:listed )?(?:found )?in (?:the )?(?:public |domino |company )?(?:name (?:&|and) address|address book|directory|"
    r"nab\b)",
    r"not (?:one of )?(?:our|a) (?:customer|user|member|subscriber)|not known here|is not known|unknown address|550 unknown",
    r"recipient (?:is )?not on (?:this|the) server|(?:destination|bad) mailbox address|bad destination|\bbad address\b",
    r"unknown (?:to|at) (?:this|our|the) (?:system|server|host|site|domain)|address (?:is )?(?:unknown|undeliverable|"
    r"unrouteable)",
    r"unroute?able address|undeliverable address|address rejected: (?:undeliverable|access denied)|invalid final delivery|"
    r"550 (?:\S+ )?invalid",
    r"no longer (?:available|valid|in (?:use|service|operation)|active|exists?|work\w+|employed|with |here|at |an? |ha(?:s|ve)|"
    r"receiv|belong|monitored|used|supported|on (?:this|the) server)",
    r"has (?:left|moved)\b|(?:user|recipient|account) (?:has )?moved|address has changed|\bretired\b",
    r"(?:account|mailbox|user|address|recipient|e-?mail)(?: \S{1,80})? ?(?:\w+ ){0,4}"
    r"(?:closed|deleted|removed|cancell?ed|discontinued|terminated|abandoned|expired|de-?activated)|is a deactivated mailbox",
    r"have an? \S{1,40} ?account|this user doesn",
    r"mail ?box (?:is )?(?:unavailable|not available|not found|does not)|requested action not taken: mailbox|no mailbox",
    r"존재하지\s?않|존재하지는\s?않|없는\s?(?:사용자|아이디|계정|메일|주소|수신자|id)|탈퇴|휴면|해지된|잘못된\s?(?:주소|"
    r"메일|수신)",
    r"(?:사용자|수신자|계정|아이디|주소)[가를이은는]?\s?(?:없|찾을 수 없|존재하지)|알\s?수\s?없는\s?(?:사용자|수신자)",
    r"存在しません|見つかりません|宛先不明|不存在|找不到",
    r"(?:utente|usuario|usu[aá]rio|utilisateur|benutzer|empf[aä]nger|adresse|destinat[aá]rio)[^.]{0,40}"
    r"(?:sconosciut|desconocid|desconhecid|inconnu|unbekannt|inesistente|inexistente|no existe|n'existe|n[aã]o existe|"
    r"existiert nicht)",
    r"(?:unbekannt|inconnu|desconocid|no existe|n'existe pas|n[aã]o existe|sconosciut)[^.]{0,40}"
    r"(?:utente|usuario|utilisateur|benutzer|empf[aä]nger|adresse|destinat)|не существует|не найден|неизвестн",
)
NO_DOMAIN = _any_of(
    rf"{_DOMAIN}{_THEIR} {_IS}{_NOT_KNOWN}\b",
    r"(?:unknown|no such|invalid|bad|non-?existent|illegal|unresolvable) (?:\w+ )?(?:host|domain|hostname|mail ?host|"
    r"mail ?domain)",
    r"nxdomain|name or service not known|no address associated|illegal host|host/domain name|unrouteable mail domain|"
    r"not a valid domain",
    rf"{_CANNOT} (?:find|resolve|locate) (?:any |the |an? )?(?:\w+ )?(?:host|domain|mail exchange|mx)",
    r"no (?:valid |usable )?(?:mx|mail exchange)|null ?mx|domain (?:does not|doesn't|that doesn't) (?:accept|receive)",
    r"(?:does not|doesn't) accept (?:any )?e?-?mail(?! from)|no mail (?:is )?accepted here|domain (?:has )?expired",
)
LATER = _any_of(
    r"temporar|transient|try(?:ing)? again|again later|tr(?:y|ied) later|timed? ?out|time-?out|time limit|\bretr(?:y|"
    r"ies)\b|gr[ea]y-?list",
    r"connection (?:was )?(?:refused|reset|lost|dropped|timed|failed)|too many connections|\bbusy\b",
    r"not (?:respond|reachable|been collected)|no(?:t| answer| response)? (?:answer|respon)|unreachable|"
    r"did not accept our requests",
    r"(?:host|server|network|system) (?:is |was )?(?:down|not (?:up|available)|unavailable)|resources? (?:temporar|unavail)",
    r"service (?:is )?(?:not available|unavailable)",
    r"(?:queue|hold|message|delivery|warning) (?:\w+ ){0,3}(?:expired|too long|time)|expired|too (?:old|long in)|suspended|"
    r"allowed queue",
    r"(?:within|for(?: more than)?|after|aborted after) [\d.]{1,6} (?:day|hour)",
    r"(?:couldn't|could not|unable to|cannot|can't) connect|connect(?:ion)? (?:attempt )?(?:to \S{1,100} )?fail",
    r"(?:maximum|too many) (?:delivery attempts|retries|hops)|exceeded maximum|failed \d+ attempts|mail loop|looping|"
    r"loop detected",
    r"loops back|loop count|hop count|i/o error|internal (?:server )?error|system (?:error|failure)|"
    r"local (?:configuration )?error",
    r"out of memory|rate (?:is )?(?:exceed|limit)|receiving (?:mail|messages) (?:at a rate|too)|command died",
    r"일시적|잠시 후|나중에 다시|응답이 없|연결할 수 없|시간 초과|一時的|временно|zeitüberschreitung|vor[uü]bergehend|temporaire",
)
DISABLED = _any_of(
    r"(?:account|mailbox|user|address|recipient|e-?mail)(?: \S{1,80})? ?(?:is |was |has been |have been |\w+ ){0,3}"
    r"(?:disabled|inactive|not active|inactivated|suspended|locked|frozen|dormant)",
    r"(?:disabled|inactive|inactivated|suspended|dormant) (?:\w+ )?(?:account|mailbox|user|recipient|address)",
    r"not an active (?:user|account|address)",
)
ABOUT_US = _any_of(
    r"\bspam|\bspf\b|\bdkim\b|dmarc|\brbl\b|dnsbl|\b[rdu]?bls?\b|spamhaus|spamcop|barracuda|reputation|senderscore|"
    r"unsolicited|phish",
    r"(?:black|block|deny) ?-?list|blocked|\bblock\b|\bjunk\b|\bbulk\b|virus|malware|infected|\babuse|suspicious|mailmarshal",
    r"polic(?:y|ies)|prohibit|not permitted|not allowed|disallow|(?:not |un)authori[sz]ed|unauthenticated|authenticat|forbidden",
    r"must be encrypted|starttls|access denied|permission denied|\bdenied\b|administrative|security|restrict|banned",
    r"relay(?:ing)?(?: \w+){0,3} (?:denied|not|prohibit|refused|access|deny|attempt)|we do(?: not|n't) relay|"
    r"not a (?:relay|gateway)",
    r"(?:unable|not|cannot|can't|denied|won't|don't|no|prohibit\w*|deny|refuse\w*) (?:\w+ )?(?:to )?relay|isn't in my list|"
    r"rcpthosts",
    r"sender (?:address |domain |verify |verification |ip |host )?(?:\S{1,80} )?"
    r"(?:rejected|denied|failed|blocked|unknown|refused|invalid|is not|not|verif|does not)",
    r"(?:invalid|unknown|bad|forged|unverified|unacceptable) (?:\w+ )?sender|reverse dns|\bptr\b|\brdns\b|client host|helo|"
    r"callback",
    r"your (?:ip|host|server|domain|address)\b|\bfrom your\b|not accept(?:ing)? mail from|bad (?:header|content)|"
    r"headers? (?:error|missing)",
    r"(?:content|message|mail|e-?mail|attachment|body|subject)s?(?: \S{1,30}){0,2}? (?:was |is |has been |were )?"
    r"(?:rejected|refused|denied|filtered|blocked|contains|not accepted|classified)",
    r"content (?:filter|reject|polic)|rejected (?:by|due|because|for)|urls? (?:in|found)|e-?mail preferences of",
    r"스팸|차단|거부|정책|垃圾|迷惑|拒否|拒绝|спам",
)
TOO_BIG = _any_of(
    r"(?:message|mail|e-?mail|content|attachment|data|file)s?(?: \S{1,30}){0,2}? ?(?:size |is |was |length |are )?(?:\w+ )?"
    r"(?:too (?:big|large|long)|exceed\w*(?: \w+){0,3} (?:size|limit|maximum|length)|larger than)",
    r"(?:size|length)(?: \w+){0,2} exceed|exceed\w*(?: \w+){0,5} (?:message|mail) size|(?:size|length) limit",
    r"max(?:imum)? (?:message |mail )?size|too (?:big|large) (?:message|mail|for)|message size|용량이 너무",
)
