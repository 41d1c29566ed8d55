"""The one tree of training settings.

Validation, command-line flags, the HTTP schema, the form and the help texts all come from
these models. An unknown key is an error, and all problems of one tree are reported together.
`None` stands for "chosen for you": the planner replaces it before a run starts, so that a
run's config.json holds every value that was used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, Self

from pydantic import ConfigDict, Field, ValidationError, model_validator

from cptstudio.errors import UserError
from cptstudio.lengths import Length, TypedLength
from cptstudio.optimizer_records import OPTIMIZERS, OptimizerName
from cptstudio.sampling import SUITE_SAMPLING, Sampling, Seed
from cptstudio.validation import ReadsNumbers, described, field_of, findings_of, wrong
from cptstudio.workspace import NAME_PATTERN

Packing = Literal["concat", "decompose"]
MethodName = Literal["full", "lora", "qlora", "dora"]
UNUSABLE = "These settings cannot be used:"
FIXED_IN_FORK: Final = ("model", "data", "method")
FREE_IN_FORK: Final = ("data.context_length",)
"""What a fork shares with its parent, and what of that it may change all the same; the form learns
both from the schema."""
DEFAULT_RANK: Final = 16
DEFAULT_ROWS: Final = 4
SHORTEST_CONTEXT: Final = 256
"""Tokens in a row below which a shorter row is neither chosen nor offered."""


class Settings(ReadsNumbers):
    """Base of every group of settings: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ModelSettings(Settings):
    """Which base model is trained."""

    path: str = described(
        ...,
        "Base model",
        "A folder, a name under models/base/, or the id of a model in the Hugging Face cache.",
        basic=True,
        min_length=1,
    )
    trust_remote_code: bool = described(
        False,
        "Run the model's own code",
        "Allow a model that ships Python code to run it. Only for models you trust.",
    )


