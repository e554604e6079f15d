import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from bounce_parts import DOMAIN, TERMS, Post
from factories import LINKS, POLICY
from fastapi.testclient import TestClient
from webhook_parts import (
    MAILGUN_KEY,
    TOPIC,
    Amazon,
    mail_of,
    mailgun,
    mailgun_event,
    notification,
    ses_bounce,
    ses_complaint,
    subscription,
)

from newsletter import wiring
from newsletter.bounces.webhooks import Hooks, Mailgun, Ses
from newsletter.bounces.webhooks.sns import Sns
from newsletter.config import HookSettings, Settings, SourceSettings
from newsletter.errors import SourceError, SourceUnavailable
from newsletter.models import Alarm, Bounce
from newsletter.web import Services, create_app
from newsletter.web.hooks import BODY_LIMIT


@pytest.fixture
def post(make):
    return Post(make)


@pytest.fixture
def amazon():
    return Amazon()


@pytest.fixture
def visit(post, amazon):
    """Return a client of the application in which both webhooks are set."""
    return client(post, Hooks(TERMS, {"ses": Ses(Sns((TOPIC,), amazon)), "mailgun": Mailgun(MAILGUN_KEY)}))


def client(post, hooks):
    services = Services(post.make.sessions, LINKS, POLICY, lambda: None, lambda: post.now, hooks=hooks)
    return TestClient(create_app(services), base_url=LINKS.base_url, follow_redirects=False)


def tell(visit, name, body, status=200):
    answer = visit.post(f"/hooks/{name}", content=body)
    assert answer.status_code == status, answer.text


def message_id(mail):
    return LINKS.message_id(mail.id, "example.org")


@pytest.mark.parametrize("hooks", [None, Hooks(TERMS)])
@pytest.mark.parametrize("name", ["ses", "mailgun", "nobody"])
def test_a_hook_that_is_not_set_is_not_there(post, hooks, name):
    tell(client(post, hooks), name, b"{}", 404)


def test_hooks_are_for_posts_alone(visit):
    assert visit.get("/hooks/ses").status_code == 405


def test_a_hard_bounce_told_by_ses_suppresses_its_reader(post, make, visit):
    mail = post.mail()
    tell(visit, "ses", notification(ses_bounce(mail_of(message_id(mail)))))
    post.follow()

    assert post.suppressed() == [("ari", "bounce")]
    assert [(row.delivery_id, row.source) for row in make.all(Bounce)] == [(mail.id, "ses")]


def test_ses_may_name_the_mail_by_its_return_path_alone(post, visit):
    mail = post.mail()
    tell(visit, "ses", notification(ses_bounce({"source": LINKS.return_path(mail.id, DOMAIN)})))
    post.follow()

    assert post.suppressed() == [("ari", "bounce")]


def test_a_complaint_told_by_ses_ends_it_at_once(post, visit):
    tell(visit, "ses", notification(ses_complaint(mail_of(message_id(post.mail())))))

    assert (post.suppressed(), post.status()) == ([("ari", "complaint")], "unsubscribed")


def test_what_is_not_spam_changes_nothing(post, make, visit):
    tell(visit, "ses", notification(ses_complaint(mail_of(message_id(post.mail())), "not-spam")))

    assert (make.all(Bounce), post.status()) == ([], "active")


def test_the_same_message_heard_again_is_one_report(post, make, visit):
    body = notification(ses_bounce(mail_of(message_id(post.mail()))))
    for _ in range(2):
        tell(visit, "ses", body)

    assert len(make.all(Bounce)) == 1


def test_a_forged_message_is_refused_and_changes_nothing(post, make, visit):
    mail = post.mail()
    event = ses_bounce(mail_of(message_id(mail)))
    tell(visit, "ses", notification(event, signer="another"), 403)
    tell(visit, "mailgun", mailgun(mailgun_event(message_id(mail)), key="another"), 403)
    tell(visit, "mailgun", notification(event), 403)
    tell(visit, "ses", b"\xff\x00", 403)

    assert make.all(Bounce) == []


def test_a_genuine_message_about_no_mail_of_ours_changes_nothing(post, make, visit):
    post.mail()
    tell(visit, "ses", notification(ses_bounce(mail_of("<abcdefghij234567abcdefghij@example.org>"))))
    tell(visit, "mailgun", mailgun(mailgun_event("<abcdefghij234567abcdefghij@example.org>")))

    assert make.all(Bounce) == []


def test_a_certificate_that_does_not_come_has_the_message_sent_again(post, make, visit, amazon):
    amazon.content = SourceUnavailable("no answer")

    tell(visit, "ses", notification(ses_bounce(mail_of(message_id(post.mail())))), 503)
    assert make.all(Bounce) == []


def test_a_topic_of_ours_is_confirmed(visit, amazon):
    tell(visit, "ses", subscription())

    assert "ConfirmSubscription" in amazon.asked[-1]


def test_a_message_that_is_too_large_is_not_read(visit):
    tell(visit, "ses", b" " * (BODY_LIMIT + 1), 413)


def test_a_failure_told_by_mailgun_suppresses_its_reader(post, visit):
    tell(visit, "mailgun", mailgun(mailgun_event(message_id(post.mail()))))
    post.follow()

    assert post.suppressed() == [("ari", "bounce")]


def test_a_token_of_mailgun_counts_once_whatever_comes_with_it(post, make, visit):
    ari, bora = post.mail("ari"), post.mail("bora")
    tell(visit, "mailgun", mailgun(mailgun_event(message_id(ari), "unsubscribed")))
    tell(visit, "mailgun", mailgun(mailgun_event(message_id(bora), "complained", recipient="bora@example.org")))

    assert [row.delivery_id for row in make.all(Bounce)] == [ari.id]
    assert (post.status("ari"), post.status("bora"), post.suppressed()) == ("unsubscribed", "active", [])


def test_a_refusal_of_us_told_by_mailgun_is_an_alarm(post, make, visit):
    said = {"code": 550, "message": "5.7.1 blocked because of spam"}
    tell(visit, "mailgun", mailgun(mailgun_event(message_id(post.mail()), **{"delivery-status": said})))

    assert [row.cause for row in make.all(Alarm)] == ["bounces:us:example.org:5.7.1"]


def test_only_what_is_set_is_there(tmp_path):
    settings = Settings(data_dir=tmp_path)
    both = HookSettings(ses_topics=(TOPIC,), mailgun_key=MAILGUN_KEY)

    assert set(wiring.hooks_of(settings).by_name) == set()
    assert set(wiring.hooks_of(settings.model_copy(update={"hooks": both})).by_name) == {"ses", "mailgun"}


class _Server(BaseHTTPRequestHandler):
    def do_GET(self):
        moved = self.path == "/moved"
        self.send_response(302 if moved else 200)
        self.send_header("Location", "/small")
        self.end_headers()
        self.wfile.write(b"x" * (200_000 if self.path == "/large" else 3))

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), _Server) as served:
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{served.server_port}"
        served.shutdown()
        thread.join()


def test_a_proof_is_small_and_follows_no_redirect(server, tmp_path):
    inside = SourceSettings(inside=("127.0.0.1",))
    hooks = wiring.hooks_of(Settings(data_dir=tmp_path, hooks=HookSettings(ses_topics=(TOPIC,)), sources=inside))
    fetch = hooks.by_name["ses"].sns.fetch

    assert fetch(f"{server}/small") == b"xxx"
    for path in ("moved", "large"):
        with pytest.raises(SourceError):
            fetch(f"{server}/{path}")
