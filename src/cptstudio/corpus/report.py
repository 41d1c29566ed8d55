"""A corpus's report as text for the terminal; as data it is `describe`'s result."""

from __future__ import annotations

from typing import Any

from cptstudio.corpus.conversations.report import histogram, lines_about
from cptstudio.corpus.corpus import Corpus
from cptstudio.corpus.manifest import STATUSES, CorpusManifest, CorpusReport, LanguageShares
from cptstudio.corpus.private_data import TITLES
from cptstudio.corpus.sections import LONG
from cptstudio.corpus.token_store import SIDES, TokenManifest
from cptstudio.corpus.tokenizer_loss import loss_lines
from cptstudio.errors import UserError

_EXAMPLES = 5
_BAR = 30
_LANGUAGES = 10
_FAR = 3
"""A share this many times larger or smaller than what was asked for is told."""
_FEW = 10
_MEASURABLE = 8192
"""Bytes of a held-out side, some 2,000 tokens: a loss over fewer is mostly chance."""


def describe(corpus: Corpus) -> dict[str, Any]:
    """Return everything known of a corpus, ready for JSON."""
    stores = []
    for name in corpus.tokenizer_hashes():
        try:
            manifest = corpus.token_store(name).manifest
        except UserError as error:
            stores.append({"tokenizer": name, "error": str(error)})
            continue
        stores.append(_describe_tokens(name, manifest))
    return {
        "path": str(corpus.path),
        **corpus.manifest.model_dump(mode="json"),
        "tokenisations": stores,
        "warnings": split_warnings(corpus.manifest),
    }


def split_warnings(manifest: CorpusManifest) -> list[str]:
    """Return the sentences about held-out sides that are far from the share that was asked for."""
    report = manifest.report
    documents = sum(report.documents.get(side, 0) for side in SIDES)
    size = sum(report.text_bytes.get(side, 0) for side in SIDES)
    found = []
    for side, asked in (
        ("validation", manifest.settings.validation),
        ("test", manifest.settings.test),
    ):
        count = report.documents.get(side, 0)
        if asked and not count and size >= LONG and documents < _FEW and not report.sectioned:
            found.append(
                f"The {side} split is empty. A document that an earlier build kept whole "
                "stays whole, and so does one without paragraphs. In a corpus with a new "
                "name, long documents are split by sections."
            )
        if not (asked and count and size):
            continue
        held = report.text_bytes.get(side, 0)
        shares = (count / documents, held / size)
        if held < _MEASURABLE:
            found.append(
                f"The {side} split has only {held:,} bytes of text, so its loss is mostly "
                "chance. Add documents, or use a larger split."
            )
            continue
        # Sections follow each other, so how many there are says little.
        told = shares[1:] if report.sectioned else shares
        if all(asked / _FAR <= share <= asked * _FAR for share in told):
            continue
        what = "Sections" if report.sectioned else "Whole documents"
        found.append(
            f"You asked for a {side} split of {asked:.1%}; it has {count:,} of "
            f"{documents:,} documents ({shares[0]:.1%}) and {shares[1]:.1%} of the text. "
            f"{what} are chosen by a hash of their content, at least a few from a small "
            "corpus."
        )
    return found


def problems_in_words(report: CorpusReport) -> str:
    """Return how many files have problems, and how many problems they have."""
    if not report.problem_count:
        return "no problems"
    count = f"{report.problem_count:,} {'problem' if report.problem_count == 1 else 'problems'}"
    if report.problem_files is None:
        return count
    files = f"{report.problem_files:,} {'file' if report.problem_files == 1 else 'files'}"
    return f"{count} in {files}"


def _left_aside(report: CorpusReport, name: str) -> list[str]:
    if not report.left_aside:
        return []
    counts = ", ".join(f"{count:,} {kind}" for kind, count in report.left_aside.items())
    return [
        f"  Excluded files: {counts} (list: `corpus show {name} --excluded`; read them: "
        "`--include KIND`)"
    ]


def _left_out(report: CorpusReport) -> list[str]:
    told = "; ".join(f"{what}: {count:,}" for what, count in report.left_out.items())
    return [f"  Left out by design: {told}"] if told else []


def _from_hub(manifest: CorpusManifest) -> list[str]:
    """From which datasets of the hub it was built, a line each."""
    files: dict[tuple[str, ...], int] = {}
    for one in manifest.sources:
        if one.hub is not None:
            hub = one.hub
            key = (hub.id, hub.commit, hub.configuration, hub.split, hub.license or "not named")
            files[key] = files.get(key, 0) + 1
    return [
        f"  From the hub: {name} at {commit}, {configuration}, {split}, {count:,} files; "
        f"license: {license}"
        for (name, commit, configuration, split, license), count in files.items()
    ]


def _sectioned(report: CorpusReport) -> list[str]:
    if not report.sectioned:
        return []
    what = (
        "1 long document is"
        if report.sectioned == 1
        else f"{report.sectioned:,} long documents are"
    )
    return [
        f"  {what} split by sections, cut between paragraphs; each section counts as a document"
    ]


