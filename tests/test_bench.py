import json
import smtplib
import time

from bench import baselines, corpus, selections
from bench.__main__ import main
from bench.measure import Run, Yardstick, ratio
from bench.places import Receiver, make_key
from bench.results import Aim, Result, table
from newsletter.mail.pieces import SLOT
from newsletter.mail.selecting import select

MESSAGE = b"Subject: none\r\nMessage-ID: <%d@bench.example.org>\r\n\r\nHello.\r\n..\r\n"


def test_the_sink_takes_each_message_once_over_any_number_of_connections(tmp_path):
    ids = tmp_path / "ids"
    receiver = Receiver(processes=2, ids_file=str(ids))
    for start in (0, 3):
        with smtplib.SMTP("127.0.0.1", receiver.port, "bench.example.org") as client:
            for number in range(start, start + 3):
                client.sendmail("ari@example.org", ["bora@example.org"], MESSAGE % number)
    seen = receiver.close()

    assert sum(each.messages for each in seen) == 6
    assert sum(each.connections for each in seen) == 2
    assert sorted(ids.read_text().split()) == [f"<{number}@bench.example.org>" for number in range(6)]


def test_the_sink_answers_what_comes_in_one_write_in_one_turn():
    receiver = Receiver(processes=1)
    with smtplib.SMTP("127.0.0.1", receiver.port, "bench.example.org") as client:
        client.ehlo()
        client.send("MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n")
        replies = [client.getreply()[0] for _ in range(3)]
        client.send("Subject: none\r\n\r\nHello.\r\n.\r\nMAIL FROM:<a@example.org>\r\n")
        replies += [client.getreply()[0] for _ in range(2)]
    (seen,) = receiver.close()

    assert replies == [250, 250, 354, 250, 250]
    assert seen.turns == 4  # the greeting, EHLO, and two writes


def test_the_sink_finds_an_end_that_comes_in_pieces():
    receiver = Receiver(processes=1)
    with smtplib.SMTP("127.0.0.1", receiver.port, "bench.example.org") as client:
        client.ehlo()
        client.docmd("DATA")
        for piece in ("Subject: none\r\n\r\nHello.\r", "\n", ".", "\r", "\n"):
            client.send(piece)
        assert client.getreply()[0] == 250
    (seen,) = receiver.close()

    assert seen.messages == 1
    assert seen.octets == len("Subject: none\r\n\r\nHello.\r\n")


def test_a_slow_sink_answers_late():
    receiver = Receiver(processes=1, delay_ms=30)
    started = time.monotonic()
    with smtplib.SMTP("127.0.0.1", receiver.port, "bench.example.org") as client:
        client.sendmail("ari@example.org", ["bora@example.org"], MESSAGE % 1)
    (seen,) = receiver.close()

    assert seen.messages == 1
    assert time.monotonic() - started >= seen.turns * 0.03


def test_the_corpus_is_the_same_at_every_run():
    assert corpus.listing(40) == corpus.listing(40)


def test_the_selections_differ():
    issue = selections.facts()
    chosen = [select(issue, wish) for wish in selections.wishes(issue, 1000)]

    assert len({(selection.cards, selection.lines) for selection in chosen}) == 1000
    assert {selection.count for selection in chosen} == {selections.MOST}
    assert all(selection.why for selection in chosen)


def test_the_naive_baseline_sends_whole_signed_messages(tmp_path):
    found = baselines.words(baselines.digest(2))
    address, content = baselines.message(found, 7, make_key(tmp_path / "key.pem").read_bytes())

    assert address == "reader7@inbox7.example.net"
    assert content.startswith(b"DKIM-Signature: ")
    assert set(SLOT.findall(found.text)) == {"unsubscribe_url", "preferences_url", "view_url"}


def test_the_yardstick_takes_time(tmp_path):
    assert 0 < Yardstick(make_key(tmp_path / "key.pem")).read() < 0.1


def test_ratios_are_taken_round_by_round():
    ours = [Run(10, 1, cpu, 50) for cpu in (1.0, 2.0, 4.0)]
    theirs = [Run(10, 1, cpu, 50) for cpu in (10.0, 20.0, 20.0)]

    assert ratio(theirs, ours, lambda run: run.per_message) == 10


def test_a_figure_that_was_not_measured_is_null_and_a_dash():
    result = Result("signed", {"signed": [Run(1000, 2.0, 1.0, 50.0)]}, [Aim("share", None, 0.15)])

    found = result.as_json()

    assert found["cpu_s_per_1000"] == 1.0
    assert found["ratio_to_smtp_source"] is None
    assert found["aims"][0]["met"] is None
    assert "–" in table([found])


def test_cases_run_on_few_messages(tmp_path, capsys):
    out = tmp_path / "bench.json"

    main(["--case", "ledger", "--case", "fanout", "--n", "24", "--rounds", "1", "--out", str(out)])

    found = json.loads(out.read_text())
    assert [each["case"] for each in found] == ["ledger", "fanout"]
    assert all(each["aims"] for each in found)
    assert found[0]["repetitions"]["with ledger"][0]["details"]["taken"] == 24
    assert "share of ledger and journal" in capsys.readouterr().out


def test_the_cases_can_be_listed(capsys):
    main(["--list"])

    assert len(capsys.readouterr().out.splitlines()) == 10
