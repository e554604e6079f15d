import os
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journals import FULL, TAKEN, left_behind, run

from newsletter.deliveries.journal import Journal, abandoned


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "journal"


@pytest.mark.parametrize("boot", ["another", ""])
def test_after_a_restart_of_the_machine_answers_are_believed_and_absence_proves_nothing(folder, boot):
    journal = Journal.open(folder, "ari")
    journal.begun(1)
    journal.ended(1, TAKEN)
    journal.begun(2)
    journal.disown("the machine was switched off")

    (left,) = abandoned(folder, boot=boot)

    assert (left.intact, left.same_boot, left.proves_absence) == (True, False, False)
    assert (left.outcomes, left.open) == ({1: TAKEN}, {2})


def test_where_nothing_names_the_run_of_the_machine_no_file_proves_absence(folder):
    Journal.open(folder, "ari", boot="").disown("its process died")

    (left,) = abandoned(folder, boot="")

    assert not left.proves_absence


def test_a_settled_journal_is_removed_and_settling_it_twice_is_possible_before(folder):
    journal = Journal.open(folder, "ari")
    journal.begun(1)
    journal.disown("its process died")

    assert [left.open for left in abandoned(folder)] == [{1}]
    assert [left.open for left in abandoned(folder)] == [{1}]
    for left in abandoned(folder):
        left.remove()
    assert list(folder.iterdir()) == []


def test_while_one_settles_a_journal_another_does_not_get_it(folder):
    for worker in ("ari", "bora"):
        Journal.open(folder, worker).disown("its process died")

    seen = [(left.worker, [other.worker for other in abandoned(folder)]) for left in abandoned(folder)]

    assert seen == [("ari", ["bora"]), ("bora", ["ari"])]


def test_of_processes_that_settle_at_once_each_journal_goes_to_one(folder):
    for number in range(40):
        Journal.open(folder, f"ari-{number}", entries=1).disown("its process died")

    ((*got,),) = run("race", folder, 3)

    assert Counter(worker for one in got for worker in one) == {f"ari-{number}": 1 for number in range(40)}


def test_a_forked_child_neither_writes_nor_keeps_the_lock(folder):
    (seen,) = run("fork", folder)

    assert "forked from the one whose journal it is" in seen["refusal"]
    assert seen["while_held"] == []
    assert seen["after"] == [["parent", [1], []]]


def test_of_a_file_cut_anywhere_nothing_is_made_up(folder):
    journal = Journal.open(folder, "ari", entries=3)
    for delivery_id in (1, 2, 3):
        journal.begun(delivery_id)
    journal.ended(1, TAKEN)
    journal.ended(2, FULL)
    journal.disown("its process died")
    for size in reversed(range(journal.path.stat().st_size)):
        os.truncate(journal.path, size)
        (left,) = abandoned(folder)
        assert not left.proves_absence
        assert left.outcomes.items() <= {1: TAKEN, 2: FULL}.items()
        assert left.open <= {1, 2, 3} - set(left.outcomes)


@settings(max_examples=100, deadline=None)
@given(start=st.integers(0, 5 * 512), rubbish=st.one_of(st.binary(min_size=1, max_size=600), st.integers(1, 1500).map(bytes)))
def test_of_a_file_overwritten_anywhere_nothing_is_made_up(tmp_path_factory, start, rubbish):
    folder = tmp_path_factory.mktemp("journal")
    journal = Journal.open(folder, "ari", entries=4)
    for delivery_id in (1, 2, 3):
        journal.begun(delivery_id)
    journal.ended(1, TAKEN)
    journal.disown("its process died")
    with journal.path.open("r+b") as file:
        file.seek(start)
        file.write(rubbish)

    (left,) = abandoned(folder)

    assert left.outcomes.items() <= {1: TAKEN}.items()
    assert left.open <= {1, 2, 3}