class CorpusUse(Settings):
    """One corpus of the mixture and its part in it."""

    name: str = described(..., "Corpus", "Name of a corpus of this workspace.", basic=True)
    role: Literal["domain", "replay", "evaluation"] = described(
        "domain",
        "Role",
        "domain: what the model shall learn; replay: general text that keeps it from "
        "forgetting; evaluation: only measured.",
        basic=True,
    )
    weight: float = described(
        1.0,
        "Weight",
        "For domain: passes over it in an epoch. For replay: its part of the replayed "
        "tokens, relative to the other replay corpora.",
        gt=0,
        le=1000,
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if NAME_PATTERN.fullmatch(self.name) is None:
            raise wrong(f"“{self.name}” cannot be the name of a corpus.", "name")
        return self


class DataSettings(Settings):
    """What is trained on, and how documents become rows."""

    corpora: tuple[CorpusUse, ...] = described(
        ..., "Corpora", "The mixture: at least one domain corpus.", basic=True, min_length=1
    )
    replay_share: float | None = described(
        None,
        "Replay share",
        "Fraction of all trained tokens that come from the replay corpora (default 0.05 "
        "when there is one; Ibrahim et al., arXiv 2403.08763).",
        ge=0,
        lt=1,
        basic=True,
    )
    context_length: int | None = described(
        None,
        "Context length",
        "Tokens in a row (default: the model's limit, at most 2,048; less where memory is short).",
        unit="tokens",
        ge=8,
        le=1_048_576,
        basic=True,
    )
    packing: Packing = described(
        "concat",
        "Packing",
        "concat: documents joined and cut into full rows; decompose: each document in "
        "power-of-two rows of its own (Pouransari et al., arXiv 2405.13226).",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [use.name for use in self.corpora]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise wrong(f"Named more than once: {', '.join(doubled)}.", "corpora")
        if not any(use.role == "domain" for use in self.corpora):
            raise wrong("Give at least one corpus the role domain.", "corpora")
        if self.replay_share and not any(use.role == "replay" for use in self.corpora):
            raise wrong("There is no replay corpus. Add one, or clear this field.", "replay_share")
        return self


class MethodSettings(Settings):
    """Which parameters are trained."""

    kind: MethodName | None = described(
        None,
        "Method",
        "full: every parameter; lora, dora: low-rank adapters; qlora: lora on a base of 4 or 8 "
        "bits (default: full up to about 1.5B parameters if it fits, else lora; qlora on such a "
        "base).",
        basic=True,
    )
    rank: int | None = described(
        None, "Rank", f"Rank of the adapters (default: {DEFAULT_RANK}).", ge=1, le=4096
    )
    alpha: float | None = described(
        None, "Alpha", "Adapter output is scaled by alpha / rank (default: twice the rank).", gt=0
    )
    dropout: float = described(0.0, "Dropout", "Dropout on the adapters' input.", ge=0, lt=1)
    targets: tuple[str, ...] | None = described(
        None,
        "Targets",
        "Names of the linear layers that get adapters, such as self_attn.q_proj (default: "
        "all of them but the experts of a mixture).",
    )
    layers: int | None = described(
        None, "Layers", "How many of the last blocks get adapters (default: all).", ge=1
    )
    train_embeddings: bool = described(
        False,
        "Train embeddings and head",
        "With lora and dora: train the embeddings and the output head as well, in full. "
        "Worth it for a new language or script.",
    )
    embedding_learning_rate: float | None = described(
        None,
        "Embedding learning rate",
        "Their own peak rate (default: a tenth of the learning rate with lora and dora).",
        gt=0,
        le=1,
    )

    @property
    def way(self) -> Literal["full", "lora", "dora"] | None:
        """The method as it is computed: qlora is lora on a packed base; None while it is open."""
        return "lora" if self.kind == "qlora" else self.kind

    @property
    def adapter_rank(self) -> int:
        """The rank, also where it is left to be chosen."""
        return self.rank or DEFAULT_RANK


class OptimizerSettings(Settings):
    """How gradients become updates."""

    name: OptimizerName = described(
        "adamw",
        "Optimizer",
        " ".join(
            f"{name} trains matrices with {one.title} and everything else with AdamW."
            for name, one in OPTIMIZERS.items()
            if one.matrices_only
        ),
    )
    learning_rate: float | None = described(
        None,
        "Learning rate",
        "Peak rate (default: by model size and method).",
        gt=0,
        le=1,
        basic=True,
    )
    beta1: float = described(0.9, "Beta 1", "Decay of the first moment.", ge=0, lt=1)
    beta2: float = described(0.95, "Beta 2", "Decay of the second moment.", ge=0, lt=1)
    epsilon: float = described(1e-8, "Epsilon", "Added to the denominator.", gt=0, le=1)
    weight_decay: float = described(0.1, "Weight decay", "On matrices only.", ge=0, lt=1)
    momentum: float = described(
        0.95,
        "Momentum",
        f"Of {' and '.join(one.title for one in OPTIMIZERS.values() if one.has_momentum)}.",
        ge=0,
        lt=1,
    )
    clip_norm: float = described(
        1.0, "Clip", "Largest global gradient norm; 0 turns clipping off.", ge=0
    )


class ScheduleSettings(Settings):
    """How the learning rate moves. Schedules count optimizer updates."""

    kind: Literal["cosine", "linear", "constant", "wsd"] = described(
        "cosine",
        "Schedule",
        "cosine and linear fall to zero; constant stays; wsd (warm-up, stable, decay) "
        "falls only in the last part, so that a run can be extended.",
    )
    warmup: TypedLength | None = described(
        None,
        "Warm-up",
        "Linear rise at the start (default: 1 % of the run, at least 50 steps where the "
        "run is long enough).",
    )
    decay_fraction: float = described(
        0.2, "Decay part", "With wsd: the last part of the run that decays.", gt=0, le=1
    )
    final_fraction: float = described(
        0.0, "Final rate", "Last rate as a fraction of the peak.", ge=0, le=1
    )


class BatchSettings(Settings):
    """How much text one optimizer update sees."""

    rows: int | None = described(
        None,
        "Rows",
        f"Rows of one micro-batch (default: {DEFAULT_ROWS}, fewer where memory is short).",
        ge=1,
        le=65536,
        basic=True,
    )
    accumulation: int | None = described(
        None,
        "Accumulation",
        "Micro-batches of one optimizer update, weighted by tokens (default: 1, more where rows "
        "are fewer or shorter for want of memory, so that an update keeps its tokens).",
        ge=1,
        le=65536,
    )

    @property
    def cut(self) -> tuple[int, int]:
        """Rows and accumulation; what is not set counts as where memory is plentiful."""
        return self.rows or DEFAULT_ROWS, self.accumulation or 1


SAMPLED: Final = {
    "sample_tokens": "max_tokens",
    "sample_temperature": "temperature",
    "sample_top_p": "top_p",
    "sample_top_k": "top_k",
    "sample_min_p": "min_p",
    "sample_seed": "seed",
}
"""How samples during training are drawn: names here, and in `Sampling`."""


def _sampled(name: str, **changes: Any) -> Any:
    title = f"Sample {(Sampling.model_fields[name].title or name).lower()}"
    return field_of(Sampling, name, title=title, json_schema_extra={"basic": False}, **changes)


class EvaluationSettings(Settings):
    """When and on what the held-out loss is measured."""

    every: TypedLength | None = described(
        None,
        "Evaluate every",
        "Interval (default: ten times a run; fewer, and on less text, where evaluations would "
        "take more than 5 % of the time).",
    )
    max_tokens: int | None = described(
        None,
        "Evaluation size",
        "Held-out tokens measured of each corpus, always the same: where there are more, "
        "windows spread evenly over all documents (default: 30,000, less in a short run).",
        unit="tokens",
        ge=100,
    )
    early_stopping: int = described(
        0,
        "Early stopping",
        "Stop after so many evaluations without a better domain value; 0 turns it off.",
        ge=0,
    )
    suite: str | None = described(
        None,
        "Prompt suite",
        "A saved suite: its prompts, sampling and seed take the place of those below.",
    )
    samples: bool = described(
        True, "Samples", "Complete prompts at each evaluation, to see what the model writes."
    )
    prompts: tuple[str, ...] | None = described(
        None,
        "Prompts",
        "Completed at each evaluation with fixed seeds (default: the beginnings of three held-out "
        "documents).",
    )
    # Training waits for its samples, so they are shorter than a text of a test may be.
    sample_tokens: int | None = described(
        None,
        "Sample length",
        f"Tokens of each completion (default: {SUITE_SAMPLING.max_tokens}; fewer in a short run "
        "whose prompts are chosen for you).",
        unit="tokens",
        ge=1,
        le=4096,
    )
    sample_temperature: float = _sampled("temperature", default=0.7)
    sample_top_p: float = _sampled("top_p")
    sample_top_k: int = _sampled("top_k")
    sample_min_p: float = _sampled("min_p")
    sample_seed: int | None = _sampled(
        "seed",
        default=None,
        description="Of every prompt (default: one for each prompt, of the run's seed).",
    )

    @property
    def sampling(self) -> Sampling:
        """How its prompts are completed, but for the seed, which may be one for each prompt."""
        given = {of: getattr(self, own) for own, of in SAMPLED.items()}
        length = self.sample_tokens or SUITE_SAMPLING.max_tokens
        return Sampling(**given | {"max_tokens": length, "seed": self.sample_seed or 0})

    @property
    def completed(self) -> tuple[str, ...]:
        """The prompts that a run completes; none where they are switched off or not chosen yet."""
        return (self.prompts or ()) if self.samples else ()


class CheckpointSettings(Settings):
    """When the state is saved, and which checkpoints stay."""

    every: TypedLength | None = described(
        None, "Save every", "Interval (default: ten times a run)."
    )
    keep_last: int = described(2, "Keep", "How many of the last checkpoints stay.", ge=2)
    keep_every: int = described(
        0,
        "Keep every",
        "Checkpoints at multiples of so many steps stay; 0: none.",
        unit="steps",
        ge=0,
    )
    background: bool = described(
        True,
        "Save in the background",
        "Write checkpoints while training goes on, where memory has room for a copy of what is "
        "saved.",
    )


class GuardSettings(Settings):
    """What is done about steps that would harm the model."""

    skip_spikes: bool = described(
        True,
        "Skip spikes",
        "Skip a step whose loss or gradient norm lies far outside the recent ones.",
    )
    spike_sigma: float = described(6.0, "Spike limit", "How far, in standard deviations.", ge=2)
    spike_window: int = described(
        128, "Spike window", "How many recent steps.", unit="steps", ge=16, le=4096
    )
    stop_after_skips: int = described(
        5,
        "Give up after",
        "Consecutive skipped steps after which the run ends as failed, with its last good "
        "checkpoint.",
        ge=1,
    )


class ComputeSettings(Settings):
    """How the arithmetic is done."""

    dtype: Literal["auto", "float32", "bfloat16"] = described(
        "auto",
        "Compute type",
        "auto: bfloat16 on a GPU, float32 on a CPU. Master weights and optimizer state are "
        "float32 always.",
    )
    gradient_checkpointing: bool | None = described(
        None,
        "Gradient checkpointing",
        "Compute activations twice to keep less of them: about half the memory for 1.3 "
        "times the time (default: where memory is short).",
    )
    long_attention: bool | None = described(
        None,
        "Attention in blocks",
        "Compute attention in blocks of queries, and again for the gradient, so that its memory "
        "grows with the context and not with its square (default: from 4,096 tokens on).",
    )
    retry_with_less: bool = described(
        False,
        "Go on when memory runs out",
        "When memory runs out, or the GPU's watchdog or the system ends the run, go on by itself "
        "from the last checkpoint with half the rows at once and twice the accumulation, which is "
        "the same update. Off: the run ends, and its page offers that. Not for runs in a terminal.",
    )
    compile: bool | None = described(None, "Compile", "Compile the step (default: on a GPU).")
    fast_blas: bool = described(
        True,
        "Fast BLAS",
        "On a Linux CPU: use an optimised BLAS in place of the reference one in MLX's wheel.",
    )
    threads: int | None = described(
        None, "Threads", "CPU threads (default: all cores).", ge=1, le=1024
    )
    cache_limit: int | None = described(
        None,
        "Cache limit",
        "Memory that MLX may keep for reuse (default: MLX's own choice; on a Linux CPU none, "
        "since the C library keeps it).",
        unit="bytes",
        ge=0,
    )


class TrainingSettings(Settings):
    """Everything that decides what a run computes."""

    model_config = ConfigDict(
        json_schema_extra={
            "fixed_in_fork": list(FIXED_IN_FORK),
            "free_in_fork": list(FREE_IN_FORK),
        }
    )

    model: ModelSettings
    data: DataSettings
    length: TypedLength = described(
        Length(1.0, "epochs"),
        "Length",
        "How long to train: '2 epochs', '500 steps', '10M tokens'. An epoch is one pass "
        "over the domain.",
        basic=True,
    )
    seed: Seed = described(0, "Seed", "Of order, dropout and adapters.")
    method: MethodSettings = Field(default_factory=MethodSettings)
    optimizer: OptimizerSettings = Field(default_factory=OptimizerSettings)
    schedule: ScheduleSettings = Field(default_factory=ScheduleSettings)
    batch: BatchSettings = Field(default_factory=BatchSettings)
    evaluation: EvaluationSettings = Field(default_factory=EvaluationSettings)
    checkpoints: CheckpointSettings = Field(default_factory=CheckpointSettings)
    guards: GuardSettings = Field(default_factory=GuardSettings)
    compute: ComputeSettings = Field(default_factory=ComputeSettings)


def parse_settings(tree: Mapping[str, Any]) -> TrainingSettings:
    """Validate a tree of plain values.

    Raises:
        UserError: with all problems at once.
    """
    try:
        return TrainingSettings.model_validate(tree)
    except ValidationError as error:
        raise UserError(UNUSABLE, findings_of(error, TrainingSettings)) from None
