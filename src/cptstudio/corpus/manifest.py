"""A corpus's manifest, with the build's settings and its report.

Every figure of the report was counted while the corpus was built. Nothing in it depends on
where the sources lie or when they were read, but for `created` and `scanned_ns`.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Literal, Self, get_args

from pydantic import ConfigDict, Field, TypeAdapter, field_validator, model_validator

from cptstudio.corpus.boilerplate import Boilerplate
from cptstudio.corpus.conversations.counts import ConversationCounts
from cptstudio.corpus.conversations.forms import Columns
from cptstudio.corpus.hub_source import HubSource
from cptstudio.corpus.left_aside import INCLUDED, KINDS, Kind
from cptstudio.corpus.private_data import MASKS, PRIVATE, TITLES, Private
from cptstudio.corpus.readers.conversations import OPTION
from cptstudio.corpus.readers.dispatch import suffixes_of_records
from cptstudio.corpus.split import SplitRule
from cptstudio.corpus.token_store import Side
from cptstudio.validation import LateModel, wrong

CORPUS_FORMAT = 1
READERS = 4
"""Raised when the same files give other documents than before, so that they are read again."""

Dropped = Literal["exact duplicate", "near duplicate", "overlap with held-out"]
Status = Literal[Side, Dropped]
CorpusKind = Literal["documents", "conversations"]
STATUSES: tuple[str, ...] = get_args(Status)


class _Model(LateModel):
    model_config = ConfigDict(extra="forbid")


_MASKS = {str(kind): f"{what}, by {MASKS[kind]}" for kind, what in TITLES.items()}
_MASKED = "; ".join(f"{kind}: {what}" for kind, what in _MASKS.items())
_LONGEST_NOTE = 500
_LANGUAGE = re.compile(r"[A-Za-z][A-Za-z_/]{1,40}")
_INCLUDED = "; ".join(f"{kind}: {what}" for kind, what in INCLUDED.items())

# Of one kind of corpus alone; forms offer them where it is chosen.
_OF_DOCUMENTS: dict[str, Any] = {"kind": "documents"}
_OF_CONVERSATIONS: dict[str, Any] = {"kind": "conversations"}


class BuildSettings(_Model):
    """The settings that decide, together with the sources, which documents a corpus has.

    The command's flags, the API's body and the page's form are made of these fields.
    """

    kind: CorpusKind = Field(
        "documents",
        title="Kind",
        description="documents: plain text for continued pre-training. conversations: chat records "
        "for fine-tuning, kept as turns.",
    )
    text_field: str = Field(
        "text",
        title="Text field",
        description=f"Column or key that holds the text in {suffixes_of_records()}.",
        min_length=1,
        max_length=200,
        json_schema_extra=_OF_DOCUMENTS,
    )
    prompt_column: str | None = Field(
        None,
        title="Prompt column",
        description="Column or key that holds the prompt, in records without a known form of "
        "conversation. Only it and the answer column are read.",
        min_length=1,
        max_length=200,
        json_schema_extra=_OF_CONVERSATIONS,
    )
    answer_column: str | None = Field(
        None,
        title="Answer column",
        description="Column or key that holds the answer to the prompt column.",
        min_length=1,
        max_length=200,
        json_schema_extra=_OF_CONVERSATIONS,
    )
    validation: float = Field(
        0.01,
        title="Validation split",
        description="Fraction of documents measured during training, never trained on.",
        ge=0,
        le=0.5,
    )
    test: float = Field(
        0.01,
        title="Test split",
        description="Fraction of documents that no training run uses.",
        ge=0,
        le=0.5,
    )
    exact_dedup: bool = Field(
        True,
        title="Remove exact duplicates",
        description="Keep one copy of identical documents.",
    )
    near_dedup: bool = Field(
        True,
        title="Remove near-duplicates",
        description="Keep one of the documents that share about 75% of their words.",
    )
    drop_boilerplate: bool = Field(
        True,
        title="Remove repeated boilerplate",
        description="Keep one copy of paragraphs that recur in at least ten documents and one in a "
        "thousand: headers, licenses, cookie notices.",
        json_schema_extra=_OF_DOCUMENTS,
    )
    main_text: bool = Field(
        True,
        title="Main text of web pages only",
        description="Leave out navigation that a page marks as such.",
        json_schema_extra=_OF_DOCUMENTS,
    )
    conversations: bool = Field(
        False,
        title=OPTION,
        description="Turn chat records (messages or ShareGPT conversations) into documents, one "
        "paragraph per turn with its role; otherwise they are skipped.",
        json_schema_extra=_OF_DOCUMENTS,
    )
    ocr: bool = Field(
        False,
        title="Read scanned pages (OCR)",
        description="Recognize text on PDF pages that are images or have an unusable text layer, "
        "with Tesseract or macOS Vision. Takes a few seconds per page.",
        json_schema_extra=_OF_DOCUMENTS,
    )
    ocr_language: tuple[str, ...] = Field(
        (),
        title="OCR language",
        description="Tesseract language codes such as eng or deu, most frequent first (default: "
        "English).",
        max_length=20,
        json_schema_extra=_OF_DOCUMENTS,
    )
    include: tuple[Kind, ...] = Field(
        (),
        title="Include",
        description=f"Read files that are skipped by default: {_INCLUDED}.",
        json_schema_extra={"choices": dict(INCLUDED)},
    )

    mask: tuple[Private, ...] = Field(
        (),
        title="Mask",
        description=f"Replace personal data instead of only counting it: {_MASKED}.",
        json_schema_extra={"choices": {**_MASKS}},
    )

    source_notes: tuple[str, ...] = Field(
        (),
        title="License or source",
        description="License or origin of a file or folder, as NAME=TEXT, such as docs=CC BY 4.0; "
        "without NAME=, of all of them. Stored with the corpus.",
        max_length=1000,
    )

    @property
    def columns(self) -> Columns | None:
        """The columns of prompt and answer, where the user named them."""
        if self.prompt_column is None or self.answer_column is None:
            return None
        return Columns(self.prompt_column, self.answer_column)

    @model_validator(mode="after")
    def _of_one_kind(self) -> Self:
        named = {"prompt_column": self.prompt_column, "answer_column": self.answer_column}
        given = [name for name, column in named.items() if column is not None]
        if self.kind == "conversations" and self.conversations:
            raise wrong("Applies to a corpus of documents. Turn it off.", "conversations")
        if given and self.kind != "conversations":
            raise wrong("Applies to a corpus of conversations. Choose that kind.", given[0])
        if len(given) == 1:
            (missing,) = named.keys() - {*given}
            raise wrong("Name the prompt column and the answer column.", missing)
        if given and self.prompt_column == self.answer_column:
            raise wrong("Name another column than that of the prompt.", "answer_column")
        return self

    @field_validator("include")
    @classmethod
    def _in_one_order(cls, kinds: tuple[Kind, ...]) -> tuple[Kind, ...]:
        return tuple(kind for kind in KINDS if kind in kinds)

    @field_validator("mask")
    @classmethod
    def _masks_in_one_order(cls, kinds: tuple[Private, ...]) -> tuple[Private, ...]:
        return tuple(kind for kind in PRIVATE if kind in kinds)

    @field_validator("ocr_language")
    @classmethod
    def _single_languages(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        names = [name for text in given for name in re.split(r"[\s,+]+", text) if name]
        for name in names:
            if not _LANGUAGE.fullmatch(name):
                raise wrong(f"Unknown language {name!r}. Use a Tesseract code, such as eng.")
        return tuple(dict.fromkeys(names))

    @field_validator("source_notes")
    @classmethod
    def _short_notes(cls, notes: tuple[str, ...]) -> tuple[str, ...]:
        kept = tuple(note.strip() for note in notes if note.strip())
        if any(len(note) > _LONGEST_NOTE for note in kept):
            raise ValueError(f"Use at most {_LONGEST_NOTE:,} characters per note.")
        return kept


class BuildChoices(BuildSettings):
    """The settings of a build, and what decides how it reads, not what: that is not recorded."""

    workers: int | None = Field(
        None,
        title="Reader processes",
        description="Number of processes that read documents (default: one per core). The result "
        "is the same for any number.",
        ge=1,
        le=1024,
    )


AFTER_READING = {
    "validation", "test", "exact_dedup", "near_dedup", "drop_boilerplate", "source_notes"
}  # fmt: skip
"""Settings that decide what becomes of documents, not what their text is."""


@cache
def _types() -> dict[str, TypeAdapter[Any]]:
    """The types of the settings, without bounds."""
    types: dict[str, Any] = {n: one.annotation for n, one in BuildSettings.model_fields.items()}
    return {name: TypeAdapter(kind) for name, kind in types.items()}


class SourceRecord(_Model):
    """A source file, or a member of an archive; times in nanoseconds since 1970.

    Attributes:
        file: the file's label; several records of one archive share it.
        sha256: of the file's bytes, in the file's first record.
        skipped: why it, or the rest of it, gave no document; None when it was read to its end.
        left_aside: the kind, when it was left aside on purpose; `skipped` says why.
        notes: what was found worth telling.
        left_out: what is in no document by design, such as running heads: how much, by its name.
        conversations: records in it that are conversations, and so no documents.
        forms: conversations that were read for a corpus of them, by their form.
        no_conversations: records that are no conversations, and so left out of a corpus of them, by
            the reason.
        private: what was found in its documents, by kind.
        recognized: its pages that text recognition (OCR) read.
        pictures: its pages that are pictures, with little text or none, and were not read.
    """

    label: str
    file: str
    size: int
    modified_ns: int
    sha256: str | None = None
    documents: int = 0
    text_bytes: int = 0
    skipped: str | None = None
    left_aside: Kind | None = None
    notes: list[str] = []
    left_out: dict[str, int] = {}
    conversations: int = 0
    forms: dict[str, int] = {}
    no_conversations: dict[str, int] = {}
    private: dict[Private, int] = {}
    recognized: int = 0
    pictures: int = 0

    def problems(self, *, left_aside: bool = False) -> list[str]:
        """Return its problems: why it was excluded, if that is asked for, or all others."""
        if left_aside:
            return [self.skipped] if self.left_aside and self.skipped else []
        return [self.skipped, *self.notes] if self.skipped and not self.left_aside else self.notes


class DuplicateExample(_Model):
    """Two documents that were taken for the same; similarity is the estimated Jaccard index."""

    dropped: str
    kept: str
    similarity: float
    reason: Status


class SuspiciousDocument(_Model):
    """A document that was kept, and why a person may want to look at it."""

    document: int
    label: str
    reason: str


class LanguageShares(_Model):
    """In which languages the kept documents are written, see `languages`; shares sum to 1.

    Attributes:
        examined: documents whose beginning was looked at; source code is told by names.
        documents: share of documents by language, the largest first.
        text_bytes: share of UTF-8 bytes by language, the largest first.
    """

    examined: int
    documents: dict[str, float]
    text_bytes: dict[str, float]


class CorpusReport(_Model):
    """A build's findings.

    Attributes:
        source_files: files given, without those that were left aside unread.
        skipped_files: files, or parts of them, that could not be read.
        problems: the first of them, with reasons, as "label: reason" lines.
        problem_count: how many there are; the complete list is in the corpus's sources.
        problem_files: of how many files; None in corpora built before they were counted.
        left_aside: files and folders left aside on purpose, by kind; they are no problems.
        left_out: what of the files is in no document by design, as in `SourceRecord`.
        documents: number of documents by status.
        text_bytes: UTF-8 bytes by status.
        length_histogram: bytes -> training documents of at least so many bytes and less than
            ten times (by half decades) as many.
        duplicates: examples.
        suspicious: examples.
        suspicious_count: documents by kind of suspicion.
        scripts: share of letters by Unicode script.
        languages: None in corpora built before languages were told apart.
        conversations: records that are conversations, and so no documents.
        talks: of a corpus of conversations, what they are like.
        private: what was found in the documents, by kind, whether it was masked or not; None in
            corpora built before it was looked for.
        boilerplate: paragraphs that stand in many documents; None in corpora built before they were
            looked for.
        sectioned: long documents that are held out by sections, which count as documents.
        recognized: pages that text recognition (OCR) read.
        recognized_by: the engine, its version and the languages, where pages were recognized.
        pictures: pages that are pictures, with little text or none, and were not read.
    """

    source_files: int = 0
    skipped_files: int = 0
    problems: list[str] = []
    problem_count: int = 0
    problem_files: int | None = None
    left_aside: dict[Kind, int] = {}
    left_out: dict[str, int] = {}
    documents: dict[str, int] = {}
    text_bytes: dict[str, int] = {}
    length_histogram: dict[str, int] = {}
    duplicates: list[DuplicateExample] = []
    suspicious: list[SuspiciousDocument] = []
    suspicious_count: dict[str, int] = {}
    scripts: dict[str, float] = {}
    languages: LanguageShares | None = None
    conversations: int = 0
    talks: ConversationCounts | None = None
    private: dict[Private, int] | None = None
    sectioned: int = 0
    recognized: int = 0
    recognized_by: str | None = None
    pictures: int = 0
    boilerplate: Boilerplate | None = None


class GivenSource(_Model):
    """A file or folder that a corpus was built from.

    Attributes:
        path: where it is on this machine; of an upload, of its copy in the version's folder.
        label: its name in reports, where it is not the path's own.
        uploaded: it came from the page or the hub.
        note: its license or source, as the user noted it.
        hub: where on the hub it came from.
    """

    path: str
    label: str | None = None
    uploaded: bool = False
    note: str | None = None
    hub: HubSource | None = None


class CorpusManifest(_Model):
    """corpora/<name>/manifest.json.

    Attributes:
        version: the folder under versions/ that holds the documents and tokens.
        fingerprint: SHA-256 of the documents, their order and their sides.
        sources_fingerprint: SHA-256 of labels and contents of the source files.
        scanned_ns: when the sources were listed, nanoseconds since 1970.
        readers: `READERS` of the program that built it.
        reader_versions: what else its readers stood on, see `reader_versions`; None in corpora
            built before it was recorded.
        sources: what was given to build from; empty in corpora built before it was recorded.
        model: the model, as it was named, whose tokenizer made the first tokens.
    """

    format: int
    name: str
    version: str
    fingerprint: str
    sources_fingerprint: str
    created: str
    scanned_ns: int
    settings: BuildSettings
    split: SplitRule
    report: CorpusReport
    readers: int = 1
    reader_versions: str | None = None
    sources: list[GivenSource] = []
    model: str | None = None

    @field_validator("settings", mode="before")
    @classmethod
    def _as_recorded(cls, given: Any) -> Any:
        """What a build was given holds, whatever bounds a build of today has."""
        if not isinstance(given, dict):
            return given
        return BuildSettings.model_construct(
            **{
                name: _types()[name].validate_python(given[name])
                for name, field in BuildSettings.model_fields.items()
                if name in given
            }
        )
