"""A card written from the run: data as the user describes it, settings, figures, base and license.

It is text for the hub. What the run knows goes in as it is; nothing of this machine's folders does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from cptstudio import __version__, run_files
from cptstudio.corpus.corpus import open_corpus
from cptstudio.corpus.hub_source import HubSource
from cptstudio.errors import UserError
from cptstudio.publishing.subject import Subject
from cptstudio.run_files import RunConfig
from cptstudio.run_rows import Row, current_rows, finite, row_of_line, whole
from cptstudio.verdicts import verdict_of

_METHODS: dict[str, str] = {"full": "full", "lora": "LoRA", "dora": "DoRA", "qlora": "QLoRA"}
_NOT_DESCRIBED = "Not described."


def write_card(
    subject: Subject, repo_id: str, data: str, license: str | None
) -> tuple[str, list[str]]:
    """Return a card, and what the user may want to know before it is published.

    Args:
        data: what the user says of the data; "" for nothing.
        license: the user's choice in place of the base's.
    """
    config = _config(subject)
    evaluations = _evaluations(subject)
    corpora, warnings = _corpora(config)
    matter = _matter(subject, license, [hub for _, found in corpora for hub in found])
    lines = [
        "---",
        _yaml(matter).rstrip(),
        "---",
        "",
        f"# {repo_id.split('/')[-1]}",
        "",
        _sentence(subject),
        "",
        "## Data",
        "",
        data.strip() or _NOT_DESCRIBED,
        "",
        *_data(config, corpora),
        *_results(subject, evaluations),
        *_settings(config),
        *_export(subject),
        *_usage(subject, repo_id),
    ]
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"
    return text, [*warnings, *_missing(subject, data, matter)]


def _matter(subject: Subject, license: str | None, datasets: Sequence[HubSource]) -> dict[str, Any]:
    gguf = subject.export is not None and subject.export["format"] == "gguf"
    matter: dict[str, Any] = {"library_name": "gguf" if gguf else "mlx"}
    if subject.bases:
        matter["base_model"] = subject.bases[0] if len(subject.bases) == 1 else list(subject.bases)
        if subject.relation is not None:
            matter["base_model_relation"] = subject.relation
    matter.update({"license": license} if license else subject.license)
    matter["pipeline_tag"] = "text-generation"
    if datasets:
        matter["datasets"] = list(dict.fromkeys(one.id for one in datasets))
    tags = ["cpt-studio"]
    if subject.run is not None:
        tags.append("continued-pretraining")
    if subject.adapter:
        tags.append("lora")
    matter["tags"] = tags
    return matter


def _yaml(matter: dict[str, Any]) -> str:
    import yaml

    return str(yaml.safe_dump(matter, sort_keys=False, allow_unicode=True, width=10_000))


def _sentence(subject: Subject) -> str:
    named = [f"[{one}](https://huggingface.co/{one})" for one in subject.bases]
    named += [f"{_plain(one)} (a model of the author's machine)" for one in subject.base_names]
    base = " and ".join(named) or "a model that is not named"
    if subject.relation == "merge":
        return f"A merge of models made from {base}."
    if subject.run is None:
        what = "A quantized version of" if subject.relation == "quantized" else "Made from"
        return f"{what} {base}." if named else "A language model."
    method = _METHODS.get(subject.method or "", "")
    trained = f"continued pre-training ({method})" if method else "continued pre-training"
    what = "An adapter for" if subject.adapter else "A version of"
    quantized = ", quantized afterwards" if subject.relation == "quantized" else ""
    return f"{what} {base}, made by {trained}{quantized} with CPT Studio {__version__}."


def _config(subject: Subject) -> RunConfig | None:
    if subject.run is None:
        return None
    try:
        return run_files.read_config(Path(subject.run))
    except (UserError, OSError):
        return None


def _evaluations(subject: Subject) -> list[Row]:
    """The run's evaluations up to the published checkpoint."""
    if subject.run is None:
        return []
    try:
        with (Path(subject.run) / run_files.METRICS).open("rb") as file:
            rows = [row for line in file if (row := row_of_line(line)) is not None]
    except OSError:
        return []
    found = [row for row in current_rows(rows) if row.get("kind") == "evaluation"]
    limit = subject.step
    return [row for row in found if limit is None or (whole(row.get("step")) or 0) <= limit]


def _corpora(
    config: RunConfig | None,
) -> tuple[list[tuple[str, list[HubSource]]], list[str]]:
    """Of each corpus a line for the card with its datasets of the hub, and what to beware of."""
    found: list[tuple[str, list[HubSource]]] = []
    warnings = []
    for record, settings in zip(
        config.corpora if config else (),
        config.settings.data.corpora if config else (),
        strict=False,
    ):
        line = f"- {record.name} ({settings.role})"
        try:
            manifest = open_corpus(Path(record.path)).manifest
        except (UserError, OSError):
            found.append((line, []))
            continue
        hub = {
            (one.hub.id, one.hub.commit, one.hub.configuration, one.hub.split): one.hub
            for one in manifest.sources
            if one.hub is not None
        }
        notes = list(dict.fromkeys(one.note for one in manifest.sources if one.note))
        for one in hub.values():
            line += (
                f"; [{one.id}](https://huggingface.co/datasets/{one.id}), {one.configuration}, "
                f"{one.split}, at {one.commit[:8]}"
                + (f", {_plain(one.license)}" if one.license else "")
            )
        if notes:
            line += f"; license or source: {'; '.join(map(_plain, notes[:10]))}"
        found.append((line, list(hub.values())))
        private = manifest.report.private or {}
        seen = [f"{count:,} {kind}" for kind, count in private.items() if count]
        if seen and not manifest.settings.mask:
            warnings.append(
                f"The corpus {record.name} holds {', '.join(seen)} that were not masked: a model "
                "can repeat what it was trained on."
            )
    return found, warnings


