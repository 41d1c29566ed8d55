"""Corpora over HTTP: built as a job, looked into, tokenised, cancelled, deleted."""

from __future__ import annotations

import gzip
import os
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from cptstudio.corpus import build_program, versions
from cptstudio.corpus.corpus import open_corpus
from cptstudio.durable import is_staging_name
from cptstudio.errors import UserError
from cptstudio.job_programs import Answer
from cptstudio.web.problems import Problem
from cptstudio.web.work import corpus_work
from cptstudio.web.work.row_samples import RowSampler
from tests.web.corpus_sources import MODEL, install_demo_model, write_documents, write_much_text
from tests.web.hostile_models import growing_tokenizer, our_children
from tests.web.in_process import Web, make_web
from tests.web.server_process import RunningServer, SignedIn, running_server, wait_for

pytestmark = pytest.mark.slow

PATIENCE = 120.0


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Web]:
    """The application on a workspace with the demo's model and some documents."""
    install_demo_model(tmp_path)
    write_documents(tmp_path / "documents")
    web = make_web(tmp_path)
    yield web
    web.studio.jobs.close()
    web.studio.manager.close()


def build(web: Web, *sources: dict[str, str], **changes: Any) -> Any:
    """Ask for a build of the corpus c; the parsed answer."""
    chosen = list(sources) or [{"root": "workspace", "path": "documents"}]
    return web.post("/api/corpora", {"name": "c", "sources": chosen, **changes}, 202)


def ended(web: Web, job: Any) -> Any:
    found = web.studio.jobs.wait(job["id"], PATIENCE)
    assert found is not None
    return web.get(f"/api/jobs/{job['id']}")


def built(web: Web, *sources: dict[str, str], **changes: Any) -> Any:
    job = ended(web, build(web, *sources, **changes))
    assert job["state"] == "done", job
    return job


def refused(web: Web, status: int, **body: Any) -> Any:
    answer = web.request("POST", "/api/corpora", json={"name": "c", **body})
    assert answer.status_code == status, answer.text
    return answer.json


def test_a_corpus_is_built_from_a_folder_and_an_upload_and_looked_into(studio: Web) -> None:
    upload = studio.request(
        "POST",
        "/api/uploads",
        query_string={"name": "sent/Grüße aus Köln.md"},
        data="# Grüße\n\nDer Dom steht am Rhein.".encode(),
        headers={"Content-Type": "application/octet-stream"},
    ).json
    job = built(
        studio,
        {"root": "workspace", "path": "documents"},
        {"upload": upload["id"]},
        model=MODEL,
        held_out=0.1,
        test=0.1,
    )
    assert (job["kind"], job["about"], job["phase"]) == ("corpus", "c", "saving")
    assert job["result"]["changed"] is True
    # A page that is loaded again finds the job and the corpus.
    assert [one["id"] for one in studio.get("/api/jobs")["jobs"]] == [job["id"]]
    [listed] = studio.get("/api/corpora")["corpora"]
    assert sum(listed["documents"].values()) == 41
    assert listed["documents"]["validation"] > 0
    assert listed["dropped"] == 2
    assert listed["tokens"][0]["tokens"]["train"] > 1000
    assert listed["created"] > 1.7e9
    report = studio.get("/api/corpora/c")["report"]
    assert report["documents"]["near duplicate"] == 1
    problems = studio.get("/api/corpora/c/problems")
    reasons = {one["label"]: one["reason"] for one in problems["problems"]}
    assert problems["total"] == 1
    assert set(reasons) == {"documents/damaged.pdf"}
    labels = {record.label for record in open_corpus(studio.studio.workspace.corpus("c")).sources()}
    assert "sent/Grüße aus Köln.md" in labels
    assert studio.get("/api/uploads")["uploads"] == []


