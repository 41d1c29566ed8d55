"""Ways to damage a file. Each takes its bytes and gives others; chance decides where."""

from __future__ import annotations

import gzip
import io
import random
import re
import struct
import zipfile
from collections.abc import Callable

import zstandard

Damage = Callable[[random.Random, str, bytes, list[tuple[str, bytes]]], tuple[str, bytes]]
_DIGITS = re.compile(rb"\d+")
_NUMBERS = [
    b"0",
    b"-1",
    b"1",
    b"7",
    b"65536",
    b"2147483647",
    b"4294967296",
    b"99999999999999999999",
]
_BINARY_NUMBERS = (0, 1, 0xFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_NAMES = [
    "\x1b[31mred\x1b[0m",
    "line\nbreak",
    "-rf",
    "x" * 180,
    "a\N{RIGHT-TO-LEFT OVERRIDE}b",
    "\udcff\udcfe",
]


def flip(
    dice: random.Random, name: str, data: bytes, others: list[tuple[str, bytes]]
) -> tuple[str, bytes]:
    """Flip one bit to twenty."""
    changed = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 5, 20))):
        changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    return name, bytes(changed)


def cut(
    dice: random.Random, name: str, data: bytes, others: list[tuple[str, bytes]]
) -> tuple[str, bytes]:
    """Take away its end, its start, or something between."""
    start, stop = sorted((dice.randrange(len(data)), dice.randrange(len(data) + 1)))
    return name, dice.choice((data[:start], data[start:], data[:start] + data[stop:]))


def repeat(
    dice: random.Random, name: str, data: bytes, others: list[tuple[str, bytes]]
) -> tuple[str, bytes]:
    """Repeat a part of it up to fifty times."""
    start, stop = sorted((dice.randrange(len(data)), dice.randrange(len(data) + 1)))
    stop = min(stop, start + 2_000)
    return name, data[:stop] + data[start:stop] * dice.randrange(1, 50) + data[stop:]


def overwrite(
    dice: random.Random, name: str, data: bytes, others: list[tuple[str, bytes]]
) -> tuple[str, bytes]:
    """Write noise or zeros over a part of it."""
    start = dice.randrange(len(data))
    size = min(dice.choice((1, 4, 64, 1024)), len(data) - start)
    noise = dice.choice((dice.randbytes(size), bytes(size), b"\xff" * size))
    return name, data[:start] + noise + data[start + size :]


def splice(
    dice: random.Random, name: str, data: bytes, others: list[tuple[str, bytes]]
) -> tuple[str, bytes]:
    """Its beginning and the end of another file."""
    other = dice.choice(others)[1]
    return name, data[: dice.randrange(len(data))] + other[dice.randrange(len(other)) :]


def numbers(
    dice: random.Random, name: str, data: bytes, others: list[tuple[str, bytes]]
) -> tuple[str, bytes]:
    """Other numbers in place of some of those that are written in it."""
    share = dice.choice((0.02, 0.2))

    def other(found: re.Match[bytes]) -> bytes:
        return dice.choice(_NUMBERS) if dice.random() < share else found[0]

    return name, _DIGITS.sub(other, data)


