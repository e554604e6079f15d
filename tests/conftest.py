"""What every test gets: no way out of this machine; real servers and databases for those who ask (`fixtures_*`)."""

import ipaddress
import sys

import pytest
from hypothesis import settings

pytest_plugins = ["fixtures_servers", "fixtures_database"]

settings.register_profile("tests", deadline=None)  # an example may be the first to import something, on a busy machine
settings.load_profile("tests")

LOCAL_NAMES = {"localhost", "ip6-localhost", ""}


def _is_local(host: object) -> bool:
    name = host.decode() if isinstance(host, bytes) else host
    if name is None or name in LOCAL_NAMES:
        return True
    try:
        address = ipaddress.ip_address(str(name).partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _keep_inside(event: str, arguments: tuple) -> None:
    """Fail the test that looks up a name or talks to an address outside this machine (an audit hook: nothing slips past it)."""
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event in {"socket.connect", "socket.sendto"} and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    if not _is_local(host):
        pytest.fail(f"a test must not leave this machine, but this one turned to {host!r}", pytrace=True)


def pytest_configure() -> None:
    sys.addaudithook(_keep_inside)
