import json
from datetime import date

from arxiv_server import Told, arxiv
from cli_parts import installed_terminal, terminal
from sources_server import Answer, site

__all__ = ["installed_terminal", "terminal"]

DAY = date(2024, 3, 14)


def test_the_sources_are_listed_with_how_they_answered(installed_terminal):
    missing = installed_terminal.folder / "missing"
    installed_terminal.ok("newsletters", "edit", "daily", "--source", "sample", "--source", f"documents:{missing}")

    assert installed_terminal.ok("sources").count("never read") == 2

    installed_terminal.ok("collect", "2024-03-15")
    said = installed_terminal.ok("sources")
    assert "nothing that day" in said
    assert "BROKEN" in said
    assert "there is no such folder" in said

    installed_terminal.ok("collect", "2024-03-14")
    rows = {row["source"]: row for row in json.loads(installed_terminal.ok("sources", "--json"))}
    assert (rows["sample"]["status"], rows["sample"]["papers"], rows["sample"]["newsletters"]) == ("done", 9, ["daily"])
    assert rows[f"documents:{missing}"]["status"] == "failed"


def test_a_source_is_tried_and_nothing_is_kept(installed_terminal):
    assert "sample lists 9 papers on 2024-03-14." in installed_terminal.ok("sources", "try", "sample", "--day", "2024-03-14")
    assert "sample answered, and lists nothing on" in installed_terminal.ok("sources", "try", "sample")
    assert "never read" in installed_terminal.ok("sources")


def test_arxiv_is_tried_at_the_address_of_the_settings(installed_terminal):
    with arxiv(DAY, Told("2403.00001", DAY, title="Fast nets")) as served:
        installed_terminal.set("NEWSLETTER_SOURCES__ARXIV_URL", served.url)
        installed_terminal.set("NEWSLETTER_SOURCES__ARXIV_FEED_URL", served.url)

        said = installed_terminal.ok("sources", "try", "arxiv:cs.CL", "--day", DAY)
        asked = installed_terminal.ok("sources", "try", "arxiv-query:cat:cs.CL", "--day", DAY)
        served.fault = "busy"
        refused = installed_terminal.refused("sources", "try", "arxiv:cs.CL", "--day", DAY)
        again = installed_terminal.refused("sources", "try", "arxiv:cs.CL", "--day", DAY)

    assert "Fast nets" in said
    assert "arxiv:cs.CL lists 1 paper on 2024-03-14." in said
    assert "arxiv-query:cat:cs.CL lists 1 paper" in asked
    assert "asks to wait 3600 s" in refused
    assert "asked to be left alone until" in again


def test_a_feed_inside_is_asked_only_where_the_settings_say_so(installed_terminal):
    feed = b"<rss version='2.0'><channel><item><title>Fast nets</title><link>https://example.org/1</link></item></channel></rss>"
    with site(Answer(feed)) as served:
        name = f"feed:{served.url}/feed.xml"
        refused = installed_terminal.refused("sources", "try", name)
        installed_terminal.set("NEWSLETTER_SOURCES__INSIDE", '["127.0.0.1"]')
        said = installed_terminal.ok("sources", "try", name)

    assert "it leads to an address of a private network" in refused
    assert "sources.inside" in refused
    assert "without a date: listed on the day it is first seen" in said


def test_an_unknown_source_is_answered_with_the_known_ones_before_a_newsletter_has_it(installed_terminal):
    for name in ("telepathy", "arxiv:CS", "feed:ftp://example.org", "arxiv-query:"):
        for command in (("sources", "try", name), ("newsletters", "edit", "daily", "--source", name)):
            assert "The sources are: huggingface, arxiv:cs.CL" in installed_terminal.refused(*command)


def test_who_said_what_of_a_paper_is_shown(installed_terminal):
    installed_terminal.ok("collect", "2024-03-14")
    number = next(
        line.rpartition("/")[2]
        for line in installed_terminal.ok("sources", "try", "sample", "--day", "2024-03-14").splitlines()
        if "arxiv.org/abs/" in line
    )

    said = installed_terminal.ok("sources", "said", number)
    assert "title" in said
    assert "sample" in said
    assert json.loads(installed_terminal.ok("sources", "said", number, "--json"))["records"][0]["source"] == "sample"
    assert "There is no paper '2403.99999'" in installed_terminal.refused("sources", "said", "2403.99999")
