"""Emails as data: every kind has its templates, and nothing in them belongs to one reader."""

import dataclasses

import pytest

from newsletter import paths
from newsletter.mail import emails

KINDS = emails.Email.__subclasses__()


def test_every_kind_has_a_subject_a_text_and_an_html_template_and_no_others_lie_about():
    folders = {folder.name: {file.name for file in folder.iterdir()} for folder in _folders()}

    assert folders == {kind.kind: {"subject.txt", "body.txt", "body.html"} for kind in KINDS}


def _folders():
    return [path for path in (paths.templates() / "email").iterdir() if path.is_dir()]


def test_the_kinds_are_known_by_these_names_and_slots():
    assert {kind.kind: kind.slots for kind in KINDS} == {
        "digest": ("unsubscribe_url", "preferences_url", "view_url", "rank", "count", "why", "more"),
        "confirm": ("confirm_url", "requested_at", "titles", "hours"),
        "welcome": ("unsubscribe_url", "preferences_url"),
        "goodbye": (),
        "already-subscribed": ("unsubscribe_url", "preferences_url", "requested_at"),
        "preferences": ("preferences_url", "requested_at"),
        "my-data": ("my_data_url", "requested_at"),
        "change-of-address": ("change_url", "requested_at", "new_address", "hours"),
        "new-address": ("open_url", "requested_at", "old_address", "hours"),
        "help": ("unsubscribe_url", "preferences_url"),
        "forward": ("writer", "recipient", "subject"),
        "remark": (),
        "alarm": ("cause", "subject", "detail", "opened_at"),
    }


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_an_email_cannot_change_once_it_is_made(kind):
    assert kind.__dataclass_params__.frozen


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_what_is_a_slot_is_no_field(kind):
    assert not {field.name for field in dataclasses.fields(kind)} & set(kind.slots)
