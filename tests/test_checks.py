from dataclasses import replace

import pytest

from newsletter.summarisers import SummaryInput
from newsletter.summarisers.checks import check, source_fault
from newsletter.summarisers.checks.copies import Seen
from newsletter.summarisers.checks.names import likeness, own_names
from newsletter.summarisers.extractive import Extractive

PAPER = SummaryInput(
    title="TideNet: Forecasting Coastal Floods from Satellite Images",
    abstract="Coastal floods are hard to forecast where few gauges stand. We introduce TideNet, a vision "
    "transformer with 1.2 billion "
    "parameters that reads satellite images and weather records and forecasts the water level for the next 48 hours. Trained on "
    "350K image pairs of 27 harbours, it lowers the error by 18.5% and is 3x faster than numerical "
    "simulation. We release FloodBench, "
    "a benchmark of 900 storms.",
)
KOREAN = (
    "TideNet은 위성 이미지와 날씨 기록으로 48시간 뒤까지의 해안 수위를 예측하는 12억 파라미터 비전 트랜스포머입니다.",
    "항구 27곳의 이미지 35만 쌍으로 학습해 오차를 18.5% 줄였고, 수치 시뮬레이션보다 3배 빠릅니다.",
    "폭풍 900개로 이루어진 벤치마크 FloodBench를 공개합니다.",
)
ENGLISH = (
    "TideNet forecasts coastal water levels for 48 hours from satellite images and weather records.",
    "Its 1.2B parameters learn from 350K image pairs and lower the error by 18.5%.",
)
INVENTED = (
    "이 논문은 GAN(Generative Adversarial Networks)의 학습을 안정시키는 새로운 손실 함수를 제안합니다.",
    "CIFAR-10과 CelebA에서 FID 점수가 크게 좋아졌습니다.",
)


def rules(bullets, *, language="ko", paper=PAPER, strict=True, others=()):
    return [reason.rule for reason in check(paper, bullets, language=language, strict=strict, others=others).reasons]


@pytest.mark.parametrize(("bullets", "language"), [(KOREAN, "ko"), (ENGLISH, "en")])
def test_a_true_summary_passes(bullets, language):
    assert check(PAPER, bullets, language=language).passes


def test_the_abstracts_own_sentences_pass():
    draft = Extractive().summarise(PAPER, language="en")

    assert check(PAPER, draft.bullets, language="en").passes


def test_a_summary_of_a_paper_that_does_not_exist_is_about_another_one():
    [reason, *_] = check(PAPER, INVENTED, language="ko").reasons

    assert reason.rule == "about"
    assert "GAN" in reason.words
    assert "tidenet" in reason.sentence


def test_digits_without_end_in_a_source_break_no_check():
    paper = replace(PAPER, abstract=f"{PAPER.abstract} {'9' * 5000}")

    assert check(paper, KOREAN, language="ko").passes


@pytest.mark.parametrize("bullets", [("9" * 5000,), ("A-1-" * 50_000,), ("TideNet.",) * 10_000])
def test_of_what_is_too_large_nothing_more_is_looked_at(bullets):
    assert rules(bullets) == ["size"]


def test_likeness_sees_through_the_language():
    source = f"{PAPER.title}\n{PAPER.abstract}"

    assert likeness(source, "\n".join(KOREAN)) > 2 * likeness(source, "\n".join(INVENTED))


def test_names_are_what_is_written_as_one():
    assert own_names("Gemmule: Small Models\nWe train MiniCPM-V and o3 on ImageNet with LLMs.") == {
        "gemmule",
        "minicpm",
        "minicpm-v",
        "o3",
    }


@pytest.mark.parametrize(
    "abstract",
    [
        "",
        "   ",
        "TideNet: Forecasting Coastal Floods from Satellite Images",
        "This paper has been withdrawn by the authors because of an error in the third section, which "
        "they found after publication. " * 2,
        "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut "
        "labore et dolore magna aliqua. " * 2,
        (
            "The abstract paragraph should be indented half an inch on both sides. The word Abstract must be "
            "centered, in bold. The abstract "
            "must be limited to one paragraph, and two line spaces precede it; see the other sheets "
            "for all that a manuscript needs."
        ),
        (
            "Formatting instructions for submissions to a conference: papers have at most nine pages, "
            "figures stand within the margins, and "
            "the style file is used as it comes, without any change of fonts, sizes, margins or of the space between its lines."
        ),
        "We propose a model. " * 20,
        "Enable JavaScript to see this page. " * 10,
    ],
)
def test_an_empty_source_and_boilerplate_are_never_summarised(abstract):
    paper = replace(PAPER, abstract=abstract)
    fault = source_fault(paper)

    assert fault
    assert check(paper, KOREAN, language="ko").reasons == (fault,)


@pytest.mark.parametrize("word", ["CAPTCHA", "placeholder", "sample text", "rate limit exceeded"])
def test_a_paper_may_be_about_what_pages_say(word):
    abstract = (
        f"Agents that browse for people meet a {word} sooner or later, and most of them give up. We collect 1,200 such moments "
        "from forty sites and measure how nine agents go on. The best asks its person in 71% of the cases, the worst guesses. A "
        "small rule that stops guessing raises the share of finished errands from 38% to 52% and harms no other errand; we "
        "show which sites it helps most, and why larger models alone do not learn it from more examples of browsing."
    )
    assert source_fault(SummaryInput("Agents That Ask", abstract)) is None