def _scanned(manifest: CorpusManifest) -> list[str]:
    report, lines = manifest.report, []
    if report.recognized:
        lines.append(f"  Pages read by OCR: {report.recognized:,} ({report.recognized_by})")
    if report.pictures:
        how = "" if manifest.settings.ocr else " (read them with --ocr)"
        lines.append(f"  Pages that are images with little or no text: {report.pictures:,}{how}")
    return lines


def _boilerplate(report: CorpusReport) -> list[str]:
    found = report.boilerplate
    if found is None or not found.paragraphs:
        return []
    kept = (
        "one copy of each is kept"
        if found.dropped
        else "kept; remove copies with --drop-boilerplate"
    )
    size = f"{found.text_bytes:,} bytes {'removed' if found.dropped else 'repeated'}"
    what = "paragraph" if found.paragraphs == 1 else "paragraphs"
    where = f"{found.paragraphs:,} {what} in {found.documents:,} documents"
    lines = [f"  Repeated boilerplate: {where}, {size} ({kept})"]
    for one in found.examples[:_EXAMPLES]:
        lines.append(f"    in {one.documents:,}: {' '.join(one.text.split())[:70]}")
    return lines


def _conversations(report: CorpusReport) -> list[str]:
    if not report.conversations:
        return []
    what = f"{report.conversations:,} records are conversations and were skipped"
    return [
        f"  {what} (build a corpus of them with `--kind conversations`, or read them as text with "
        "`--conversations`)"
    ]


def _private(manifest: CorpusManifest) -> list[str]:
    found = {kind: n for kind, n in (manifest.report.private or {}).items() if n}
    if not found:
        return []
    masked = manifest.settings.mask
    told = "; ".join(
        f"{TITLES[kind]}: {count:,}{' (masked)' if kind in masked else ''}"
        for kind, count in found.items()
    )
    open_kinds = [kind for kind in found if kind not in masked]
    how = f" (mask them with {' '.join(f'--mask {one}' for one in open_kinds)})"
    return [f"  Personal data found: {told}{how if open_kinds else ''}"]


def _conversation_lines(manifest: TokenManifest) -> list[str]:
    """How conversations became tokens, in sentences."""
    facts = manifest.conversations
    if facts is None:
        return []
    counted = sum((manifest.counted or {}).values())
    share = counted / max(1, sum(manifest.tokens.values()))
    found = [
        f"Chat template {facts.template[:12]}: {facts.answers:,} answers count, {counted:,} tokens "
        f"({share:.0%}), each with the token that ends it"
        f"{f' ({facts.end})' if facts.end else ''}."
    ]
    if facts.by_answer:
        part = facts.by_answer / (facts.whole + facts.by_answer)
        found.append(
            f"{facts.by_answer:,} conversations ({part:.0%}) have a text for each answer, because "
            "the template writes earlier turns differently later on. Their answers cost more to "
            "train on."
        )
    found += [
        f"{one.answers:,} answers are left out: {one.reason}"
        f"{f' ({one.detail})' if one.detail else ''}. First: conversation {one.example + 1:,}."
        for one in facts.refused
    ]
    if facts.reasoning_left_out:
        found.append(
            f"The template does not write the reasoning of {facts.reasoning_left_out:,} answers."
        )
    if facts.straddling:
        found.append(
            f"{facts.straddling:,} tokens lie across an answer's beginning and do not count."
        )
    if facts.turns_after:
        found.append(f"{facts.turns_after:,} turns after the last answer are left out.")
    if facts.date:
        found.append(f"The template writes today's date; here it is always {facts.date}.")
    return found


def _describe_tokens(name: str, manifest: TokenManifest) -> dict[str, Any]:
    # Of conversations the bytes are those of the answers, and so are the tokens to compare.
    counted = manifest.tokens if manifest.counted is None else manifest.counted
    tokens, size = sum(counted.values()), sum(manifest.text_bytes.values())
    return {
        "tokenizer": name,
        "vocabulary_size": manifest.tokenizer.vocabulary_size,
        "fingerprint": manifest.fingerprint,
        "documents": manifest.documents,
        "tokens": manifest.tokens,
        "dropped_tokens": manifest.dropped_tokens,
        "tokens_per_byte": tokens / size if size else None,
        "inexact_cuts": manifest.inexact_cuts,
        "unknown_tokens": manifest.unknown_tokens,
        "loss": manifest.loss.model_dump(mode="json") if manifest.loss else None,
        "notes": [
            *(loss_lines(manifest.loss, manifest.unknown_tokens) if manifest.loss else ()),
            *_conversation_lines(manifest),
        ],
    }


