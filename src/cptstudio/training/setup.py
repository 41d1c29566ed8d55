"""From a run directory to everything that the training loop needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import mlx.core as mx

from cptstudio.child_limits import usable_cores
from cptstudio.corpus.corpus import open_corpus
from cptstudio.corpus.tokenizer import CorpusTokenizer, load_tokenizer
from cptstudio.errors import UserError
from cptstudio.lm import blas
from cptstudio.lm.compilation import prepare_compilation
from cptstudio.lm.gradients import GradientStep
from cptstudio.lm.known_differences import known_differences
from cptstudio.lm.loading import LoadedModel, default_compute_dtype, load_for_training
from cptstudio.lm.methods import AppliedMethod, apply_method
from cptstudio.lm.text_after import raw_tokens
from cptstudio.run_files import RunConfig, verify_checkpoint
from cptstudio.session_settings import SessionSettings, in_session
from cptstudio.settings import TrainingSettings
from cptstudio.training.checkpoints import load_trained_weights
from cptstudio.training.fact_questions import FactQuestions, questions_of
from cptstudio.training.machine import device_memory
from cptstudio.training.memory import keep_resident
from cptstudio.training.optimizers import Optimizer, TrainedParameters
from cptstudio.training.ranks import ALONE, Ranks
from cptstudio.training.run_integrity import check_tokenizer, notes_on_parent
from cptstudio.training.schedules import Schedule
from cptstudio.training.token_check import corpora_without_rows, prompts_without_rows
from cptstudio.training.training_data import RunLength, TrainingData, open_training_data, run_length

_DTYPES = {"float32": mx.float32, "bfloat16": mx.bfloat16, "float16": mx.float16}


@dataclass(frozen=True)
class Setup:
    """A session's setup: the model, method, data and length of its training.

    Attributes:
        config: as the session computes it.
        facts: what evaluations ask, with the base's tokenizer; None for nothing.
        ranks: who trains it together.
    """

    config: RunConfig
    loaded: LoadedModel
    method: AppliedMethod
    parameters: TrainedParameters
    gradient_step: GradientStep
    optimizer: Optimizer
    schedule: Schedule
    data: TrainingData
    length: RunLength
    compute_dtype: mx.Dtype
    notes: tuple[str, ...]
    facts: tuple[FactQuestions, CorpusTokenizer] | None = None
    ranks: Ranks = ALONE

    @property
    def settings(self) -> TrainingSettings:
        """The session's settings, all of them set."""
        return self.config.settings


def set_up(
    config: RunConfig,
    session: SessionSettings | None = None,
    *,
    done: tuple[int, int] = (0, 0),
    verify: bool = False,
    checking: Callable[[], object] = lambda: None,
    loading: Callable[[], Callable[[int, int], None] | None] = lambda: None,
    ranks: Ranks = ALONE,
) -> Setup:
    """Open the corpora, load the model, and prepare the method and the optimizer.

    Args:
        session: what the session does otherwise than the run.
        done: as for `run_length`.
        verify: read all tokens again, also where nothing speaks for a change.
        checking, loading: called before the corpora are looked at, and before the model is read;
            the latter may return what is told the bytes that were read and that there are.
        ranks: that train together; those of one machine share its cores.

    Raises:
        UserError: something that the run was prepared with is missing or has changed.
    """
    checking()
    data = open_training_data(config, verify=verify)
    questions = questions_of(config)
    progress = loading()
    config = _sharing_cores(in_session(config, session or SessionSettings()), ranks.here)
    settings = config.settings
    notes = [blas.use_fast_blas(settings.compute.threads, settings.compute.fast_blas).reason]
    if settings.compute.cache_limit is not None:
        mx.set_cache_limit(settings.compute.cache_limit)
    on_gpu = mx.default_device().type == mx.DeviceType.gpu
    resident = keep_resident(device_memory()) if on_gpu else None
    notes += [resident] if resident else []
    compute_dtype = _DTYPES.get(settings.compute.dtype, default_compute_dtype())
    loaded = _load(config, compute_dtype, progress)
    method = apply_method(loaded, settings.method, seed=settings.seed, rule=config.parameter_rule)
    parameters = TrainedParameters(loaded.model)
    length = run_length(settings, data.order, done=done)
    notes += method.notes
    notes += [
        f"The corpus {name!r} has no validation documents, so it is not evaluated."
        for name in data.without_validation
    ]
    notes += data.notes
    notes += known_differences(loaded.config, settings.data.sequence_length)
    notes += notes_on_parent(config)
    notes += [] if questions is None else [questions.note]
    return Setup(
        config=config,
        loaded=loaded,
        method=method,
        parameters=parameters,
        gradient_step=GradientStep(
            loaded.model,
            streams=settings.compute.threads,
            grad_checkpoint=bool(settings.compute.gradient_checkpointing),
            compile=on_gpu if settings.compute.compile is None else settings.compute.compile,
            compute_dtype=None if compute_dtype == mx.float32 else compute_dtype,
            lasting=loaded.lasting,
            # Runs of before there was the setting compute what they computed.
            long_attention=settings.compute.long_attention or False,
        ),
        optimizer=Optimizer(
            parameters,
            settings.optimizer,
            treatments=method.treatments,
            embeddings=method.embeddings,
            embedding_rate_factor=_embedding_rate_factor(settings),
            compile=prepare_compilation(),
        ),
        schedule=schedule_of(settings, length),
        data=data,
        length=length,
        compute_dtype=compute_dtype,
        notes=tuple(notes),
        facts=None if questions is None else (questions, load_tokenizer(config.model_path)),
        ranks=ranks,
    )


