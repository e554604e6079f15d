import json

import pytest
from cli_parts import ADD, installed_terminal, terminal

__all__ = ["installed_terminal", "terminal"]


def test_newsletters_are_listed_with_their_readers(installed_terminal):
    installed_terminal.ok("subscribers", "add", "ari@example.org", "-n", "daily", "--consent", "on paper")

    said = installed_terminal.ok("newsletters")

    assert [word in said for word in ("daily", "Daily Papers", "sample", "when ready")] == [True] * 4


def test_newsletters_are_listed_for_scripts(installed_terminal):
    (row,) = json.loads(installed_terminal.ok("newsletters", "--json"))

    assert (row["slug"], row["language"], row["sources"]) == ("daily", "en", ["sample"])


def test_no_newsletter_says_how_to_add_one(terminal):
    terminal.ok("migrate")

    assert "newsletter newsletters add" in terminal.ok("newsletters")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (("--language", "xx"), "mails cannot speak 'xx'"),
        (("--zone", "Mars/Phobos"), "'Mars/Phobos' is no time zone"),
        (("--from-address", "nobody"), "nobody"),
        (("--source", "telepathy"), "there is no source 'telepathy'"),
        (("--postal-address", " "), "postal_address: it is empty"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_what_cannot_be_is_refused_by_name(terminal, changes, said):
    terminal.ok("migrate")

    error = terminal.refused(*ADD, "daily", "--title", "Daily", "--from-address", "news@example.org", *changes)

    assert said in error
    assert "There is no newsletter yet" in terminal.ok("newsletters")


@pytest.mark.parametrize("slug", ["Daily", "a b", "-daily", "x" * 64, ""])
def test_a_slug_that_will_not_do_is_refused(terminal, slug):
    terminal.ok("migrate")

    error = terminal.refused(
        "newsletters", "add", "--title", "Daily", "--from-address", "news@example.org", "--postal-address", "Seoul", "--", slug
    )

    assert "slug:" in error


def test_a_slug_that_is_taken_is_refused(installed_terminal):
    error = installed_terminal.refused(*ADD, "daily", "--title", "Daily", "--from-address", "news@example.org")

    assert "There is a newsletter 'daily' already" in error


def test_without_a_postal_address_the_setting_is_named(terminal):
    terminal.ok("migrate")

    error = terminal.refused("newsletters", "add", "daily", "--title", "Daily", "--from-address", "news@example.org")

    assert "NEWSLETTER_POSTAL_ADDRESS" in error


def test_a_newsletter_is_changed_where_something_is_given(installed_terminal):
    said = installed_terminal.ok(
        "newsletters", "edit", "daily", "--title", "New Papers", "--send-hour", "8", "--max-papers", 20, "--weekly"
    )

    (row,) = json.loads(installed_terminal.ok("newsletters", "--json"))
    assert said == "Changed daily: cadences, max_papers, send_hour, title.\n"
    assert (row["title"], row["from_name"], row["send_hour"], row["max_papers"]) == ("New Papers", "New Papers", 8, 20)
    assert (row["cadences"], row["cutoff_hours"], row["sources"]) == (["daily", "weekly"], 24, ["sample"])


def test_how_issues_come_about_is_set_shown_and_kept(installed_terminal):
    wanted = {
        "catch-up": "merged",
        "review": "then-hold",
        "review-hours": "3",
        "patience-hours": "0",
        "weekly-papers": "9",
        "no-match": "short",
    }
    options = [word for name, value in wanted.items() for word in (f"--{name}", value)]

    installed_terminal.ok("newsletters", "edit", "daily", *options)
    installed_terminal.ok(*ADD, "other", "--title", "Other", "--from-address", "news@example.com", *options)

    for slug in ("daily", "other"):
        row = json.loads(installed_terminal.ok("newsletters", "show", slug, "--json"))
        assert {name: str(row[name.replace("-", "_")]) for name in wanted} == wanted
    shown = installed_terminal.ok("newsletters", "show", "daily")
    assert all(any(line.split() == [name, value] for line in shown.splitlines()) for name, value in wanted.items())
    assert [line.split()[0] for line in shown.splitlines()[1:4]] == ["slug", "title", "description"]
    assert "then-hold" in installed_terminal.ok("newsletters")


def test_a_newsletter_can_go_when_it_is_ready_again(installed_terminal):
    installed_terminal.ok("newsletters", "edit", "daily", "--send-hour", "8", "--no-weekly")
    installed_terminal.ok("newsletters", "edit", "daily", "--send-hour", "ready")

    assert "when ready" in installed_terminal.ok("newsletters")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (("--language", "xx"), "mails cannot speak 'xx'"),
        (("--zone", "Mars/Phobos"), "'Mars/Phobos' is no time zone"),
        (("--from-address", "nobody"), "nobody"),
        (("--source", "telepathy"), "there is no source 'telepathy'"),
        (("--title", " "), "title: it is empty"),
        (("--send-hour", "24"), "send_hour: 24 will not do"),
        (("--send-hour", "soon"), "send_hour: 'soon' will not do"),
        (("--catch-up", "never"), "catch_up: 'never' will not do"),
        (("--review", "maybe"), "review: 'maybe' will not do"),
        (("--no-match", ""), "no_match: '' will not do"),
        ((), "Nothing is given"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_change_that_cannot_be_is_refused_and_changes_nothing(installed_terminal, changes, said):
    before = installed_terminal.ok("newsletters", "--json")

    error = installed_terminal.refused("newsletters", "edit", "daily", *changes)

    assert said in error
    assert installed_terminal.ok("newsletters", "--json") == before


def test_a_newsletter_that_is_none_cannot_be_changed(installed_terminal):
    error = installed_terminal.refused("newsletters", "edit", "weekly", "--title", "Weekly")

    assert "There is no newsletter 'weekly'" in error


def test_the_form_for_another_site_is_printed(installed_terminal):
    said = installed_terminal.ok("newsletters", "form", "daily")

    assert said.startswith('<form action="')
    assert 'name="newsletter" value="daily"' in said
    assert "There is no newsletter 'weekly'" in installed_terminal.refused("newsletters", "form", "weekly")
