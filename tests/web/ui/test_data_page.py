"""The Data page: corpora are added, watched while they build, looked into and deleted."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Page, expect

from cptstudio.corpus import read_program
from cptstudio.corpus.corpus import Corpus, open_corpus
from cptstudio.corpus.left_aside import LeftAside
from cptstudio.web.work import corpus_work
from cptstudio.workspace import Workspace
from tests.toy_models import text_sample
from tests.web.server_process import PATIENCE, RunningServer, wait_for
from tests.web.ui.accessibility import assert_accessible_in_all

pytestmark = pytest.mark.slow
expect.set_options(timeout=PATIENCE * 1000)


def write_documents(folder: Path, seed: int, count: int = 12) -> None:
    """Text files, one of them twice, one that is no PDF, and one that is no text."""
    draw = random.Random(seed)
    words = " ".join(text_sample()).split()
    folder.mkdir(parents=True)
    for number in range(count):
        text = " ".join(draw.choices(words, k=200))
        (folder / f"note-{number:02}.txt").write_text(text, encoding="utf-8")
    (folder / "twice.txt").write_bytes((folder / "note-00.txt").read_bytes())
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7 and nothing else")
    (folder / "picture.png").write_bytes(bytes(range(256)) * 8)


def choose_folder(page: Page, root: Path, name: str) -> None:
    """Choose a folder in the file browser, by keyboard alone."""
    page.get_by_label("Folder", exact=True).select_option(label=str(root))
    page.get_by_role("option", name=name).wait_for()
    page.get_by_role("listbox").focus()
    page.keyboard.type(name[0])
    for _ in range(page.get_by_role("option").count()):
        if page.locator(".entry-active", has_text=name).count():
            break
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    expect(page.get_by_role("option", name=name)).to_have_attribute("aria-selected", "true")


def build_and_see_report(page: Page, name: str) -> None:
    page.get_by_role("button", name="Build corpus").click()
    job = page.locator(".job", has_text=f"Building the corpus {name}")
    job.get_by_role("link", name="View report").click()


@contextmanager
def held_back(
    server: RunningServer, program: str = corpus_work.PROGRAM, memory: int = 0
) -> Iterator[psutil.Process]:
    """The build, or another program of it: stopped while the block lasts.

    Args:
        server: whose job it is.
        program: the module that it runs.
        memory: bytes that it holds when it is stopped, at least.
    """

    def started() -> psutil.Process | None:
        for process in psutil.Process(server.process.pid).children(recursive=True):
            # Others end while they are looked at.
            with suppress(psutil.NoSuchProcess):
                if program in process.cmdline() and process.memory_info().rss >= memory:
                    return process
        return None

    found: psutil.Process = wait_for(started, f"the process of {program}")
    found.suspend()
    try:
        yield found
    finally:
        if found.is_running():
            found.resume()


def test_a_folder_becomes_a_corpus(page: Page, studio: RunningServer, documents: Path) -> None:
    write_documents(documents / "notes", seed=1)
    page.goto("/data")
    page.get_by_role("link", name="Add a corpus").click()
    page.get_by_label("Name", exact=True).fill("notes")
    choose_folder(page, documents, "notes")
    build_and_see_report(page, "notes")

    corpus = open_corpus(Workspace(studio.workspace).corpus("notes"))
    report = corpus.manifest.report
    assert report.documents["train"] > 0 and report.documents["exact duplicate"] == 1
    documents_table = page.get_by_role("table", name=re.compile("15 files"))
    training = documents_table.get_by_role("row", name=re.compile("Training"))
    expect(training).to_contain_text(str(report.documents["train"]))
    expect(documents_table).to_contain_text("Removed: exact duplicate")
    expect(page.get_by_role("table", name=re.compile("by size"))).to_be_visible()
    [tokens] = [corpus.token_store(name).manifest for name in corpus.tokenizer_hashes()]
    expect(page.get_by_role("table", name=re.compile("bytes per token"))).to_contain_text(
        f"{tokens.tokens['train']:,}"
    )

    page.get_by_role("tab", name=re.compile("Problems")).click()
    panel = page.get_by_role("tabpanel")
    expect(panel).to_contain_text("broken.pdf")
    expect(panel).to_contain_text("picture.png")
    page.goto("/data/notes?tab=dropped")
    lines = page.get_by_role("list", name="Documents").get_by_role("button")
    expect(lines).to_have_count(1)
    expect(lines).to_contain_text("Exact duplicate")
    lines.click()
    opened = page.get_by_role("region", name=re.compile("twice.txt|note-"))
    expect(opened).to_contain_text("Kept instead:")
    page.get_by_role("radio", name=re.compile("^Training")).check()
    expect(lines).to_have_count(report.documents["train"])
    page.get_by_label("Search names and text").fill("NOTE-0")
    expect(lines.first).to_contain_text(re.compile(r"note-0\d\.txt"))
    expect(lines).to_have_count(_named(corpus, "note-0"))
    page.get_by_label("Search names and text").fill("nowhere to be found")
    expect(page.get_by_text("No document has “nowhere to be found”")).to_be_visible()

    page.get_by_role("tab", name="Training sequences").click()
    page.get_by_label("Sequence length", exact=True).select_option("128")
    first = page.get_by_role("article").first
    expect(first).to_contain_text("128 tokens")
    assert page.get_by_role("article").count() == 3
    boundary = first.locator(".row-boundary").first
    expect(boundary).to_contain_text(re.compile(r"note-\d\d\.txt|twice\.txt"))
    expect(boundary).to_contain_text(re.compile("(start|end) of document|continued|whole document"))
    shown = first.locator(".row-document").first.inner_text()
    assert len(shown) > 20 and any(
        shown.strip()[:20] in path.read_text(encoding="utf-8")
        for path in (documents / "notes").glob("*.txt")
    )
    page.get_by_role("button", name="Next", exact=True).click()
    expect(page.get_by_role("heading", name=re.compile("^Sequence 4"))).to_be_visible()
    assert "row=3" in page.url
    page.get_by_label("Go to sequence").fill("2")
    page.get_by_label("Go to sequence").press("Enter")
    expect(page.get_by_role("heading", name=re.compile("^Sequence 2"))).to_be_visible()
    trained = int((corpus.documents.records["status"] == 0).nonzero()[0][0])
    page.get_by_label("Go to document").fill(str(trained + 1))
    page.get_by_label("Go to document").press("Enter")
    sought = page.locator(".row-part-sought")
    expect(sought.first).to_contain_text(re.compile("start of document|whole document"))


def _named(corpus: Corpus, words: str) -> int:
    """How many training documents are of files with these words in their name."""
    labels = [source.label for source in corpus.sources()]
    records = corpus.documents.records
    sources = records["source"][records["status"] == 0].tolist()
    return sum(words in labels[source] for source in sources)


def test_files_are_uploaded(page: Page, studio: RunningServer, tmp_path: Path) -> None:
    write_documents(tmp_path / "mine", seed=2)
    files = sorted((tmp_path / "mine").glob("*.txt"))
    page.goto("/data?add=1")
    page.get_by_label("Name", exact=True).fill("uploaded")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose files…").click()
    chooser.value.set_files(files)
    expect(page.locator(".uploads-total")).to_contain_text(f"{len(files)} of {len(files)} files")
    # One is looked at before anything is built.
    page.get_by_role("button", name=f"Preview {files[0].name}").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator(".preview-text")).to_contain_text(files[0].read_text()[:40])
    assert_accessible_in_all(page)
    dialog.get_by_role("button", name="Next document").click()
    expect(dialog.get_by_role("alert")).to_contain_text("has no document 2")
    dialog.get_by_role("button", name="Previous document").click()
    expect(dialog.locator(".preview-text")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_role("button", name=f"Remove {files[3].name}").click()
    expect(page.locator(".uploads-total")).to_contain_text(f"of {len(files) - 1} files")
    page.get_by_label("Remove exact duplicates").uncheck()
    page.get_by_label("Validation split").fill("20")
    # More than the bounds allow is said at the field, and nothing is built.
    page.get_by_label("Reader processes").fill("0")
    page.get_by_role("button", name="Build corpus").click()
    expect(page.get_by_label("Reader processes")).to_be_focused()
    expect(page.get_by_text("Use at least 1.")).to_be_visible()
    page.get_by_label("Reader processes").fill("2")
    build_and_see_report(page, "uploaded")
    expect(page.get_by_role("heading", name="uploaded", level=1)).to_be_visible()
    manifest = open_corpus(Workspace(studio.workspace).corpus("uploaded")).manifest
    assert manifest.report.source_files == len(files) - 1
    assert manifest.settings.exact_dedup is False and manifest.settings.validation == 0.2


NAMES = """\
    .env .env.local prod.env key.PEM .ssh/config .git/HEAD node_modules/a/b.js a.min.js
    id_rsa.pub package-lock.json deep/dist/x.txt deep/build/y.txt box/pyvenv.cfg box/lib/z.py
    .hidden.txt notes.txt buildings.txt environment.txt a.key.txt Cargo.lock keys.md a(b).txt
    deep/in/.cache/x world_history .bash_history cvs/Root deep/CACHEDIR.TAG"""


def test_a_project_is_uploaded_without_its_secrets_and_built_again(
    page: Page, studio: RunningServer, tmp_path: Path
) -> None:
    """The page leaves aside what the server leaves aside, by the same rules."""
    project = tmp_path / "project"
    for name in NAMES.split():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(f"The text of {name}.", encoding="utf-8")
    paths = [f"project/{name}" for name in NAMES.split()]
    rules = LeftAside()
    marked = rules.marked_folders(paths)
    kept = [path for path in paths if rules.of_path(path, marked, given=True) is None]
    aside = {found[0] for path in paths if (found := rules.of_path(path, marked, given=True))}
    assert len(kept) == 7 and len(aside) == 16

    page.goto("/data?add=1")
    page.get_by_label("Name", exact=True).fill("project")
    page.locator("[data-input=folder]").set_input_files(project)
    expect(page.locator(".uploads-total")).to_contain_text(f"{len(kept)} of {len(kept)} files")
    names = page.locator(".uploads-list .name").all_inner_texts()
    assert sorted(names) == sorted(kept)
    note = page.get_by_text(re.compile("^Excluded: "))
    expect(note).to_contain_text(f"and {len(aside) - 5} more")
    # What is included is taken when it is added again.
    page.get_by_label("Include secrets").check()
    page.locator("[data-input=folder]").set_input_files(project)
    secrets = {path for path in paths if not LeftAside(["secrets"]).of_path(path, marked)} - set(
        kept
    )
    total = len(kept) + len(secrets)
    expect(page.locator(".uploads-total")).to_contain_text(f"{total} of {total} files")
    page.get_by_label("Include secrets").uncheck()
    build_and_see_report(page, "project")
    page.get_by_role("tab", name=re.compile(f"Excluded.*{len(secrets)}")).click()
    expect(page.get_by_role("table")).to_contain_text("may contain secrets")

    # What was uploaded is kept with the corpus, and built from again with its options.
    page.get_by_role("link", name="Rebuild…").click()
    expect(page.get_by_label("Use the same sources")).to_be_checked()
    expect(page.locator("#same-sources-list")).to_contain_text(f"{total} uploaded files")
    page.get_by_label("Validation split").fill("20")
    page.get_by_role("button", name="Rebuild").click()
    page.get_by_role("link", name="Rebuild…").wait_for()
    folder = Workspace(studio.workspace).corpus("project")
    wait_for(lambda: open_corpus(folder).manifest.settings.validation == 0.2, "the second build")
    assert open_corpus(folder).manifest.report.source_files == len(kept)


def test_a_folder_is_dropped(page: Page, tmp_path: Path) -> None:
    """A real drop cannot be made by a script; the entries of one can."""
    page.goto("/data?add=1")
    page.get_by_text("Drop files or folders here").wait_for()
    page.evaluate(
        """() => {
          const folder = (path, inner) => ({
            isFile: false, fullPath: path,
            createReader: () => {
              const portions = [inner.slice(0, 1), inner.slice(1), []];
              return { readEntries: (found) => found(portions.shift()) };
            },
          });
          const text = (path) => ({
            isFile: true, fullPath: path,
            file: (found) => found(new File(["some text"], path.split("/").pop())),
          });
          const unreadable = { isFile: true, fullPath: "/box/secret", file: (_, fail) => fail(1) };
          const box = folder("/box", [
            text("/box/a.txt"), folder("/box/in", [text("/box/in/a.txt")]), unreadable,
          ]);
          const event = new Event("drop", { bubbles: true, cancelable: true });
          const item = { kind: "file", webkitGetAsEntry: () => box };
          event.dataTransfer = { files: [], items: [item] };
          document.querySelector(".drop-area").dispatchEvent(event);
        }"""
    )
    expect(page.locator(".uploads-total")).to_contain_text("2 of 2 files")
    names = page.locator(".uploads-list .name").all_inner_texts()
    assert sorted(names) == ["box/a.txt", "box/in/a.txt"]
    expect(page.get_by_text("Your browser couldn't read box/secret")).to_be_visible()
    page.get_by_role("button", name="Remove all").click()
    expect(page.locator(".uploads")).to_have_count(0)


def test_a_build_survives_a_reload_and_is_cancelled(
    page: Page, studio: RunningServer, documents: Path
) -> None:
    write_documents(documents / "long", seed=3, count=300)
    page.goto("/data?add=1")
    page.get_by_label("Name", exact=True).fill("cancelled")
    choose_folder(page, documents, "long")
    page.get_by_role("button", name="Build corpus").click()
    with held_back(studio):
        job = page.locator(".job", has_text="Building the corpus cancelled")
        expect(job).to_be_visible()
        page.reload()
        expect(job.get_by_role("progressbar")).to_be_visible()
        page.goto("/data/cancelled")
        job.get_by_role("button", name="Cancel").click()
    expect(job).to_contain_text("Cancelled")
    assert not (Workspace(studio.workspace).corpus("cancelled") / "manifest.json").exists()


def test_the_file_that_takes_long_is_named(
    page: Page, studio: RunningServer, documents: Path
) -> None:
    folder = documents / "slow"
    folder.mkdir()
    # Its reader is stopped in the middle of it, so that it takes long on any machine.
    paragraph = "<p>" + " ".join(text_sample())[:5000].replace("<", "") + "</p>\n"
    enormous = folder / "enormous.html"
    enormous.write_text("<body>" + 9000 * paragraph, encoding="utf-8")
    (folder / "small.html").write_text("<p>Small.</p>", encoding="utf-8")
    page.goto("/data?add=1")
    page.get_by_label("Name", exact=True).fill("slow")
    choose_folder(page, documents, "slow")
    page.get_by_role("button", name="Build corpus").click()
    job = page.locator(".job", has_text="Building the corpus slow")
    named = r"reading.* of [0-9.]+ MB.* of 2 files; slow/enormous\.html has taken \d+ s so far"
    with held_back(studio, read_program.MODULE, memory=3 * enormous.stat().st_size):
        expect(job).to_contain_text(re.compile(named, re.DOTALL))
        job.get_by_role("button", name="Cancel").click()
    expect(job).to_contain_text("Cancelled")


def test_what_is_missing_is_said_at_its_place(page: Page) -> None:
    page.goto("/data?add=1")
    page.get_by_role("button", name="Build corpus").click()
    name = page.get_by_label("Name", exact=True)
    expect(name).to_have_attribute("aria-invalid", "true")
    expect(name).to_be_focused()
    expect(name).to_have_accessible_description("Enter a name for the corpus.")
    expect(page.get_by_text("Select a folder or files, or upload some.")).to_be_visible()
    name.fill("domain")
    page.get_by_role("button", name="Build corpus").click()
    expect(name).to_have_accessible_description(
        re.compile("A corpus named “domain” already exists")
    )


def test_another_folder_is_allowed_after_a_question(page: Page, tmp_path: Path) -> None:
    (tmp_path / "more" / "inside").mkdir(parents=True)
    page.goto("/data?add=1")
    field = page.get_by_label("Add a folder…")
    field.fill(str(tmp_path / "nowhere"))
    page.get_by_role("button", name="Add…").click()
    page.get_by_role("dialog").get_by_role("button", name="Add folder", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("nowhere")
    page.keyboard.press("Escape")
    field.fill(str(tmp_path / "more"))
    page.get_by_role("button", name="Add…").click()
    page.get_by_role("dialog").get_by_role("button", name="Add folder", exact=True).click()
    expect(page.get_by_role("option", name="inside")).to_be_visible()
    page.get_by_role("button", name="Remove from list").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove from list").click()
    expect(page.get_by_role("option", name="inside")).to_have_count(0)


def test_a_corpus_is_deleted_after_a_question(
    page: Page, studio: RunningServer, documents: Path
) -> None:
    from cptstudio.corpus.build import build_corpus

    folder = Workspace(studio.workspace).corpus("unwanted")
    write_documents(documents / "unwanted", seed=4)
    build_corpus(folder, [documents / "unwanted"])
    page.goto("/data/unwanted")
    expect(page.get_by_text("Not tokenized for any model yet")).to_be_visible()
    page.get_by_role("button", name="Delete…").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    assert folder.exists()
    page.get_by_role("button", name="Delete…").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete corpus").click()
    expect(page.get_by_role("heading", name="Data", level=1)).to_be_visible()
    expect(page.get_by_role("link", name="domain", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name="unwanted")).to_have_count(0)
    # By its old address there is nothing to do with it.
    page.goto("/data/unwanted")
    expect(page.get_by_text("There is no corpus 'unwanted'")).to_be_visible()
    expect(page.get_by_role("button", name="Delete…")).to_have_count(0)
    assert not folder.exists() and (documents / "unwanted").exists()


def test_tokens_for_another_model(page: Page, studio: RunningServer, documents: Path) -> None:
    from cptstudio.corpus.build import build_corpus

    folder = Workspace(studio.workspace).corpus("later")
    write_documents(documents / "later", seed=5)
    build_corpus(folder, [documents / "later"])
    page.goto("/data/later")
    page.get_by_role("button", name="Tokenize for a model…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Model").select_option(label="toy")
    dialog.get_by_role("button", name="Tokenize").click()
    expect(page.get_by_role("table", name=re.compile("bytes per token"))).to_be_visible()
    assert open_corpus(folder).tokenizer_hashes()


def test_cleaning_is_seen_before_and_after(
    page: Page, studio: RunningServer, documents: Path
) -> None:
    folder = documents / "letters"
    folder.mkdir()
    header = "ACME Corporation. Internal use only. Do not copy or distribute this letter."
    for number in range(30):
        text = f"{header}\n\nDear Jane, write to jane{number}@example.org.\n\n{number}"
        draw = random.Random(number)
        text += " ".join(draw.choices(" ".join(text_sample()).split(), k=60))
        (folder / f"letter-{number:02}.txt").write_text(text, encoding="utf-8")
    (folder / "chat.jsonl").write_text('{"messages": [{"role": "user", "content": "hi"}]}\n')
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7 and nothing else")

    page.goto("/data?add=1")
    page.get_by_label("Name", exact=True).fill("letters")
    page.get_by_label("Mask emails").check()
    page.get_by_label("License or source").fill("letters=Public domain")
    # A file is looked at before anything is built.
    choose_folder(page, documents, "letters")
    page.keyboard.press("Enter")
    page.get_by_role("option", name="letter-07.txt").wait_for()
    page.get_by_role("option", name="letter-07.txt").locator(".entry-mark").click()
    page.get_by_role("button", name="Preview letter-07.txt").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator("del")).to_have_text("jane7@example.org")
    expect(dialog.locator("ins")).to_have_text("[EMAIL]")
    dialog.get_by_role("button", name="Close").click()
    page.get_by_role("button", name=re.compile("Remove .*letter-07")).click()
    build_and_see_report(page, "letters")

    cleaning = page.get_by_role("region", name="Cleaning")
    expect(cleaning).to_contain_text("Email addresses")
    expect(cleaning).to_contain_text("one copy of each is kept")
    expect(cleaning).to_contain_text("Public domain")
    expect(cleaning).to_contain_text("Skipped chat records: 1")
    page.get_by_role("tab", name=re.compile("^Files")).click()
    lines = page.locator(".file-line")
    expect(lines).to_have_count(25)
    page.get_by_role("tab", name=re.compile("^Problems")).click()
    expect(lines).to_have_count(2)
    lines.filter(has_text="broken.pdf").locator("summary").click()
    expect(lines.filter(has_text="broken.pdf").get_by_role("list")).to_contain_text(
        "damaged PDF file"
    )
    page.get_by_role("tab", name=re.compile("^Files")).click()
    line = lines.filter(has_text="letter-09.txt")
    line.locator("summary").click()
    assert_accessible_in_all(page)
    line.get_by_role("button", name=re.compile("Before and after cleaning")).click()
    assert_accessible_in_all(page)
    expect(dialog.locator(".piece-dropped")).to_contain_text(header)
    expect(dialog.locator(".piece-masked")).to_have_text("jane9@example.org")
    dialog.get_by_role("tab", name="After").click()
    expect(dialog.locator(".preview-text")).not_to_contain_text(header)
    expect(dialog.locator(".preview-text")).to_contain_text("write to [EMAIL].")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
