"""What mlx-lm itself says with an exported folder loaded, by its own loader and its own generation.

On a CPU the texts and log-probabilities are computed in float32 with packed weights unpacked, since
MLX's products with packed weights take one number at a time there; the values are the same but for
rounding. The speed is that of the folder as mlx-lm loads it.
"""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any, Final

import mlx.core as mx
import mlx_lm
from mlx_lm.utils import dequantize_model

from cptstudio.errors import UserError
from cptstudio.exports.comparison import Answers, Reference
from cptstudio.exports.reference_making import ask_network
from cptstudio.job_programs import TellsProgress
from cptstudio.lm.answers import continue_greedily
from cptstudio.lm.cpu_kernels import on_cpu
from cptstudio.lm.loading import cast_floating
from cptstudio.lm.parameters import named_parameters
from cptstudio.lm.tensor_types import NAMES, main_type

_TIMED: Final = 16
"""Tokens that are enough to tell the speed."""


def ask_mlx_lm(folder: Path, reference: Reference, answer: TellsProgress) -> Answers:
    """Return what mlx-lm says to a reference's questions.

    Raises:
        UserError: it cannot load the folder.
    """
    version = importlib.metadata.version("mlx-lm")
    answer.progress(phase=f"loading {folder.name.strip('.').split('.')[0]} with mlx_lm")
    model: Any
    try:
        model = mlx_lm.load(str(folder))[0]
    except Exception as error:
        # Whatever it raises is the answer: what was exported cannot be used.
        raise UserError(f"mlx_lm {version} cannot load what was exported: {error}") from error
    prompts = [one.tokens for one in reference.prompts]
    counts = [len(one.greedy) for one in reference.prompts]
    rate = None
    stored = main_type(named_parameters(model))
    computed = NAMES.get(stored, "float32") if stored is not None else "float32"
    if on_cpu():
        _, _, seconds = continue_greedily(model, prompts[0], _TIMED)
        rate = (_TIMED - 1) / seconds if seconds else None
        dequantize_model(model)
        cast_floating(model, mx.float32, ())
        computed = "float32"
    windows = [one.tokens for one in reference.windows]
    texts, scored, measured = ask_network(
        model, prompts, counts, windows, answer, "comparing with the checkpoint"
    )
    return Answers(
        by=f"mlx_lm {version}",
        computed=computed,
        greedy=[one.greedy for one in texts],
        log_probs=[one.log_probs for one in scored],
        best=[one.best for one in scored],
        tokens_per_second=rate or measured,
    )
