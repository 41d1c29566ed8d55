"""What changed between a stop and a resume is noticed, and told by its file."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cptstudio.corpus.build import build_corpus
from cptstudio.corpus.corpus import open_corpus
from cptstudio.corpus.token_store import TokenStore
from cptstudio.corpus.tokenising import ensure_tokens
from cptstudio.errors import UserError
from cptstudio.json_lines import read_json_lines
from cptstudio.lm.identity import hash_of_files, model_files
from cptstudio.run_files import METRICS, checkpoints_of, read_config
from cptstudio.runs import forking
from cptstudio.runs.training_manager import TrainingManager
from cptstudio.training.continued_pretraining import NEWEST, ContinuedPretraining
from cptstudio.training.loop import Ending
from cptstudio.training.run_integrity import notes_on_parent
from cptstudio.training.stop_requests import StopRequest
from cptstudio.workspace import Workspace
from tests.training.small_workspace import DOMAIN, make_workspace, prepare
from tests.training.trainer_process import held_rows

pytestmark = pytest.mark.slow

CHECKPOINT = "step-00000002"


@pytest.fixture(autouse=True)
def keep_temporary_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The program moves TMPDIR for its kernels; put it back after each test."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace of its own, since its files are altered."""
    return make_workspace(tmp_path_factory.mktemp("altered"))


@pytest.fixture(scope="module")
def original(place: Workspace) -> Path:
    directory = prepare(
        place, "original", length="4 steps", checkpoints={"every": "2 steps", "keep_last": 5}
    )
    assert train(directory).outcome == "completed"
    return directory


