import os
import resource
from contextlib import contextmanager
from pathlib import Path

import pytest
from journals import FULL, TAKEN, left_behind

from newsletter.deliveries.journal import SYNC_EVERY, Journal, JournalFull, abandoned, worker_name
from newsletter.errors import Reply


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "journal"


@contextmanager
def disk_of(size):
    """Let no file grow beyond `size` bytes: the kernel answers with EFBIG where a full disk answers with ENOSPC."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_ended_is_told_in_the_servers_words_and_the_rest_is_open(folder):
    journal = Journal.open(folder, "ari")
    for delivery_id in (1, 2, 3):
        journal.begun(delivery_id)
    journal.ended(1, TAKEN)
    journal.ended(3, FULL)

    with left_behind(journal) as left:
        assert (left.worker, left.intact, left.same_boot, left.proves_absence) == ("ari", True, True, True)
        assert left.outcomes == {1: TAKEN, 3: FULL}
        assert left.open == {2}


def test_a_journal_that_somebody_holds_is_not_abandoned(folder):
    journal = Journal.open(folder, "ari")

    assert list(abandoned(folder)) == []
    journal.close()


def test_a_folder_that_is_not_there_has_no_journals(folder):
    assert list(abandoned(folder)) == []


def test_only_their_owner_may_read_what_servers_said(folder):
    journal = Journal.open(folder, "ari")

    assert (folder.stat().st_mode & 0o777, journal.path.stat().st_mode & 0o777) == (0o700, 0o600)
    journal.close()


@pytest.mark.parametrize("name", ["", "../ari", "a/b", ".ari", "a\0b", "a" * 101])
def test_a_name_that_is_no_file_name_is_refused(folder, name):
    with pytest.raises(ValueError, match="no journal"):
        Journal.open(folder, name)


def test_two_processes_never_share_a_name(folder):
    assert len({worker_name() for _ in range(100)}) == 100
    journal = Journal.open(folder, worker_name())
    with pytest.raises(JournalFull, match="another process has this name"):
        Journal.open(folder, journal.worker)
    journal.close()


def test_a_journal_with_all_settled_goes_away_at_closing(folder):
    journal = Journal.open(folder, "ari")
    journal.begun(1)
    journal.ended(1, TAKEN)
    journal.settled([1, 99])
    journal.close()
    journal.close()

    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("answered", [False, True])
def test_a_journal_with_anything_unsettled_stays_at_closing(folder, answered):
    journal = Journal.open(folder, "ari")
    journal.begun(1)
    if answered:
        journal.ended(1, TAKEN)
    journal.close()

    (left,) = abandoned(folder)
    assert (left.outcomes, left.open) == (({1: TAKEN}, frozenset()) if answered else ({}, {1}))


def test_what_is_settled_is_forgotten(folder):
    journal = Journal.open(folder, "ari")
    assert journal.unsettled() == {}
    for delivery_id in (1, 2):
        journal.begun(delivery_id)
        journal.ended(delivery_id, TAKEN)
    journal.settled([1])

    assert journal.unsettled() == {2: TAKEN}
    with left_behind(journal) as left:
        assert left.outcomes == {2: TAKEN}


def test_a_message_begun_again_is_open_whatever_was_said_of_it_before(folder):
    journal = Journal.open(folder, "ari", entries=2)
    journal.begun(1)
    journal.ended(1, FULL)
    journal.begun(1)
    journal.settled([1])  # of the first time, and late

    assert journal.under_way == [1]
    with left_behind(journal) as left:
        assert (left.outcomes, left.open) == ({}, {1})


def test_the_answer_to_the_message_before_is_not_taken_for_this_ones(folder):
    journal = Journal.open(folder, "ari", entries=1)
    journal.begun(1)
    journal.ended(1, TAKEN)
    journal.settled([1])
    journal.begun(2)  # into the same slot

    with left_behind(journal) as left:
        assert (left.outcomes, left.open) == ({}, {2})


def test_however_many_messages_there_are_only_the_unsettled_take_room(folder):
    journal = Journal.open(folder, "ari", entries=64)
    size = journal.path.stat().st_size
    for first in range(1, 20_000, 50):
        for delivery_id in range(first, first + 50):
            journal.begun(delivery_id)
            journal.ended(delivery_id, TAKEN)
        journal.settled(range(first, first + 50))

    assert journal.path.stat().st_size == size
    journal.close()


def test_it_grows_while_messages_are_under_way(folder):
    journal = Journal.open(folder, "ari", entries=3)
    for delivery_id in range(1, 11):
        journal.begun(delivery_id)
    journal.ended(10, TAKEN)

    with left_behind(journal) as left:
        assert left.proves_absence
        assert (left.outcomes, left.open) == ({10: TAKEN}, set(range(1, 10)))


def test_on_a_full_disk_no_message_begins_and_those_under_way_still_end(folder):
    with disk_of(5 * 512):
        journal = Journal.open(folder, "ari", entries=4)
        for delivery_id in (1, 2, 3, 4):
            journal.begun(delivery_id)
        with pytest.raises(JournalFull, match=r"ari\.journal: the journal has no room .*: File too large") as refused:
            journal.begun(5)
        for delivery_id in (1, 2, 3, 4):
            journal.ended(delivery_id, TAKEN)
        journal.settled([2])
        journal.begun(5)  # there is room again

    assert "Make room" in refused.value.hint
    with left_behind(journal) as left:
        assert left.proves_absence
        assert (set(left.outcomes), left.open) == ({1, 3, 4}, {5})


def test_on_a_full_disk_no_journal_is_made_and_nothing_stays(folder):
    with disk_of(1000), pytest.raises(JournalFull, match="cannot be made: File too large"):
        Journal.open(folder, "ari")

    assert list(folder.iterdir()) == []


def test_a_disk_that_stops_taking_writes_loses_no_answer_and_lets_nothing_begin(folder):
    journal = Journal.open(folder, "ari")
    for delivery_id in (1, 2):
        journal.begun(delivery_id)
    journal.ended(1, TAKEN)
    with disk_of(0):
        journal.ended(2, TAKEN)
        journal.settled([1])
        journal.sync()
        with pytest.raises(JournalFull, match="cannot be written: File too large"):
            journal.begun(3)

    with pytest.raises(JournalFull):  # what it wrote last is not known: it is not trusted again
        journal.begun(4)
    with left_behind(journal) as left:
        assert (left.outcomes, left.open) == ({1: TAKEN}, {2})


def test_a_disk_that_fails_at_the_beginning_of_a_message_keeps_it_from_being_sent(folder):
    journal = Journal.open(folder, "ari")
    with disk_of(0), pytest.raises(JournalFull, match="cannot be written"):
        journal.begun(1)

    with left_behind(journal) as left:
        assert (left.outcomes, left.open) == ({}, set())


def test_without_help_from_the_system_it_writes_zeros_to_have_the_room(folder, monkeypatch):
    monkeypatch.delattr(os, "posix_fallocate")  # as on macOS
    monkeypatch.delattr(os, "fdatasync")
    journal = Journal.open(folder, "ari", entries=3000)
    assert journal.path.stat().st_blocks * 512 >= 3000 * 512
    journal.begun(1)
    journal.ended(1, TAKEN)
    journal.sync()

    with left_behind(journal) as left:
        assert left.outcomes == {1: TAKEN}


def test_a_sync_is_due_after_every_fifty_messages(folder):
    journal = Journal.open(folder, "ari")
    due = []
    for delivery_id in range(1, 2 * SYNC_EVERY + 1):
        journal.begun(delivery_id)
        journal.ended(delivery_id, TAKEN)
        due.append(journal.sync_due)
        if journal.sync_due:
            journal.sync()

    assert [number for number, is_due in enumerate(due, 1) if is_due] == [SYNC_EVERY, 2 * SYNC_EVERY]
    journal.settled(range(1, 2 * SYNC_EVERY + 1))
    journal.close()


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="only Linux counts the writes of a process")
def test_a_message_costs_two_writes(folder):
    def writes():
        return int(Path("/proc/self/io").read_text().partition("syscw: ")[2].split()[0])

    journal = Journal.open(folder, "ari")
    before = writes()
    for delivery_id in range(1, 1001):
        journal.begun(delivery_id)
        journal.ended(delivery_id, TAKEN)

    assert 2000 <= writes() - before < 2010  # pytest may write a line of its own
    journal.settled(range(1, 1001))
    journal.close()


@pytest.mark.parametrize(
    "reply",
    [
        Reply(0, "", "the connection was lost", "relay.test:587", "dot"),
        Reply(550, "5.1.1", "no such user", "", ""),
        Reply(250, "", "", "relay.test:25", "dot"),
        Reply(250, "2.0.0", "a\0b\nc", "relay.test:25", "dot"),
    ],
)
def test_every_reply_comes_back_as_it_was(folder, reply):
    journal = Journal.open(folder, "ari")
    journal.begun(2**63 - 1)
    journal.ended(2**63 - 1, reply)

    with left_behind(journal) as left:
        assert left.outcomes == {2**63 - 1: reply}


def test_a_long_answer_is_cut_between_two_characters(folder):
    journal = Journal.open(folder, "ari")
    journal.begun(1)
    journal.ended(1, Reply(550, "5.7.1", "거절" * 500, "relay.test:587", "dot"))

    with left_behind(journal) as left:
        reply = left.outcomes[1]
        assert (reply.code, reply.enhanced, reply.server, reply.phase) == (550, "5.7.1", "relay.test:587", "dot")
        assert len(reply.text) > 100
        assert ("거절" * 500).startswith(reply.text)
