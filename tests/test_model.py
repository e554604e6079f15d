"""What an endpoint may do, case by case: each ends in a summary or in a reason that an operator understands."""

import json
import time

import pytest
from model_server import KEY, honest, model_of, model_server

from newsletter.summarisers import SummaryInput
from newsletter.summarisers.model import Endpoint, Fate, LanguageModel
from newsletter.summarisers.model.manner import Rung

PAPER = SummaryInput(
    "ShelfNet: Small Models for Large Libraries",
    "Librarians write notes about books, and readers forget where the books are. We introduce ShelfNet, a model with 7B "
    "parameters that is trained on 1.2M notes of librarians in Seoul. On the FindBook benchmark ShelfNet finds 91.5% of all "
    "books, which is more than larger models do. All notes and all models are public.",
)
LANGUAGES = pytest.mark.parametrize("language", ["en", "ko"])


def ask(server, paper=PAPER, *, language="en", seconds=5.0, key="", audit=None):
    """Have the paper summarised, without waiting between repeats."""
    return model_of(server, seconds=seconds, key=key, audit=audit).write(paper, language=language)


CASES = [  # what the endpoint does, what becomes of the paper, calls, words of the reason
    (["ok"], Fate.MADE, 1, ""),
    (["in parts"], Fate.MADE, 1, ""),
    (["fence"], Fate.MADE, 1, ""),
    (["think"], Fate.MADE, 1, ""),
    (["bare list"], Fate.MADE, 1, ""),
    (["dashes"], Fate.MADE, 1, ""),
    (["uncounted"], Fate.MADE, 1, ""),
    (["400 response_format"], Fate.MADE, 3, ""),
    (["422 anything"], Fate.MADE, 3, ""),
    (["only json_object"], Fate.MADE, 2, ""),
    (["picky"], Fate.MADE, 3, ""),
    (["429 soon", "429 soon", "ok"], Fate.MADE, 3, ""),
    (["500", "500", "ok"], Fate.MADE, 3, ""),
    (["busy 200", "ok"], Fate.MADE, 2, ""),
    (["empty", "ok"], Fate.MADE, 2, ""),
    (["truncated", "ok"], Fate.MADE, 2, ""),
    (["nested", "ok"], Fate.MADE, 2, ""),
    (["control", "ok"], Fate.MADE, 2, ""),
    (["empty"], Fate.FAILED, 2, "the answer is empty"),
    (["null"], Fate.FAILED, 2, "the answer is empty"),
    (["truncated"], Fate.FAILED, 2, "JSON that breaks off"),
    (["nested"], Fate.FAILED, 2, "objects or lists instead of plain text"),
    (["control"], Fate.FAILED, 2, "control characters"),
    (["prose"], Fate.FAILED, 2, "holds no bullets"),
    (["endless thought"], Fate.FAILED, 2, "thoughts that do not end"),
    (["length"], Fate.FAILED, 1, "cut off at its greatest length"),
    (["400"], Fate.FAILED, 3, "HTTP 400"),
    (["400 too long"], Fate.FAILED, 1, "maximum context length"),
    (["refusal"], Fate.REFUSED, 1, "the model refused: I'm sorry"),
    (["content_filter"], Fate.REFUSED, 1, "content filter"),
    (["400 filtered"], Fate.REFUSED, 1, "content management policy"),
    (["html"], Fate.AWAY, 1, "answered a web page"),
    (["nothing"], Fate.AWAY, 1, "answered nothing"),
    (["no completion"], Fate.AWAY, 1, "no chat completion"),
    (["empty choices"], Fate.AWAY, 1, "without any choice"),
    (["error 200"], Fate.AWAY, 1, "upstream said no"),
    (["busy 200"], Fate.AWAY, 3, "Provider returned error"),
    (["huge"], Fate.AWAY, 1, "more than 1,000,000 bytes"),
    (["429"], Fate.AWAY, 1, "asks to wait 3600 s"),
    (["429 soon"], Fate.AWAY, 3, "HTTP 429"),
    (["500"], Fate.AWAY, 3, "The server had an error"),
    (["401"], Fate.MISCONFIGURED, 1, "HTTP 401"),
    (["402"], Fate.MISCONFIGURED, 1, "Insufficient credits"),
    (["404"], Fate.MISCONFIGURED, 1, "does not exist"),
    (["429 quota"], Fate.MISCONFIGURED, 1, "insufficient_quota"),
    (["redirect"], Fate.MISCONFIGURED, 1, "a redirect, which is not followed"),
]


@pytest.mark.parametrize(("script", "fate", "calls", "words"), CASES, ids=[", ".join(case[0]) for case in CASES])
def test_whatever_an_endpoint_does_ends_in_a_summary_or_a_reason(script, fate, calls, words):
    with model_server({PAPER.title: script}) as server:
        written = ask(server)

    assert (written.fate, server.calls[PAPER.title], written.used.calls) == (fate, calls, calls)
    assert words in " ".join(written.reasons)
    assert bool(written.bullets) == (fate is Fate.MADE)
    assert bool(written.reasons) == (fate is not Fate.MADE)


