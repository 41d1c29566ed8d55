"""Tells before Start what a run will be: settings filled in, length, memory, disk, warnings.

The web server and the command line use it, so it imports no MLX.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cptstudio.corpus.corpus import Corpus, open_corpus
from cptstudio.corpus.rows import RowOrder
from cptstudio.corpus.tokenizer_identity import identify_tokenizer
from cptstudio.corpus.tokenizer_loss import LARGEST_LOSS, loss_lines
from cptstudio.errors import Finding, UserError
from cptstudio.lengths import Length
from cptstudio.lm.description import (
    ModelDescription,
    describe_model,
    read_model_config,
    resolve_model,
)
from cptstudio.lm.finite import damaged_tensors, not_finite
from cptstudio.lm.known_differences import known_differences
from cptstudio.lm.weight_formats import can_be_compiled, why_untrainable
from cptstudio.prompt_suites import with_suite
from cptstudio.retention import most_at_once
from cptstudio.settings import TrainingSettings
from cptstudio.training.defaults import (
    MEMORY_PART,
    default_learning_rate,
    fill_in,
    fill_in_lengths,
)
from cptstudio.training.machine import Machine, describe_machine
from cptstudio.training.resources import MemoryEstimate, checkpoint_bytes, estimate_memory
from cptstudio.training.token_check import (
    corpora_without_rows,
    prompts_without_rows,
    template_warning,
)
from cptstudio.training.training_data import RunLength, evaluation_part, row_order, run_length
from cptstudio.weight_files import read_tensors
from cptstudio.workspace import Workspace

MOST_EPOCHS = 4
USUAL_RATE_FACTOR = 5
TINY_MODEL = 100_000_000
TINY_RATE_FACTOR = 20
"""Models below TINY_MODEL are usually trained with 1e-3 and more, so they bear higher rates."""
FALLBACK_TOKENS_PER_BYTE = 0.5
LARGEST_EVALUATION_PART = 0.25


@dataclass(frozen=True)
class Plan:
    """What a run will be.

    Attributes:
        settings: with every value that is chosen for the user filled in.
        model: the base model.
        corpora: opened, in the order of settings.data.corpora.
        tokenizer_hash: of the model's tokenizer.
        length: in steps.
        tokens_per_epoch: counted targets.
        epochs: of the whole run.
        memory: of a step.
        memory_available: bytes of the machine.
        checkpoint_bytes: of one checkpoint.
        disk_needed: bytes of all checkpoints that stay, and of the one being written.
        disk_free: bytes where the runs lie.
        warnings: sentences, each with its reason.
    """

    settings: TrainingSettings
    model: ModelDescription
    corpora: tuple[Corpus, ...]
    tokenizer_hash: str
    length: RunLength
    tokens_per_epoch: int
    epochs: float
    memory: MemoryEstimate
    memory_available: int
    checkpoint_bytes: int
    disk_needed: int
    disk_free: int
    warnings: tuple[str, ...]

    def seconds(self, seconds_per_step: float) -> float:
        """Training time at a measured speed, evaluations included by their share of tokens."""
        return self.length.steps * seconds_per_step * (1 + self._evaluation_part())

    def _evaluation_part(self) -> float:
        return evaluation_part(self.length, held_out_sizes(self.corpora, self.tokenizer_hash))


def make_plan(
    workspace: Workspace, settings: TrainingSettings, machine: Machine | None = None
) -> Plan:
    """Resolve settings against the model, the corpora and the machine.

    Raises:
        UserError: the run cannot be; all findings are named together.
    """
    machine = machine or describe_machine()
    problems: list[Finding] = []
    try:
        settings = with_suite(workspace, settings)
    except UserError as error:
        problems.append(Finding.of(error, "evaluation.suite"))
    corpora = _open_corpora(workspace, settings, problems)
    model = _open_model(workspace, settings, problems)
    tokenizer_hash = ""
    if model is not None:
        tokenizer_hash = _check_tokens(model, settings, corpora, problems)
        _check_model(model, settings, machine, problems)
    if problems or model is None:
        raise UserError("This run cannot be prepared:", problems)
    settings = fill_in(settings, model, machine)
    order = row_order(settings, corpora, tokenizer_hash)
    length = run_length(settings, order, held_out_sizes(corpora, tokenizer_hash))
    settings = fill_in_lengths(settings, length)
    # The filled-in warm-up is one step at least.
    length = run_length(settings, order)
    memory = estimate_memory(model, settings, machine)
    one = checkpoint_bytes(model, settings)
    steps, every = Length(length.steps, "steps"), Length(length.save_every, "steps")
    plan = Plan(
        settings=settings,
        model=model,
        corpora=tuple(corpora),
        tokenizer_hash=tokenizer_hash,
        length=length,
        tokens_per_epoch=order.tokens_per_epoch,
        epochs=length.tokens / order.tokens_per_epoch,
        memory=memory,
        memory_available=machine.memory,
        checkpoint_bytes=one,
        disk_needed=one * most_at_once(settings.checkpoints, steps, every),
        disk_free=shutil.disk_usage(_existing(workspace.runs)).free,
        warnings=(),
    )
    return Plan(**{**vars(plan), "warnings": tuple(_warnings(plan, order))})


# --- problems --------------------------------------------------------------------------------


def _open_corpora(
    workspace: Workspace, settings: TrainingSettings, problems: list[Finding]
) -> list[Corpus]:
    corpora = []
    for place, use in enumerate(settings.data.corpora):
        try:
            corpora.append(open_corpus(workspace.corpus(use.name)))
        except UserError as error:
            problems.append(Finding.of(error, f"data.corpora.{place}"))
    return corpora


def _open_model(
    workspace: Workspace, settings: TrainingSettings, problems: list[Finding]
) -> ModelDescription | None:
    try:
        return describe_model(resolve_model(settings.model.path, workspace.base_models))
    except UserError as error:
        problems.append(Finding.of(error, "model.path"))
        return None


def _check_tokens(
    model: ModelDescription,
    settings: TrainingSettings,
    corpora: Sequence[Corpus],
    problems: list[Finding],
) -> str:
    try:
        wanted = identify_tokenizer(model.path)
    except UserError as error:
        problems.append(Finding.of(error, "model.path"))
        return ""
    places = {use.name: place for place, use in enumerate(settings.data.corpora)}
    sizes: list[int] = []
    for corpus in corpora:
        field = f"data.corpora.{places[corpus.name]}"
        try:
            sizes.append(corpus.token_store(wanted).tokenizer.vocabulary_size)
            found = corpora_without_rows([corpus], wanted, model.embedding_rows, model.path)
            problems += [Finding(one, field) for one in found]
        except UserError as error:
            problems.append(Finding.of(error, field))
    prompts, size = settings.evaluation.prompts, max(sizes, default=0)
    found = prompts_without_rows(prompts, size, model.embedding_rows, model.path)
    problems += [Finding(one, "evaluation.prompts") for one in found]
    return wanted


def _check_model(
    model: ModelDescription,
    settings: TrainingSettings,
    machine: Machine,
    problems: list[Finding],
) -> None:
    packed = model.quantization.method if model.quantization else None
    untrainable = why_untrainable(model.model_type, packed, machine.accelerator)
    if model.obstacle is not None:
        problems.append(
            Finding(f"The model in {model.path} cannot be read: {model.obstacle}", "model.path")
        )
    elif untrainable is not None:
        problems.append(
            Finding(f"The model in {model.path} cannot be trained: {untrainable}", "model.path")
        )
    if settings.compute.compile and not can_be_compiled(model.model_type):
        problems.append(
            Finding(
                f"A step of {model.model_type!r} cannot be compiled. Leave it uncompiled.",
                "compute.compile",
            )
        )
    tensors = read_tensors(model.path)
    damaged = damaged_tensors(model.path, tensors)
    if damaged:
        error = not_finite(model.path, damaged[0], len(damaged), len(tensors))
        problems.append(Finding.of(error, "model.path"))
    refused = model.obstacle or untrainable
    if settings.method.kind == "full" and model.full_training_obstacle and not refused:
        problems.append(
            Finding(
                f"{model.path} cannot be trained in full: {model.full_training_obstacle}",
                "method.kind",
            )
        )
    if model.needs_remote_code and not settings.model.trust_remote_code:
        problems.append(
            Finding(
                f"The model in {model.path} brings Python code of its own. If you trust it, allow "
                "it: “Run the model's own code”, --model.trust-remote-code.",
                "model.trust_remote_code",
            )
        )


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


# --- warnings --------------------------------------------------------------------------------


def _warnings(plan: Plan, order: RowOrder) -> list[str]:
    return [
        *_about_data(plan, order),
        *_about_rate(plan),
        *_about_model(plan),
        *_about_resources(plan),
    ]


def _about_data(plan: Plan, order: RowOrder) -> list[str]:
    found = []
    for member, passes in zip(order.members, order.passes_per_epoch, strict=True):
        seen = float(passes) * plan.epochs
        if seen > MOST_EPOCHS:
            found.append(
                f"The corpus {member.name!r} is read {seen:.1f} times. After about {MOST_EPOCHS} "
                "passes, repeated text teaches little and overfitting grows (Muennighoff et al., "
                "arXiv 2305.16264)."
            )
    data = plan.settings.data
    if not data.replay_share:
        found.append(
            "No general text is replayed. A few percent of it keep the model from forgetting what "
            "it knew, at almost no cost in the domain (Ibrahim et al., arXiv 2403.08763)."
        )
    for use, corpus in zip(data.corpora, plan.corpora, strict=True):
        if not len(corpus.token_store(plan.tokenizer_hash).documents_of("validation")):
            found.append(
                f"The corpus {use.name!r} has no validation documents, so nothing will show how "
                "the model does on it."
            )
    part = evaluation_part(plan.length, held_out_sizes(plan.corpora, plan.tokenizer_hash))
    if part > LARGEST_EVALUATION_PART:
        found.append(
            f"Evaluation adds about {part:.0%} to the training time. Increase “Evaluate every” or "
            "lower “Evaluation size”."
        )
    return found


def held_out_sizes(corpora: Sequence[Corpus], tokenizer_hash: str) -> list[int]:
    """Validation tokens of each corpus."""
    return [
        corpus.token_store(tokenizer_hash).manifest.tokens.get("validation", 0)
        for corpus in corpora
    ]


def _about_rate(plan: Plan) -> list[str]:
    settings = plan.settings
    rate = settings.optimizer.learning_rate or 0.0
    kind = settings.method.kind or "full"
    usual = default_learning_rate(plan.model.parameters, kind, settings.optimizer.name)
    factor = TINY_RATE_FACTOR if plan.model.parameters < TINY_MODEL else USUAL_RATE_FACTOR
    low, high = usual / USUAL_RATE_FACTOR, usual * factor
    if low <= rate <= high:
        return []
    effect = "may wreck what the model knows" if rate > high else "will hardly change the model"
    return [
        f"The learning rate {rate:.1e} lies outside the usual {low:.1e} to {high:.1e} for "
        f"{kind} with {settings.optimizer.name} on {plan.model.parameters / 1e6:,.0f}M parameters: "
        f"it {effect}."
    ]


def _about_model(plan: Plan) -> list[str]:
    settings, model = plan.settings, plan.model
    size = plan.corpora[0].token_store(plan.tokenizer_hash).tokenizer.vocabulary_size
    found = template_warning(size, model.embedding_rows, model.path)
    context = settings.data.context_length or 0
    if model.context_limit is not None and context > model.context_limit:
        found.append(
            f"The context of {context:,} tokens is longer than the {model.context_limit:,} that "
            "the model was made for; it has not learned such positions."
        )
    found += known_differences(read_model_config(model.path), context)
    for use, corpus in zip(settings.data.corpora, plan.corpora, strict=True):
        loss = corpus.token_store(plan.tokenizer_hash).manifest.loss
        if loss is not None and loss.share > LARGEST_LOSS:
            found += [f"The corpus {use.name!r}: {line}" for line in loss_lines(loss, None)]
    if settings.method.kind == "full" or settings.method.train_embeddings:
        return found
    for use, corpus in zip(settings.data.corpora, plan.corpora, strict=True):
        manifest = corpus.token_store(plan.tokenizer_hash).manifest
        size = manifest.text_bytes.get("train", 0)
        density = manifest.tokens.get("train", 0) / size if size else 0.0
        if use.role == "domain" and density > FALLBACK_TOKENS_PER_BYTE:
            found.append(
                f"The corpus {use.name!r} takes {density:.2f} tokens a byte: the tokenizer spells "
                "much of it out, as with a script new to the model. Turn on “Train embeddings and "
                "head”."
            )
    return found


def _what_needs_less(settings: TrainingSettings) -> str:
    """What the run does not do yet and would need less memory with, as a list in words."""
    ways = ["fewer rows with more accumulation", "a shorter context"]
    if not settings.compute.gradient_checkpointing:
        ways.append("gradient checkpointing")
    if settings.method.kind == "full":
        ways.append("lora")
    return f"{', '.join(ways[:-1])} or {ways[-1]}"


def _about_resources(plan: Plan) -> list[str]:
    found = []
    if plan.memory.total > MEMORY_PART * plan.memory_available:
        found.append(
            f"A step needs about {plan.memory.total / 1e9:.1f} GB of memory, and the machine has "
            f"{plan.memory_available / 1e9:.1f} GB. Use {_what_needs_less(plan.settings)}."
        )
    if plan.disk_needed > plan.disk_free:
        found.append(
            f"The checkpoints need about {plan.disk_needed / 1e9:.1f} GB of disk, and "
            f"{plan.disk_free / 1e9:.1f} GB are free."
        )
    return found
