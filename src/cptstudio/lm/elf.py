"""Where a loaded Linux library keeps the addresses of the functions it calls.

Reads the dynamic section of a library in this process's own memory (System V ABI, "Dynamic
Linking"), which the loader describes through `dl_iterate_phdr`. 64-bit little-endian Linux only;
only `blas` uses it.
"""

import ctypes
import os
import platform
import struct
from collections.abc import Collection
from typing import Any

# Relocation types that store a function's address: (64-bit absolute, GLOB_DAT, JUMP_SLOT).
ADDRESS_RELOCATIONS = {"x86_64": (1, 6, 7), "aarch64": (257, 1025, 1026)}

_PT_DYNAMIC = 2
_DT_NULL, _DT_PLTRELSZ, _DT_STRTAB, _DT_SYMTAB, _DT_RELA, _DT_RELASZ, _DT_JMPREL = (
    0,
    2,
    5,
    6,
    7,
    8,
    23,
)
_RELA, _SYMBOL = struct.Struct("<QQq"), struct.Struct("<IBBHQQ")
_PROT_READ, _PROT_WRITE = 1, 2


class _ProgramHeader(ctypes.Structure):
    _fields_ = [
        ("p_type", ctypes.c_uint32),
        ("p_flags", ctypes.c_uint32),
        ("p_offset", ctypes.c_uint64),
        ("p_vaddr", ctypes.c_uint64),
        ("p_paddr", ctypes.c_uint64),
        ("p_filesz", ctypes.c_uint64),
        ("p_memsz", ctypes.c_uint64),
        ("p_align", ctypes.c_uint64),
    ]


class _LoadedLibrary(ctypes.Structure):
    _fields_ = [
        ("base", ctypes.c_uint64),
        ("name", ctypes.c_char_p),
        ("headers", ctypes.POINTER(_ProgramHeader)),
        ("header_count", ctypes.c_uint16),
    ]


def symbol_slots(library: str, symbols: Collection[str]) -> dict[str, list[int]]:
    """The places in memory where a loaded library keeps the addresses of the functions `symbols`.

    `library` is its file name. A symbol that it does not call is absent, and the result is empty
    where the library is not loaded.
    """
    found = _find(library)
    if found is None:
        return {}
    base, dynamic = found
    table = _dynamic_section(base, dynamic)
    slots: dict[str, list[int]] = {}
    kinds = ADDRESS_RELOCATIONS[platform.machine()]
    for start, size in ((_DT_JMPREL, _DT_PLTRELSZ), (_DT_RELA, _DT_RELASZ)):
        if start not in table or size not in table:
            continue
        entries = ctypes.string_at(table[start], table[size])
        for offset, info, _ in _RELA.iter_unpack(entries):
            if (info & 0xFFFFFFFF) not in kinds or not info >> 32:
                continue
            name = _symbol_name(table, info >> 32)
            if name in symbols:
                slots.setdefault(name, []).append(base + offset)
    return slots


def write_slot(slot: int, address: int) -> int:
    """Store `address` at the place `slot` and return what stood there.

    Raises:
        OSError: the system refuses to make the page writable.
    """
    page = os.sysconf("SC_PAGE_SIZE")
    start = slot & ~(page - 1)
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    protect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    # The loader may have made the table read-only (RELRO). It stays writable afterwards: whether it
    # was read-only before cannot be asked without /proc, and the part of the page beside it may
    # need writing.
    if protect(start, page, _PROT_READ | _PROT_WRITE):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    place = ctypes.c_uint64.from_address(slot)
    former, place.value = place.value, address
    return int(former)


def _find(library: str) -> tuple[int, int] | None:
    """A library's load address and that of its dynamic section; None where not loaded."""
    found: list[tuple[int, int]] = []
    callback_type = ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.POINTER(_LoadedLibrary), ctypes.c_size_t, ctypes.c_void_p
    )

    def visit(pointer: Any, _size: int, _data: Any) -> int:
        loaded = pointer.contents
        if os.path.basename(loaded.name or b"") == library.encode():
            for header in loaded.headers[: loaded.header_count]:
                if header.p_type == _PT_DYNAMIC:
                    found.append((loaded.base, loaded.base + header.p_vaddr))
        return len(found)

    ctypes.CDLL(None).dl_iterate_phdr(callback_type(visit), None)
    return found[0] if found else None


def _dynamic_section(base: int, address: int) -> dict[int, int]:
    """The dynamic section's values by tag, addresses made absolute."""
    table: dict[int, int] = {}
    while True:
        tag, value = struct.unpack("<qQ", ctypes.string_at(address, 16))
        if tag == _DT_NULL:
            break
        table[tag] = value
        address += 16
    for tag in (_DT_STRTAB, _DT_SYMTAB, _DT_RELA, _DT_JMPREL):
        # glibc has already added the load address to these, musl has not.
        if tag in table and table[tag] < base:
            table[tag] += base
    return table


def _symbol_name(table: dict[int, int], index: int) -> str:
    """The name of the symbol with this number."""
    entry = ctypes.string_at(table[_DT_SYMTAB] + index * _SYMBOL.size, _SYMBOL.size)
    name = _SYMBOL.unpack(entry)[0]
    return ctypes.string_at(table[_DT_STRTAB] + name).decode(errors="replace")