def test_files_add_up_and_documents_are_shown_before_and_after(studio: Web, tmp_path: Path) -> None:
    folder = tmp_path / "letters"
    folder.mkdir()
    with zipfile.ZipFile(folder / "more.zip", "w") as archive:
        for number in range(3):
            archive.writestr(f"{number}.txt", f"Letter {number}.")
        archive.writestr("damaged.pdf", "%PDF-1.4 no")
    header = "ACME Corporation. Internal use only. Do not copy or distribute this letter."
    for number in range(12):
        text = f"{header}\n\nDear Jane{number}, write to jane{number}@example.org."
        (folder / f"{number:02}.txt").write_text(text)
    (folder / "page.html").write_text("<p hidden>Not seen.</p><p>Seen.</p>")
    choice = {"root": "workspace", "path": "letters"}
    built(studio, choice, mask=["emails"], near_dedup=False, source_notes=["letters=Public domain"])
    report = studio.get("/api/corpora/c")["report"]
    assert report["private"]["emails"] == 12
    assert report["boilerplate"]["paragraphs"] == 1
    assert studio.get("/api/corpora/c")["given"]["notes"] == {"letters": "Public domain"}
    page = studio.get("/api/corpora/c/files", limit=5)
    assert (len(page["files"]), page["total"]) == (5, report["source_files"])
    files = studio.get("/api/corpora/c/files")["files"]
    rest = studio.get("/api/corpora/c/files", start=page["next"], limit=100)
    assert rest["files"] == files[5:] and (rest["next"], rest["full"]) == (None, True)
    for status, count in report["documents"].items():
        assert sum(one["documents"].get(status, 0) for one in files) == count
    assert sum(one["text_bytes"] for one in files) == sum(report["text_bytes"].values())
    assert sum(one["private"].get("emails", 0) for one in files) == 12
    # What is left out by design is told, and no problem.
    assert files[-1]["left_out"] == report["left_out"] == {"hidden passages": 1}
    assert sum(one["problem_count"] for one in files) == report["problem_count"] == 1
    [wrong] = studio.get("/api/corpora/c/files", problems=True)["files"]
    assert (wrong["label"], wrong["members"]) == ("letters/more.zip", 4)
    assert wrong["problems"][0].startswith("damaged.pdf: ")
    number = files[5]["first_document"]
    shown = studio.get(f"/api/corpora/c/documents/{number}/cleaning")
    assert shown["read"] is True
    kinds = [(one["kind"], one["text"], one["becomes"]) for one in shown["pieces"]]
    assert ("dropped", f"{header}\n\n", None) in kinds
    assert ("masked", "jane5@example.org", "[EMAIL]") in kinds
    assert shown["before"] - shown["after"] == len(header) + 2 + len("jane5@example.org") - 7
    # The file is gone: what the corpus has is shown.
    (folder / "05.txt").unlink()
    shown = studio.get(f"/api/corpora/c/documents/{number}/cleaning")
    assert shown["read"] is False
    assert "[EMAIL]" in "".join(one["text"] for one in shown["pieces"])
    wrong = studio.request("GET", "/api/corpora/c/documents/99999/cleaning")
    assert wrong.status_code == 422
    # Before anything is built.
    choice = {"root": "workspace", "path": "letters/07.txt"}
    shown = studio.post("/api/document-previews", {"source": choice, "mask": ["emails"]})
    assert [one["kind"] for one in shown["pieces"]] == ["kept", "masked", "kept"]
    wrong = studio.request(
        "POST", "/api/document-previews", json={"source": {"root": "workspace", "path": "letters"}}
    )
    assert wrong.status_code == 422 and wrong.json["fields"]["source"]


def test_build_again_knows_its_sources_and_secrets_stay_out(studio: Web, tmp_path: Path) -> None:
    def send(name: str, data: bytes, include: str = "") -> Any:
        return studio.request(
            "POST",
            "/api/uploads",
            query_string={"name": name, "include": include},
            data=data,
            headers={"Content-Type": "application/octet-stream"},
        )

    for name in ("sent/.env", "sent/node_modules/a.js", "id_rsa", "sent/.ssh/config"):
        answer = send(name, b"x")
        assert answer.status_code == 422, name
        assert answer.json["fields"]["name"]
    assert send("sent/.env", b"SECRET=1", "secrets").status_code == 201
    upload = send("build/sent.md.gz", gzip.compress(b"What was sent.")).json
    (tmp_path / "documents" / ".env").write_text("TOKEN=hunter2", encoding="utf-8")
    env = studio.get("/api/uploads")["uploads"][-1]["id"]
    built(
        studio,
        {"root": "workspace", "path": "documents"},
        {"upload": upload["id"]},
        {"upload": env},
        near_dedup=False,
    )
    assert not studio.get("/api/uploads")["uploads"]
    facts = studio.get("/api/corpora/c")
    assert facts["report"]["left_aside"] == {"secrets": 2}
    aside = studio.get("/api/corpora/c/problems", left_aside="true")
    found = {(one["label"], one["reason"]) for one in aside["problems"]}
    assert found == {
        ("documents/.env", "may contain secrets"),
        ("sent/.env", "may contain secrets"),
    }
    place = str(tmp_path / "documents")
    assert facts["given"]["folders"] == [{"path": place, "there": True, "allowed": True}]
    assert facts["given"]["uploads"] == 2

    (tmp_path / "documents" / "later.txt").write_text("Written later.", encoding="utf-8")
    body = {"name": "c", "sources": [], "again": True, "near_dedup": False}
    for _ in range(2):
        job = ended(studio, studio.post("/api/corpora", body, 202))
        assert job["state"] == "done", job
    corpus = open_corpus(tmp_path / "corpora" / "c")
    documents = corpus.documents
    texts = [documents.text(number) for number in range(len(documents))]
    assert "Written later." in texts and "What was sent." in texts
    assert not any("hunter2" in text or "SECRET" in text for text in texts)

    (tmp_path / "documents").rename(tmp_path / "moved")
    assert "doesn't exist" in refused(studio, 422, sources=[], again=True)["problems"][0]
    assert studio.get("/api/corpora/c")["given"]["folders"][0]["there"] is False
    assert refused(studio, 422, name="new", sources=[], again=True)


