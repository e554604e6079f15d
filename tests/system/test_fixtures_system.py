import smtplib
from email.message import EmailMessage

import pytest


def _send(postfix, to, sender="ari@digest.test"):
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, to, "오늘의 논문"
    message.set_content("Three papers today.")
    with smtplib.SMTP("127.0.0.1", postfix.port, timeout=30) as server:
        server.send_message(message)


def test_postfix_takes_mail_and_shows_it(postfix):
    _send(postfix, "bora+daily@inbox.test")

    (message,) = postfix.messages(to="bora+daily@inbox.test")

    assert message["Subject"] == "오늘의 논문"
    assert message["Return-Path"] == "<ari@digest.test>"


@pytest.mark.parametrize(("name", "code"), [("gone", 550), ("full", 552), ("busy", 450)])
def test_postfix_refuses_as_asked(postfix, name, code):
    with pytest.raises(smtplib.SMTPRecipientsRefused) as caught:
        _send(postfix, f"{name}@inbox.test")

    assert caught.value.recipients[f"{name}@inbox.test"][0] == code


def test_postfix_sends_a_real_bounce(postfix):
    _send(postfix, "gone-later@inbox.test", sender="bounce+7@digest.test")

    (bounce,) = postfix.messages(to="bounce+7@digest.test")

    assert bounce.get_content_type() == "multipart/report"
    assert b"5.1.1" in bounce.as_bytes()


def test_the_browser_shows_a_page_and_runs_its_script(browser):
    page = browser.new_page()
    page.set_content("<h1>오늘의 논문</h1><script>document.title = document.querySelector('h1').textContent</script>")

    assert page.title() == "오늘의 논문"
    page.close()
