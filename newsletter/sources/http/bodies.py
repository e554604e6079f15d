"""Reading an answer's body within its limit of size."""

import zlib
from collections.abc import Iterator

import httpx2

from newsletter.errors import SourceMalformed
from newsletter.sources.http.limits import Later

_CHUNK = 65_536  # bytes
_NOT_MODIFIED = 304
_BEGINS = b"\x1f\x8b"  # a member of gzip's; what is packed may be several (RFC 1952 section 2.2)


def read(response: httpx2.Response, size: int) -> bytes:
    """Return the body unpacked, never holding more than `size` and one chunk of it."""
    if response.status_code == _NOT_MODIFIED:
        return b""  # it has none, also where its headers are those of one that is packed
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in {"identity", "gzip", "x-gzip", ""}:
        raise SourceMalformed(
            f"{response.url}: is packed with {encoding!r}, asked was gzip", hint="Tell the operator of the site."
        )
    body = bytearray()
    chunks = response.iter_raw(_CHUNK)
    for piece in _unpacked(chunks, response.url) if "gzip" in encoding else chunks:
        body += piece
        if len(body) > size:
            raise SourceMalformed(
                f"{response.url}: is larger than {size:,} bytes", hint="This is no list of papers; check the address."
            )
    return bytes(body)


def _unpacked(chunks: Iterator[bytes], url: httpx2.URL) -> Iterator[bytes]:
    """Yield what gzip packed, at most a chunk at a time: a few bytes may stand for gigabytes."""
    unpacker = zlib.decompressobj(wbits=31)
    try:
        for chunk in chunks:
            waiting = chunk
            while waiting and not unpacker.eof:
                yield unpacker.decompress(waiting, _CHUNK)
                waiting = unpacker.unconsumed_tail
                if unpacker.unused_data.startswith(_BEGINS):
                    waiting, unpacker = unpacker.unused_data, zlib.decompressobj(wbits=31)
    except zlib.error as error:
        raise SourceMalformed(f"{url}: says gzip and is none: {error}", hint="Tell the operator of the site.") from error
    if not unpacker.eof:
        raise Later(f"{url}: broke off in the middle")
