"""Invented mails of every kind and a reader of HTML, for the tests of rendering."""

from dataclasses import replace
from datetime import date
from html.parser import HTMLParser

from newsletter.mail.emails import (
    AlarmEmail,
    AlreadySubscribedEmail,
    ChangeOfAddressEmail,
    ConfirmEmail,
    DigestEmail,
    ForwardEmail,
    GoodbyeEmail,
    HelpEmail,
    MyDataEmail,
    NewAddressEmail,
    PaperCard,
    PreferencesEmail,
    Publication,
    RemarkEmail,
    WelcomeEmail,
)

KINDS = (
    "digest",
    "confirm",
    "welcome",
    "goodbye",
    "already-subscribed",
    "preferences",
    "my-data",
    "change-of-address",
    "new-address",
    "help",
    "forward",
    "remark",
    "alarm",
)
HOME = "https://papers.example.org"
LANGUAGES = ("en", "ko")
VOID = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"}
CAST = ("Ari Kim", "Bora Lee", "Chan Park", "Dana Cho", "Eun Seo", "Femi Ade", "Gil Moreau", "Hana Sato", "Ines Vidal", "Jo Berg")
SAYINGS = {
    "en": (
        "A model in two sizes, 2B and 7B, learns to say when it does not know; no human labels are needed for it.",
        "Calibration error falls from 11.2% to 3.9% on held-out questions, at the cost of one point of accuracy.",
        "Weights, training logs and the evaluation are released under a permissive licence.",
    ),
    "ko": (
        "2B와 7B 두 크기의 모델이 모를 때 모른다고 말하는 법을 배우며, 사람이 붙인 정답은 필요하지 않습니다.",
        "보류 질문에서 보정 오차가 11.2%에서 3.9%로 줄었고, 정확도는 1점 낮아졌습니다.",
        "가중치와 학습 기록, 평가 결과를 자유로운 라이선스로 공개합니다.",
    ),
}
NOTES = {
    "en": "A quiet day, with one paper to read twice.\n\nLast week's slip is mended: see https://papers.example.org/archive/daily.",
    "ko": "조용한 하루지만 두 번 읽을 만한 논문이 한 편 있습니다.\n\n지난주의 오류는 바로잡았습니다: https://papers.example.org/archive/daily.",
}
REMARKS = {
    "en": ("The abstract says 3.9 points, not 3.9%.", "Otherwise a fine summary, thank you."),
    "ko": ("초록에는 3.9%가 아니라 3.9점이라고 되어 있습니다.", "그 밖에는 좋은 요약입니다. 고맙습니다."),
}


def publication(language="en"):
    title, description = {
        "en": ("AI Papers", "The day's most talked-about papers, in a few lines each."),
        "ko": ("오늘의 AI 논문", "오늘 가장 많이 이야기된 논문을 몇 줄로 전합니다."),
    }[language]
    return Publication("daily", title, description, language, "7 Paper Street, 04524 Seoul", f"{HOME}/", f"{HOME}/daily/archive")


def paper(paper_id=1, language="en", **changes):
    plain = PaperCard(
        paper_id=paper_id,
        title=f"Open Weights That Know When to Say They Do Not Know, Part {paper_id}",
        url=f"https://arxiv.org/abs/2403.{paper_id:05}",
        authors=CAST,
        more_authors=False,
        votes=25,
        thumbnail_url=f"https://cdn-thumbnails.huggingface.co/social-thumbnails/papers/2403.{paper_id:05}.png",
        bullets=SAYINGS[language],
        origin="document",
        ways=(("pdf", f"https://arxiv.org/pdf/2403.{paper_id:05}"), ("code", f"https://github.com/example/weights-{paper_id}")),
        remark_url=f"{HOME}/w/daily/2024-03-14/{paper_id}",
    )
    return replace(plain, **changes)


def digest(*papers, language="en"):
    return DigestEmail(publication(language), date(2024, 3, 14), date(2024, 3, 14), papers or (paper(),))


def every_way(paper_id):
    """Everything there may be of a paper."""
    return (
        *paper(paper_id).ways,
        ("project", f"https://weights-{paper_id}.example.net"),
        ("video", "https://video.example.net/demo.mp4"),
    )


def varied(language):
    """One paper of every sort."""
    return (
        paper(1, language),
        paper(2, language, origin="model", model="gpt-oss-120b", checked=True, authors=CAST[:9], votes=1),
        paper(3, language, origin="extract", bullets=SAYINGS["en"][:2], summary_language="" if language == "en" else "en"),
        paper(4, language, origin="human", ways=every_way(4), more_authors=True),
        paper(5, language, thumbnail_url="", authors=(), votes=None, bullets=(), origin="", ways=()),
    )


def sample(kind, language):
    ours = publication(language)
    return {
        "digest": replace(digest(*varied(language), language=language), note=NOTES[language]),
        "confirm": ConfirmEmail(ours),
        "welcome": WelcomeEmail(ours, "daily", 9, "Asia/Seoul", f"{HOME}/daily/2024-03-14", "AI Papers · Mar 14, 2024"),
        "goodbye": GoodbyeEmail(ours),
        "already-subscribed": AlreadySubscribedEmail(ours),
        "preferences": PreferencesEmail(ours),
        "my-data": MyDataEmail(ours),
        "change-of-address": ChangeOfAddressEmail(ours),
        "new-address": NewAddressEmail(ours, known=False),
        "help": HelpEmail(ours, "papers.example.org", leaving=True),
        "forward": ForwardEmail(ours, proven=False),
        "remark": RemarkEmail(
            ours,
            issue=f"{ours.title} · 2024-03-14",
            paper=paper(2, language, origin="model", model="gpt-oss-120b", checked=True),
            prompt_version=f"{language}-1",
            matter="fact",
            words=REMARKS[language],
            reply_to="reader@example.org",
            desk_url=f"{HOME}/admin/issues/daily/2024-03-14",
        ),
        "alarm": AlarmEmail(ours),
    }[kind]


def content(pieces, *names):
    """Join the pieces of these names, or all of them, as a message does."""
    by_name = {piece.name: piece.content for piece in pieces}
    return "".join(by_name[name] for name in names or by_name)


def read(html):
    page = Page()
    page.feed(html)
    page.close()
    return page


class Page(HTMLParser):
    """What a page says: its elements, its text per element; `wrong` names the first tag that does not nest."""

    def __init__(self):
        super().__init__()
        self.open, self.elements, self.texts, self.wrong, self.declaration = [], [], [], "", ""

    def handle_decl(self, decl):
        """Keep the doctype."""
        self.declaration = decl

    def handle_starttag(self, tag, attrs):
        """Open an element."""
        self.elements.append((tag, dict(attrs)))
        self.texts.append("")
        if tag not in VOID:
            self.open.append((tag, len(self.texts) - 1))

    def handle_endtag(self, tag):
        """Close the element that is open, or remember that it was another."""
        if not self.open or self.open[-1][0] != tag:
            self.wrong = self.wrong or f"</{tag}> closes {self.open[-1:]}"
        else:
            self.open.pop()

    def handle_data(self, data):
        """Give the words to every open element."""
        for _, position in self.open:
            self.texts[position] += data

    def all(self, tag):
        """Return the attributes of every `tag`."""
        return [attributes for name, attributes in self.elements if name == tag]

    def said(self, tag):
        """Return the words inside every `tag`."""
        return [text for (name, _), text in zip(self.elements, self.texts, strict=True) if name == tag]

    @property
    def nests(self):
        """Whether every element was closed in its turn."""
        return not self.wrong and not self.open