def render(corpus: Corpus) -> str:
    """Return the report for a terminal, lines of at most 100 columns but for names of files."""
    manifest, report = corpus.manifest, corpus.manifest.report
    talks = report.talks
    kind = "Conversations" if talks is not None else "Corpus"
    lines = [
        f"{kind} {manifest.name}, built {manifest.created}",
        f"  fingerprint {manifest.fingerprint}",
        "",
        f"  {report.source_files:,} {'file' if report.source_files == 1 else 'files'}, "
        f"{problems_in_words(report)}",
        *_left_aside(report, manifest.name),
        *_left_out(report),
        *_sides(report.documents, report.text_bytes, manifest.settings.kind),
        *([] if talks is None else lines_about(talks, _kept(report))),
        *_sectioned(report),
        *_scanned(manifest),
        *_conversations(report),
        *_private(manifest),
        *_boilerplate(report),
    ]
    lines += [f"  Note: {sentence}" for sentence in split_warnings(manifest)]
    lines += _from_hub(manifest)
    lines += [
        f"  License or source of {one.label or one.path}: {one.note}"
        for one in manifest.sources
        if one.note
    ]
    for store in describe(corpus)["tokenisations"]:
        lines += ["", *_tokens(store)]
    lines += _histogram(report.length_histogram) if talks is None else histogram(talks)
    if report.scripts:
        shares = ", ".join(f"{name} {share:.1%}" for name, share in report.scripts.items())
        lines += ["", f"Writing systems: {shares}"]
    if report.languages is not None:
        lines += ["", *_languages(report.languages)]
    if report.duplicates:
        lines += ["", "Sample duplicates:"]
        for pair in report.duplicates[:_EXAMPLES]:
            likeness = f"{pair.similarity:.0%}" if pair.similarity < 1 else "equal"
            lines.append(f"  {pair.dropped}  similar to  {pair.kept}  ({likeness}; {pair.reason})")
    if report.suspicious_count:
        lines += ["", "Suspicious documents that were kept:"]
        lines += [f"  {count:,} x {kind}" for kind, count in report.suspicious_count.items()]
        lines += [f"    {one.label}: {one.reason}" for one in report.suspicious[:_EXAMPLES]]
    if report.problem_count:
        lines += ["", f"Problems while reading ({problems_in_words(report)}):"]
        lines += [f"  {problem}" for problem in report.problems[: 4 * _EXAMPLES]]
        hidden = report.problem_count - min(len(report.problems), 4 * _EXAMPLES)
        if hidden:
            lines.append(f"  and {hidden:,} more; see `corpus show {manifest.name} --problems`")
    return "\n".join(lines)


def _kept(report: CorpusReport) -> int:
    return sum(report.documents.get(side, 0) for side in SIDES)


def _sides(documents: dict[str, int], sizes: dict[str, int], what: str) -> list[str]:
    total = max(1, sum(sizes.values()))
    lines = []
    for status in STATUSES:
        if documents.get(status):
            name = status if status in SIDES else f"removed: {status}"
            share = sizes[status] / total
            lines.append(
                f"  {name:32} {documents[status]:>12,} {what} {sizes[status]:>16,} bytes"
                f" {share:>7.2%}"
            )
    if not documents.get("validation"):
        lines.append(
            f"  There is no validation {what.removesuffix('s')}. Add text, or use a larger split, "
            "to measure training."
        )
    return lines


def _tokens(store: dict[str, Any]) -> list[str]:
    if "error" in store:
        return [f"Tokens of {store['tokenizer'][:16]}: {store['error']}"]
    rate = store["tokens_per_byte"]
    lines = [
        f"Tokens with the tokenizer {store['tokenizer'][:16]} "
        f"({store['vocabulary_size']:,} entries)"
        + (f", {rate:.3f} a byte:" if rate is not None else ":")
    ]
    lines += [f"  {side:32} {count:>12,}" for side, count in store["tokens"].items()]
    for reason, count in store["dropped_tokens"].items():
        lines.append(f"  {'dropped: ' + reason:32} {count:>12,}")
    lines += [f"  {note}" for note in store["notes"]]
    if store["inexact_cuts"]:
        lines.append(
            f"  {store['inexact_cuts']:,} places in very long documents may be tokenized "
            "differently than in one piece"
        )
    return lines


def _languages(shares: LanguageShares) -> list[str]:
    """The languages of the largest shares, by documents and by bytes."""
    lines = [f"Languages (from the start of {shares.examined:,} documents, and file names):"]
    names = list(shares.text_bytes)
    for name in names[:_LANGUAGES]:
        by_documents, by_bytes = shares.documents.get(name, 0.0), shares.text_bytes[name]
        lines.append(f"  {name:46} {by_documents:>7.1%} of documents {by_bytes:>7.1%} of bytes")
    if len(names) > _LANGUAGES:
        rest = sum(shares.text_bytes[name] for name in names[_LANGUAGES:])
        lines.append(f"  and {len(names) - _LANGUAGES:,} more with {rest:.1%} of bytes")
    return lines


def _histogram(counts: dict[str, int]) -> list[str]:
    if not counts:
        return []
    largest = max(counts.values())
    lines = ["", "Training documents by length in bytes:"]
    for name, count in counts.items():
        bar = "█" * round(_BAR * count / largest) if count else ""
        lines.append(f"  {name:>24} {count:>10,} {bar}")
    return lines