def test_what_was_dropped_is_told_with_the_reason(studio: Web) -> None:
    built(studio)
    page = studio.get("/api/corpora/c/dropped")
    assert (
        page["counts"]
        == {
            "exact duplicate": 1,
            "near duplicate": 1,
            "overlap with held-out": 0,
        }
        or sum(page["counts"].values()) == 2
    )
    found = {one["label"]: one for one in page["dropped"]}
    copy = found["documents/copy.txt"]
    assert (copy["reason"], copy["similarity"]) == ("exact duplicate", 1.0)
    assert copy["kept"]["label"] == "documents/00.txt"
    assert copy["excerpt"].startswith("Document 0. word")
    assert page["total"] == 2
    one = studio.request("GET", "/api/corpora/c/dropped?offset=1&limit=1").json
    assert [item["document"] for item in one["dropped"]] == [page["dropped"][1]["document"]]
    only = studio.request("GET", "/api/corpora/c/dropped?reason=exact%20duplicate").json
    assert [item["label"] for item in only["dropped"]] == ["documents/copy.txt"]
    assert studio.get("/api/corpora/c/problems", limit=1)["problems"][0]["skipped"] is True


@pytest.mark.slow
def test_rows_are_decoded_for_a_model_that_it_is_tokenised_for(studio: Web) -> None:
    built(studio)
    query = {"model": MODEL, "rows": 2, "context_length": 64}
    missing = studio.request("GET", "/api/corpora/c/rows", query_string=query)
    assert missing.status_code == 422
    assert "is not tokenized for this model" in missing.json["detail"]
    job = ended(studio, build(studio, sources=[], model=MODEL))
    assert (job["kind"], job["state"], job["result"]["changed"]) == ("tokenise", "done", True)
    page = studio.get("/api/corpora/c/rows", **query)
    assert [row["length"] for row in page["rows"]] == [64, 64]
    parts = page["rows"][0]["parts"]
    assert parts[0]["label"].startswith("documents/")
    assert "word" in parts[0]["text"]
    assert page["batches"] > 2
    behind = studio.get("/api/corpora/c/rows", **query, first=page["batches"])
    assert behind["rows"] == []
    strange = studio.request("GET", "/api/corpora/c/rows", query_string={"model": "/etc"})
    assert strange.status_code == 422


@pytest.mark.slow
@pytest.mark.bench
def test_rows_of_a_model_that_hangs_hold_up_no_other(studio: Web, tmp_path: Path) -> None:
    built(studio, model=MODEL)
    place = studio.studio.workspace
    hanging = growing_tokenizer(tmp_path / "hanging", 29)
    shape = {"sequence_length": 64, "packing": "concat", "seed": 0, "rows": 1, "first": 0}
    request = {**shape, "corpus": str(place.corpus("c"))}
    sampler = RowSampler(wait_seconds=0.1)
    try:
        with ThreadPoolExecutor(1) as threads:
            late = threads.submit(sampler.sample, {**request, "model": str(hanging)})
            wait_for(our_children, "the first question")
            (child, *_) = our_children()
            with pytest.raises(Problem, match="still being decoded"):
                sampler.sample({**request, "model": str(hanging)})
            page = sampler.sample({**request, "model": str(place.base_model(MODEL))})
            assert page["rows"] and not late.done()
            child.kill()
            # Its limit of memory may have come first.
            assert "The sequences couldn't be decoded. It" in str(late.exception())
    finally:
        sampler.close()


def test_a_second_build_of_the_same_does_nothing_and_says_so(studio: Web) -> None:
    first = built(studio)
    second = built(studio)
    assert second["result"]["changed"] is False
    assert second["result"]["fingerprint"] == first["result"]["fingerprint"]


