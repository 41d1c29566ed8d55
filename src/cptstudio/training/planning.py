"""Tells before Start what a run will be: settings filled in, length, memory, disk, warnings.

The web server and the command line use it, so it imports no MLX.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from cptstudio import durable
from cptstudio.corpus.corpus import Corpus, open_corpus
from cptstudio.corpus.rows import RowOrder
from cptstudio.corpus.tokenizer_identity import identify
from cptstudio.corpus.tokenizer_loss import LARGEST_LOSS, loss_lines
from cptstudio.errors import Finding, UserError
from cptstudio.lengths import Length
from cptstudio.lm.description import (
    ModelDescription,
    describe_model,
    read_model_config,
)
from cptstudio.lm.finite import damaged_tensors, not_finite
from cptstudio.lm.known_differences import known_differences
from cptstudio.lm.network_facts import NetworkFacts
from cptstudio.lm.network_reader import read_network
from cptstudio.lm.stages import resolve_base
from cptstudio.lm.weight_formats import can_be_compiled, why_untrainable
from cptstudio.prompt_suites import with_suite
from cptstudio.retention import most_at_once
from cptstudio.settings import TrainingSettings
from cptstudio.training.default_samples import sample_part, with_samples
from cptstudio.training.defaults import (
    Choice,
    Filled,
    default_learning_rate,
    fill_in,
    fill_in_lengths,
)
from cptstudio.training.fact_questions import FactQuestions, facts_part, planned_questions
from cptstudio.training.known_machines import smallest_with
from cptstudio.training.machine import Machine, this_machine
from cptstudio.training.make_it_fit import WayToFit, way_to_fit, what_would_do
from cptstudio.training.resources import (
    ATTENTION_TITLES,
    Attention,
    MemoryEstimate,
    checkpoint_bytes,
    copy_bytes,
    estimate_memory,
    planned_attention,
    trained_parameters,
)
from cptstudio.training.token_check import (
    corpora_without_rows,
    prompts_without_rows,
    template_warning,
)
from cptstudio.training.training_data import (
    DEFAULT_EVALUATION_PART,
    RunLength,
    about_conversations,
    evaluation_part,
    row_order,
    run_length,
)
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
    """A run's plan.

    Attributes:
        settings: with every value that is chosen for the user filled in.
        network: the model's, by its shapes.
        corpora: opened, in the order of settings.data.corpora.
        tokenizer_hash: of the model's tokenizer.
        length: in steps.
        tokens_per_epoch: counted targets.
        epochs: of the whole run.
        memory: of a step.
        machine: that it is planned for.
        memory_available: bytes of it that a run may take.
        disk_needed: bytes of all checkpoints that stay, and of the one being written.
        disk_free: bytes where the runs lie; None for another machine, whose disk is not known.
        warnings: what to consider, each with its reason and the field to change.
        choices: what was chosen for the user, with reasons.
        make_it_fit: what would make the run fit; None where it does.
        questions: the facts that its evaluations ask, or None.
    """

    settings: TrainingSettings
    model: ModelDescription
    network: NetworkFacts
    corpora: tuple[Corpus, ...]
    tokenizer_hash: str
    length: RunLength
    tokens_per_epoch: int
    epochs: float
    memory: MemoryEstimate
    machine: Machine
    memory_available: int
    checkpoint_bytes: int
    disk_needed: int
    disk_free: int | None
    warnings: tuple[Finding, ...]
    choices: tuple[Choice, ...]
    make_it_fit: WayToFit | None
    questions: FactQuestions | None = None

    @property
    def trained(self) -> int:
        """Number of parameters that are trained."""
        return trained_parameters(self.network, self.settings)

    def seconds(self, seconds_per_step: float) -> float:
        """Training time at a measured speed, evaluations included by their share of tokens."""
        return self.length.steps * seconds_per_step * (1 + self.evaluation_part)

    @property
    def saves_in_background(self) -> bool:
        """Return whether memory has room to write checkpoints while training goes on."""
        copy = copy_bytes(self.network, self.settings)
        return copy is not None and self.memory.total + copy <= self.memory_available

    @property
    def attention(self) -> Attention | None:
        """How attention is computed; None where the network's graph tells the memory."""
        return planned_attention(self.model, self.network, self.settings, self.machine)

    @property
    def facts(self) -> dict[str, Any]:
        """What terminal and page tell of it, as plain values."""
        return {
            "steps": self.length.steps,
            "tokens": round(self.length.tokens),
            "tokens_per_step": self.length.tokens_per_step,
            "tokens_per_epoch": self.tokens_per_epoch,
            "epochs": self.epochs,
            "evaluate_every_steps": self.length.evaluate_every,
            "save_every_steps": self.length.save_every,
            "parameters": self.network.parameters,
            "trained_parameters": self.trained,
            "not_loaded_bytes": sum(self.network.left_out.values()),
            "saves_in_background": self.saves_in_background,
            "attention": None if self.attention is None else ATTENTION_TITLES[self.attention],
            "memory_bytes": self.memory.total,
            "machine": self.machine.name,
            "memory_available_bytes": self.memory_available,
            "memory_room_bytes": self.machine.room,
            "checkpoint_bytes": self.checkpoint_bytes,
            "disk_needed_bytes": self.disk_needed,
            "disk_free_bytes": self.disk_free,
        }

    @property
    def evaluation_part(self) -> float:
        """Time of all evaluations with facts and samples, relative to that of training."""
        held_out = held_out_sizes(self.corpora, self.tokenizer_hash)
        scoring = evaluation_part(self.length, held_out)
        return scoring + self.facts_part + sample_part(self.settings.evaluation, self.length)

    @property
    def facts_part(self) -> float:
        """What of it asking facts takes."""
        return facts_part(self.questions, self.corpora, self.tokenizer_hash, self.length)