def _sharing_cores(config: RunConfig, ranks: int) -> RunConfig:
    """The same with the threads that each of so many ranks on one machine may use."""
    compute = config.settings.compute
    if ranks == 1:
        return config
    threads = max(1, (compute.threads or usable_cores()) // ranks)
    changed = compute.model_copy(update={"threads": threads})
    settings = config.settings.model_copy(update={"compute": changed})
    return config.model_copy(update={"settings": settings})


def schedule_of(settings: TrainingSettings, length: RunLength) -> Schedule:
    """Return the rates of a run of this length."""
    return Schedule(
        settings.schedule.kind,
        length.steps,
        length.warmup,
        settings.schedule.decay_fraction,
        settings.schedule.final_fraction,
    )


def _load(
    config: RunConfig, compute_dtype: mx.Dtype, progress: Callable[[int, int], None] | None
) -> LoadedModel:
    """The model, which the run's tokens fit."""
    kind = config.settings.method.way
    assert kind is not None, "the planner resolves the method"
    loaded = load_for_training(
        Path(config.model_path),
        method=kind,
        compute_dtype=compute_dtype,
        trust_remote_code=config.settings.model.trust_remote_code,
        progress=progress,
    )
    check_tokenizer(config, loaded.tokenizer)
    _check_tokens(config, loaded)
    return loaded


def start_from_parent(setup: Setup) -> None:
    """Take the weights of the checkpoint that a fork starts from, if the run is one."""
    parent = setup.config.parent
    if parent is None or Path(parent.checkpoint) == Path(setup.config.model_path):
        return
    checkpoint = Path(parent.checkpoint)
    if not checkpoint.is_dir():
        raise UserError(f"The checkpoint {checkpoint} that this run starts from no longer exists.")
    verify_checkpoint(checkpoint)
    try:
        load_trained_weights(checkpoint, setup.loaded, setup.method)
    except ValueError as error:
        raise UserError(
            f"The checkpoint {checkpoint} does not fit this run's method: {error}."
        ) from None


def take_of_first(setup: Setup) -> None:
    """Begin with rank 0's trained parameters and optimizer state, bit for bit."""
    if setup.ranks.size == 1:
        return
    for name in list(setup.parameters):
        setup.parameters[name] = setup.ranks.of_first({name: setup.parameters[name]})[name]
    setup.optimizer.load_state(setup.ranks.of_first(setup.optimizer.state()))


def _check_tokens(config: RunConfig, loaded: LoadedModel) -> None:
    """Refuse what a former version prepared without comparing ids with rows."""
    rows, model = loaded.embedding_rows, Path(config.model_path)
    wanted = config.corpora[0].tokenizer_hash
    corpora = [
        open_corpus(Path(record.path)).in_template(record.template_hash)
        for record in config.corpora
    ]
    problems = corpora_without_rows(corpora, wanted, rows, model)
    problems += prompts_without_rows(
        config.settings.evaluation.completed,
        len(loaded.tokenizer),
        rows,
        model,
        lambda prompt: raw_tokens(loaded.tokenizer, prompt),
    )
    if problems:
        raise UserError("The run cannot be trained:", problems)


def _embedding_rate_factor(settings: TrainingSettings) -> float:
    own = settings.method.embedding_learning_rate
    assert settings.optimizer.learning_rate is not None
    return 1.0 if own is None else own / settings.optimizer.learning_rate
