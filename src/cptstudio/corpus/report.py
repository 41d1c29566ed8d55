"""A corpus's report as text for the terminal; as data it is `describe`'s result."""

from __future__ import annotations

from typing import Any

from cptstudio.corpus.corpus import Corpus
from cptstudio.corpus.manifest import STATUSES, LanguageShares
from cptstudio.corpus.token_store import SIDES, TokenManifest
from cptstudio.corpus.tokenizer_loss import loss_lines
from cptstudio.errors import UserError

_EXAMPLES = 5
_BAR = 30
_LANGUAGES = 10


def describe(corpus: Corpus) -> dict[str, Any]:
    """Everything known of a corpus, ready for JSON."""
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
    }


def _describe_tokens(name: str, manifest: TokenManifest) -> dict[str, Any]:
    tokens, size = sum(manifest.tokens.values()), sum(manifest.text_bytes.values())
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
        "notes": loss_lines(manifest.loss, manifest.unknown_tokens) if manifest.loss else [],
    }


def render(corpus: Corpus) -> str:
    """The report for a terminal, lines of at most 100 columns but for names of files."""
    manifest, report = corpus.manifest, corpus.manifest.report
    lines = [
        f"Corpus {manifest.name}, built {manifest.created}",
        f"  fingerprint {manifest.fingerprint}",
        "",
        f"  {report.source_files:,} source files, {report.skipped_files:,} not (wholly) read",
        *_sides(report.documents, report.text_bytes),
    ]
    for store in describe(corpus)["tokenisations"]:
        lines += ["", *_tokens(store)]
    lines += _histogram(report.length_histogram)
    if report.scripts:
        shares = ", ".join(f"{name} {share:.1%}" for name, share in report.scripts.items())
        lines += ["", f"Scripts of the letters: {shares}"]
    if report.languages is not None:
        lines += ["", *_languages(report.languages)]
    if report.duplicates:
        lines += ["", "Duplicates, for example:"]
        for pair in report.duplicates[:_EXAMPLES]:
            likeness = f"{pair.similarity:.0%}" if pair.similarity < 1 else "equal"
            lines.append(f"  {pair.dropped}  like  {pair.kept}  ({likeness}; {pair.reason})")
    if report.suspicious_count:
        lines += ["", "Kept, but worth a look:"]
        lines += [f"  {count:,} x {kind}" for kind, count in report.suspicious_count.items()]
        lines += [f"    {one.label}: {one.reason}" for one in report.suspicious[:_EXAMPLES]]
    if report.problem_count:
        lines += ["", f"{report.problem_count:,} findings while reading:"]
        lines += [f"  {problem}" for problem in report.problems[: 4 * _EXAMPLES]]
        hidden = report.problem_count - min(len(report.problems), 4 * _EXAMPLES)
        if hidden:
            lines.append(f"  and {hidden:,} more; `corpus show {manifest.name} --problems`")
    return "\n".join(lines)


def _sides(documents: dict[str, int], sizes: dict[str, int]) -> list[str]:
    total = max(1, sum(sizes.values()))
    lines = []
    for status in STATUSES:
        if documents.get(status):
            name = status if status in SIDES else f"dropped: {status}"
            share = sizes[status] / total
            lines.append(
                f"  {name:32} {documents[status]:>12,} documents {sizes[status]:>16,} bytes"
                f" {share:>7.2%}"
            )
    if not documents.get("validation"):
        lines.append(
            "  There is no validation document: give at least two documents to measure training."
        )
    return lines


def _tokens(store: dict[str, Any]) -> list[str]:
    if "error" in store:
        return [f"Tokens of {store['tokenizer'][:16]}: {store['error']}"]
    rate = store["tokens_per_byte"]
    lines = [
        f"Tokens by the tokenizer {store['tokenizer'][:16]} "
        f"({store['vocabulary_size']:,} entries)"
        + (f", {rate:.3f} a byte:" if rate is not None else ":")
    ]
    lines += [f"  {side:32} {count:>12,}" for side, count in store["tokens"].items()]
    for reason, count in store["dropped_tokens"].items():
        lines.append(f"  {'dropped: ' + reason:32} {count:>12,}")
    lines += [f"  {note}" for note in store["notes"]]
    if store["inexact_cuts"]:
        lines.append(
            f"  {store['inexact_cuts']:,} places in very long documents may hold other tokens "
            "than if they were encoded whole"
        )
    return lines


def _languages(shares: LanguageShares) -> list[str]:
    """The languages of the largest shares, by documents and by bytes."""
    lines = [f"Languages, from the beginnings of {shares.examined:,} documents and names of files:"]
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
