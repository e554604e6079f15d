import os
import re
import signal
from dataclasses import dataclass, replace

import pytest
from smtp_servers import DROP, HANG, IDLE, FaultyServer
from smtp_talk import AT_ONCE, MESSAGE, SOON, fails, talking

from newsletter.errors import AnswerLost, BadAddress, BadInput, Deferred, Refused, RelayUnavailable
from newsletter.mail.transports import Files, Relay, Smtp


def test_a_message_goes_out_and_the_reply_comes_back():
    with talking() as (server, smtp):
        reply = smtp.send(MESSAGE)

    assert (reply.code, reply.enhanced, reply.text, reply.phase) == (250, "2.0.0", "taken", "dot")
    assert server.contents == [MESSAGE.content]
    assert server.commands == [
        "ehlo me.example.net",
        f"MAIL FROM:<bounce+1@news.example.net> SIZE={len(MESSAGE.content)}",
        "RCPT TO:<ari@example.org>",
        "DATA",
        "QUIT",
    ]


def test_one_connection_carries_many_messages():
    with talking() as (server, smtp):
        for _ in range(3):
            smtp.send(MESSAGE)

    assert (server.connections, len(server.contents)) == (1, 3)
    assert "RSET" not in server.commands


def test_a_connection_carries_no_more_messages_than_it_should():
    with talking(messages_per_connection=2) as (server, smtp):
        for _ in range(5):
            smtp.send(MESSAGE)

    assert (server.connections, len(server.contents), server.commands.count("QUIT")) == (3, 5, 3)


@pytest.mark.parametrize(
    ("faults", "phase", "code"),
    [
        ({"GREETING": "421 4.3.2 away"}, "greeting", 421),
        ({"GREETING": "554 5.7.1 your address is listed"}, "greeting", 554),
        ({"GREETING": DROP}, "greeting", 0),
        ({"GREETING": "good morning"}, "greeting", 0),
        ({"EHLO": "421 4.3.2 away"}, "helo", 421),
        ({"EHLO": "451 later"}, "helo", 451),
        ({"EHLO": DROP}, "helo", 0),
        ({"EHLO": "502 what", "HELO": "550 5.7.1 no"}, "helo", 550),
        ({"MAIL": "421 4.7.0 slow down"}, "mail", 421),
        ({"MAIL": "550 5.7.515 not authenticated"}, "mail", 550),
        ({"MAIL": "451 4.3.0 later"}, "mail", 451),
        ({"MAIL": DROP}, "mail", 0),
    ],
)
def test_a_refusal_up_to_the_sender_is_about_the_relay(faults, phase, code):
    fails(RelayUnavailable, phase, faults, code)


@pytest.mark.parametrize(
    ("error", "phase", "faults", "enhanced"),
    [
        (Refused, "rcpt", {"RCPT": "550 5.1.1 nobody here"}, "5.1.1"),
        (Refused, "rcpt", {"RCPT": "550 nobody here"}, ""),
        (Deferred, "rcpt", {"RCPT": "450 4.7.1 greylisted"}, "4.7.1"),
        (Deferred, "rcpt", {"RCPT": "452 4.2.2 mailbox full"}, "4.2.2"),
        (Deferred, "rcpt", {"RCPT": "421 4.7.0 too many"}, "4.7.0"),
        (Deferred, "rcpt", {"RCPT": DROP}, ""),
        (Deferred, "rcpt", {"RCPT": "354 what"}, ""),
        (Deferred, "data", {"DATA": "451 4.3.0 later"}, "4.3.0"),
        (Deferred, "data", {"DATA": DROP}, ""),
        (Deferred, "data", {"DATA": "250 what"}, ""),
        (Refused, "data", {"DATA": "554 5.5.1 no valid recipients"}, "5.5.1"),
        (Deferred, "dot", {"DOT": "421 4.7.28 unusual rate"}, "4.7.28"),
        (Deferred, "dot", {"DOT": "451 4.3.0 later"}, "4.3.0"),
        (Refused, "dot", {"DOT": "552 5.3.4 too big"}, "5.3.4"),
        (Refused, "dot", {"DOT": "554 5.7.1 spam"}, "5.7.1"),
        (Refused, "mail", {"MAIL": "552 5.3.4 too big"}, "5.3.4"),
    ],
)
def test_a_refusal_from_the_recipient_on_is_about_the_message(error, phase, faults, enhanced):
    assert fails(error, phase, faults).enhanced == enhanced


