"""The memory of a build does not grow with the text; the full measure is in benchmarks/."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_PROGRAM = """
import resource, sys
from pathlib import Path
from cptstudio.corpus.build import build_corpus
build_corpus(Path(sys.argv[1]), [Path(sys.argv[2])])
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(peak if sys.platform == "darwin" else peak * 1024)
"""


def peak_of_build(folder: Path, megabytes: int) -> int:
    folder.mkdir()
    with (folder / "line.txt").open("w", encoding="utf-8") as file:
        for number in range(megabytes * 10):
            file.write(f"word{number} ü " * 6 + "x" * 99_900)
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, folder / "corpus", folder / "line.txt"],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


@pytest.mark.bench
@pytest.mark.slow
def test_a_document_of_200_megabytes_on_one_line_takes_no_more_than_a_small_one(
    tmp_path: Path,
) -> None:
    small = peak_of_build(tmp_path / "small", 40)
    large = peak_of_build(tmp_path / "large", 200)
    assert large < small + 64_000_000
    assert large < 1_500_000_000
