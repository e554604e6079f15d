import socket

import pytest
from sqlalchemy import create_engine, text


def _with_one_row(url):
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE names (name TEXT)"))
        connection.execute(text("INSERT INTO names VALUES ('ari')"))
    engine.dispose()


def _rows(url):
    engine = create_engine(url)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT name FROM names")).all()
    engine.dispose()
    return rows


def test_every_test_has_an_empty_database_and_can_copy_it(database_url, make_database):
    _with_one_row(database_url)

    copy = make_database(template=database_url)

    assert _rows(copy) == [("ari",)]


def test_a_database_of_a_former_test_is_gone(database_url):
    _with_one_row(database_url)  # would fail if the table were there


def test_no_test_can_leave_this_machine():
    with socket.socket() as sock, pytest.raises(pytest.fail.Exception, match="must not leave"):
        sock.connect(("192.0.2.1", 25))


def test_no_test_can_look_up_a_name_outside():
    with pytest.raises(pytest.fail.Exception, match="must not leave"):
        socket.getaddrinfo("mail.example.org", 25)
