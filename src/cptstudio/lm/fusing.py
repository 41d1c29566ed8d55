"""A base and its adapter as one complete model, in the base's own types; nothing is rounded twice.

Sums are made in float32 and written in the type that the base stores each tensor in. A packed base
is unpacked for it: a sum that is packed again with the same bits falls back onto the same grid, and
most of what was learned with it (mlx-lm's issues 654 and 1172).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import mlx.core as mx

from cptstudio.errors import UserError
from cptstudio.lm.description import is_quantized, read_model_config, why_unreadable
from cptstudio.lm.loading import ADAPTER_LEAVES, LoadedModel, load_unread, put_adapter
from cptstudio.lm.parameters import named_parameters, unpacked_sizes
from cptstudio.lm.saving import ADAPTER_WEIGHTS, CollectedWeights, collect_folder, fused_parameters
from cptstudio.lm.tensor_types import NAMES, lasting_parameters, stored_types
from cptstudio.weight_files import check_present, read_header

DTYPES: Final = {name: dtype for dtype, name in NAMES.items()}
"""Types that a fused model may have, by name."""


@dataclass(frozen=True)
class Fused:
    """A complete model that is not computed yet.

    Attributes:
        loaded: of the base: its configuration, its types, its files.
        parameters: lazy, as mlx-lm names them, unpacked, without adapters.
    """

    loaded: LoadedModel
    parameters: Mapping[str, mx.array]

    def collected(self, dtype: str | None = None) -> CollectedWeights:
        """Return what its folder is, in the base's types or with another main one, by name."""
        return collect_folder(self.loaded, self.parameters, dtype=DTYPES[dtype] if dtype else None)


def fuse(path: Path, adapter: Path | None, onto: Path | None = None) -> Fused:
    """Return a model, with its adapter if there is one, as plain parameters; no weight is read.

    Args:
        path: the folder of the model, or of the base that the adapter was trained on.
        onto: put the adapter on this model of the same network in place of its base, such as the
            original that a packed base was made of.

    Raises:
        UserError: the base is gone or cannot be read, the adapter does not fit it, or its weights
            are packed in a way that cannot be unpacked.
    """
    loaded = _unread(onto or path)
    if onto is not None:
        _check_same_network(_unread(path), loaded)
    # Measured now, while the network has the names of its files.
    loaded.layout  # noqa: B018
    if adapter is not None:
        _check_factors(adapter)
        put_adapter(loaded.model, loaded.path, adapter)
    if adapter is None and not loaded.quantized:
        return Fused(loaded, named_parameters(loaded.model))
    parameters = fused_parameters(loaded.model)
    packed = [name for name, value in parameters.items() if value.dtype in (mx.uint8, mx.uint32)]
    if packed:
        raise UserError(
            f"The weights of {loaded.path} are packed in a way that cannot be unpacked here: "
            f"{packed[0]} and {len(packed) - 1} more stay packed. Fuse the adapter onto the "
            "original model."
        )
    return Fused(loaded, parameters)


def _unread(path: Path) -> LoadedModel:
    read_model_config(path)
    obstacle = why_unreadable(path)
    if obstacle is not None:
        raise UserError(f"The model in {path} cannot be read: {obstacle}")
    model, config = load_unread(path)
    types, lasting = stored_types(model), lasting_parameters(model)
    return LoadedModel(model, None, config, path, is_quantized(path), types, lasting)


def _check_factors(adapter: Path) -> None:
    """Refuse an adapter that holds more than low-rank factors, such as a grown vocabulary."""
    check_present(adapter, "adapter")
    tensors = read_header(adapter / ADAPTER_WEIGHTS)
    other = [name for name in tensors if name.rpartition(".")[2] not in ADAPTER_LEAVES]
    if other:
        raise UserError(
            f"The adapter in {adapter} holds {other[0]} of the shape {tensors[other[0]].shape}, "
            "which is no low-rank factor: its vocabulary or another whole layer was changed. "
            "Export a checkpoint that is a complete model."
        )


def _check_same_network(base: LoadedModel, other: LoadedModel) -> None:
    """Refuse another network, or one whose vocabulary has grown, by the sizes of its parameters."""
    ours, theirs = unpacked_sizes(base.model), unpacked_sizes(other.model)
    different = sorted(
        name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)
    )
    if not different:
        return
    first = different[0]
    raise UserError(
        f"{other.path} is not the model that {base.path} was made of: {first} has "
        f"{theirs.get(first, 0):,} numbers there, not {ours.get(first, 0):,}. Choose its "
        "original, or unpack the base that the adapter was trained on."
    )