@pytest.mark.parametrize("fault", [DROP, HANG, "good", "354 go on", "250 " + "long " * 4000])
def test_an_answer_that_does_not_come_after_the_dot_is_lost(fault):
    fails(AnswerLost, "dot", {"DOT": fault}, timeouts=replace(SOON, dot=0.2))


@pytest.mark.parametrize(
    ("error", "phase", "step"),
    [
        (RelayUnavailable, "greeting", "GREETING"),
        (RelayUnavailable, "helo", "EHLO"),
        (RelayUnavailable, "mail", "MAIL"),
        (Deferred, "rcpt", "RCPT"),
        (Deferred, "data", "DATA"),
    ],
)
def test_a_server_that_takes_too_long_before_the_dot_has_not_got_the_message(error, phase, step):
    assert "timed out" in fails(error, phase, {step: HANG}, timeouts=AT_ONCE).text


def test_a_server_that_is_not_there_is_unavailable():
    with FaultyServer().running() as server:
        pass
    with (
        Smtp(Relay("127.0.0.1", server.port, security="none")) as smtp,
        pytest.raises(RelayUnavailable, match="connect") as caught,
    ):
        smtp.send(MESSAGE)
    assert (caught.value.reply.phase, caught.value.reply.code) == ("connect", 0)


@pytest.mark.parametrize("fault", ["421 4.3.0 no more", DROP])
def test_a_server_that_closes_while_the_content_is_being_sent_has_not_got_the_message(fault):
    large = replace(MESSAGE, content=MESSAGE.content + (b"y" * 76 + b"\r\n") * 200_000)
    with talking({"EHLO": "250 mail.example.net", "BLOCK": fault}) as (server, smtp):
        with pytest.raises(Deferred) as caught:
            smtp.send(large)
        assert caught.value.reply.phase == "data"
        assert server.contents == []


def test_a_refusal_while_the_content_is_being_sent_is_the_answer():
    with (
        talking({"BLOCK": "550 5.7.1 no more", "DOT": HANG}, timeouts=replace(SOON, quit=0.2)) as (server, smtp),
        pytest.raises(Refused, match=r"5\.7\.1 no more"),
    ):
        smtp.send(replace(MESSAGE, content=MESSAGE.content * 2000))
    assert server.contents


@pytest.mark.parametrize(
    "faults", [{IDLE: [DROP]}, {IDLE: ["421 4.4.2 idle too long"]}, {"MAIL": ["250 fine", "421 4.7.0 enough"]}]
)
def test_a_connection_lost_between_messages_is_opened_again(faults):
    with talking(faults) as (server, smtp):
        for _ in range(2):
            assert smtp.send(MESSAGE).code == 250

    assert (server.connections, len(server.contents)) == (2, 2)


def test_a_relay_that_ends_every_connection_is_tried_once_more_and_no_further():
    with talking({"MAIL": ["250 fine", "421 enough", "421 enough", "421 enough"]}) as (server, smtp):
        smtp.send(MESSAGE)
        with pytest.raises(RelayUnavailable):
            smtp.send(MESSAGE)

    assert server.connections == 2


@pytest.mark.parametrize("faults", [{"RCPT": ["550 5.1.1 nobody"]}, {"DATA": ["451 later"]}])
def test_the_next_message_goes_over_the_same_connection_after_a_refusal(faults):
    with talking(faults) as (server, smtp):
        with pytest.raises((Refused, Deferred)):
            smtp.send(MESSAGE)
        smtp.send(MESSAGE)

    assert server.connections == 1
    assert server.commands.count("RSET") == 1


