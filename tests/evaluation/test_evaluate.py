"""Models measured on held-out text: real programs on real corpora."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cptstudio.corpus.corpus import open_corpus
from cptstudio.corpus.manifest import STATUSES
from cptstudio.errors import UserError
from cptstudio.evaluation import evaluate as program
from cptstudio.evaluation.figures import summary
from cptstudio.evaluation.references import request_of, resolve_reference
from cptstudio.evaluation.results import model_identity
from cptstudio.intervals import claim_of, paired_difference, relative_change
from cptstudio.workspace import Workspace
from tests.evaluation.silence import Silence
from tests.evaluation.small_corpus import build_words
from tests.toy_models import make_toy_model, text_sample


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cptstudio.cli", *arguments], capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two toys with different tokenizers in shape, and a corpus of many small documents."""
    root = tmp_path_factory.mktemp("workspace")
    for name in ("qwen3", "llama"):
        make_toy_model(name, root / "models" / "base" / name)
    build_words(root, root / "models" / "base" / "qwen3", 0.2, documents=120, words=40)
    return root


def evaluate(
    workspace: Path,
    *models: str,
    corpora: tuple[str, ...] = (),
    texts: tuple[Path, ...] = (),
    stride: int | None = None,
) -> dict:
    """What the program answers, without starting it as a process."""
    place = Workspace(workspace)
    references = [resolve_reference(name, place) for name in models]
    return program.evaluate(
        {
            "workspace": workspace,
            "models": [request_of(reference) for reference in references],
            "corpora": [{"name": name, "path": place.corpus(name)} for name in corpora],
            "texts": [{"name": str(path), "path": path} for path in texts],
            "side": "validation",
            "max_bytes": 400_000,
            "context_length": None,
            "stride": stride,
            "fast_blas": True,
        },
        Silence(),
    )


@pytest.mark.slow
def test_a_model_against_itself_differs_by_nothing(workspace: Path) -> None:
    result = evaluate(workspace, "qwen3", "qwen3", corpora=("words",))
    difference = result["models"][1]["corpora"]["words"]["difference"]
    assert difference["value"] == difference["low"] == difference["high"] == 0
    assert not difference["sure"]


def test_two_models_are_measured_on_the_same_documents_with_an_interval(workspace: Path) -> None:
    result = evaluate(workspace, "qwen3", "llama", corpora=("words",))
    first, second = (model["corpora"]["words"] for model in result["models"])
    assert first["documents"] == second["documents"] > 10
    difference = second["difference"]
    assert difference["low"] < difference["value"] < difference["high"]
    gap = second["bits_per_byte"] - first["bits_per_byte"]
    assert difference["value"] == pytest.approx(gap, abs=1e-9)


def test_what_was_measured_is_kept_with_its_inputs_and_not_measured_again(workspace: Path) -> None:
    first = evaluate(workspace, "qwen3", corpora=("words",))
    kept = {
        path: path.stat().st_mtime_ns
        for path in (workspace / ".cpt-studio" / "measurements").iterdir()
    }
    wanted = model_identity(workspace / "models" / "base" / "qwen3", None)
    stored = [json.loads(path.read_text(encoding="utf-8")) for path in kept]
    mine = next(entry for entry in stored if entry["inputs"]["model"] == wanted)
    assert (
        mine["inputs"]["documents"]
        == open_corpus(workspace / "corpora" / "words").manifest.fingerprint
    )
    # A measurement that was changed shows that it is read, and that nothing is computed.
    for path, entry in zip(kept, stored, strict=True):
        if entry["inputs"]["model"] == wanted:
            entry["measured"]["nats"] = [2 * nats for nats in entry["measured"]["nats"]]
            path.write_text(json.dumps(entry), encoding="utf-8")
    again = evaluate(workspace, "qwen3", corpora=("words",))
    value = first["models"][0]["corpora"]["words"]["bits_per_byte"]
    assert again["models"][0]["corpora"]["words"]["bits_per_byte"] == pytest.approx(2 * value)
    for path in kept:
        path.unlink()


