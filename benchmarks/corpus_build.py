"""Memory and speed of a corpus build on text that every Python installation has.

    python -m benchmarks.corpus_build MODEL [--megabytes 1000] [--pairs 5] [--sample 8]

Writes the standard library's sources, repeated with variations (every repetition renames
identifiers, so that deduplication keeps them) and one document of 200 MB, builds a corpus with
near deduplication and the model's tokenizer in a process of its own, and reports that process's
peak resident memory. Before that it times the whole tokenising phase and `tokenizers`' own
`encode_batch` on the same texts, interleaved, and reports the median of the ratios.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

MEGABYTE = 1_000_000
_WORD = re.compile(r"[A-Za-z_]{5,}")


def library_texts() -> list[str]:
    """The standard library's own sources, without tests' data and installed packages."""
    folder = Path(sysconfig.get_paths()["stdlib"])
    paths = sorted(path for path in folder.rglob("*.py") if "site-packages" not in path.parts)
    return [path.read_text(encoding="utf-8", errors="replace") for path in paths]


def varied(text: str, repetition: int) -> str:
    """The text with a third of its longer words changed, another third each time."""
    if repetition == 0:
        return text
    chosen = random.Random(repetition)
    changed: dict[str, str] = {}

    def change(match: re.Match[str]) -> str:
        word = match[0]
        if word not in changed:
            letters = "".join(chosen.sample("abcdefghijklmnopqrstuvwxyz", 4))
            changed[word] = word[:3] + letters if chosen.random() < 0.33 else word
        return changed[word]

    return _WORD.sub(change, text)


def write_sources(folder: Path, megabytes: int, texts: list[str]) -> int:
    """Write files until they have so many megabytes; the first is one of a fifth of them."""
    long = min(200, megabytes // 5) * MEGABYTE
    written = repetition = 0
    with (folder / "long.txt").open("w", encoding="utf-8") as file:
        while written < long:
            for text in texts:
                written += file.write(varied(text, 10_000 + repetition))
            repetition += 1
    repetition = 0
    while written < megabytes * MEGABYTE:
        below = folder / f"{repetition:04d}"
        below.mkdir()
        for number, text in enumerate(texts):
            data = varied(text, repetition).encode()
            (below / f"{number:05d}.py").write_bytes(data)
            written += len(data)
            if written >= megabytes * MEGABYTE:
                break
        repetition += 1
    return written


def measure_build(folder: Path, sources: Path, model: Path) -> dict[str, Any]:
    """Build in a process of its own; its peak resident memory is sampled from outside."""
    program = (
        "import sys; from pathlib import Path; from cptstudio.corpus.build import build_corpus;"
        "build_corpus(Path(sys.argv[1]), [Path(sys.argv[2])], model_path=sys.argv[3])"
    )
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", program, folder, sources, model])
    peak, watched = 0, psutil.Process(process.pid)
    while process.poll() is None:
        try:
            peak = max(peak, watched.memory_info().rss)
        except psutil.NoSuchProcess:
            break
        time.sleep(0.02)
    if process.wait():
        raise SystemExit(f"the build ended with status {process.returncode}")
    return {"seconds": time.perf_counter() - started, "peak_resident_bytes": peak}


def measure_tokenising(model: Path, texts: list[str], pairs: int) -> dict[str, Any]:
    """Interleaved throughput of the whole tokenising phase and of `tokenizers` alone.

    The phase reads the documents from the corpus's own store, encodes, and writes the token
    store durably; the peer is `Tokenizer.encode_batch` on the same texts in memory, in batches
    of the same size, its result dropped.
    """
    from cptstudio.corpus.build import build_corpus
    from cptstudio.corpus.build_progress import ProgressMeter
    from cptstudio.corpus.tokenising import tokenise
    from cptstudio.corpus.tokenizer import load_tokenizer

    tokenizer = load_tokenizer(model)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "sources").mkdir()
        for number, text in enumerate(texts):
            (folder / "sources" / f"{number:05d}.py").write_text(text, encoding="utf-8")
        documents = build_corpus(folder / "corpus", [folder / "sources"]).corpus.documents
        stored = [documents.text(number) for number in range(len(documents))]
        size = sum(len(text.encode()) for text in stored)
        ours, raw = [], []
        for pair in range(pairs):
            started = time.perf_counter()
            for batch in batches(stored):
                tokenizer.backend.encode_batch(batch, add_special_tokens=False)
            raw.append(time.perf_counter() - started)
            started = time.perf_counter()
            tokenise(documents, folder / str(pair), tokenizer, "benchmark", ProgressMeter(None))
            ours.append(time.perf_counter() - started)
    ratios = [one / other for one, other in zip(raw, ours, strict=True)]
    return {
        "raw_bytes_per_second": size / statistics.median(raw),
        "bytes_per_second": size / statistics.median(ours),
        "median_ratio": statistics.median(ratios),
        "ratios": ratios,
    }


def batches(texts: list[str], size: int = 2 * 1024 * 1024) -> Iterator[list[str]]:
    """The texts in batches of about `size` characters, as the corpus encodes them."""
    batch: list[str] = []
    amount = 0
    for text in texts:
        batch.append(text)
        amount += len(text)
        if amount >= size:
            yield batch
            batch, amount = [], 0
    if batch:
        yield batch


def main() -> None:
    """Measure, and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="folder of a model with a tokenizer")
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--sample", type=int, default=8, help="megabytes for the throughput")
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    texts = library_texts()
    sample, size = [], 0
    for text in texts:
        if size >= options.sample * MEGABYTE:
            break
        sample.append(text)
        size += len(text)
    measured = measure_tokenising(options.model, sample, options.pairs)
    result: dict[str, Any] = {"tokenising": measured}
    print(json.dumps(result, indent=2), flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "sources").mkdir()
        written = write_sources(folder / "sources", options.megabytes, texts)
        built = measure_build(folder / "corpus", folder / "sources", options.model.resolve())
        report = json.loads((folder / "corpus" / "manifest.json").read_text())["report"]
        result["build"] = {
            "source_bytes": written,
            "bytes_per_second": written / built["seconds"],
            "documents": report["documents"],
            **built,
        }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