@pytest.mark.parametrize("reset", ["500 what", "421 enough", DROP])
def test_a_server_that_cannot_start_afresh_is_left_for_a_new_connection(reset):
    with talking({"RCPT": ["550 5.1.1 nobody"], "RSET": reset}) as (server, smtp):
        with pytest.raises(Refused):
            smtp.send(MESSAGE)
        assert smtp.send(MESSAGE).code == 250

    assert server.connections == 2


@pytest.mark.parametrize("goodbye", [DROP, HANG, "421 what", "500 no"])
def test_what_happens_at_quit_changes_nothing(goodbye):
    with talking({"QUIT": goodbye}, timeouts=AT_ONCE) as (server, smtp):
        assert smtp.send(MESSAGE).code == 250
        smtp.close()

    assert server.contents == [MESSAGE.content]


class TimeIsUp(Exception):
    """What a task's time limit raises in the middle of things."""


@dataclass
class SignallingServer(FaultyServer):
    """Sends this process a signal instead of its first answer to the dot, and that answer when the next message begins."""

    signalled: bool = False

    def answer(self, step):
        """Return what is said at `step`."""
        if step == "DOT" and not self.signalled:
            self.signalled = True
            os.kill(os.getpid(), signal.SIGUSR1)
            return HANG
        return super().answer(step)


def test_a_signal_that_breaks_in_leaves_no_answer_behind_for_the_next_message():
    def stop(*_):
        raise TimeIsUp

    previous = signal.signal(signal.SIGUSR1, stop)
    try:
        with (
            SignallingServer().running() as server,
            Smtp(Relay("127.0.0.1", server.port, security="none", timeouts=SOON)) as smtp,
        ):
            with pytest.raises(TimeIsUp):
                smtp.send(MESSAGE)
            assert smtp.send(MESSAGE).code == 250
    finally:
        signal.signal(signal.SIGUSR1, previous)
    assert server.connections == 2


def test_an_old_server_is_greeted_with_helo_and_offered_nothing():
    with talking({"EHLO": "502 5.5.1 what", "HELO": "250 mail.example.net"}) as (server, smtp):
        smtp.send(MESSAGE)

    assert server.commands[:3] == ["ehlo me.example.net", "HELO me.example.net", "MAIL FROM:<bounce+1@news.example.net>"]


def test_dots_at_the_start_of_lines_are_doubled():
    content = b".\r\n.first\r\n..\r\nmiddle.\r\n.\r\nMAIL FROM:<evil@example.org>\r\n"
    with talking() as (server, smtp):
        smtp.send(replace(MESSAGE, content=content))

    assert server.contents == [re.sub(rb"(?m)^\.", b"..", content)]
    assert len([command for command in server.commands if command.startswith("MAIL")]) == 1


def test_a_message_without_a_last_line_end_gets_one():
    with talking() as (server, smtp):
        smtp.send(replace(MESSAGE, content=b"Subject: x\r\n\r\nend"))

    assert server.contents == [b"Subject: x\r\n\r\nend\r\n"]


@pytest.mark.parametrize("content", [b"a\nb\r\n", b"a\rb\r\n", b"a\r\r\n", b"a\n\r\n", b"\n\r"])
def test_bare_line_ends_are_refused_before_anything_is_said(content):
    with talking() as (server, smtp), pytest.raises(BadInput, match="bare CR or LF"):
        smtp.send(replace(MESSAGE, content=content))

    assert server.connections == 0


@pytest.mark.parametrize("recipient", ["", "ari@a>\r\nRCPT TO:<b@c.org", "ari@example.org SIZE=1", "ari"])
def test_an_envelope_that_could_break_the_command_is_refused(recipient):
    with talking() as (server, smtp), pytest.raises(BadAddress):
        smtp.send(replace(MESSAGE, recipient=recipient))

    assert server.connections == 0