@pytest.mark.parametrize(
    ("source", "status"),
    [
        ({"root": "workspace", "path": "../"}, 422),
        ({"root": "workspace", "path": ".cpt-studio"}, 422),
        ({"root": "workspace", "path": "/etc"}, 422),
        ({"root": "workspace", "path": "out"}, 422),
        ({"root": "workspace", "path": "out/hostname"}, 422),
        ({"root": "workspace", "path": "missing"}, 422),
        ({"root": "unknown", "path": ""}, 422),
        ({"upload": "u0000000000000000"}, 422),
        ({"upload": "../token"}, 422),
        ({}, 422),
        ({"root": "workspace", "upload": "u0"}, 422),
        ({"path": "/etc/passwd"}, 422),
        ({"root": "workspace", "path": "a\0b"}, 422),
    ],
)
def test_only_allowed_sources_are_read(studio: Web, source: dict[str, str], status: int) -> None:
    (studio.studio.workspace.root / "out").symlink_to("/etc")
    answer = refused(studio, status, sources=[source])
    assert any(name.startswith("sources.0") for name in answer["fields"]), answer
    assert not studio.studio.workspace.corpora.exists()
    assert studio.get("/api/jobs")["jobs"] == []


def test_a_link_put_in_place_after_the_check_is_not_followed(tmp_path: Path) -> None:
    """The program looks again, because time passes between the server's check and its start."""
    (tmp_path / "root").mkdir()
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "a.txt").write_text("secret")
    (tmp_path / "root" / "docs").symlink_to(tmp_path / "secret")
    source = {"path": str(tmp_path / "root" / "docs"), "inside": str(tmp_path / "root")}
    request = {"corpus": str(tmp_path / "c"), "sources": [source], "settings": {}}
    with Path(os.devnull).open("wb") as nowhere, pytest.raises(UserError, match="symbolic link"):
        build_program.work(request, Answer(nowhere.fileno()))
    assert not (tmp_path / "c").exists()


def test_what_is_wrong_with_a_build_is_said_at_its_field(studio: Web) -> None:
    good = [{"root": "workspace", "path": "documents"}]
    for name in ("../x", "a/b", ".hidden", "x" * 65, ""):
        assert "name" in refused(studio, 422, name=name, sources=good)["fields"]
    assert "sources" in refused(studio, 422)["fields"]
    assert "held_out" in refused(studio, 422, sources=good, held_out=0.9)["fields"]
    assert "no model 'no-such'" in refused(studio, 422, sources=good, model="no-such")["detail"]
    built(studio)
    assert "model" in refused(studio, 422)["fields"]


def test_a_build_that_fails_says_why(studio: Web) -> None:
    root = studio.studio.workspace.root
    (root / "empty").mkdir()
    (root / "empty" / "a.pdf").write_bytes(b"no pdf")
    job = ended(studio, build(studio, {"root": "workspace", "path": "empty"}))
    assert job["state"] == "failed"
    assert job["error"] == "No documents could be read from these sources."
    assert job["problems"]
    # It leaves no empty corpus behind.
    assert studio.get("/api/corpora")["corpora"] == []
    assert not studio.studio.workspace.corpus("c").exists()


def _during_a_long_build(web: Web) -> Any:
    write_much_text(web.studio.workspace.root / "much")
    job = build(web, {"root": "workspace", "path": "much"}, model=MODEL)
    wait_for(
        lambda: (
            (web.get(f"/api/jobs/{job['id']}")["done"] or 0) > 0
            or web.get(f"/api/jobs/{job['id']}")["state"] != "running"
        ),
        "progress",
    )
    return job


@pytest.mark.slow
def test_a_cancelled_build_leaves_the_former_corpus(studio: Web) -> None:
    before = built(studio)["result"]["fingerprint"]
    job = _during_a_long_build(studio)
    assert studio.get("/api/corpora/c")["active_job"]["id"] == job["id"]
    assert refused(studio, 409, sources=[{"root": "workspace", "path": "documents"}])
    deleting = studio.request("DELETE", "/api/corpora/c", json={"confirmed": True})
    assert deleting.status_code == 409
    studio.post(f"/api/jobs/{job['id']}/cancel")
    assert ended(studio, job)["state"] == "cancelled"
    assert studio.get("/api/corpora/c")["fingerprint"] == before
    versions = studio.studio.workspace.corpus("c") / "versions"
    assert not [path for path in versions.iterdir() if is_staging_name(path.name)]
    built(studio, {"root": "workspace", "path": "documents"})