def make_plan(
    workspace: Workspace,
    settings: TrainingSettings,
    machine: Machine | None = None,
    *,
    given_method: bool = False,
) -> Plan:
    """Resolve settings against the model, the corpora and the machine.

    Args:
        given_method: all of the method is given, by the parent of a fork.

    Raises:
        UserError: the run cannot be; all findings are named together. Nothing that was left to be
            chosen fits the machine.
    """
    machine = machine or this_machine()
    problems: list[Finding] = []
    with _noted(problems, "evaluation.suite"):
        settings = with_suite(workspace, settings)
    questions = None
    with _noted(problems, "evaluation.facts"):
        questions = planned_questions(workspace, settings)
    corpora = []
    for place, use in enumerate(settings.data.corpora):
        with _noted(problems, f"data.corpora.{place}"):
            corpora.append(open_corpus(workspace.corpus(use.name)))
    model, network, tokenizer_hash = None, None, ""
    with _noted(problems, "model.path"):
        folder, named = resolve_base(settings.model.path, workspace)
        # "best" and "last" may mean another checkpoint tomorrow.
        base = settings.model.model_copy(update={"path": named})
        settings = settings.model_copy(update={"model": base})
        model = describe_model(folder)
    if model is not None:
        with _noted(problems, "model.path"):
            identity = identify(model.path)
            tokenizer_hash = identity.hash
            corpora = [corpus.in_template(identity.template) for corpus in corpora]
        if tokenizer_hash:
            problems += _token_problems(model, settings, corpora, tokenizer_hash)
        obstacles = list(_model_problems(model, settings, machine))
        problems += obstacles
        if not obstacles:
            with _noted(problems, "model.path"):
                network = read_network(
                    model.path, trust_remote_code=settings.model.trust_remote_code
                )
        if network is not None:
            problems += network.problems_of(model.path, settings.method)
    if problems or model is None or network is None:
        raise UserError("This run cannot be prepared:", problems)
    filled = fill_in(settings, model, network, machine, given_method=given_method)
    if filled.nothing_given and not filled.fits:
        raise _too_large(filled, workspace)
    settings = filled.settings
    order = row_order(settings, corpora, tokenizer_hash)
    held_out = held_out_sizes(corpora, tokenizer_hash)
    if questions is not None and not any(held_out):
        text = "Facts are asked at evaluations, and no corpus of this run has validation documents."
        raise UserError("This run cannot be prepared:", [Finding(text, "evaluation.facts")])
    length = run_length(settings, order, held_out)
    settings = fill_in_lengths(settings, length)
    settings = with_samples(settings, corpora, tokenizer_hash, length, held_out)
    # The filled-in warm-up is one step at least.
    length = run_length(settings, order)
    memory = estimate_memory(model, network, settings, machine)
    one = checkpoint_bytes(network, settings)
    steps, every = Length(length.steps, "steps"), Length(length.save_every, "steps")
    plan = Plan(
        settings=settings,
        model=model,
        network=network,
        corpora=tuple(corpora),
        tokenizer_hash=tokenizer_hash,
        length=length,
        tokens_per_epoch=order.tokens_per_epoch,
        epochs=length.tokens / order.tokens_per_epoch,
        memory=memory,
        machine=machine,
        memory_available=machine.available,
        checkpoint_bytes=one,
        disk_needed=one * most_at_once(settings.checkpoints, steps, every),
        disk_free=None if machine.name else durable.free_space(workspace.runs),
        warnings=(),
        choices=filled.choices,
        make_it_fit=None,
        questions=questions,
    )
    if memory.total > machine.room:
        plan = replace(plan, make_it_fit=way_to_fit(filled, workspace.base_models))
    found = [
        _about_data(plan, order),
        _about_rate(plan),
        _about_model(plan),
        _about_resources(plan),
    ]
    return replace(plan, warnings=tuple(itertools.chain(*found)))