def _data(config: RunConfig | None, corpora: Iterable[tuple[str, list[HubSource]]]) -> list[str]:
    lines = [line for line, _ in corpora]
    if not lines or config is None:
        return []
    share = config.settings.data.replay_share
    if share:
        lines.append(f"- share of replayed text: {share:.0%}")
    return ["Corpora:", "", *lines, ""]


def _results(subject: Subject, evaluations: Sequence[Row]) -> list[str]:
    if len(evaluations) < 2:
        return []
    first, last = evaluations[0], evaluations[-1]
    rows = []
    for title, key in (("Domain", "domain_bits_per_byte"), ("General", "general_bits_per_byte")):
        before, after = finite(first.get(key)), finite(last.get(key))
        if before is not None and after is not None:
            change = f"{(after / before - 1):+.1%}" if before else ""
            rows.append(f"| {title} | {before:.4f} | {after:.4f} | {change} |")
    if not rows:
        return []
    verdict = verdict_of(evaluations, alive=False)
    steps = f"{whole(last.get('step')) or 0:,}"
    return [
        "## Results",
        "",
        f"Held-out text in bits per byte (lower is better), measured at step {steps}; this is the "
        f"checkpoint of step {subject.step or 0:,}.",
        "",
        "| Held-out text | Base | This model | Change |",
        "|---|--:|--:|--:|",
        *rows,
        "",
        *([verdict.text, ""] if verdict is not None and verdict.text else []),
    ]


def _settings(config: RunConfig | None) -> list[str]:
    if config is None:
        return []
    settings = config.settings
    method, optimizer, batch = settings.method, settings.optimizer, settings.batch
    pairs: list[tuple[str, object]] = [("Method", _METHODS.get(str(method.kind), method.kind))]
    if method.kind != "full":
        pairs += [("Rank", method.rank), ("Alpha", method.alpha), ("Dropout", method.dropout)]
    pairs += [
        ("Training length", settings.length),
        ("Sequence length", settings.data.sequence_length),
        ("Batch size", batch.size),
        ("Gradient accumulation steps", batch.gradient_accumulation_steps),
        ("Optimizer", optimizer.name),
        ("Learning rate", optimizer.learning_rate),
        ("Weight decay", optimizer.weight_decay),
        ("Schedule", settings.schedule.kind),
        ("Warmup", settings.schedule.warmup),
        ("Precision", settings.compute.dtype),
        ("Seed", settings.seed),
    ]
    versions = ", ".join(f"{name} {version}" for name, version in config.versions.items())
    return [
        "## Settings",
        "",
        "| Setting | Value |",
        "|---|---|",
        *(f"| {title} | {value} |" for title, value in pairs if value is not None),
        "",
        f"Versions: {versions}.",
        "",
    ]


def _export(subject: Subject) -> list[str]:
    if subject.export is None:
        return []
    versions = ", ".join(
        f"{name} {version}" for name, version in subject.export["versions"].items()
    )
    made = f", made with {versions}" if versions else ""
    proof = subject.export.get("proof") or {}
    found = [f"- {sentence}" for sentence in proof.get("sentences", ())]
    compared = ["Compared with the checkpoint it was made from:", "", *found, ""] if found else []
    return ["## Weights", "", f"{subject.export['weights']}{made}.", "", *compared]


def _usage(subject: Subject, repo_id: str) -> list[str]:
    if subject.export is not None and subject.export["format"] == "gguf":
        return []
    if subject.adapter:
        base = subject.bases[0] if subject.bases else "BASE_MODEL"
        command = (
            f"hf download {repo_id} --local-dir adapter\n"
            f'mlx_lm.generate --model {base} --adapter-path adapter --prompt "Once"'
        )
    else:
        command = f'mlx_lm.generate --model {repo_id} --prompt "Once"'
    return ["## Use", "", "```sh", "pip install mlx-lm", command, "```", ""]


def _missing(subject: Subject, data: str, matter: dict[str, Any]) -> list[str]:
    found = []
    proof = (subject.export or {}).get("proof") or {}
    if proof.get("warning"):
        found.append(str(proof["warning"]))
    if not data.strip() and subject.run is not None:
        found.append("The data is not described: say what the model was trained on.")
    if "license" not in matter:
        found.append("No license is named: without one, nobody may use the model. Name one.")
    if subject.relation is not None and not subject.bases:
        found.append(
            "The base model's ID on the hub is not known, so the card does not link to it."
        )
    return found


def _plain(text: str) -> str:
    """A line of text from outside, in which Markdown and HTML mean nothing."""
    line = " ".join(text.split())[:500]
    return re.sub(r"([\\`*_{}\[\]<>()#|!~])", r"\\\1", line)
