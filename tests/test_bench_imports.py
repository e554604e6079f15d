from bench import imports

HEAD = "Email Address,First Name,MEMBER_RATING,OPTIN_TIME,OPTIN_IP,TIMEZONE,LEID,TAGS"


def test_the_file_of_the_benchmark_is_brought_in_whole_and_once(database, make, tmp_path):
    make.newsletter(slug="daily")
    file = imports.write(tmp_path / "readers.csv", 7, "first")

    assert file.read_text().splitlines()[0] == HEAD
    assert imports.bring_in(database, file) == (7, {"add active": 7})
    assert imports.bring_in(database, file) == (7, {"unchanged": 7})
