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
LongConversations = Literal["shorten", "leave out"]
MethodName = Literal["full", "lora", "qlora", "dora"]
UNUSABLE = "Fix these settings:"
FIXED_IN_FORK: Final = ("model", "data", "method")
FREE_IN_FORK: Final = ("data.sequence_length",)
"""What a fork shares with its parent, and what of that it may change all the same; the form learns
both from the schema."""
DEFAULT_RANK: Final = 16
DEFAULT_ROWS: Final = 4
SHORTEST_CONTEXT: Final = 256
"""Tokens below which a shorter sequence is neither chosen nor offered."""


class Settings(ReadsNumbers):
    """Base of every group of settings: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ModelSettings(Settings):
    """Which base model is trained."""

    path: str = described(
        ...,
        "Base model",
        "A folder, a name under models/base/, or the ID of a model in the Hugging Face cache.",
        basic=True,
        min_length=1,
    )
    trust_remote_code: bool = described(
        False,
        "Trust remote code",
        "Run Python code that ships with the model. Only for models you trust.",
    )


class CorpusUse(Settings):
    """One corpus of the mixture and its part in it."""

    name: str = described(..., "Corpus", "A corpus in this workspace.", basic=True)
    role: Literal["domain", "replay", "evaluation"] = described(
        "domain",
        "Role",
        "domain: what the model should learn; replay: general text that limits forgetting; "
        "evaluation: measured but never trained on.",
        basic=True,
    )
    weight: float = described(
        1.0,
        "Weight",
        "For domain: passes per epoch. For replay: its share of the replayed tokens, relative to "
        "the other replay corpora.",
        gt=0,
        le=1000,
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if NAME_PATTERN.fullmatch(self.name) is None:
            raise wrong(f"“{self.name}” is not a valid corpus name.", "name")
        return self


class DataSettings(Settings):
    """The training data, and how documents become training sequences."""

    former_names = {"context_length": "sequence_length"}

    corpora: tuple[CorpusUse, ...] = described(
        ...,
        "Corpora",
        "The training mixture: at least one domain corpus.",
        basic=True,
        min_length=1,
    )
    replay_share: float | None = described(
        None,
        "Replay share",
        "Fraction of training tokens drawn from the replay corpora (default: 0.05 if there are "
        "any; Ibrahim et al., arXiv 2403.08763).",
        ge=0,
        lt=1,
        basic=True,
    )
    sequence_length: int | None = described(
        None,
        "Sequence length",
        "Tokens per training sequence (default: the model's context length up to 2,048, less if "
        "memory is short).",
        unit="tokens",
        ge=8,
        le=1_048_576,
        basic=True,
    )
    packing: Packing = described(
        "concat",
        "Packing",
        "concat: join documents and cut them into full sequences; decompose: split each document "
        "into sequences of power-of-two length (Pouransari et al., arXiv 2405.13226). "
        "Conversations stay whole: concat packs several into a sequence, where each sees those "
        "before it; decompose gives each its own.",
    )
    long_conversations: LongConversations = described(
        "shorten",
        "Long conversations",
        "For conversations longer than a sequence. shorten: drop the turns after the last answer "
        "that fits; leave out: do not train on them. No answer is ever cut.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [use.name for use in self.corpora]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise wrong(f"Listed more than once: {', '.join(doubled)}.", "corpora")
        if not any(use.role == "domain" for use in self.corpora):
            raise wrong("Give at least one corpus the domain role.", "corpora")
        if self.replay_share and not any(use.role == "replay" for use in self.corpora):
            raise wrong(
                "Replay share needs a replay corpus. Add one, or clear this field.", "replay_share"
            )
        return self


class MethodSettings(Settings):
    """Which parameters are trained."""

    kind: MethodName | None = described(
        None,
        "Method",
        "full: train every parameter; lora, dora: train low-rank adapters; qlora: lora on a 4-bit "
        "or 8-bit base model (default: full up to about 1.5B parameters if it fits, otherwise "
        "lora; qlora for a quantized base).",
        basic=True,
    )
    rank: int | None = described(
        None, "Rank", f"Rank of the low-rank adapters (default: {DEFAULT_RANK}).", ge=1, le=4096
    )
    alpha: float | None = described(
        None, "Alpha", "Adapter outputs are scaled by alpha / rank (default: twice the rank).", gt=0
    )
    dropout: float = described(0.0, "Dropout", "Dropout applied to adapter inputs.", ge=0, lt=1)
    targets: tuple[str, ...] | None = described(
        None,
        "Target modules",
        "Linear layers that get adapters, such as self_attn.q_proj (default: all except the "
        "experts of a mixture-of-experts model).",
    )
    layers: int | None = described(
        None, "Adapted layers", "Number of final layers that get adapters (default: all).", ge=1
    )
    train_embeddings: bool = described(
        False,
        "Train embeddings and output head",
        "With lora and dora, also train the embeddings and output head in full. Worth it for a "
        "new language or script.",
    )
    embedding_learning_rate: float | None = described(
        None,
        "Embedding learning rate",
        "Peak learning rate of the embeddings and output head (default: a tenth of the learning "
        "rate with lora and dora).",
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
        "Peak learning rate (default: based on model size and method).",
        gt=0,
        le=1,
        basic=True,
    )
    beta1: float = described(0.9, "Beta 1", "Decay rate of the first moment.", ge=0, lt=1)
    beta2: float = described(0.95, "Beta 2", "Decay rate of the second moment.", ge=0, lt=1)
    epsilon: float = described(
        1e-8, "Epsilon", "Added to the denominator for numerical stability.", gt=0, le=1
    )
    weight_decay: float = described(
        0.1, "Weight decay", "Applied to weight matrices only.", ge=0, lt=1
    )
    momentum: float = described(
        0.95,
        "Momentum",
        f"Used by {' and '.join(one.title for one in OPTIMIZERS.values() if one.has_momentum)}.",
        ge=0,
        lt=1,
    )
    clip_norm: float = described(
        1.0,
        "Gradient clipping (max norm)",
        "Maximum global gradient norm; 0 disables clipping.",
        ge=0,
    )


class ScheduleSettings(Settings):
    """How the learning rate moves. Schedules count optimizer updates."""

    kind: Literal["cosine", "linear", "constant", "wsd"] = described(
        "cosine",
        "Schedule",
        "cosine and linear decay over the whole run; constant never decays; wsd "
        "(warmup-stable-decay) decays only at the end, so the run can be extended.",
    )
    warmup: TypedLength | None = described(
        None,
        "Warmup",
        "Linear learning rate warmup (default: 1% of the run, and at least 50 steps if the run "
        "is long enough).",
    )
    decay_fraction: float = described(
        0.2, "Decay fraction", "With wsd: final fraction of the run that decays.", gt=0, le=1
    )
    final_fraction: float = described(
        0.0, "Final learning rate", "As a fraction of the peak learning rate.", ge=0, le=1
    )


class BatchSettings(Settings):
    """How much text one optimizer update sees."""

    former_names = {"rows": "size", "accumulation": "gradient_accumulation_steps"}

    size: int | None = described(
        None,
        "Batch size",
        f"Sequences per micro-batch (default: {DEFAULT_ROWS}, fewer if memory is short).",
        ge=1,
        le=65536,
        basic=True,
    )
    gradient_accumulation_steps: int | None = described(
        None,
        "Gradient accumulation steps",
        "Micro-batches per optimizer update, weighted by tokens (default: 1; more if memory limits "
        "the batch, so that each update still sees as many tokens).",
        ge=1,
        le=65536,
    )

    @property
    def cut(self) -> tuple[int, int]:
        """Sequences of a micro-batch and micro-batches of an update, as with plenty of memory."""
        return self.size or DEFAULT_ROWS, self.gradient_accumulation_steps or 1


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
        "Evaluation interval (default: ten evaluations per run; fewer, and on less text, if they "
        "would take more than 5% of the time).",
    )
    max_tokens: int | None = described(
        None,
        "Tokens per evaluation",
        "Validation tokens measured per corpus, the same ones every time. Larger validation "
        "splits are sampled evenly across all documents (default: 30,000, less in a short run).",
        unit="tokens",
        ge=100,
    )
    early_stopping: int = described(
        0,
        "Early stopping",
        "Stop after this many evaluations without a better domain validation; 0 disables it.",
        ge=0,
    )
    facts: str | None = described(
        None,
        "Fact ledger",
        "Ask the facts of this ledger at every evaluation, closed-book, and log how many are "
        "answered right and known.",
    )
    max_facts: int = described(
        100,
        "Facts per evaluation",
        "Facts asked of a larger ledger, the same ones every time, in all their wordings.",
        unit="facts",
        ge=1,
        le=20_000,
    )
    suite: str | None = described(
        None,
        "Prompt suite",
        "Use a saved suite's prompts, sampling, and seed instead of those below.",
    )
    samples: bool = described(
        True, "Samples", "Complete prompts at every evaluation to see what the model writes."
    )
    prompts: tuple[str, ...] | None = described(
        None,
        "Prompts",
        "Completed at every evaluation with fixed seeds (default: the openings of three "
        "validation documents).",
    )
    # Training waits for its samples, so they are shorter than a text of a test may be.
    sample_tokens: int | None = described(
        None,
        "Sample length",
        f"Tokens per completion (default: {SUITE_SAMPLING.max_tokens}; fewer in a short run with "
        "default prompts).",
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
        description="Used for every prompt (default: one per prompt, derived from the run's seed).",
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
        None, "Save every", "Checkpoint interval (default: ten checkpoints per run)."
    )
    keep_last: int = described(
        2, "Checkpoints to keep", "Keep this many of the latest checkpoints.", ge=2
    )
    keep_every: int = described(
        0,
        "Keep every N steps",
        "Also keep checkpoints at multiples of this many steps permanently; 0 keeps none.",
        unit="steps",
        ge=0,
    )
    background: bool = described(
        True,
        "Save in the background",
        "Write checkpoints while training continues, if memory has room for a copy of what is "
        "saved.",
    )


class GuardSettings(Settings):
    """Protection against steps that would harm the model."""

    skip_spikes: bool = described(
        True,
        "Skip loss spikes",
        "Skip steps whose loss or gradient norm is far outside the recent range.",
    )
    spike_sigma: float = described(
        6.0, "Spike threshold", "In standard deviations above recent steps.", ge=2
    )
    spike_window: int = described(
        128, "Spike window", "Number of recent steps to compare with.", unit="steps", ge=16, le=4096
    )
    stop_after_skips: int = described(
        5,
        "Fail after N skipped steps",
        "End the run as failed after this many consecutive skipped steps. The last good checkpoint "
        "is kept.",
        ge=1,
    )


class ComputeSettings(Settings):
    """How the arithmetic is done."""

    dtype: Literal["auto", "float32", "bfloat16"] = described(
        "auto",
        "Precision (dtype)",
        "auto: bfloat16 on a GPU, float32 on a CPU. Master weights and optimizer state are always "
        "float32.",
    )
    gradient_checkpointing: bool | None = described(
        None,
        "Gradient checkpointing",
        "Recompute activations instead of storing them: about half the memory, 1.3 times the time "
        "(default: on if memory is short).",
    )
    long_attention: bool | None = described(
        None,
        "Blockwise attention",
        "Compute attention in blocks and recompute it for the gradient, so memory grows linearly "
        "with the sequence length instead of quadratically (default: from 4,096 tokens).",
    )
    retry_with_less: bool = described(
        False,
        "Retry with a smaller batch",
        "If the run ends because memory runs out or the GPU watchdog stops it, resume from the "
        "last checkpoint with half the batch size and twice the gradient accumulation steps; "
        "updates stay the same. Off: the run ends and its page offers this. Background runs only.",
    )
    compile: bool | None = described(
        None, "Compile", "Compile the training step (default: on a GPU)."
    )
    fast_blas: bool = described(
        True,
        "Fast BLAS",
        "On a Linux CPU, use an optimized BLAS instead of the reference one bundled with MLX.",
    )
    threads: int | None = described(
        None, "Threads", "CPU threads (default: all cores).", ge=1, le=1024
    )
    cache_limit: int | None = described(
        None,
        "Cache limit",
        "Memory that MLX may cache for reuse (default: MLX decides; none on a Linux CPU, where "
        "the C library does it).",
        unit="bytes",
        ge=0,
    )


GROUP_TITLES: Final = {
    "": "Run",
    "schedule": "Learning rate schedule",
    "guards": "Loss-spike protection",
}
"""What groups are called in the form and in the help, where that is not their name."""


def group_title(group: str) -> str:
    """Return the heading of a group of settings; "" stands for the settings outside of groups."""
    return GROUP_TITLES.get(group) or group.replace("_", " ").capitalize()


class TrainingSettings(Settings):
    """Everything that decides what a run computes."""

    model_config = ConfigDict(
        json_schema_extra={
            "fixed_in_fork": list(FIXED_IN_FORK),
            "free_in_fork": list(FREE_IN_FORK),
            "group_titles": dict(GROUP_TITLES),
        }
    )

    model: ModelSettings
    data: DataSettings
    length: TypedLength = described(
        Length(1.0, "epochs"),
        "Training length",
        "An epoch is one pass over the domain corpora.",
        basic=True,
    )
    seed: Seed = described(0, "Seed", "Seeds data order, dropout, and adapter initialization.")
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
