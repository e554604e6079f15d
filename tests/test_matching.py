import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.mail.matching import Index, PaperFacts, words_of

PAPERS = (
    PaperFacts(11, ("cs.CL", "cs.LG"), "Small Language Models (SLMs) in C++: a study of world-knowledge"),
    PaperFacts(12, ("cs.CV",), "Diffusion for video. GPT-4 judges; the classes are many", pinned=True),
    PaperFacts(13, ("stat.ML",), "확산 모델로 영상을 만듭니다. LLM을 쓰지 않는 대규모 언어모델 평가"),
)


@pytest.fixture
def index():
    return Index(PAPERS)


@pytest.mark.parametrize(
    ("topic", "found"),
    [("cs.CL", [11]), ("cs.lg", [11]), (" cs.CV ", [12]), ("cs", [11, 12]), ("stat.ML", [13]), ("c", []), ("", [])],
)
def test_a_topic_finds_its_category_also_as_a_further_one_and_its_whole_archive(index, topic, found):
    assert index.papers(index.topic(topic)) == found


@pytest.mark.parametrize(
    ("keyword", "found"),
    [
        ("diffusion", [12]),
        ("ＤＩＦＦＵＳＩＯＮ", [12]),
        ("diffusions", [12]),
        ("fusion", []),  # a part of a word
        ("language model", [11]),
        ("Language Models", [11]),
        ("model language", []),
        ("language  knowledge", []),
        ("slm", [11]),
        ("class", [12]),
        ("studies", [11]),
        ("gpt-4", [12]),
        ("GPT 4", [12]),
        ("c++", [11]),
        ("c", []),
        ("world knowledge", [11]),
        (".*", []),
        ("", []),
        ("llm", [13]),
        ("확산", [13]),
        ("확산 모델", [13]),
        ("확산모델", [13]),
        ("언어 모델", [13]),
        ("델로 영", [13]),
        ("LLM 평가", []),
        ("로영", []),  # two letters of two words
        ("llm을", [13]),
        ("영상 확산", []),
    ],
)
def test_a_keyword_finds_whole_words_and_in_korean_also_what_has_endings(index, keyword, found):
    assert index.papers(index.keyword(keyword)) == found


@pytest.mark.parametrize(
    ("keyword", "text"),
    [
        ("Schrodinger bridge", "Schrödinger bridges"),
        ("Erdős", "a graph of Erdos"),
        ("pretraining", "We study pre-training"),
        ("pre-training", "We study pretraining"),
        ("GPT4", "GPT-4 judges"),
        ("KV cache", "small KV caches"),
        ("batch sizes", "The batch size matters"),
        ("movies", "one movie"),
        ("LM", "LMs을 비교"),
    ],
)
def test_a_word_is_found_however_it_is_spelt(keyword, text):
    assert Index([PaperFacts(1, text=text)]).keyword(keyword)


@pytest.mark.parametrize(("keyword", "text"), [("IT", "its use"), ("は", "ば"), ("AI", "said"), ("35", "3-5")])
def test_what_only_looks_alike_is_not_found(keyword, text):
    assert not Index([PaperFacts(1, text=text)]).keyword(keyword)


def test_gas_and_bus_and_bias_are_no_plurals_of_anything():
    assert words_of("gas bus focus analysis class bias") == ["gas", "bus", "focus", "analysis", "class", "bia"]
    assert words_of("queries classes boxes networks") == ["query", "class", "box", "network"]


texts = st.text(st.sampled_from("abs 모델언어.+#é"), max_size=30)


@given(st.lists(texts, max_size=4), texts)
def test_a_keyword_of_whole_latin_words_finds_what_going_through_the_words_finds(contents, keyword):
    index = Index([PaperFacts(number, text=content) for number, content in enumerate(contents)])
    wanted = words_of(keyword)
    if not wanted or any("가" <= letter <= "힣" for letter in keyword):
        return

    def holds(words):
        return any(words[start : start + len(wanted)] == wanted for start in range(len(words)))

    assert index.papers(index.keyword(keyword)) == [n for n, content in enumerate(contents) if holds(words_of(content))]


@given(st.lists(texts, max_size=4), st.text(max_size=40))
def test_nothing_a_reader_writes_breaks_the_search(contents, keyword):
    index = Index([PaperFacts(number, text=content) for number, content in enumerate(contents)])

    assert set(index.papers(index.keyword(keyword) | index.topic(keyword))) <= set(range(len(contents)))