# --- problems --------------------------------------------------------------------------------


@contextmanager
def _noted(problems: list[Finding], field: str) -> Iterator[None]:
    """Note what an error says about a field, and go on."""
    try:
        yield
    except UserError as error:
        problems.append(Finding.of(error, field))


def _token_problems(
    model: ModelDescription, settings: TrainingSettings, corpora: Sequence[Corpus], wanted: str
) -> list[Finding]:
    problems: list[Finding] = []
    places = {use.name: place for place, use in enumerate(settings.data.corpora)}
    sizes: list[int] = []
    for corpus in corpora:
        field = f"data.corpora.{places[corpus.name]}"
        if corpus.manifest.settings.kind == "conversations" and corpus.template is None:
            problems.append(
                Finding(
                    f"{model.path.name} has no chat template, so the conversations of "
                    f"{corpus.name!r} cannot be put into its form. Choose an instruct model, or "
                    "add its chat_template.jinja to the model's folder.",
                    field,
                )
            )
            continue
        with _noted(problems, field):
            sizes.append(corpus.token_store(wanted).tokenizer.vocabulary_size)
            found = corpora_without_rows([corpus], wanted, model.embedding_rows, model.path)
            problems += [Finding(one, field) for one in found]
    prompts, size = settings.evaluation.completed, max(sizes, default=0)
    found = prompts_without_rows(prompts, size, model.embedding_rows, model.path)
    return problems + [Finding(one, "evaluation.prompts") for one in found]


def _model_problems(
    model: ModelDescription, settings: TrainingSettings, machine: Machine
) -> Iterator[Finding]:
    packed = model.quantization.method if model.quantization else None
    untrainable = why_untrainable(model.model_type, packed, machine.accelerator)
    if model.obstacle is not None:
        yield Finding(f"The model in {model.path} cannot be read: {model.obstacle}", "model.path")
    elif untrainable is not None:
        yield Finding(f"The model in {model.path} cannot be trained: {untrainable}", "model.path")
    if settings.compute.compile and not can_be_compiled(model.model_type):
        yield Finding(
            f"A step of {model.model_type!r} cannot be compiled. Turn off “Compile the step”.",
            "compute.compile",
        )
    tensors = read_tensors(model.path)
    damaged = damaged_tensors(model.path, tensors)
    if damaged:
        error = not_finite(model.path, damaged[0], len(damaged), len(tensors))
        yield Finding.of(error, "model.path")
    refused = model.obstacle or untrainable
    if settings.method.kind == "qlora" and model.quantization is None and not refused:
        yield Finding(
            f"QLoRA trains adapters on a 4-bit or 8-bit base, but {model.path.name} is "
            f"stored in {model.dtype}. Choose a 4-bit copy of it, or LoRA.",
            "method.kind",
        )
    if settings.method.kind == "full" and model.full_training_obstacle and not refused:
        yield Finding(
            f"{model.path} cannot be trained in full: {model.full_training_obstacle}", "method.kind"
        )
    if model.needs_remote_code and not settings.model.trust_remote_code:
        yield Finding(
            f"The model in {model.path} comes with its own Python code. If you trust it, "
            "turn on “Run the model's own code” (--model.trust-remote-code).",
            "model.trust_remote_code",
        )


