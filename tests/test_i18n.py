"""Times as each language writes them."""

from datetime import UTC, datetime

import pytest

from newsletter import i18n


@pytest.mark.parametrize(
    ("language", "written"),
    [
        ("en", "Nov 22, 2026, 7:46\u202fPM (UTC)"),
        ("ko", "2026. 11. 22. 오후 7:46 (UTC)"),
        ("de", "22.11.2026, 19:46 (UTC)"),
    ],
)
def test_a_moment_is_told_to_the_minute_in_the_readers_words(language, written):
    assert i18n.moment(datetime(2026, 11, 22, 19, 46, 5, tzinfo=UTC), language) == written