def test_deleting_needs_a_confirmation_and_spares_the_sources(studio: Web) -> None:
    built(studio)
    assert studio.request("DELETE", "/api/corpora/c").status_code == 422
    assert studio.request("DELETE", "/api/corpora/c", json={"confirmed": True}).status_code == 200
    assert studio.get("/api/corpora") == {"corpora": []}
    assert studio.request("GET", "/api/corpora/c").status_code == 404
    assert studio.request("DELETE", "/api/corpora/c", json={"confirmed": True}).status_code == 404
    assert len(list((studio.studio.workspace.root / "documents").iterdir())) == 44
    assert studio.request("DELETE", "/api/trash", json={"confirmed": True}).status_code == 204
    assert not list(studio.studio.workspace.corpora.iterdir())


def test_a_corpus_that_a_terminal_builds_is_not_deleted(studio: Web) -> None:
    folder = studio.studio.workspace.corpus("c")
    folder.mkdir(parents=True)
    with versions.only_builder(folder):
        answer = studio.request("DELETE", "/api/corpora/c", json={"confirmed": True})
    assert answer.status_code == 422
    assert "Another build" in answer.json["detail"]
    assert studio.request("DELETE", "/api/corpora/c", json={"confirmed": True}).status_code == 200
    assert not folder.exists()


def test_damaged_corpora_are_listed_with_the_reason(studio: Web) -> None:
    built(studio)
    manifest = studio.studio.workspace.corpus("c") / "manifest.json"
    manifest.write_text("{")
    [listed] = studio.get("/api/corpora")["corpora"]
    assert "not valid JSON" in listed["error"]
    assert studio.request("GET", "/api/corpora/c").status_code == 422
    built(studio)


def _builder(server: RunningServer) -> psutil.Process | None:
    for worker in server.workers():
        for child in worker.children():
            if corpus_work.PROGRAM in child.cmdline():
                return child
    return None


def _api(server: RunningServer, cookie: SignedIn) -> Callable[..., Any]:
    def ask(method: str, path: str, body: Any = None) -> Any:
        answer = server.api(cookie, method, path, body)
        assert answer.status < 300, answer.body
        return answer.json

    return ask


@pytest.mark.slow
def test_a_killed_server_ends_its_build_and_leaves_the_former_corpus(tmp_path: Path) -> None:
    install_demo_model(tmp_path)
    write_documents(tmp_path / "documents")
    write_much_text(tmp_path / "much")
    body = {"name": "c", "sources": [{"root": "workspace", "path": "documents"}]}
    with running_server(tmp_path) as server:
        ask = _api(server, server.sign_in())
        job = ask("POST", "/api/corpora", body)
        wait_for(lambda: ask("GET", f"/api/jobs/{job['id']}")["state"] == "done", "the build")
        before = ask("GET", "/api/corpora/c")["fingerprint"]
        body = {"name": "c", "sources": [{"root": "workspace", "path": "much"}], "model": MODEL}
        job = ask("POST", "/api/corpora", body)
        wait_for(lambda: ask("GET", f"/api/jobs/{job['id']}")["done"], "progress")
        builder = _builder(server)
        assert builder is not None
        for process in (*server.workers(), psutil.Process(server.process.pid)):
            process.kill()
        server.process.wait()
        wait_for(lambda: not builder.is_running(), "the build's end")
    assert open_corpus(tmp_path / "corpora" / "c").manifest.fingerprint == before
    with running_server(tmp_path) as server:
        ask = _api(server, server.sign_in())
        assert ask("GET", "/api/corpora/c")["fingerprint"] == before
        assert ask("GET", "/api/jobs") == {"jobs": []}


def test_text_recognition_is_offered_where_there_is_an_engine(
    studio: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offered() -> dict[str, tuple[bool, str]]:
        known = studio.get("/api/build-schema")["properties"]
        return {
            name: ("unavailable" not in known[name], known[name]["description"])
            for name in ("ocr", "ocr_language")
        }

    monkeypatch.setenv("PATH", str(tmp_path))
    assert [there for there, _ in offered().values()] == [False, False]
    program = tmp_path / "tesseract"
    program.write_text(
        "#!/bin/sh\n"
        'case "$1" in\n'
        "--version) echo tesseract 99.1 ;;\n"
        "*) echo 'List of available languages (2):'; echo deu; echo osd ;;\n"
        "esac\n"
    )
    program.chmod(0o755)
    (ocr, told), (language, names) = offered().values()
    assert ocr and told.endswith("Here: tesseract 99.1.")
    assert language and names.endswith("Here: deu.")
