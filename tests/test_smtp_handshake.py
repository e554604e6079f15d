import pytest

from newsletter.errors import RelayUnavailable
from newsletter.mail.smtp import Relay
from newsletter.mail.smtp.handshake import SECURE, Offer, introduce, read_offer

EHLO = b"mail.example.net\r\nSIZE 1000000\r\n8BITMIME\r\nPIPELINING\r\nAUTH LOGIN PLAIN\r\nSMTPUTF8\r"


def speak(relay, *said):
    """Return what is sent at each step when the server says this, and what came of it."""
    steps, sent = introduce(relay, "me.example.net"), []
    ask = next(steps)
    try:
        for reply in said:
            ask = steps.send(reply)
            sent.append(ask if ask is SECURE else ask.line)
    except StopIteration as done:
        return sent, done.value
    raise AssertionError(f"the conversation goes on after {sent}")


def test_what_a_server_offers_is_read_from_its_own_words():
    assert read_offer(EHLO) == Offer(True, 1_000_000, True, True, False, frozenset({"LOGIN", "PLAIN"}))
    assert read_offer(b"x\nsize\nstarttls\nauth=plain\n\n") == Offer(size=0, starttls=True, mechanisms=frozenset({"PLAIN"}))
    assert read_offer(b"PIPELINING\nSIZE many") == Offer(size=0)


def test_an_old_server_is_greeted_with_helo_and_offers_nothing():
    sent, offer = speak(Relay("mail.example.net", security="none"), (220, b"hi"), (502, b"what"), (250, b"fine\nPIPELINING"))

    assert sent == [b"EHLO me.example.net\r\n", b"HELO me.example.net\r\n"]
    assert offer == Offer()


def test_after_tls_everything_is_asked_again():
    sent, offer = speak(
        Relay("mail.example.net"), (220, b"hi"), (250, b"x\nSTARTTLS\nSIZE 1"), (220, b"go"), (0, b""), (250, b"x\nPIPELINING")
    )

    assert sent == [b"EHLO me.example.net\r\n", b"STARTTLS\r\n", SECURE, b"EHLO me.example.net\r\n"]
    assert offer == Offer(pipelining=True)


LOGIN = Relay("mail.example.net", username="ari", password="secret", security="none")
PLAIN = b"AGFyaQBzZWNyZXQ=\r\n"
NAME_AND_PASSWORD = (b"YXJp\r\n", b"c2VjcmV0\r\n")
MORE, WELCOME = (334, b"VXNlcm5hbWU6"), (235, b"welcome")


@pytest.mark.parametrize(
    ("mechanisms", "said", "sent"),
    [
        (b"LOGIN PLAIN", [WELCOME], [b"AUTH PLAIN " + PLAIN]),
        (b"PLAIN", [MORE, WELCOME], [b"AUTH PLAIN " + PLAIN, PLAIN]),
        (b"LOGIN", [MORE, MORE, WELCOME], [b"AUTH LOGIN\r\n", *NAME_AND_PASSWORD]),
        (
            b"PLAIN LOGIN",
            [(504, b"not that"), MORE, MORE, WELCOME],
            [b"AUTH PLAIN " + PLAIN, b"AUTH LOGIN\r\n", *NAME_AND_PASSWORD],
        ),
    ],
)
def test_the_server_is_given_the_password_as_it_asks_for_it(mechanisms, said, sent):
    spoken, _ = speak(LOGIN, (220, b"hi"), (250, b"x\nAUTH " + mechanisms), *said)

    assert spoken[1:] == sent


@pytest.mark.parametrize(
    ("relay", "said", "phase", "code"),
    [
        (LOGIN, [(421, b"4.3.2 away")], "greeting", 421),
        (LOGIN, [(554, b"listed")], "greeting", 554),
        (LOGIN, [(220, b"hi"), (421, b"away")], "helo", 421),
        (LOGIN, [(220, b"hi"), (502, b"what"), (550, b"no")], "helo", 550),
        (LOGIN, [(220, b"hi"), (250, b"x")], "auth", 0),
        (LOGIN, [(220, b"hi"), (250, b"x\nAUTH PLAIN LOGIN"), (535, b"5.7.8 wrong")], "auth", 535),
        (LOGIN, [(220, b"hi"), (250, b"x\nAUTH LOGIN"), (334, b""), (334, b""), (334, b"again?")], "auth", 334),
        (Relay("x"), [(220, b"hi"), (250, b"x")], "tls", 0),
        (Relay("x"), [(220, b"hi"), (250, b"x\nSTARTTLS"), (454, b"not now")], "tls", 454),
    ],
)
def test_a_refusal_before_the_first_message_is_about_the_relay(relay, said, phase, code):
    with pytest.raises(RelayUnavailable) as caught:
        speak(relay, *said)

    assert (caught.value.reply.phase, caught.value.reply.code) == (phase, code)