@pytest.mark.parametrize(
    "data", [b"", bytes(4096), b"not a journal\n" * 300, os.urandom(8192)], ids=["empty", "zeros", "text", "noise"]
)
def test_a_file_that_is_no_journal_tells_nothing_and_is_set_aside(folder, data):
    folder.mkdir()
    (folder / "ari.journal").write_bytes(data)

    (left,) = abandoned(folder)
    left.remove()

    assert (left.worker, left.intact, left.proves_absence, left.outcomes, left.open) == ("ari", False, False, {}, frozenset())
    assert [path.name for path in folder.iterdir()] == ["ari.damaged"]
    left.remove()  # a second time, it is gone


def test_a_journal_under_another_name_is_not_believed(folder):
    journal = Journal.open(folder, "ari")
    journal.begun(1)
    journal.disown("its process died")
    journal.path.rename(folder / "bora.journal")

    (left,) = abandoned(folder)

    assert (left.worker, left.intact, left.open) == ("bora", False, frozenset())


def test_slots_of_another_journal_are_not_believed(folder):
    ours, theirs = Journal.open(folder, "ari", entries=1), Journal.open(folder, "bora", entries=1)
    theirs.begun(7)
    slot = theirs.path.read_bytes()[512:]
    theirs.disown("its process died")
    ours.path.write_bytes(ours.path.read_bytes()[:512] + slot)
    theirs.path.unlink()

    with left_behind(ours) as left:
        assert (left.open, left.outcomes, left.damaged) == (frozenset(), {}, 1)


def test_other_things_in_the_folder_are_left_alone(folder):
    (folder / "folder.journal").mkdir(parents=True)
    os.mkfifo(folder / "pipe.journal")
    (folder / "link.journal").symlink_to("/etc/hostname")
    (folder / "dangling.journal").symlink_to("nowhere")
    (folder / "README").write_text("notes")
    before = sorted(folder.iterdir())

    assert list(abandoned(folder)) == []
    assert sorted(folder.iterdir()) == before


def test_what_a_process_left_that_died_while_making_its_journal_is_swept_away(folder):
    folder.mkdir()
    (folder / ".ari.1f2e3d4c.new").write_bytes(b"")

    assert list(abandoned(folder)) == []
    assert list(folder.iterdir()) == []


def test_of_one_delivery_that_is_open_and_ended_in_one_file_it_is_believed_that_it_is_open(folder):
    journal = Journal.open(folder, "ari", entries=2)
    journal.begun(1)
    journal.ended(1, FULL)
    stale = journal.path.read_bytes()[512:1024]
    journal.settled([1])
    journal.begun(2)
    journal.begun(1)
    journal.disown("the machine was switched off")
    data = bytearray(journal.path.read_bytes())
    data[512:1024] = stale  # the disk had not heard yet that this one was settled
    journal.path.write_bytes(data)

    (left,) = abandoned(folder, boot="another")

    assert (left.outcomes, left.open) == ({}, {1})


# What may be found of a message, by the last word of its process about it.
MAY_BE = {
    "begin": {"absent", "open"},
    "begun": {"open"},
    "end": {"open", "ended"},
    "ended": {"ended"},
    "settle": {"ended", "absent"},
    "settled": {"absent"},
}


def test_whatever_moment_a_process_is_killed_at_its_journal_tells_what_was_under_way(tmp_path):
    rounds = run("kills", tmp_path, 110, 20_240_314)

    kinds = Counter()
    for seen in rounds:
        assert len(seen["found"]) == 1 or not seen["last"]
        for proves_absence, outcomes, still_open in seen["found"]:
            assert proves_absence
            assert set(map(str, still_open)) | set(outcomes) <= set(seen["last"])
            assert all(code == 200 + int(number) % 300 for number, code in outcomes.items())
            for number, word in seen["last"].items():
                found = "open" if int(number) in still_open else "ended" if number in outcomes else "absent"
                assert found in MAY_BE[word]
                kinds[word, found] += 1
    assert len(rounds) == 110
    assert {word for word, _ in kinds} >= {"begun", "ended", "settled"}
    assert [path.name for path in tmp_path.iterdir()] == ["said"]