def test_the_null_sender_and_an_international_domain_are_written_as_they_should_be():
    with talking() as (server, smtp):
        smtp.send(replace(MESSAGE, sender="", recipient="ari@bücher.example"))

    assert server.commands[1].startswith("MAIL FROM:<> ")
    assert server.commands[2] == "RCPT TO:<ari@xn--bcher-kva.example>"


@pytest.mark.parametrize(
    ("offer", "message", "enhanced"),
    [
        ("250 SIZE 50", MESSAGE, "5.3.4"),
        ("250 8BITMIME", replace(MESSAGE, recipient="ü@example.org"), "5.6.7"),
        ("250 SIZE", replace(MESSAGE, content="Subject: x\r\n\r\nü\r\n".encode()), "5.6.3"),
    ],
)
def test_what_the_server_does_not_offer_is_not_asked_of_it(offer, message, enhanced):
    with talking({"EHLO": f"250-mail.example.net\n{offer}"}) as (server, smtp):
        with pytest.raises(Refused) as caught:
            smtp.send(message)
        assert (caught.value.reply.code, caught.value.reply.enhanced) == (0, enhanced)

    assert "RCPT" not in " ".join(server.commands)


def test_what_the_server_offers_is_used_where_it_is_needed():
    message = replace(MESSAGE, recipient="ü@example.org", content="To: ü@example.org\r\n\r\nGood morning\r\n".encode())
    with talking({"EHLO": "250-mail.example.net\n250-SIZE 0\n250-8BITMIME\n250 SMTPUTF8"}) as (server, smtp):
        smtp.send(message)
        smtp.send(MESSAGE)

    first, second = (command for command in server.commands if command.startswith("MAIL"))
    assert first.endswith(f"SIZE={len(message.content)} BODY=8BITMIME SMTPUTF8")
    assert second.endswith(f"SIZE={len(MESSAGE.content)}")
    assert "RCPT TO:<ü@example.org>" in server.commands


def test_a_reply_of_many_lines_becomes_one_line_without_its_codes():
    reply = fails(Refused, "rcpt", {"RCPT": "550-5.1.1 nobody \x1b[31mhere\n550-5.1.1 since\n550 5.1.1 March"})

    assert (reply.code, reply.enhanced, reply.text) == (550, "5.1.1", "nobody [31mhere since March")


def test_an_enhanced_code_of_another_class_is_text():
    reply = fails(Refused, "rcpt", {"RCPT": "550 4.1.1 nobody"})

    assert (reply.enhanced, reply.text) == ("", "4.1.1 nobody")


# Files


def test_a_message_becomes_a_file_and_the_same_message_the_same_file(tmp_path):
    with Files(tmp_path / "out") as files:
        replies = [files.send(MESSAGE), files.send(MESSAGE), files.send(replace(MESSAGE, recipient="bora@example.org"))]

    written = sorted((tmp_path / "out").iterdir())
    assert len(written) == 2
    assert all(re.fullmatch(r"1\.17@news\.example\.net-[0-9a-f]{8}\.eml", path.name) for path in written)
    assert written[0].read_bytes() == MESSAGE.content
    assert all(reply.code == 250 for reply in replies)


def test_a_message_id_cannot_lead_out_of_the_folder(tmp_path):
    with Files(tmp_path / "out") as files:
        files.send(replace(MESSAGE, content=b"Message-ID: <../../x@y>\r\n\r\n"))
        files.send(replace(MESSAGE, content=b"Subject: none\r\n\r\nMessage-ID: <in-the-body@y>\r\n"))

    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
    assert not any("in-the-body" in path.name for path in (tmp_path / "out").iterdir())


def test_a_folder_that_cannot_be_written_is_an_unavailable_relay(tmp_path):
    (tmp_path / "out").touch()

    with Files(tmp_path / "out") as files, pytest.raises(RelayUnavailable, match="file:"):
        files.send(MESSAGE)
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]