@pytest.mark.parametrize("behaviour", ["hang", "drip"])
def test_an_endpoint_that_never_ends_its_answer_costs_no_more_than_its_time(behaviour):
    started = time.monotonic()
    with model_server(default=behaviour) as server:
        written = ask(server, seconds=0.3)

    assert written.fate is Fate.AWAY
    assert "no whole answer within 0 s" in written.reasons[0]
    assert time.monotonic() - started < 3


def test_an_endpoint_that_is_not_there_is_away():
    endpoint = Endpoint("http://127.0.0.1:9/v1", "parrot-1", pause=lambda _: None)

    written = LanguageModel(endpoint).write(PAPER, language="en")

    assert (written.fate, written.used.calls, written.used.input_tokens) == (Fate.AWAY, 3, 0)  # an outage uses up no budget
    assert "no answer" in written.reasons[0]
    assert "Is it running" in written.hint


def test_nobody_is_asked_about_a_source_that_says_nothing():
    with model_server() as server:
        written = ask(server, SummaryInput("An empty paper", ""))

    assert (written.fate, written.used.calls, len(server.asked)) == (Fate.SOURCE, 0, 0)
    assert "too little to summarise" in written.reasons[0]


def test_what_was_learned_of_an_endpoint_is_kept():
    with model_server(default="400 response_format") as server:
        model = model_of(server)
        first, second = model.write(PAPER, language="en"), model.write(PAPER, language="en")

    assert (first.used.calls, second.used.calls) == (3, 1)
    assert model.endpoint.manner.rung is Rung.TEXT


def test_a_request_that_fails_for_its_paper_teaches_nothing():
    with model_server(default="400") as server:
        model = model_of(server)
        model.write(PAPER, language="en")

    assert model.endpoint.manner.rung is Rung.SCHEMA


@LANGUAGES
def test_an_answer_that_fails_the_checks_goes_back_once_with_the_reasons(language):
    with model_server({PAPER.title: ["nested", "ok"]}) as server:
        written = ask(server, language=language)

    _, again = server.asked
    assert written.repaired
    assert written.bullets == tuple(honest(PAPER.title, PAPER.abstract, language))
    assert [message["role"] for message in again.body["messages"]] == ["system", "user", "assistant", "user"]
    assert "objects or lists instead of plain text" in again.body["messages"][-1]["content"]


def test_an_audit_has_the_last_word():
    from newsletter.summarisers.checks import Reason  # noqa: PLC0415 -- for this test alone

    with model_server() as server:
        written = ask(server, audit=lambda _paper, _bullets: Reason("meaning", (), "It is about something else."))

    assert (written.fate, written.rules, written.reasons) == (Fate.REFUSED, ("meaning",), ("It is about something else.",))
    assert len(server.asked) == 2


def test_tokens_are_read_where_they_are_counted_and_estimated_where_not():
    with model_server({PAPER.title: ["ok", "uncounted"]}) as server:
        counted, estimated = ask(server), ask(server)

    assert (counted.used.input_tokens, counted.used.output_tokens) == (700, 150)
    assert 200 < estimated.used.input_tokens < 2000
    assert 30 < estimated.used.output_tokens < 300


@pytest.mark.parametrize("behaviour", ["401", "key 200"])
def test_the_key_goes_to_the_endpoint_and_nowhere_else(capsys, behaviour):
    with model_server(default=behaviour) as server:
        written = ask(server, key=KEY)
        shown = repr(model_of(server, key=KEY))

    assert server.asked[0].headers["Authorization"] == f"Bearer {KEY}"
    assert KEY not in repr(written) + shown + "".join(capsys.readouterr())
    assert "[the key]" in written.reasons[0]


@pytest.mark.parametrize("key", ["sk-canary-é", "sk-canary\n", "sk canary", "sk-canary\x00"])
def test_a_key_that_cannot_be_sent_is_not_told_to_anybody(key):
    model = LanguageModel(Endpoint("http://127.0.0.1:9/v1", "parrot-1", key))

    written = model.write(PAPER, language="en")

    assert written.fate is Fate.MISCONFIGURED
    assert "summaries.key" in written.reasons[0]
    assert "canary" not in repr((written, model))


def test_the_request_is_bounded_and_the_paper_is_data_in_a_message_of_its_own(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # of no concern
    with model_server() as server:
        ask(server)

    body = server.asked[0].body
    assert (body["stream"], body["max_tokens"], body["temperature"]) == (False, 2000, 0.2)
    assert body["response_format"]["json_schema"]["strict"] is True
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert json.loads(body["messages"][1]["content"]) == {"title": PAPER.title, "abstract": PAPER.abstract}
    assert "ShelfNet" not in body["messages"][0]["content"]
