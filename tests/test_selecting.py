import html
from dataclasses import replace
from email import message_from_bytes
from random import Random

import mail_samples
import pytest
from test_message import HEADERS

from newsletter.mail.compose import compose, prepare
from newsletter.mail.matching import Index, PaperFacts
from newsletter.mail.render import render
from newsletter.mail.selecting import EVERYTHING, HTML_BUDGET, LONGEST_LINK, Wish, facts_of, matches, select

PAPERS = (
    PaperFacts(1, ("cs.CL",), "Language"),
    PaperFacts(2, ("cs.CV", "cs.CL"), "Diffusion of pictures"),
    PaperFacts(3, ("cs.RO",), "Robots that walk"),
    PaperFacts(4, ("cs.LG",), "Robots that learn diffusion"),
)


def issue(*papers, language="en"):
    """Return the facts of an issue of the real templates."""
    cards = [mail_samples.paper(paper.id, language) for paper in papers]
    return facts_of(papers, render(mail_samples.digest(*cards, language=language)).html, language)


def chosen(*papers, language="en", short=False, **wishes):
    return select(issue(*(papers or PAPERS), language=language), Wish(**wishes), short=short)


def test_who_wishes_for_nothing_gets_everything_and_no_reason():
    assert chosen() == select(issue(*PAPERS), EVERYTHING)
    assert (chosen().cards, chosen().lines, chosen().why, chosen().more) == ((1, 2, 3, 4), (), "", 0)


def test_what_is_more_than_a_mail_tells_in_full_is_one_line_each():
    selection = select(replace(issue(*PAPERS), most_cards=3), EVERYTHING)

    assert (selection.cards, selection.lines, selection.more) == ((1, 2, 3), (4,), 0)


def test_any_wish_that_is_met_brings_a_paper_and_they_come_by_votes():
    selection = chosen(topics=("cs.CL",), keywords=("robots",))

    assert selection.cards == (1, 2, 3, 4)
    assert selection.why == "4 of 4 papers, for your topics: Language and text; your keywords: robots."


def test_what_meets_most_wishes_comes_first_for_who_wants_it_so():
    wishes = {"topics": ("cs.RO", "cs.LG"), "keywords": ("robot", "diffusion")}

    assert chosen(**wishes).cards == (2, 3, 4)
    assert chosen(**wishes, match_first=True).cards == (4, 3, 2)


def test_the_most_papers_hold_for_everybody():
    assert chosen(most=2).cards == (1, 2)
    selection = chosen(most=1, keywords=("diffusion",), topics=("cs.RO",))
    assert selection.cards == (2,)
    assert selection.why == "1 of 4 papers, for your keywords: diffusion."


def test_the_pinned_come_first_and_are_said_to_be_for_everybody():
    papers = (*PAPERS[:2], replace(PAPERS[2], pinned=True), PAPERS[3])

    assert chosen(*papers).cards == (3, 1, 2, 4)
    selection = chosen(*papers, topics=("cs.LG",))
    assert selection.cards == (3, 4)
    assert selection.why.endswith("for your topics: Machine learning. The editors chose 1 for everybody.")
    alone = chosen(*papers, topics=("math.OC",))
    assert alone.cards == (3,)
    assert alone.why == "None of these 4 papers is about your topics or keywords. The editors chose 1 for everybody."


def test_who_finds_nothing_gets_nothing_or_all_in_short():
    assert chosen(topics=("math.OC",)) is None
    short = chosen(topics=("math.OC",), short=True)
    assert (short.cards, short.lines) == ((), (1, 2, 3, 4))
    assert short.why == "None of these 4 papers is about your topics or keywords."
    assert chosen(topics=("math.OC",), short=True, most=3).lines == (1, 2, 3)