@pytest.fixture
def run(original: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A copy of the run, to be resumed from its second step."""
    directory = original.with_name(f"copy-{abs(hash(request.node.name)) % 10**9}")
    shutil.copytree(original, directory)
    (directory / "result.json").unlink()
    shutil.rmtree(directory / "checkpoints" / "step-00000004")
    yield directory
    shutil.rmtree(directory)


def train(directory: Path, **options: object) -> Ending:
    return ContinuedPretraining(directory, StopRequest(), **options).run()


def refusal(directory: Path, **options: object) -> str:
    """Why it does not go on; no step is done."""
    rows = read_json_lines(directory / METRICS).records
    ending = train(directory, **({"resume": NEWEST} | options))
    assert ending.outcome == "failed"
    assert read_json_lines(directory / METRICS).records == rows
    return ending.reason


@contextmanager
def altered(path: Path, change: Callable[[bytes], bytes]) -> Iterator[None]:
    """A file with other content for a while, its time of change as it was."""
    whole, status = path.read_bytes(), path.stat()
    path.write_bytes(change(whole))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    try:
        yield
    finally:
        path.write_bytes(whole)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def edit(path: Path, change: Callable[[dict], object]) -> Callable[[bytes], bytes]:
    def changed(whole: bytes) -> bytes:
        content = json.loads(whole)
        change(content)
        return json.dumps(content, indent=2).encode()

    return changed


def tokens_of(place: Workspace) -> Path:
    return open_corpus(place.corpus(DOMAIN)).token_store().folder / "tokens.bin"


def test_nothing_changed_and_moved_places_are_no_change(
    run: Path, original: Path, place: Workspace
) -> None:
    path = run / "config.json"
    content = json.loads(path.read_text())
    moved = place.base_model("toy").with_name("elsewhere")
    moved.symlink_to(place.base_model("toy"))
    content["model_path"] = str(moved)
    path.write_text(json.dumps(content))
    assert train(run, resume=NEWEST).outcome == "completed"
    assert held_rows(run) == held_rows(original)


def test_a_changed_tokenizer_of_the_base_is_noticed(run: Path, place: Workspace) -> None:
    tokenizer = place.base_model("toy") / "tokenizer.json"

    def swap(content: dict) -> None:
        merges = content["model"]["merges"]
        merges[0], merges[1] = merges[1], merges[0]

    with altered(tokenizer, edit(tokenizer, swap)):
        reason = refusal(run)
    expected = read_config(run).corpora[0].tokenizer_hash
    assert reason.startswith(f"The tokenizer in {tokenizer.parent} is not the one")
    assert "tokenizer.json has SHA-256" in reason and "tokenizer_config.json" not in reason
    assert f"instead of {expected[:12]}…" in reason and "Restore the original files" in reason


def test_a_tokenizer_file_in_another_spelling_is_no_change(run: Path, place: Workspace) -> None:
    tokenizer = place.base_model("toy") / "tokenizer.json"
    with altered(tokenizer, edit(tokenizer, lambda content: None)):
        assert tokenizer.read_bytes() != b"" and train(run, resume=NEWEST).outcome == "completed"


@pytest.mark.parametrize("how", ["flipped", "cut off"])
def test_altered_tokens_are_noticed_and_made_anew(run: Path, place: Workspace, how: str) -> None:
    tokens = tokens_of(place)

    def flip(whole: bytes) -> bytes:
        return bytes([whole[0] ^ 1]) + whole[1:]

    with altered(tokens, flip if how == "flipped" else lambda whole: whole[:-2]):
        reason = refusal(run)
        assert str(tokens.parent) in reason and "tokens.bin" in reason
        assert ("its SHA-256 is" if how == "flipped" else "bytes instead of") in reason
        assert "Build the corpus again." in reason
        # As the sentence says: the documents are as they were, and so are the tokens then.
        corpus = open_corpus(place.corpus(DOMAIN))
        ensure_tokens(corpus, place.base_model("toy"))
        assert train(run, resume=NEWEST).outcome == "completed"


def test_a_large_store_is_read_again_only_where_something_speaks_for_a_change(
    run: Path, place: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cptstudio.corpus.token_store.SMALL_STORE", 0)
    read: list[Path] = []
    verify = TokenStore.verify
    monkeypatch.setattr(
        TokenStore, "verify", lambda store: (read.append(store.folder), verify(store))[1]
    )
    store = open_corpus(place.corpus(DOMAIN)).token_store()
    store.check_intact()
    read.clear()
    store.check_intact()
    assert read == []
    store.check_intact(all_of_it=True)
    assert read == [store.folder]
    tokens = tokens_of(place)
    os.utime(tokens)
    store.check_intact()
    store.check_intact()
    assert read == [store.folder] * 2
    with altered(tokens, lambda whole: bytes([whole[0] ^ 1]) + whole[1:]):
        # Neither size nor time tell: only the whole content does.
        store.check_intact()
        assert "tokens.bin" in refusal(run, verify=True)


def test_an_edited_manifest_of_tokens_is_noticed(place: Workspace) -> None:
    path = tokens_of(place).with_name("manifest.json")
    change = edit(path, lambda content: content.update(fingerprint="0" * 64))
    with altered(path, change), pytest.raises(UserError, match=r"its manifest\.json was edited"):
        TokenStore(path.parent).check_intact()


def test_an_edited_configuration_is_noticed(run: Path) -> None:
    path = run / "config.json"

    def change(content: dict) -> None:
        content["settings"]["optimizer"]["learning_rate"] = 0.5

    path.write_bytes(edit(path, change)(path.read_bytes()))
    reason = refusal(run)
    assert reason.startswith(f"{path} was edited after {CHECKPOINT} was written: ")
    assert "settings.optimizer.learning_rate was 0.003 and is now 0.5." in reason
    assert "fork" in reason


def test_a_checkpoint_of_before_has_no_copy_and_goes_on(run: Path) -> None:
    checkpoint = run / "checkpoints" / CHECKPOINT
    (checkpoint / "training_state" / "config.json").unlink()
    path = checkpoint / "manifest.json"
    forget = edit(path, lambda content: content["files"].pop("training_state/config.json"))
    path.write_bytes(forget(path.read_bytes()))
    config = run / "config.json"

    def forget_files(content: dict) -> None:
        del content["model_files"], content["tokenizer_files"]

    config.write_bytes(edit(config, forget_files)(config.read_bytes()))
    assert train(run, resume=NEWEST).outcome == "completed"


def test_a_run_of_before_whose_base_was_read_wrongly_is_not_resumed(
    run: Path, place: Workspace
) -> None:
    base = place.base_model("toy")

    def as_transformers_5_writes_it(content: dict) -> None:
        assert content.pop("rope_theta") == 10_000.0
        content["rope_parameters"] = {"rope_type": "default", "rope_theta": 500_000.0}

    def right_hash(content: dict) -> None:
        files = model_files(base)
        content.update(model_files=files, model_hash=hash_of_files(files))

    def of_before(content: dict) -> None:
        right_hash(content)
        assert content.pop("configuration_reading") == "normalized"

    checkpoint = run / "checkpoints" / CHECKPOINT
    (checkpoint / "training_state" / "config.json").unlink()
    manifest, config = checkpoint / "manifest.json", run / "config.json"
    forget = edit(manifest, lambda content: content["files"].pop("training_state/config.json"))
    manifest.write_bytes(forget(manifest.read_bytes()))
    with altered(base / "config.json", edit(base / "config.json", as_transformers_5_writes_it)):
        config.write_bytes(edit(config, of_before)(config.read_bytes()))
        reason = refusal(run)
        fork = forking.forked(read_config(run), run, CHECKPOINT, "fork", {})
        assert "10,000 in place of 500,000" in notes_on_parent(fork)[0]
    assert "rope_theta 10,000 in place of 500,000" in reason
    assert f"fork the run from {CHECKPOINT}" in reason and str(base) in reason
    assert fork.configuration_reading == "normalized"
    # With a base that was always read as it is meant, such a run goes on.
    config.write_bytes(edit(config, right_hash)(config.read_bytes()))
    assert train(run, resume=NEWEST).outcome == "completed"


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_changed_base_model_is_noticed(run: Path, place: Workspace, name: str) -> None:
    def change(whole: bytes) -> bytes:
        return whole.replace(b"{", b"{ ", 1) if name == "config.json" else whole[:-1] + b"\x7f"

    with altered(place.base_model("toy") / name, change):
        reason = refusal(run)
    expected = (read_config(run).model_files or {})[name]
    assert f"created with: {name} has SHA-256 " in reason
    assert f"instead of {expected[:12]}…" in reason and "reate a new run" in reason


def test_a_corpus_built_anew_meanwhile_is_noticed(run: Path, place: Workspace) -> None:
    corpus = place.corpus(DOMAIN)
    kept = corpus.with_name("kept")
    shutil.copytree(corpus, kept)
    (place.root / "sources" / DOMAIN / "more.txt").write_text("One document more.")
    try:
        settings = open_corpus(corpus).manifest.settings
        sources = [place.root / "sources" / DOMAIN]
        build_corpus(corpus, sources, settings, place.base_model("toy"))
        assert f"The corpus {DOMAIN!r} was rebuilt since" in refusal(run)
    finally:
        shutil.rmtree(corpus)
        kept.rename(corpus)
        (place.root / "sources" / DOMAIN / "more.txt").unlink()
    # The former one, copied back, is the former one: files of other times are read again.
    assert train(run, resume=NEWEST).outcome == "completed"


def test_a_checkpoint_without_its_manifest_is_noticed(original: Path, place: Workspace) -> None:
    directory = original.with_name("without-manifest")
    shutil.copytree(original, directory)
    (directory / "result.json").unlink()
    last = checkpoints_of(directory)[-1]
    (last / "manifest.json").unlink()
    said = f"The checkpoint {last.name} is damaged: its manifest.json is missing."
    reason = refusal(directory)
    assert reason.startswith(said) and f"newest intact checkpoint is {CHECKPOINT}" in reason
    manager = TrainingManager(place)
    assert any(problem.startswith(said) for problem in manager.run(directory.name).problems)
    with pytest.raises(UserError, match=r"manifest\.json is missing.* Choose the checkpoint"):
        manager.resume(directory.name, confirmed=True)
    assert train(directory, resume=NEWEST, accept_older=True).outcome == "completed"
    assert held_rows(directory) == held_rows(original)