def test_a_text_file_is_measured_beside_a_corpus(workspace: Path, tmp_path: Path) -> None:
    lines = tmp_path / "texts.jsonl"
    lines.write_text(
        "".join(json.dumps({"text": text[:200]}) + "\n" for text in text_sample()[:5]),
        encoding="utf-8",
    )
    result = evaluate(workspace, "qwen3", corpora=("words",), texts=(lines,), stride=16)
    measured = result["models"][0]["corpora"][str(lines)]
    assert measured["documents"] == 5
    assert result["stride"] == 16


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'{"text": "a"}\n{"text": 3}\n', "line 2"),
        (b'{"text": "a"}\n{"tex\n', "line 2"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b"", "contains no text"),
    ],
)
def test_text_files_that_cannot_be(
    workspace: Path, tmp_path: Path, content: bytes, says: str
) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_bytes(content)
    with pytest.raises(UserError, match=says):
        evaluate(workspace, "qwen3", texts=(file,))


@pytest.mark.slow
def test_documents_that_a_run_trained_on_are_left_out_for_all(
    workspace: Path, tmp_path: Path
) -> None:
    corpus = open_corpus(workspace / "corpora" / "words")
    records = corpus.documents.records
    trained = int(np.flatnonzero(records["status"] == STATUSES.index("train"))[0])
    held_out = int(np.flatnonzero(records["status"] == STATUSES.index("validation"))[0])
    texts = tmp_path / "mixed.jsonl"
    texts.write_text(
        "".join(
            json.dumps({"text": corpus.documents.text(number)}) + "\n"
            for number in (trained, held_out)
        ),
        encoding="utf-8",
    )
    name = "trained"
    if not (workspace / "models" / "cpt" / name).exists():
        completed = run(
            *("train", "-m", "qwen3", "-c", "words", "--name", name, "-w", str(workspace)),
            *("--length", "2 steps", "--sequence-length", "32"),
        )
        assert completed.returncode == 0, completed.stderr
    result = evaluate(workspace, "qwen3", name, texts=(texts,))
    assert result["left_out"] == {str(texts): 1}
    assert any("1 of 2 documents" in note for note in result["notes"])
    assert {model["corpora"][str(texts)]["documents"] for model in result["models"]} == {1}
    # Its own held-out side was never trained on.
    assert evaluate(workspace, "qwen3", name, corpora=("words",))["left_out"] == {"words": 0}
    texts.write_text(json.dumps({"text": corpus.documents.text(trained)}), encoding="utf-8")
    completed = run("evaluate", "qwen3", name, "-t", str(texts), "-w", str(workspace))
    assert completed.returncode == 1
    assert "Every document" in completed.stderr
    assert "Traceback" not in completed.stderr


def test_the_interval_covers_the_true_difference_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(5)
    covered = 0
    for _ in range(200):
        size = random.integers(200, 5000, 80)
        gain = random.normal(-0.02, 0.05, 80) * size * np.log(2)
        found = paired_difference(size + gain, size.astype(float), size, np.arange(80))
        assert found.low is not None and found.high is not None
        covered += found.low <= -0.02 <= found.high
    assert 180 <= covered <= 199


@pytest.mark.parametrize(
    ("documents", "sections", "change", "claim"),
    [
        (1, 1, -0.5, "too little"),
        (3, 1, -0.5, "too little"),
        (3, 12, -0.1, "better"),
        (40, 1, 0.1, "worse"),
        (40, 1, -0.003, "hardly"),
        (40, 1, 0.0, "unsure"),
    ],
)
def test_an_evaluation_claims_what_a_runs_verdict_would(
    documents: int, sections: int, change: float, claim: str
) -> None:
    """A few documents say something only where their sections do."""
    random = np.random.default_rng(1)
    names = np.repeat([bytes([number] * 16).hex() for number in range(documents)], sections)
    base = 1000 + random.integers(0, 500, len(names)).astype(float)
    sums = {"documents": names.tolist(), "tokens": [300] * len(names), "bytes": [1000] * len(names)}
    chance = random.normal(0, 0.001, len(names))
    measured = sums | {"nats": (base * (1 + change + chance)).tolist()}
    found = summary(measured, sums | {"nats": base.tolist()})
    difference, run = (
        found["difference"],
        relative_change(
            np.array(measured["nats"]),
            base,
            np.full(len(names), 1000),
            np.arange(len(names)) // sections,
        ),
    )
    assert found["documents"] == difference["documents"] == documents
    assert difference["claim"] == claim
    assert run is not None and claim_of(run.value, run.low, run.high) == claim
