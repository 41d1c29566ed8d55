"""Building, deduplication, splitting and the report, on real files with a real tokenizer."""

from __future__ import annotations

import os
import random
import sysconfig
import time
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from cptstudio.corpus.build import build_corpus
from cptstudio.corpus.build_progress import Phase, Progress, ProgressMeter
from cptstudio.corpus.corpus import Corpus, open_corpus
from cptstudio.corpus.manifest import STATUSES, BuildSettings
from cptstudio.corpus.report import render
from cptstudio.corpus.row_samples import sample_rows
from cptstudio.corpus.tokenising import ensure_tokens
from cptstudio.corpus.tokenizer import load_tokenizer
from cptstudio.errors import UserError
from tests.corpus.tokenizers_for_tests import gpt2, save_model_folder

STDLIB = Path(sysconfig.get_paths()["stdlib"])


def words(seed: int, count: int) -> str:
    chosen = random.Random(seed)
    return " ".join(f"w{chosen.randrange(10**6)}" for _ in range(count))


def write_documents(folder: Path, count: int, first: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        (folder / f"{number}.txt").write_text(words(number, 60), encoding="utf-8")
    return folder


def side_by_label(corpus: Corpus) -> dict[str, str]:
    labels = [source.label for source in corpus.sources()]
    return {labels[r["source"]]: STATUSES[r["status"]] for r in corpus.documents.records}


def test_source_code_comes_through_byte_for_byte(tmp_path: Path, model_folder: Path) -> None:
    sources = tmp_path / "sources"
    sources.mkdir()
    originals = []
    for path in sorted(STDLIB.glob("*.py"))[:40]:
        data = path.read_bytes()
        (sources / path.name).write_bytes(data.replace(b"\n", b"\r\n"))
        originals.append(data)
    corpus = build_corpus(tmp_path / "code", [sources], model_path=model_folder).corpus
    documents, store = corpus.documents, corpus.token_store()
    texts = [documents.text(number).encode() for number in range(len(documents))]
    assert sorted(texts) == sorted({data for data in originals if data.strip()})
    tokenizer = load_tokenizer(model_folder)
    for position in range(3):
        number = int(store.documents[position])
        decoded = tokenizer.decode(store.document_tokens(position).tolist())
        assert decoded == documents.text(number)
        assert store.byte_lengths[position] == len(decoded.encode())


def test_a_second_build_of_unchanged_sources_does_nothing(
    tmp_path: Path, model_folder: Path
) -> None:
    sources = write_documents(tmp_path / "sources", 20)
    first = build_corpus(tmp_path / "c", [sources], model_path=model_folder)
    again = build_corpus(tmp_path / "c", [sources], model_path=model_folder)
    assert (first.changed, again.changed) == (True, False)
    os.utime(sources / "3.txt")
    assert not build_corpus(tmp_path / "c", [sources]).changed
    (sources / "3.txt").write_text(words(3, 60).replace("w", "v"), encoding="utf-8")
    changed = build_corpus(tmp_path / "c", [sources])
    assert changed.changed
    assert changed.corpus.manifest.fingerprint != first.corpus.manifest.fingerprint


def test_the_fingerprint_does_not_depend_on_place_or_time(tmp_path: Path) -> None:
    corpora = []
    for name in ("one", "two"):
        sources = write_documents(tmp_path / name / "sources", 12)
        corpora.append(build_corpus(tmp_path / f"corpus-{name}", [sources]).corpus.manifest)
    assert corpora[0].fingerprint == corpora[1].fingerprint
    assert corpora[0].sources_fingerprint == corpora[1].sources_fingerprint


def test_adding_documents_moves_none_to_another_side(tmp_path: Path) -> None:
    sources = write_documents(tmp_path / "sources", 4)
    before = side_by_label(build_corpus(tmp_path / "c", [sources]).corpus)
    assert "validation" in before.values()
    for count in (30, 200):
        write_documents(sources, count, first=10)
        after = side_by_label(build_corpus(tmp_path / "c", [sources]).corpus)
        assert {label: after[label] for label in before} == before
        assert {"train", "validation", "test"} <= set(after.values())
        before = after


def test_duplicates_are_dropped_reported_and_their_tokens_counted(
    tmp_path: Path, model_folder: Path
) -> None:
    sources = write_documents(tmp_path / "sources", 30)
    (sources / "a-copy.txt").write_text(words(5, 60), encoding="utf-8")
    long = words(1000, 400)
    (sources / "long.txt").write_text(long, encoding="utf-8")
    (sources / "near.txt").write_text(long + " and a few more", encoding="utf-8")
    corpus = build_corpus(tmp_path / "c", [sources], model_path=model_folder).corpus
    report = corpus.manifest.report
    dropped = report.documents["near duplicate"] + report.documents["overlap with held-out"]
    assert (report.documents["exact duplicate"], dropped) == (1, 1)
    assert {pair.dropped for pair in report.duplicates} <= {
        "sources/a-copy.txt",
        "sources/near.txt",
        "sources/long.txt",
    }
    manifest = corpus.token_store().manifest
    assert manifest.dropped_tokens["exact duplicate"] > 50
    assert sum(manifest.dropped_tokens.values()) > 450
    encoded = sum(
        len(tokens)
        for tokens in load_tokenizer(model_folder).encode_batch(
            [path.read_text(encoding="utf-8") for path in sources.iterdir()]
        )
    )
    assert sum(manifest.tokens.values()) + sum(manifest.dropped_tokens.values()) == encoded
    text = render(corpus)
    assert "dropped: exact duplicate" in text
    assert "sources/a-copy.txt" in text


def test_switched_off_dedup_still_keeps_training_apart_from_held_out(tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    sources.mkdir()
    for number in range(40):
        text = words(number, 300)
        (sources / f"{number}-a.txt").write_text(text, encoding="utf-8")
        (sources / f"{number}-b.txt").write_text(text + " and a bit", encoding="utf-8")
    settings = BuildSettings(near_dedup=False, exact_dedup=False, validation=0.2, test=0.1)
    corpus = build_corpus(tmp_path / "c", [sources], settings).corpus
    documents = corpus.manifest.report.documents
    assert documents["near duplicate"] == documents["exact duplicate"] == 0
    assert documents["overlap with held-out"] > 3
    sides = side_by_label(corpus)
    for number in range(40):
        pair = {sides[f"sources/{number}-{letter}.txt"] for letter in "ab"}
        assert "train" not in pair or pair == {"train"}


def test_a_second_tokenizer_needs_no_sources(tmp_path: Path, model_folder: Path) -> None:
    sources = write_documents(tmp_path / "sources", 10)
    build_corpus(tmp_path / "c", [sources], model_path=model_folder)
    for path in sources.iterdir():
        path.unlink()
    other = save_model_folder(tmp_path / "other", gpt2(), adds_bos=True)
    store = ensure_tokens(open_corpus(tmp_path / "c"), other)
    assert store.tokenizer.adds_bos
    assert len(open_corpus(tmp_path / "c").tokenizer_hashes()) == 2
    with pytest.raises(UserError, match="2 tokenizers"):
        open_corpus(tmp_path / "c").token_store()


def test_held_out_documents_are_always_the_same(tmp_path: Path, model_folder: Path) -> None:
    sources = write_documents(tmp_path / "sources", 120)
    corpus = build_corpus(tmp_path / "c", [sources], model_path=model_folder).corpus
    everything = corpus.held_out_documents("validation")
    few = corpus.held_out_documents("validation", max_documents=3)
    assert [one.number for one in few] == [one.number for one in everything[:3]]
    assert (
        sum(one.byte_length for one in everything)
        == corpus.manifest.report.text_bytes["validation"]
    )


def test_sampled_rows_are_the_documents_text(tmp_path: Path, model_folder: Path) -> None:
    sources = write_documents(tmp_path / "sources", 12)
    corpus = build_corpus(tmp_path / "c", [sources], model_path=model_folder).corpus
    documents = corpus.documents
    rows = sample_rows(corpus, load_tokenizer(model_folder), rows=4, context_length=64)
    assert len(rows) == 4
    for row in rows:
        for part in row.parts:
            assert part.text in documents.text(part.document)
            assert part.label.startswith("sources/")


@pytest.mark.parametrize("name", ["tokens.bin", "offsets.npy", "manifest.json"])
def test_damaged_tokens_are_named(tmp_path: Path, model_folder: Path, name: str) -> None:
    sources = write_documents(tmp_path / "sources", 6)
    corpus = build_corpus(tmp_path / "c", [sources], model_path=model_folder).corpus
    path = corpus.token_store().folder / name
    data = path.read_bytes()
    path.write_bytes(data[:-3])
    with pytest.raises(UserError, match=name):
        corpus.token_store()
    if name == "tokens.bin":
        path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
        with pytest.raises(UserError, match=r"tokens\.bin"):
            corpus.token_store().verify()


def test_only_held_out_text_is_left_out_of_the_training_tokens(
    tmp_path: Path, model_folder: Path
) -> None:
    sources = write_documents(tmp_path / "sources", 60)
    store = build_corpus(tmp_path / "c", [sources], model_path=model_folder).corpus.token_store()
    parts = [store.documents_of(side) for side in ("train", "validation", "test")]
    assert sorted(np.concatenate(parts).tolist()) == list(range(60))


@pytest.mark.parametrize("phase", ["scanning", "reading", "comparing", "tokenizing", "saving"])
def test_a_workspace_renamed_during_a_build_is_not_made_anew(
    tmp_path: Path, model_folder: Path, phase: str
) -> None:
    root, aside = tmp_path / "workspace", tmp_path / "aside"
    (root / "corpora").mkdir(parents=True)
    sources = write_documents(tmp_path / "sources", 5)
    seen = []

    def tell(progress: Progress) -> None:
        seen.append(progress.phase)
        if progress.phase == phase and root.exists():
            root.rename(aside)

    with pytest.raises(OSError, match=str(root)):
        build_corpus(root / "corpora" / "code", [sources], model_path=model_folder, progress=tell)
    assert phase in seen and not root.exists()
    assert not (aside / "corpora" / "code" / "manifest.json").exists()
    corpus = build_corpus(aside / "corpora" / "code", [sources], model_path=model_folder).corpus
    assert len(corpus.documents) == 5


def test_every_phase_tells_how_far_it_is_up_to_its_end(tmp_path: Path, model_folder: Path) -> None:
    sources = write_documents(tmp_path / "sources", 11)
    paragraphs = [f"{words(number, 40)}." for number in range(400)]
    (sources / "book.txt").write_text("\n\n".join(paragraphs), encoding="utf-8")
    told: dict[str, list[tuple[int, int]]] = {}

    def tell(moment: Progress) -> None:
        told.setdefault(moment.phase, []).append((moment.bytes_done, moment.bytes_total))
        assert moment.bytes_total == 0 or 0 <= moment.bytes_done <= moment.bytes_total
        assert moment.phase != "scanning" or "found" in (moment.detail or "found")

    build_corpus(tmp_path / "c", [sources], model_path=model_folder, progress=tell)
    (sources / "book.txt").touch()
    build_corpus(tmp_path / "c", [sources], model_path=model_folder, progress=tell)
    assert set(told) == set(get_args(Phase)) - {"counting turns"}
    ends = {phase: moments[-1] for phase, moments in told.items()}
    # Nothing is told of what takes less than a tenth of a second, but for its beginning or end.
    for phase in ("reading", "finding boilerplate", "tokenizing"):
        done, total = ends[phase]
        assert done == total > 0, phase
    assert all(total for phase, (_, total) in ends.items() if phase != "scanning")


def test_progress_counts_within_a_file_and_names_the_one_that_takes_long() -> None:
    moments: list[Progress] = []
    meter = ProgressMeter(moments.append, interval=0)
    meter.begin("reading", 100)
    meter.files_total = 3
    meter.begin_file("s/large.txt", 60)
    meter.read_more(20)
    meter.read_more(500)
    meter.end_files(1, 60)
    now = time.monotonic()
    meter.tell_reading([("s/quick.pdf", now), ("s/" + "x" * 90 + "slow.pdf", now - 12)])
    assert [moment.bytes_done for moment in moments] == [20, 60, 60, 60]
    assert [moment.slowest is None for moment in moments] == [True, True, True, False]
    said = moments[-1].detail
    assert said.startswith("1 of 3 files; …") and "slow.pdf has taken 12 s so far" in said