def words(
    dice: random.Random, name: str, data: bytes, others: list[tuple[str, bytes]]
) -> tuple[str, bytes]:
    """Other binary numbers of four bytes in one place or two: lengths, offsets, counts."""
    changed = bytearray(data)
    for _ in range(dice.choice((1, 1, 2))):
        place = dice.randrange(max(1, len(data) // 4)) * 4
        changed[place : place + 4] = struct.pack("<I", dice.choice(_BINARY_NUMBERS))
    return name, bytes(changed)


def wrong_name(
    dice: random.Random, name: str, data: bytes, others: list[tuple[str, bytes]]
) -> tuple[str, bytes]:
    """The name of another kind of file."""
    return dice.choice(others)[0], data


def odd_name(
    dice: random.Random, name: str, data: bytes, others: list[tuple[str, bytes]]
) -> tuple[str, bytes]:
    """A name that no one would choose, on damaged content."""
    suffix = name[name.index(".") :]
    return dice.choice(_NAMES) + suffix, flip(dice, name, data, others)[1]


def inside(
    dice: random.Random, name: str, data: bytes, others: list[tuple[str, bytes]]
) -> tuple[str, bytes]:
    """Damage what it holds compressed, with the right checksum around it."""
    if name.endswith(".gz"):
        return name, gzip.compress(_plain(dice, gzip.decompress(data), others))
    if name.endswith(".zst"):
        return name, zstandard.compress(_plain(dice, zstandard.decompress(data), others))
    if not (members := _members(data)):
        return numbers(dice, name, data, others)
    victims = [one for one in members if members[one]]
    for victim in dice.sample(victims, min(len(victims), dice.choice((1, 1, 2)))):
        members[victim] = _plain(dice, members[victim], others)
    return name, _zip(members)


def swap(
    dice: random.Random, name: str, data: bytes, others: list[tuple[str, bytes]]
) -> tuple[str, bytes]:
    """Exchange, rename or drop members, or change what the archive says of them."""
    if not (members := _members(data)):
        return splice(dice, name, data, others)
    one, other = dice.choice(list(members)), dice.choice(list(members))
    way = dice.randrange(5)
    if way == 0:
        members[one], members[other] = members[other], members[one]
    elif way == 1:
        del members[one]
    elif way == 2:
        members = {(key.upper() if key == one else key): value for key, value in members.items()}
    elif way == 3:
        members[one] = dice.choice(others)[1]
    packed = bytearray(_zip(members))
    if way == 4:
        # A method, a flag (encrypted), a size or a name's length of the central directory.
        start = packed.find(b"PK\x01\x02")
        place = start + dice.choice((8, 10, 20, 24, 28, 42))
        struct.pack_into("<H", packed, place, dice.choice((0, 1, 8, 9, 12, 14, 93, 99, 0xFFFF)))
    return name, bytes(packed)


def nest(
    dice: random.Random, name: str, data: bytes, others: list[tuple[str, bytes]]
) -> tuple[str, bytes]:
    """Depth: archives in archives, or brackets and tags in brackets and tags."""
    depth = dice.choice((5, 300, 5_000, 60_000))
    if name.endswith((".json", ".jsonl", ".ipynb")):
        return name, data[: dice.randrange(len(data))] + b'[{"text":' * depth
    if name.endswith((".html", ".xhtml")):
        tag = dice.choice(
            (b"<div>", b"<b>", b"<table><tr><td>", b"<svg>", b"<ul><li>", b"<select>")
        )
        return name, data[: dice.randrange(len(data))] + tag * depth + data
    if name.endswith(".pdf"):
        return name, data.replace(b"/Kids [", b"/Kids " + b"[" * depth, 1)
    if members := _members(data):
        part = dice.choice([one for one in members if one.endswith(("ml", "opf"))] or list(members))
        before, between, after = members[part].rpartition(b"</")
        kind = dice.choice((b"<x>", b"<w:tbl><w:tr><w:tc>", b"<div>"))
        members[part] = before + kind * min(depth, 20_000) + between + after
        return name, _zip(members)
    for _ in range(dice.randrange(1, 4)):
        name, data = dice.choice(
            ((f"{name}.zip", _zip({name: data})), (f"{name}.gz", gzip.compress(data)))
        )
    return name, data


DAMAGES: dict[str, Damage] = {
    one.__name__: one
    for one in (
        flip, cut, repeat, overwrite, splice, numbers, words, wrong_name, odd_name, inside, swap,
        nest,
    )
}  # fmt: skip


def _plain(dice: random.Random, data: bytes, others: list[tuple[str, bytes]]) -> bytes:
    if not data:
        return data
    way = dice.choice((flip, cut, repeat, overwrite, splice, numbers, words))
    return way(dice, "", data, others)[1]


def _members(data: bytes) -> dict[str, bytes]:
    """Members of an archive, by name; none where it is no archive that can be unpacked."""
    if not data.startswith(b"PK"):
        return {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return {one.filename: archive.read(one) for one in archive.infolist()}
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError):
        return {}


def _zip(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()