# --- warnings --------------------------------------------------------------------------------


def _about_data(plan: Plan, order: RowOrder) -> Iterator[Finding]:
    for member, passes in zip(order.members, order.passes_per_epoch, strict=True):
        seen = float(passes) * plan.epochs
        if seen > MOST_EPOCHS:
            yield Finding(
                f"The corpus {member.name!r} is read {seen:.1f} times. After about {MOST_EPOCHS} "
                "passes, repeated text teaches little and overfitting grows (Muennighoff et al., "
                "arXiv 2305.16264).",
                "length",
            )
    data = plan.settings.data
    if not data.replay_share:
        replayed = any(use.role == "replay" for use in data.corpora)
        yield Finding(
            "No replay corpus. Adding 5% general text limits forgetting at almost no "
            "cost (Ibrahim et al., arXiv 2403.08763). Without one, forgetting is not "
            "measured either.",
            "data.replay_share" if replayed else "data.corpora",
        )
    for use, corpus in zip(data.corpora, plan.corpora, strict=True):
        if not len(corpus.token_store(plan.tokenizer_hash).documents_of("validation")):
            yield Finding(
                f"The corpus {use.name!r} has no validation documents, so the model is "
                "not evaluated on it.",
                "data.corpora",
            )
        yield from (
            Finding(sentence, "data.corpora")
            for sentence in about_conversations(
                use, corpus.token_store(plan.tokenizer_hash), plan.settings.data
            )
        )
    samples = sample_part(plan.settings.evaluation, plan.length)
    asking = plan.facts_part
    part = plan.evaluation_part - samples - asking
    if part > LARGEST_EVALUATION_PART:
        yield Finding(
            f"Evaluation adds about {part:.0%} to training time. Increase “Evaluate "
            "every” or lower “Tokens per evaluation”.",
            "evaluation.every",
        )
    if asking > DEFAULT_EVALUATION_PART:
        yield Finding(
            f"Asking facts adds about {asking:.0%} to training time. Lower “Facts per evaluation” "
            "or increase “Evaluate every”.",
            "evaluation.max_facts",
        )
    if samples > DEFAULT_EVALUATION_PART:
        yield Finding(
            f"Samples add about {samples:.0%} to training time. Lower “Sample length”, "
            "use fewer prompts, or turn off “Samples”.",
            "evaluation.samples",
        )


def held_out_sizes(corpora: Sequence[Corpus], tokenizer_hash: str) -> list[int]:
    """Return the validation tokens of each corpus."""
    return [
        corpus.token_store(tokenizer_hash).manifest.tokens.get("validation", 0)
        for corpus in corpora
    ]


def _about_rate(plan: Plan) -> Iterator[Finding]:
    settings = plan.settings
    rate = settings.optimizer.learning_rate or 0.0
    kind = settings.method.kind or "full"
    parameters = plan.network.parameters
    usual = default_learning_rate(parameters, kind, settings.optimizer.name)
    factor = TINY_RATE_FACTOR if parameters < TINY_MODEL else USUAL_RATE_FACTOR
    low, high = usual / USUAL_RATE_FACTOR, usual * factor
    if low <= rate <= high:
        return
    where, effect = ("above", "break") if rate > high else ("below", "hardly change")
    given, least, most = (f"{one:.2g}".replace("e-0", "e-") for one in (rate, low, high))
    training = "full training" if kind == "full" else kind
    yield Finding(
        f"Learning rate {given} is {where} the usual {least} to {most} for {training} with "
        f"{settings.optimizer.name}. The model will probably {effect}.",
        "optimizer.learning_rate",
    )


