"""Say in a sentence why CPT Studio cannot be set up here, before anything is installed.

    python3 scripts/check_machine.py

Runs under whatever Python `make` finds, such as the 3.9 of Apple's developer tools, so it uses
nothing newer. What MLX needs is read off its wheels: macOS 14 on Apple silicon, or Linux with
glibc 2.35 on x86-64 or 64-bit ARM.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys

PYTHON = (3, 11)
MACOS = 14
GLIBC = (2, 35)
PROCESSORS = ("x86_64", "amd64", "aarch64", "arm64")


def numbers(version: str) -> tuple[int, ...]:
    """The numbers of a version such as 14.6.1."""
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def problem(
    python: tuple[int, ...],
    system: str,
    processor: str,
    release: str = "",
    translated: bool = False,
) -> str:
    """Return what stands in the way, with what to do, or an empty text.

    Args:
        python: version of this Python.
        system: Darwin, Linux, or another.
        processor: that this Python was built for.
        release: of macOS, or of Linux's C library; empty where that is not glibc.
        translated: this Python runs on Apple silicon in Rosetta.
    """
    if system == "Darwin":
        if translated:
            return (
                "This Python is made for Intel Macs and runs in Rosetta: MLX needs one for Apple "
                "silicon. Install Python from python.org, or with Homebrew in /opt/homebrew, and "
                "set PYTHON=... to it."
            )
        if processor != "arm64":
            return "MLX needs a Mac with Apple silicon (M1 or newer); this one has an Intel CPU."
    elif system == "Linux":
        if processor.lower() not in PROCESSORS:
            return f"MLX has no build for the processor {processor}: it needs x86-64 or 64-bit ARM."
        if not release:
            return "MLX needs a Linux with glibc, such as Debian, Ubuntu or Fedora; not with musl."
        if numbers(release) < GLIBC:
            return (
                f"MLX needs glibc {GLIBC[0]}.{GLIBC[1]} or newer; this system has {release}. Use "
                "Ubuntu 22.04, Debian 12, or newer."
            )
    else:
        return f"CPT Studio runs on macOS and Linux (in WSL 2, too), not on {system or 'this'}."
    if python[:2] < PYTHON:
        return (
            f"CPT Studio needs Python {PYTHON[0]}.{PYTHON[1]} or newer; {sys.executable} is "
            f"{python[0]}.{python[1]}. Install one and set PYTHON=... to it."
        )
    # Last: a Python so old that it knows newer systems by another number has been refused.
    if system == "Darwin" and release and numbers(release)[:1] < (MACOS,):
        return f"MLX needs macOS {MACOS} or newer; this is macOS {release}. Update macOS."
    return ""


def main() -> None:
    """Exit with the sentence, or with nothing."""
    system = platform.system()
    translated = False
    if system == "Darwin":
        release = platform.mac_ver()[0]
        told = subprocess.run(
            ["/usr/sbin/sysctl", "-n", "sysctl.proc_translated"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        translated = told.stdout.strip() == b"1"
    else:
        try:
            # "glibc 2.36"; other C libraries do not know the name.
            release = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")[2]
        except (AttributeError, OSError, ValueError):
            release = ""
    said = problem(sys.version_info[:3], system, platform.machine(), release, translated)
    sys.exit(said or 0)


if __name__ == "__main__":
    main()
