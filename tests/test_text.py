import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.text import language_of, one_line, paragraphs, safe_link, sentences, tex_to_unicode


@pytest.mark.parametrize(
    ("given", "clean"),
    [
        ("Small  Models,\n  Large Claims ", "Small Models, Large Claims"),
        ("a\u2028b\u2029c\x85d\u00a0e", "a b c d e"),
        ("bell\x07 and escape\x1b[1m", "bell and escape[1m"),
        ("evil \u202egnp.exe\u202c \u2066x\u2069", "evil gnp.exe x"),
        ("zero\u200bwidth \ufeffsoft\u00adhyphen", "zerowidth softhyphen"),
        ("half a pair \ud83d gone", "half a pair gone"),
        ("\U0001f469\u200d\U0001f52c stays one person", "\U0001f469\u200d\U0001f52c stays one person"),
    ],
)
def test_one_line_keeps_what_can_be_seen(given, clean):
    assert one_line(given) == clean


@given(st.text())
def test_one_line_of_clean_text_changes_nothing_and_can_be_stored(text):
    clean = one_line(text)

    assert one_line(clean) == clean
    assert clean.encode().decode() == clean
    assert "\0" not in clean


def test_paragraphs_join_hard_wrapped_lines_and_keep_empty_ones():
    assert paragraphs("We show\n  a thing.\r\n\r\n \nAnd\u2028another.\n") == "We show a thing.\n\nAnd another."


@pytest.mark.parametrize(
    ("tex", "characters"),
    [
        ("SALTO-$π$", "SALTO-π"),
        ("M$^{2}$Play and x$_{t+1}$", "M²Play and xₜ₊₁"),
        (r"$\textit{Dia-LoRA}$ \textbf{bold {x} text}", "Dia-LoRA bold {x} text"),
        (r"\alpha and $\beta_1$", "α and β₁"),
        (r"$\sim$20\% of them", "~20% of them"),
        ("if $x<y$", "if x<y"),
        (r"1.5$\times$ faster in $O(n\log n)$", "1.5× faster in O(n log n)"),
        (r"Caf\'e Erd\H{o}s Fran\c{c}ois na\"{\i}ve", "Café Erdős François naïve"),
        ("Fig.~3 by Park~et al.", "Fig. 3 by Park et al."),
        (r"$\mathbb{R}^d$, $\hat{x}$, $\frac{a+b}{c}$, $W_{model}$", "ℝᵈ, x̂, (a+b)/c, W_model"),
        (r"\ourmethod{}: \unknown{readable} \macro", "ourmethod: readable macro"),
        ("``quoted''", "“quoted”"),
        (r"from $10^{-3}$ at 20$^\circ$C", "from 10⁻³ at 20°C"),
        (r"\cite{somebody2024}we agree", "we agree"),
    ],
)
def test_tex_becomes_the_characters_it_stands_for(tex, characters):
    assert tex_to_unicode(tex) == characters


@pytest.mark.parametrize(
    "text",
    [
        "$5 and $10",
        "from $5-$10 to 10$ more",
        "about ~20% or 5~10",
        "{n} papers {sim} }{",
        r'"quoted"',
        "100% & more",
        "snake_case^2",
    ],
)
def test_what_only_looks_like_tex_is_left_alone(text):
    assert tex_to_unicode(text) == text


def test_escaped_quotes_are_no_accents():
    assert tex_to_unicode(r"\"hello\" said C") == '"hello" said C'


@given(st.text(alphabet=r"\{}$^_~`'\"abhtx1 "))
def test_no_tex_is_too_broken_to_read(text):
    assert isinstance(tex_to_unicode(text), str)


@pytest.mark.parametrize("unit", ["$", "{", "\\hat", "$\\hat", "$x^", "\\", "``", "~a", "\\textbf{", "$a$", "}", "$\\frac{"])
def test_reading_tex_takes_time_in_proportion_to_its_length(unit):
    begun = time.process_time()
    tex_to_unicode(unit * (100_000 // len(unit)))

    assert time.process_time() - begun < 2


@pytest.mark.parametrize(
    "url", ["https://example.org/a?b=c#d", "http://[::1]:8000/", "https://예시.example/길", "https://example.org:8443/(x)"]
)
def test_a_link_to_a_site_is_safe(url):
    assert safe_link(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "javascript:alert(1)",
        "ftp://example.org/",
        "//example.org/x",
        "https://",
        "https://user:secret@example.org/",
        "https://good.example\\@evil.example/",
        "https://example.org/a b",
        "https://example.org/\n",
        "https://example.org/\u202e",
        'https://example.org/"onload=x',
        "https://example.org:port/",
        "https://[::1/",
        "https://example.org/" + "a" * 2000,
    ],
)
def test_what_is_no_plain_link_to_a_site_is_refused(url):
    assert safe_link(url) == ""


def test_sentences_survive_abbreviations_numbers_and_initials():
    text = (
        "We beat it, e.g., by 1.5B vs. GPT-9 (Park et al. 2023). See Fig. 3, i.e. the\nplot by J. Doe. "
        'Does it work? "It does." Code is out! iGPT stays small.'
    )

    assert sentences(text) == [
        "We beat it, e.g., by 1.5B vs. GPT-9 (Park et al. 2023).",
        "See Fig. 3, i.e. the plot by J. Doe.",
        "Does it work?",
        '"It does."',
        "Code is out! iGPT stays small.",
    ]


@given(st.text())
def test_sentences_lose_no_word(text):
    assert " ".join(sentences(text)) == one_line(text)


def test_the_language_is_told_by_the_share_of_hangul():
    assert language_of("이 논문은 LLM을 더 빠르게 합니다.") == "ko"
    assert language_of("We call it Kimchi (김치), a language model.") == "en"
    assert language_of("2024: 42") == "en"
