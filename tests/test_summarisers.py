import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.errors import SummaryError
from newsletter.summarisers import Summariser, SummaryInput
from newsletter.summarisers.extractive import LONGEST_SUMMARY, Extractive

ABSTRACT = (
    "Small models forget what they have read, e.g. the middle of a long page. We present Notepad, a memory of 1.5B "
    "parameters (see Fig. 2) that keeps what matters. On nine tasks it beats models of ten times its size. "
    "It needs no further training. The code is available at https://example.org/notepad."
)


def bullets(abstract, language="en"):
    return Extractive().summarise(SummaryInput(title="Notepad", abstract=abstract), language=language).bullets


def test_whole_sentences_are_quoted_as_they_stand():
    assert bullets(ABSTRACT) == (
        "Small models forget what they have read, e.g. the middle of a long page.",
        "We present Notepad, a memory of 1.5B parameters (see Fig. 2) that keeps what matters.",
        "On nine tasks it beats models of ten times its size.",
    )


def test_what_others_have_done_before_is_left_out():
    past = "Others tried summaries, with little luck so far. A third group tried longer pages instead. "
    first, _, rest = ABSTRACT.partition(". We ")

    assert bullets(f"{first}. {past}We {rest}") == bullets(ABSTRACT)


def test_a_quotation_says_what_it_is_and_in_which_language():
    draft = Extractive().summarise(SummaryInput(title="Notepad", abstract=ABSTRACT), language="ko")

    assert (draft.origin, draft.language, draft.model) == ("extract", "en", "")


def test_a_korean_abstract_is_quoted_in_korean():
    abstract = "이 논문은 작은 모델이 긴 글을 기억하는 방법을 제안합니다. 실험은 아홉 과제에서 이루어졌습니다. " * 5
    draft = Extractive().summarise(SummaryInput(title="메모장", abstract=abstract), language="ko")

    assert draft.language == "ko"


@pytest.mark.parametrize(
    "boilerplate",
    [
        "Code and models are available on our site.",
        "Our code is available.",
        "We will release the weights.",
        "Project page: example.org.",
        "© 2024 the authors.",
        "Wow!",
    ],
)
def test_what_says_nothing_of_the_paper_is_not_quoted(boilerplate):
    assert boilerplate not in bullets(f"{boilerplate} {ABSTRACT}")


@pytest.mark.parametrize("abstract", ["", "   ", "Too short to say anything.", "x" * 199])
def test_too_short_an_abstract_has_no_summary(abstract):
    with pytest.raises(SummaryError, match="characters"):
        bullets(abstract)


def test_what_a_template_says_is_no_summary():
    template = "The abstract must be limited to one paragraph of at most 250 words. " * 4
    with pytest.raises(SummaryError, match="limited to one paragraph"):
        bullets(template)


def test_an_abstract_of_one_endless_sentence_has_no_summary():
    with pytest.raises(SummaryError, match="no sentence"):
        bullets("and on " * 200)


@given(st.text(min_size=200))
def test_a_summary_says_only_what_the_abstract_says_and_fits(abstract):
    try:
        quoted = bullets(abstract)
    except SummaryError:
        return

    assert 1 <= len(quoted) <= 3
    assert sum(map(len, quoted)) <= LONGEST_SUMMARY


def test_the_extractive_summariser_is_a_summariser():
    summariser: Summariser = Extractive()

    assert (summariser.name, summariser.version) == ("extractive", "1")
