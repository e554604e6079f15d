import json

from test_checks import INVENTED, KOREAN, PAPER
from typer.testing import CliRunner

from newsletter.cli import app
from newsletter.cli.checking import verdicts
from newsletter.summarisers.audit import FIELD, Audit, cosine


def line(identifier, bullets, **other):
    return json.dumps(
        {"id": identifier, "language": "ko", "title": PAPER.title, "abstract": PAPER.abstract, "bullets": bullets} | other
    )


def check(lines, *options):
    result = CliRunner().invoke(app, ["summaries", "check", "-", *options], input="\n".join(lines))
    return [json.loads(each) for each in result.stdout.splitlines()], result


def test_each_line_gets_its_verdict_in_order():
    found, result = check([line("a", KOREAN), line("b", INVENTED), line("c", KOREAN, abstract="")])

    assert result.exit_code == 0
    assert [(each["id"], each["passes"]) for each in found] == [("a", True), ("b", False), ("c", False)]
    assert found[1]["reasons"][0]["rule"] == "about"
    assert found[1]["reasons"][0]["sentence"].endswith(".")
    assert "GAN" in found[1]["reasons"][0]["words"]
    assert [each["rule"] for each in found[2]["reasons"]] == ["source"]


def test_a_copy_is_told_where_another_paper_has_it_rightly():
    other = "RainNet: Rain Seen from Satellites over Coastal Waters"

    found, _ = check([line("a", KOREAN, title=other), line("b", KOREAN, title=other), line("c", KOREAN)])
    assert [[each["rule"] for each in one["reasons"]] for one in found] == [[], [], ["copy"]]

    found, _ = check([line("a", KOREAN, title=other, abstract=""), line("b", KOREAN)])
    assert [[each["rule"] for each in one["reasons"]] for one in found] == [["source"], []]


def test_a_line_that_cannot_be_read_says_why_and_the_others_are_checked():
    found, result = check(["no json", "", '["a"]', line("a", 7), '{"id": "a"}', line("b", KOREAN)])

    assert [each.get("line") for each in found] == [1, 3, 4, 5, None]
    assert "bullets" in found[2]["error"]
    assert "language, title" in found[3]["error"]
    assert found[-1] == {"id": "b", "passes": True, "reasons": []}
    assert result.exit_code == 1


def test_half_a_character_is_told_and_breaks_nothing():
    found, result = check([line("\ud800", KOREAN), line("a", ["\ud83d"]), line("b", KOREAN)])

    assert [each.get("line") for each in found] == [1, 2, None]
    assert "half a character" in found[0]["error"]
    assert result.exit_code == 1


def test_bullets_may_be_the_lines_of_one_text():
    found, _ = check([line("a", "\n".join(f"- {bullet}" for bullet in KOREAN), language="ko-KR")])

    assert found == [{"id": "a", "passes": True, "reasons": []}]


def test_strict_wants_every_number_in_title_and_abstract():
    more = [line("a", (*KOREAN, "TideNet은 93.7%의 재현율을 얻었습니다."))]

    assert check(more)[0][0]["passes"]
    [reason] = check(more, "--strict")[0][0]["reasons"]
    assert (reason["rule"], reason["words"]) == ("number", ["93.7%"])


def test_verdicts_come_while_lines_are_read():
    def lines():
        yield line("a", KOREAN).encode()
        raise AssertionError("read ahead")

    assert next(verdicts(lines(), strict=False))["passes"]


def embed_as(own):
    def embed(texts):
        return [(1.0, 0.0) if text in FIELD else own[text] for text in texts]

    return embed


def test_the_audit_measures_how_much_nearer_the_own_abstract_is():
    audit = Audit(embed_as({"source": (0.6, 0.8), "true": (0.6, 0.8), "strange": (1.0, 0.0)}))

    assert round(audit.margin("source", "true"), 6) == 0.4
    assert round(audit.margin("source", "strange"), 6) == -0.4
    assert cosine((0.6, 0.8), (0.8, 0.6)) == 0.96


def test_what_is_no_nearer_than_other_texts_is_named_by_the_audit():
    source = f"{PAPER.title}\n{PAPER.abstract}"
    audit = Audit(embed_as({source: (0.6, 0.8), "\n".join(INVENTED): (0.8, 0.6), "\n".join(KOREAN): (0.6, 0.8)}))

    assert audit.reason(PAPER, KOREAN) is None
    assert audit.reason(PAPER, INVENTED) is None
    strange = Audit(embed_as({source: (0.6, 0.8), "\n".join(INVENTED): (1.0, 0.0)})).reason(PAPER, INVENTED)
    assert strange
    assert strange.rule == "audit"
