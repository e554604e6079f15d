"""How a journal is written: a header, then slots of 512 bytes, one a message.

The beginning of a message is written into the first part of a free slot and its ending into the second part of the same
slot, so that there is room for the answer before there is a question. Each part has a checksum and lies within one page
and one disk sector: after the death of its process it is whole or not there. A slot of zeros is free.
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from zlib import crc32

from newsletter.errors import Reply

SLOT = 512  # bytes: the least that a disk writes in one go
_SLOTS_PER_READ = 2048
_FORMAT = 1
_MAGIC = b"newsletter-log\r\n"
_CRC = struct.Struct("<I")  # goes before the bytes it is made of
_HEADER = struct.Struct("<16sHHQd40s100s")  # magic, format, bytes a slot, slots, opened, boot, worker
_BEGUN = struct.Struct("<4sq")  # mark, delivery
_ENDED = struct.Struct("<4sqiI")  # mark, delivery, code, bytes of the words that follow
_B, _E = b"bgun", b"ende"
ENDED_AT = _CRC.size + _BEGUN.size
_WORDS_AT = ENDED_AT + _CRC.size + _ENDED.size
WORDS = SLOT - _WORDS_AT  # bytes kept of a server's words
BLANK = bytes(_WORDS_AT)
_NO_ANSWER_YET = bytes(_CRC.size + _ENDED.size)
HEADER_SIZE = _CRC.size + _HEADER.size


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


BOOT = _boot_id()  # names this run of the kernel; empty where nothing does, and then no file proves that a message never began


@dataclass(frozen=True)
class Header:
    """The first slot: whose file it is, made when (seconds since 1970), in which run of the machine, with how many slots."""

    worker: str
    boot: str
    opened: float
    slots: int


@dataclass
class Contents:
    """What the slots of a file say."""

    outcomes: dict[int, Reply] = field(default_factory=dict)
    open: set[int] = field(default_factory=set)
    damaged: int = 0  # slots that make no sense, or that the file is too short for


def seed(worker: str) -> int:
    """Return what the checksums of this worker's slots start from: another file's slots make no sense in it."""
    return crc32(worker.encode())


def header(head: Header) -> bytes:
    """Return the first slot's bytes."""
    fields = _HEADER.pack(_MAGIC, _FORMAT, SLOT, head.slots, head.opened, head.boot.encode(), head.worker.encode())
    return _CRC.pack(crc32(fields)) + fields


def read_header(data: bytes) -> Header | None:
    """Return the header, or None where these bytes are none of this format."""
    fields = data[_CRC.size : HEADER_SIZE]
    if len(fields) < _HEADER.size or data[: _CRC.size] != _CRC.pack(crc32(fields)):
        return None
    magic, version, size, slots, opened, boot, worker = _HEADER.unpack(fields)
    if (magic, version, size) != (_MAGIC, _FORMAT, SLOT):
        return None
    return Header(worker.rstrip(b"\0").decode(), boot.rstrip(b"\0").decode(), opened, slots)


def begun(delivery_id: int, start: int) -> bytes:
    """Return a slot's first part; it blanks the second, which may tell of the message before."""
    body = _BEGUN.pack(_B, delivery_id)
    return _CRC.pack(crc32(body, start)) + body + _NO_ANSWER_YET


def ended(delivery_id: int, reply: Reply, start: int) -> bytes:
    """Return a slot's second part, with as much of the server's words as there is room for."""
    words = f"{reply.enhanced}\0{reply.phase}\0{reply.server}\0{reply.text}".encode("utf-8", "replace")[:WORDS]
    body = _ENDED.pack(_E, delivery_id, reply.code, len(words)) + words
    return _CRC.pack(crc32(body, start)) + body


def read(descriptor: int, slots: int, start: int) -> Contents:
    """Read all slots; raises OSError. Where two tell of one delivery, one of them open, it is open."""
    contents = Contents()
    for slot in _each_slot(descriptor, slots):
        if len(slot) == SLOT and slot.startswith(BLANK):
            continue
        began, ending = _read_begun(slot, start), _read_ended(slot, start)
        unanswered = slot[ENDED_AT:_WORDS_AT] == _NO_ANSWER_YET
        if ending:
            contents.outcomes[ending[0]] = ending[1]
        elif began is not None:
            contents.open.add(began)
        if len(slot) < SLOT or began is None or not (ending or unanswered):
            contents.damaged += 1
    for delivery_id in contents.open:
        contents.outcomes.pop(delivery_id, None)
    return contents


def _each_slot(descriptor: int, slots: int) -> Iterator[bytes]:
    for first in range(0, slots, _SLOTS_PER_READ):
        block = os.pread(descriptor, _SLOTS_PER_READ * SLOT, (1 + first) * SLOT)
        for slot in range(min(_SLOTS_PER_READ, slots - first)):
            yield block[slot * SLOT : (slot + 1) * SLOT]


def _read_begun(slot: bytes, start: int) -> int | None:
    body = slot[_CRC.size : ENDED_AT]
    if len(body) < _BEGUN.size or slot[: _CRC.size] != _CRC.pack(crc32(body, start)):
        return None
    mark, delivery_id = _BEGUN.unpack(body)
    return int(delivery_id) if mark == _B else None


def _read_ended(slot: bytes, start: int) -> tuple[int, Reply] | None:
    part = slot[ENDED_AT:]
    if len(part) < _CRC.size + _ENDED.size:
        return None
    mark, delivery_id, code, length = _ENDED.unpack_from(part, _CRC.size)
    end = _CRC.size + _ENDED.size + length
    if mark != _E or end > len(part) or part[: _CRC.size] != _CRC.pack(crc32(part[_CRC.size : end], start)):
        return None
    words = part[end - length : end].decode("utf-8", "ignore").split("\0", 3)
    enhanced, phase, server, text = words + [""] * (4 - len(words))
    return delivery_id, Reply(code, enhanced, text, server, phase)
