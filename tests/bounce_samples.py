"""Reports as mail servers write them, with names of our own."""

TOKEN = "abcdefghij234567abcdefghij"
RETURN_PATH = f"b+{TOKEN}@news.example.com"
LEAVE = "https://news.example.com/u/AAAAaaaaBBBBbbbbCCCCccccDDDDdddd"
ORIGINAL = f"""\
Return-Path: <{RETURN_PATH}>
Message-ID: <m1@news.example.com>
List-Unsubscribe: <{LEAVE}>
Feedback-ID: digest:news
From: Papers <papers@news.example.com>
To: bora@example.org
Subject: Papers of the day
"""


def notice(text, *, subject="Undelivered mail", sender="MAILER-DAEMON@mx.example.org", headers=""):
    """Return a notice in plain text."""
    return f"Return-Path: <>\nFrom: {sender}\nTo: {RETURN_PATH}\nSubject: {subject}\n{headers}\n{text}\n".encode()


def multipart(report_type, *parts, headers=""):
    """Return a multipart/report of (type, text) parts."""
    inner = "".join(f"--=_b\nContent-Type: {kind}\n\n{text}\n" for kind, text in parts)
    head = f"From: Mail Delivery <postmaster@mx.example.org>\nTo: {RETURN_PATH}\nSubject: Report\n{headers}MIME-Version: 1.0\n"
    return f'{head}Content-Type: multipart/report; report-type={report_type}; boundary="=_b"\n\n{inner}--=_b--\n'.encode()


def dsn(*groups, notice="The mail did not arrive.", original=ORIGINAL):
    """Return a report by RFC 3464 on recipients, each a group of fields."""
    fields = "\n\n".join(("Reporting-MTA: dns; mx.example.org", *groups))
    return multipart(
        "delivery-status", ("text/plain", notice), ("message/delivery-status", fields + "\n"), ("text/rfc822-headers", original)
    )


def failed(status, diagnostic, *, action="failed", recipient="bora@example.org"):
    """Return the fields of a recipient."""
    return f"Final-Recipient: rfc822; {recipient}\nAction: {action}\nStatus: {status}\nDiagnostic-Code: smtp; {diagnostic}"


def arf(kind, *fields, original=ORIGINAL):
    """Return a complaint by RFC 5965."""
    lines = "\n".join((f"Feedback-Type: {kind}", "User-Agent: Example/1.0", "Version: 1", *fields))
    return multipart(
        "feedback-report", ("text/plain", "A report."), ("message/feedback-report", lines + "\n"), ("message/rfc822", original)
    )


QMAIL = notice(
    "Hi. This is the qmail-send program at mx.example.org.\nI'm afraid I wasn't able to deliver your message.\n\n"
    "<bora@example.org>:\nSorry, no mailbox here by that name. (#5.1.1)\n\n"
    f"--- Below this line is a copy of the message.\n\n{ORIGINAL}\nHello"
)
EXIM = notice(
    "This message was created automatically by mail delivery software.\n\nA message that you sent could not be delivered.\n\n"
    "  bora@example.org\n    SMTP error from remote mail server after RCPT TO:<bora@example.org>:\n    550 No such user here\n\n"
    f"------ This is a copy of the message, including all the headers. ------\n\n{ORIGINAL}",
    headers="X-Failed-Recipients: bora@example.org\n",
)
POSTFIX = notice(
    "This is the mail system at host mx.example.org.\n\nFor further assistance, please send mail to postmaster.\n\n"
    "<bora@example.org>: host in.example.org[192.0.2.5] said: 550 5.1.1\n    <bora@example.org>: Recipient address rejected: "
    "User unknown in virtual\n    mailbox table (in reply to RCPT TO command)"
)
SENDMAIL = notice(
    "   ----- The following addresses had permanent fatal errors -----\n<bora@example.org>\n\n"
    "   ----- Transcript of session follows -----\n... while talking to in.example.org.:\n>>> RCPT To:<bora@example.org>\n"
    f"<<< 550 <bora@example.org>, User Unknown\n\n   ----- Original message follows -----\n\n{ORIGINAL}",
    subject="Returned mail: User unknown",
)
EXCHANGE = notice(
    "Your message\n\n  To:      bora@example.org\n  Subject: Papers of the day\n  Sent:    Mon, 2 Mar 2026\n\n"
    "did not reach the following recipient(s):\n\nbora@example.org on Mon, 2 Mar 2026\n    The recipient name is not recognized",
    subject="Undeliverable: Papers of the day",
    sender="System Administrator <postmaster@example.org>",
)
DOMINO = notice(
    "Your message\n\n  Subject: Papers\n\nwas not delivered to:\n\n  bora@example.org\n\nbecause:\n\n"
    "  User bora (bora@example.org) not listed in Domino Directory",
    subject="DELIVERY FAILURE: User not listed in Domino Directory",
    sender="Postmaster@example.org",
)
IMAIL = notice("Unknown user: bora@example.org\n\nOriginal message follows.\n\n" + ORIGINAL, subject="Undeliverable Mail")
YAHOO = notice(
    "Message from yahoo.example.\nUnable to deliver message to the following address(es).\n\n"
    "<bora@example.org>:\nThis user doesn't have an example.org account (bora@example.org)\n\n--- Original message follows.\n",
    subject="Delivery failure",
)
GOOGLE = notice(
    "Delivery to the following recipient failed permanently:\n\n     bora@example.org\n\nTechnical details of permanent "
    "failure:\n"
    "The email account that you tried to reach does not exist. Please check the address.\n\n----- Original message -----\n\n"
    + ORIGINAL,
    subject="Delivery Status Notification (Failure)",
)
NAVER = notice(
    "메일이 전송되지 못했습니다.\n\n받는 사람: bora@example.org\n사유: 존재하지 않는 사용자입니다.\n",
    subject="메일 전송 실패 안내",
    sender="postmaster@naver.example",
)
DAUM = notice(
    "다음 수신자에게 메일이 배달되지 않았습니다.\n\n<bora@example.org>: 수신자의 편지함 용량이 초과되었습니다.\n",
    subject="배달 실패",
    sender="mailer-daemon@daum.example",
)
