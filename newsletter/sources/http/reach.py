"""What may be connected to: what an address leads to is looked up once, judged, and that very address is asked.

Feeds and redirects name any address they like. One that leads to this machine or its network would let a stranger ask our
database, a cloud's metadata or a printer in our name, so only addresses of the public Internet are asked, and only at the
ports of the web. A name is not looked up again after it was judged: the second answer could be another.
"""

import ipaddress
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self
from urllib.request import getproxies, proxy_bypass

import httpx2

from newsletter.errors import SourceMalformed

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[..., list[Any]]  # as socket.getaddrinfo

_PORTS = {"http": 80, "https": 443}
_TRIED_ADDRESSES = 3  # of one host
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: an IPv4 address in its last 32 bits
_RELAYS = (ipaddress.IPv6Network("2002::/16"), ipaddress.IPv6Network("2001::/32"), ipaddress.IPv6Network("3fff::/20"))
_FORMER_RELAYS = ipaddress.IPv4Network("192.88.99.0/24")  # RFC 7526
_PROTOCOLS = ipaddress.IPv4Network("192.0.0.0/24")  # RFC 6890


def is_public(address: Address) -> bool:
    """Whether an address is of the public Internet, itself and what is written into it."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return False  # no name has such an address but to hide one
        if address in _NAT64:
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        return address in _GLOBAL_UNICAST and address.is_global and not any(address in network for network in _RELAYS)
    special = address.is_multicast or address.is_reserved or address in _FORMER_RELAYS or address in _PROTOCOLS
    return address.is_global and not special


@dataclass(frozen=True)
class Reach:
    """What one request may be led to."""

    trusted: frozenset[str]  # hosts whose addresses are not judged
    ports: frozenset[int]
    resolve: Resolve = socket.getaddrinfo

    @classmethod
    def towards(cls, target: httpx2.URL, *, inside: frozenset[str], own: bool, resolve: Resolve) -> Self:
        """Return the reach of a request to `target`: the port that it names is as good as those of the web."""
        trusted = inside | {target.host} if own else inside
        return cls(trusted, frozenset({*_PORTS.values(), port_of(target)}), resolve)

    def addresses(self, url: httpx2.URL) -> list[str]:
        """Return the addresses to ask for `url`; raises SourceMalformed where none may be, OSError where none is found."""
        if url.scheme not in _PORTS or not url.host:
            raise _refused(url, "only http and https are read")
        if port_of(url) not in self.ports:
            raise _refused(url, f"port {port_of(url)} is none of the web's")
        found = self._found(url)
        allowed = found if url.host in self.trusted else [address for address in found if _is_public(address)]
        if not allowed:
            raise _refused(url, "it leads to an address of a private network")
        return allowed

    def _found(self, url: httpx2.URL) -> list[str]:
        if number := _number(url.host):
            return [number]
        try:
            answers = self.resolve(url.host, port_of(url), type=socket.SOCK_STREAM)
        except UnicodeError as error:  # a label that is empty or too long
            raise _refused(url, "its host is no name") from error
        return list(dict.fromkeys(str(answer[4][0]) for answer in answers))


def _number(host: str) -> str:
    """Return the address that a host is in numbers, in any spelling that a resolver understands (127.1, 0x7f000001); else ""."""
    with suppress(ValueError):
        return str(ipaddress.ip_address(host))
    with suppress(OSError, UnicodeError):
        return str(ipaddress.IPv4Address(socket.inet_aton(host)))
    return ""


def _is_public(address: str) -> bool:
    return is_public(ipaddress.ip_address(address.partition("%")[0]))


def _refused(url: httpx2.URL, why: str) -> SourceMalformed:
    return SourceMalformed(
        f"{str(url)[:200]}: is not asked: {why}",
        hint="A host of your own network is asked if it stands in the setting sources.inside.",
    )


def port_of(url: httpx2.URL) -> int:
    """Return the port that is asked."""
    return url.port or _PORTS.get(url.scheme, 0)


class Guarded(httpx2.BaseTransport):
    """Sends each request, those of redirects as well, to an address that was judged; `begin` is called before each."""

    def __init__(self, reach: Reach, begin: Callable[[httpx2.URL], None]) -> None:
        self._reach = reach
        self._begin = begin
        self._direct = httpx2.HTTPTransport()
        self._proxied: list[httpx2.HTTPTransport] = []

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send the request; raises what `Reach.addresses` does, and the library's errors."""
        proxy = _proxy_for(request.url)
        try:
            addresses = self._reach.addresses(request.url)
        except OSError as error:
            if not proxy:
                raise httpx2.ConnectError(f"no address found: {error.strerror or error}", request=request) from error
            addresses = []  # behind a proxy there may be no names of the world
        self._begin(request.url)
        if proxy:
            self._proxied.append(httpx2.HTTPTransport(proxy=proxy))
            return self._proxied[-1].handle_request(request)
        return self._first_of(addresses[:_TRIED_ADDRESSES], request)

    def _first_of(self, addresses: list[str], request: httpx2.Request) -> httpx2.Response:
        *others, last = addresses
        for address in others:
            try:
                return self._direct.handle_request(_aimed(request, address))
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                continue
        return self._direct.handle_request(_aimed(request, last))

    def close(self) -> None:
        """Close the connections."""
        for transport in (self._direct, *self._proxied):
            transport.close()


def _aimed(request: httpx2.Request, address: str) -> httpx2.Request:
    """Return the request to that address; the name stays in the Host header, and is what the certificate must be for."""
    if request.url.host == address:
        return request
    return httpx2.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,
        stream=request.stream,
        extensions={**request.extensions, "sni_hostname": request.url.host},
    )


def _proxy_for(url: httpx2.URL) -> str:
    """Return the proxy that the environment names for this address: who set it up decides what it lets through."""
    proxies: Mapping[str, str] = getproxies()
    found = proxies.get(url.scheme) or proxies.get("all", "")
    return "" if not found or proxy_bypass(url.host) else found
