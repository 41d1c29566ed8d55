"""Other machines to plan for, by the names that people call them: "M3 Pro 36 GB", "RTX 4090".

What a run may take on them is worked out by rules, since nothing can be asked of a machine that is
not here; of this machine it is measured (`training.machine`). Memory is counted in GiB, as
makers of both Macs and cards do although they write GB.
"""

from __future__ import annotations

import re
from typing import Final

from cptstudio import macos
from cptstudio.child_limits import GIB
from cptstudio.errors import UserError
from cptstudio.training.machine import Machine, metal_budget

CARD_RESERVE: Final = GIB
"""Of a card's memory, what the driver and MLX's context on it take."""

_MACS: Final[dict[str, tuple[int, tuple[int, ...]]]] = {
    # Name: cores, sizes of memory that it is sold with (Apple's technical specifications).
    "M1": (8, (8, 16)),
    "M1 Pro": (10, (16, 32)),
    "M1 Max": (10, (32, 64)),
    "M1 Ultra": (20, (64, 128)),
    "M2": (8, (8, 16, 24)),
    "M2 Pro": (12, (16, 32)),
    "M2 Max": (12, (32, 64, 96)),
    "M2 Ultra": (24, (64, 128, 192)),
    "M3": (8, (8, 16, 24)),
    "M3 Pro": (12, (18, 36)),
    "M3 Max": (16, (36, 48, 64, 96, 128)),
    "M3 Ultra": (32, (96, 256, 512)),
    "M4": (10, (16, 24, 32)),
    "M4 Pro": (14, (24, 48, 64)),
    "M4 Max": (16, (36, 48, 64, 128)),
}
_CARDS: Final[dict[str, tuple[int, ...]]] = {
    "RTX 3060": (12,),
    "RTX 3090": (24,),
    "RTX 4060 Ti": (8, 16),
    "RTX 4070": (12,),
    "RTX 4080": (16,),
    "RTX 4090": (24,),
    "RTX 5070 Ti": (16,),
    "RTX 5080": (16,),
    "RTX 5090": (32,),
    "RTX A6000": (48,),
    "T4": (16,),
    "L4": (24,),
    "A10": (24,),
    "L40S": (48,),
    "A100": (40, 80),
    "H100": (80,),
    "H200": (141,),
}
_ANY: Final = {"": "metal", "mac": "metal", "gpu": "cuda", "cpu": "cpu"}
"""Words that mean any machine of a kind; memory alone means a Mac."""
_CORES: Final = 8
"""Of a machine of which nothing else is known."""
_LARGEST: Final = 4096
_MAKER: Final = re.compile(r"^(?:apple|nvidia) ")
_MEMORY: Final = re.compile(r"(?: (\d+) ?(?:gi?b)?)?")
_ALONE: Final = re.compile(r"([a-z]*) ?(\d+) ?(?:gi?b)?")


def names() -> list[str]:
    """Return the machines that are known by name, each with its sizes of memory."""
    macs = [f"{chip} {size} GB" for chip, (_, sizes) in _MACS.items() for size in sizes]
    cards = [
        f"{card} {size} GB" if len(sizes) > 1 else card
        for card, sizes in _CARDS.items()
        for size in sizes
    ]
    return [*macs, *cards]


def machine_named(text: str) -> Machine:
    """Return the machine that a text names.

    Args:
        text: a Mac's chip with its memory, an NVIDIA card, or memory alone: "36 GB" for a Mac,
            "GPU 24 GB" for a card, "CPU 64 GB" for a machine without either.

    Raises:
        UserError: there is none, or it is not sold with so much memory; the field is "machine".
    """
    words = " ".join(text.casefold().split())
    for name, (cores, sizes) in _MACS.items():
        size = _size_after(words, name, sizes)
        if size is not None:
            return _mac(name, cores, size)
    for name, sizes in _CARDS.items():
        size = _size_after(words, name, sizes)
        if size is not None:
            return _card(name, size)
    return _of_memory(text, words)


def smallest_with(room: int, like: Machine) -> Machine | None:
    """Return the smallest machine of a kind that has so much room for a run; None if none has.

    Args:
        room: bytes that a run needs, as `Machine.room` counts them.
        like: a machine of that kind.
    """
    if like.accelerator == "metal":
        sold = sorted({size for _, sizes in _MACS.values() for size in sizes})
        found = (_mac("Mac", _CORES, size) for size in sold)
    elif like.accelerator == "cuda":
        cards = sorted((size, name) for name, sizes in _CARDS.items() for size in sizes)
        found = (_card(name, size) for size, name in cards)
    else:
        found = (_plain(2**power) for power in range(2, _LARGEST.bit_length()))
    return next((machine for machine in found if machine.room >= room), None)


def _size_after(words: str, name: str, sizes: tuple[int, ...]) -> int | None:
    """The memory in GiB where the words are this machine; None where they are another."""
    own = _MAKER.sub("", words)
    rest = _MEMORY.fullmatch(own.removeprefix(name.casefold()))
    if rest is None or not own.startswith(name.casefold()):
        return None
    size = int(rest[1]) if rest[1] else sizes[0] if len(sizes) == 1 else 0
    if size not in sizes:
        listed = ", ".join(f"{one} GB" for one in sizes)
        sentence = f"{name} comes with {listed}. Write, for example, {name} {sizes[0]} GB."
        raise UserError.at("machine", sentence)
    return size


def _of_memory(text: str, words: str) -> Machine:
    found = _ALONE.fullmatch(words)
    kind = _ANY.get(found[1]) if found else None
    if found is None or kind is None:
        raise UserError.at(
            "machine",
            f'{text!r} is not a known machine. Use a chip with its memory, such as "M3 '
            'Pro 36 GB", a graphics card, such as "RTX 4090", or just memory: "36 GB" '
            'for a Mac, "GPU 24 GB" for another card, "CPU 64 GB" for a machine without '
            "one.",
        )
    size = int(found[2])
    if not 1 <= size <= _LARGEST:
        raise UserError.at("machine", f"Use 1 to {_LARGEST:,} GB of memory, not {size}.")
    if kind == "cpu":
        return _plain(size)
    return _card("GPU", size) if kind == "cuda" else _mac("Mac", _CORES, size)


def _plain(size: int) -> Machine:
    memory = size * GIB
    return Machine("Linux", "processor", _CORES, memory, "cpu", memory, f"CPU {size} GB")


def _mac(chip: str, cores: int, size: int) -> Machine:
    memory = size * GIB
    budget = metal_budget(macos.default_working_set(memory))
    return Machine("macOS", chip, cores, memory, "metal", budget, f"{chip} {size} GB")


def _card(name: str, size: int) -> Machine:
    memory = size * GIB
    budget = max(0, memory - CARD_RESERVE)
    return Machine("Linux", name, _CORES, memory, "cuda", budget, f"{name} {size} GB")
