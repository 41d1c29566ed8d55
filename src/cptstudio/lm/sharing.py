"""Several networks over one base: adapters beside it without a second copy of its weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import mlx.core as mx
from mlx_lm.utils import dequantize_model

from cptstudio.lm.loading import LoadedModel, load_network, put_adapter
from cptstudio.lm.parameters import named_parameters, set_parameters


def with_adapter(
    base: LoadedModel, adapter_path: Path, *, trust_remote_code: bool = False
) -> LoadedModel:
    """Return a second network that computes with the base's own arrays and with an adapter's.

    Args:
        base: a loaded base model; it stays as it is and can be used at the same time.

    Raises:
        UserError: the adapter does not fit that base.
    """
    weights = named_parameters(base.model)
    # Lazy: the weights in the files are replaced before any of them is read.
    model, _ = load_network(base.path, trust_remote_code=trust_remote_code)
    if base.unpacked:
        dequantize_model(model)
    set_parameters(model, weights)
    # As `load_for_inference` does.
    dtype = mx.float32 if mx.default_device() == mx.Device(mx.cpu) else None
    put_adapter(model, base.path, adapter_path, dtype)
    mx.eval(named_parameters(model))
    model.eval()
    return replace(base, model=model)