def test_long_lists_of_wishes_are_cut_and_clean():
    papers = tuple(PaperFacts(number, ("cs.CL",), f"word{number}") for number in range(1, 9))
    words = tuple(f"word{number}" for number in range(1, 9))

    assert (
        chosen(*papers, keywords=words).why == "8 of 8 papers, for your keywords: word1, word2, word3, word4, word5 and 3 more."
    )
    long = PaperFacts(1, ("x\u202ey" * 50,), "")
    assert len(chosen(long, topics=("x\u202ey" * 50,)).why) < 100
    assert "\u202e" not in chosen(long, topics=("x\u202ey" * 50,)).why


def test_the_reason_is_said_in_the_newsletters_language():
    selection = chosen(language="ko", topics=("cs.CL", "cs.RO"), keywords=("diffusion",))

    assert selection.why == "논문 4편 가운데 4편. 고르신 주제: 언어와 텍스트, 로봇. 키워드: diffusion."


def test_matching_papers_are_counted():
    index = Index(PAPERS)

    assert matches(index, Wish(("cs.CL",), ("robot",))) == 4
    assert matches(index, Wish(("cs.RO",))) == 1
    assert matches(index, Wish(("math.OC",))) == 0
    assert matches(index, EVERYTHING) == 4


@pytest.fixture(scope="module", params=[1, 23, 50, 120, 200])
def large(request):
    """Return a day of so many long Korean papers: their facts, and the email prepared."""
    papers = [
        PaperFacts(number, (f"cs.{'CL' if number % 3 else 'CV'}",), f"topic{number % 7}", pinned=number % 41 == 1)
        for number in range(1, request.param + 1)
    ]
    long = {"bullets": mail_samples.SAYINGS["ko"] * 2, "authors": mail_samples.CAST * 2}
    cards = [mail_samples.paper(paper.id, "ko", **long) for paper in papers]
    rendered = render(mail_samples.digest(*cards, language="ko"))
    return facts_of(papers, rendered.html, "ko"), prepare(rendered)


def test_no_readers_html_is_longer_than_mail_programs_show(large):
    facts, prepared = large
    random = Random(3)
    slots = dict.fromkeys(prepared.wanted, "https://n.example.net/" + "&" * ((LONGEST_LINK - 22) // 5))
    for _ in range(25):
        topics = tuple(random.sample(["cs.CL", "cs.CV", "cs.RO"], random.randint(0, 3)))
        words = tuple(random.sample([*(f"topic{n}" for n in range(9)), "<b>&&&" * 6], random.randint(0, 6)))
        wish = Wish(topics, words, random.choice([None, 1, 10, 100]), match_first=random.random() < 0.5)
        selection = select(facts, wish, short=random.random() < 0.5)
        if selection is None:
            continue
        raw = compose(prepared, headers=HEADERS, slots=slots, selection=selection)
        shown = message_from_bytes(raw).get_payload()[1].get_payload(decode=True)
        assert len(shown) <= HTML_BUDGET
        assert html.escape(slots["unsubscribe_url"]).encode() in shown
        assert (f"논문 {selection.more}편 더 보기" in shown.decode()) == bool(selection.more)
        assert selection.count + selection.more <= (wish.most or 200)


def test_room_is_used_for_cards_then_for_lines_and_the_rest_is_counted(large):
    facts, _ = large
    selection = select(facts, EVERYTHING)
    pinned_first = sorted(facts.index.ids, key=lambda number: number % 41 != 1)

    assert selection.cards
    assert selection.cards + selection.lines == tuple(pinned_first[: selection.count])
    assert selection.count + selection.more == len(facts.index.ids)
    if selection.more:
        left = HTML_BUDGET - sum(facts.cards[n] for n in selection.cards) - sum(facts.lines[n] for n in selection.lines)
        assert left - facts.size("head", "lines", "more", "foot") < max(facts.lines.values())


def test_a_short_mail_of_a_large_day_keeps_within_the_budget(large):
    facts, _ = large
    selection = select(facts, Wish(("math.OC",)), short=True)

    assert set(selection.cards) <= set(facts.index.papers(facts.index.pinned))
    assert selection.count + selection.more == len(facts.index.ids)