def _about_model(plan: Plan) -> list[Finding]:
    settings, model = plan.settings, plan.model
    size = plan.corpora[0].token_store(plan.tokenizer_hash).tokenizer.vocabulary_size
    about_model = template_warning(size, model.embedding_rows, model.path)
    context = settings.data.sequence_length or 0
    found = []
    if model.context_limit is not None and context > model.context_limit:
        found.append(
            Finding(
                f"The sequence length of {context:,} exceeds the model's limit of "
                f"{model.context_limit:,} tokens. The model has not learned later "
                "positions.",
                "data.sequence_length",
            )
        )
    about_model += known_differences(read_model_config(model.path), context)
    found += [Finding(sentence, "model.path") for sentence in about_model]
    if settings.method.kind == "dora":
        found += _frozen_experts(plan.network.without_dora(settings.method))
    for use, corpus in zip(settings.data.corpora, plan.corpora, strict=True):
        loss = corpus.token_store(plan.tokenizer_hash).manifest.loss
        if loss is not None and loss.share > LARGEST_LOSS:
            found += [
                Finding(f"The corpus {use.name!r}: {line}", "data.corpora")
                for line in loss_lines(loss, None)
            ]
    if settings.method.kind == "full" or settings.method.train_embeddings:
        return found
    for use, corpus in zip(settings.data.corpora, plan.corpora, strict=True):
        manifest = corpus.token_store(plan.tokenizer_hash).manifest
        size = manifest.text_bytes.get("train", 0)
        counted = manifest.tokens if manifest.counted is None else manifest.counted
        density = counted.get("train", 0) / size if size else 0.0
        if use.role == "domain" and density > FALLBACK_TOKENS_PER_BYTE:
            found.append(
                Finding(
                    f"The corpus {use.name!r} has {1 / density:.2f} bytes per token: the "
                    "tokenizer spells much of it out, as with a script that is new to "
                    "the model. Turn on “Train embeddings and head”.",
                    "method.train_embeddings",
                )
            )
    return found


def _frozen_experts(layers: int) -> list[Finding]:
    if not layers:
        return []
    return [
        Finding(
            f"{layers:,} expert layers stay frozen because mlx-lm has no DoRA for them. "
            "LoRA would train them too.",
            "method.kind",
        )
    ]


def _too_large(filled: Filled, workspace: Workspace) -> UserError:
    """The error where no default fits."""
    way = way_to_fit(filled, workspace.base_models)
    name = filled.gauge.model.path.name
    text = f"{name} does not fit on {filled.gauge.machine.name or 'this machine'}. "
    text += what_would_do(filled.gauge, filled.cut)
    if way.fits:
        last = way.steps[-1]
        text += f" {last.title} would fit: about {last.memory_bytes / 1e9:,.1f} GB. {last.note}"
    text += " To plan it anyway, choose the method yourself."
    return UserError("This run cannot be prepared:", [Finding(text, "model.path")])


def _about_resources(plan: Plan) -> Iterator[Finding]:
    way = plan.make_it_fit
    if way is not None:
        there = plan.machine.name or "this machine"
        text = (
            f"A step needs about {plan.memory.total / 1e9:,.1f} GB of memory, and "
            f"{plan.memory_available / 1e9:,.1f} GB are available on {there}"
        )
        if plan.memory.total <= plan.memory_available:
            text += ", which leaves little headroom"
        bigger = smallest_with(plan.memory.total, plan.machine)
        if bigger is None:
            text += ". No known machine has enough memory"
        else:
            text += f". The smallest machine it fits on: {bigger.name}"
        if way.fits:
            text += f". “Make it fit” reduces it to {way.steps[-1].memory_bytes / 1e9:,.1f} GB"
        yield Finding(f"{text}.", "batch.size")
    if plan.disk_free is not None and plan.disk_needed > plan.disk_free:
        yield Finding(
            f"The checkpoints need about {plan.disk_needed / 1e9:.1f} GB of disk space, "
            f"but {plan.disk_free / 1e9:.1f} GB are free.",
            "checkpoints.keep_last",
        )
