import json

from bench import summaries, summary_days
from bench.summaries import Row, table


def test_every_target_is_met_on_the_papers_of_our_own(tmp_path, capsys):
    out = tmp_path / "figures.json"

    summaries.main(["--out", str(out)])

    figures = json.loads(out.read_text())
    assert [row["kind"] for row in figures["rows"] if row["met"] is False] == []
    assert figures["calls"] == 0
    assert "empty or boilerplate source" in capsys.readouterr().out


def test_a_target_that_is_missed_is_told():
    assert "MISSED" in table([Row("true", real=True, n=100, caught=3, target=0.02, most=True)])
    assert Row("none", real=True, n=0, caught=0, target=0.6).met is None


def test_published_days_are_read_with_what_is_known_of_them(tmp_path):
    item = {
        "paper": {"id": "2403.00001", "title": "Tides", "summary": "Harbours flood. " * 20, "ai_summary": "Tides rise."},
        "title": "Tides",
    }
    (tmp_path / "2024-03-14.json").write_text(json.dumps([item]))
    (tmp_path / "2024-03-14.md").write_text(
        "## Daily Papers (2024-03-14)\n\n### [Tides](https://arxiv.org/abs/2403.00001)\n\n- 항구가 물에 잠깁니다.\n"
    )
    (tmp_path / "labels.tsv").write_text("day\tarxiv_id\ttitle\tkind\n2024-03-14\t2403.00001\tTides\tinvented\n")

    document, line = summary_days.published(tmp_path)

    assert (document.identifier, document.bullets, document.invented) == ("2403.00001", ("항구가 물에 잠깁니다.",), True)
    assert (line.bullets, line.language) == (("Tides rise.",), "en")