def test_a_paper_on_templates_is_no_template():
    abstract = (
        "Templates of prompts decide how well a model answers. We study 40 templates on nine tasks and "
        "find that their order matters more "
        "than their words; a search over templates gains four points, and costs a few minutes on one machine."
    )
    assert source_fault(SummaryInput("Prompt Templates Revisited", abstract)) is None


@pytest.mark.parametrize(
    ("bullet", "rule"),
    [
        ("위성 이미지로 해안 홍수를 예측하는 модель입니다.", "script"),
        ("위성 이미지로 해안 홍수를 예측하는 模型입니다.", "script"),
        ("위성 이미지\x08로 해안 홍수를 예측합니다.", "control"),
        ("{'핵심': '위성 이미지로 해안 홍수를 예측합니다.'}", "remnant"),
        ("위성 이미지로 <b>해안 홍수</b>를 예측합니다.", "markup"),
        ("위성 이미지로 \\textbf 홍수를 예측합니다.", "markup"),
        ("위성 이미지로 **해안 홍수**를 예측합니다.", "markup"),
        ("위성 이미지로 해안 홍수를 예측합니다(https://tidenet.example.org 참고).", "link"),
        ("죄송하지만 이 요청은 도와드릴 수 없습니다.", "refusal"),
        ("제공된 초록이 없어 요약할 수 없습니다.", "refusal"),
        ("I'm sorry, but I cannot summarise this.", "refusal"),
        ("요약: 위성 이미지로 해안 홍수를 예측합니다.", "template"),
        ("[여기에 요약을 쓰세요]", "template"),
        ("Here is the summary of the paper:", "template"),
        ("위성 이미지와 날씨 기록으로 해안의 수위를", "truncated"),
        ("위성 이미지와 날씨 기록으로 (특히 항구의", "truncated"),
        (" ", "size"),
    ],
)
def test_what_a_model_leaves_behind_when_it_slips_is_seen(bullet, rule):
    assert rule in rules((*KOREAN, bullet))


def test_a_summary_in_the_wrong_language_is_refused():
    assert rules(ENGLISH, language="ko") == ["language"]
    assert rules(KOREAN, language="en") == ["language"]


def test_no_bullets_are_no_summary():
    assert "size" in rules(())


def test_what_was_made_from_the_whole_paper_may_know_more_than_the_abstract():
    bullets = ("**What's New**: " + KOREAN[0], KOREAN[1], "TideNet은 검증 자료에서 93.7%의 재현율을 얻었습니다.")

    assert rules(bullets, strict=True) == ["markup", "number"]
    assert rules(bullets, strict=False) == []


def test_a_link_of_the_abstract_is_no_invention():
    paper = replace(PAPER, abstract=f"{PAPER.abstract} Code: https://tidenet.example.org/code")
    bullets = (*KOREAN, "코드는 https://tidenet.example.org/code에서 볼 수 있습니다.")

    assert rules(bullets, paper=paper, strict=False) == []
    assert rules(bullets, paper=paper, strict=True) == ["link"]


@pytest.mark.parametrize(
    "bullet",
    [
        "***What's New***: {}",
        "- **Technical Details**: {}",
        "**핵심:** {}",
        "***Technical Details*: {}",
        "* {}",
        "{} 코드는 [저장소](https://tidenet.example.org/code)에 있습니다.",
        "{} \\textsc{{Tide}} 방식입니다.",
    ],
)
def test_what_published_documents_are_written_with_is_no_fault_of_a_summary(bullet):
    paper = replace(PAPER, abstract=f"{PAPER.abstract} Code of \\textsc{{Tide}}: https://tidenet.example.org/code")
    bullets = (bullet.format(KOREAN[0]), *KOREAN[1:])

    assert rules(bullets, paper=paper, strict=False) == []
    assert rules(bullets, paper=paper, strict=True)


def test_an_instruction_is_no_key():
    assert rules(("***Formatting Instructions***: " + KOREAN[0], *KOREAN[1:]), strict=False) == ["template"]


def test_a_near_copy_of_another_papers_summary_is_refused():
    near = (KOREAN[0].replace("TideNet", "Tidenet2"), *KOREAN[1:])

    assert rules(KOREAN, others=[INVENTED, near]) == ["copy"]
    assert rules(KOREAN, others=[INVENTED]) == []


def test_the_same_bullet_twice_is_told():
    assert rules((*KOREAN, KOREAN[1])) == ["repeated"]


def test_copies_are_found_among_all_that_was_seen_but_not_with_the_paper_itself():
    seen = Seen()

    assert seen.add("one", KOREAN) is None
    assert seen.add("one", KOREAN) is None
    assert seen.add("two", INVENTED) is None
    copied = seen.add("three", (*KOREAN[:2], INVENTED[1]))
    assert copied
    assert copied.rule == "copy"
