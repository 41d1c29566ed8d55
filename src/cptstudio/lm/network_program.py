"""Counts in a network what a plan must know, without its weights. Asked by `network_reader`.

    {"model": FOLDER, "trust_remote_code": false} -> {"result": {...}} with `NetworkFacts` or
    {"wrong": SENTENCE}, or {"error": {...}}, see `job_programs`

MLX is lazy, so what is not asked for is never read: the network is loaded as for training, from
the same files by the same steps, and only its types and shapes are looked at.
"""

from __future__ import annotations

import contextlib
import sys
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from cptstudio import job_programs
from cptstudio.errors import UserError
from cptstudio.light_imports import leave_out_torch
from cptstudio.lm.network_facts import LinearLayers, NetworkFacts, Storage

_WHOLES = ("model", "language_model")
"""Beginnings of names that say nothing yet about the part."""
_MOST_GROUPS = 12
"""Parts of the files that are looked at, one after the other, for whether they are used."""


def work(request: dict[str, Any], _: job_programs.Answer) -> dict[str, Any]:
    """Build the network; tell its facts, or why it cannot be built."""
    leave_out_torch()
    return look(request)


def look(request: dict[str, Any]) -> dict[str, Any]:
    """Return what `work` answers, where MLX is loaded already."""
    try:
        return asdict(facts_of(Path(request["model"]), request["trust_remote_code"]))
    except UserError as error:
        return {"wrong": job_programs.told(error)}


def facts_of(path: Path, trust_remote_code: bool) -> NetworkFacts:
    """Return the facts of the network in a folder.

    Raises:
        UserError: mlx-lm cannot load it; the message says why.
    """
    from cptstudio.lm.loading import load_unread
    from cptstudio.lm.parameters import named_parameters

    model, _ = load_unread(path, trust_remote_code=trust_remote_code)
    facts = count(model)
    names = named_parameters(model).keys()
    return replace(facts, left_out=_left_out(path, facts, names, trust_remote_code))


def count(model: Any) -> NetworkFacts:
    """Return the facts of a network without adapters, but for what its files hold besides.

    It is frozen afterwards.
    """
    from cptstudio.lm.embeddings import embedding_parameters
    from cptstudio.lm.parameter_kinds import parameter_kinds
    from cptstudio.lm.parameters import named_parameters, unpacked_sizes
    from cptstudio.lm.tensor_types import lasting_parameters

    sizes = unpacked_sizes(model)
    values, lasting = named_parameters(model), lasting_parameters(model)
    tables = embedding_parameters(model)
    kinds: dict[str, int] = defaultdict(int)
    for name, kind in parameter_kinds(model).items():
        # Packed layers are never trained, so the rule of kinds does not know them.
        packed = sizes[name] != values[name].size
        kinds[("embedding" if name in tables else "matrix") if packed else kind] += sizes[name]
    return NetworkFacts(
        kinds=dict(kinds),
        storage=_storage(values, lasting),
        tables=sum(sizes[name] for name in tables),
        table_storage=_storage({name: values[name] for name in tables}, lasting),
        blocks=len(model.layers),
        linears=tuple(_linears(model)),
        left_out={},
        attentions=_attentions(model),
    )


def _attentions(model: Any) -> int:
    """How often a network calls MLX's attention for all that came before, and nothing else."""
    import mlx.core as mx

    stock, found = mx.fast.scaled_dot_product_attention, 0

    def counted(*arguments: Any, mask: Any = None, sinks: Any = None, **named: Any) -> Any:
        nonlocal found
        found += sinks is None and isinstance(mask, str)
        return stock(*arguments, mask=mask, sinks=sinks, **named)

    fast: Any = mx.fast
    fast.scaled_dot_product_attention = counted
    try:
        # Some cannot be called so without what they see besides text.
        with contextlib.suppress(Exception):
            model(mx.zeros((1, 8), mx.int32))
    finally:
        fast.scaled_dot_product_attention = stock
    return found


def _storage(values: Mapping[str, Any], lasting: Collection[str]) -> Storage:
    from cptstudio.lm.tensor_types import NAMES

    packed = 0
    numbers: dict[str, int] = defaultdict(int)
    staying: dict[str, int] = defaultdict(int)
    for name, value in values.items():
        stored = NAMES.get(value.dtype)
        if stored is None:
            packed += value.nbytes
            continue
        numbers[stored] += value.size
        if name in lasting:
            staying[stored] += value.size
    return Storage(packed, dict(numbers), dict(staying))


# --- linear layers -----------------------------------------------------------------------------


def _linears(model: Any) -> list[LinearLayers]:
    """All layers that could carry an adapter, those of one name and shape together."""
    from cptstudio.lm.methods import adapter_candidates, block_prefixes

    model.freeze()
    sizes: dict[tuple[Any, ...], tuple[int, int | None, int]] = {}
    found: dict[tuple[Any, ...], list[int]] = {}
    prefixes = [f"{prefix}." for prefix in block_prefixes(model)]
    block = 0
    for path, (inner, module) in adapter_candidates(model, 0).items():
        while not path.startswith(prefixes[block]):
            block += 1
        shape, bits = _shape(module), getattr(module, "bits", None)
        same = (type(module).__name__, shape, bits)
        if same not in sizes:
            sizes[same] = _adapter_sizes(module)
        found.setdefault((inner, shape, bits, *sizes[same]), []).append(block)
    return [LinearLayers(inner, tuple(blocks), *layer) for (inner, *layer), blocks in found.items()]


def _shape(module: Any) -> tuple[int, ...]:
    """Of a weight, packed ones unpacked; empty for a module of another kind."""
    weight = module.get("weight")
    if weight is None:
        return ()
    bits = getattr(module, "bits", None)
    *outer, inputs = weight.shape
    return (*map(int, outer), int(inputs) * 32 // bits if bits else int(inputs))


def _adapter_sizes(module: Any) -> tuple[int, int | None, int]:
    """Return `lora`, `dora` and `magnitudes` of `LinearLayers`."""
    from cptstudio.lm.methods import new_adapter, takes_dora
    from cptstudio.lm.parameters import trainable_parameters
    from cptstudio.settings import MethodSettings

    def trained(kind: str, rank: int) -> int:
        settings = MethodSettings.model_validate({"kind": kind, "rank": rank})
        values = trainable_parameters(new_adapter(module, settings, 1.0))
        return sum(value.size for value in values.values())

    lora = trained("lora", 1)
    if not takes_dora(module):
        return lora, None, 0
    dora = trained("dora", 2) - trained("dora", 1)
    return lora, dora, trained("dora", 1) - dora


# --- what is in the files and not in the network --------------------------------------------------


class _SanitizedError(Exception):
    """Ends the loading of a network when its tensors have been sorted.

    Attributes:
        used: the tensors that were marked are among those of the network.
    """

    def __init__(self, used: bool) -> None:
        super().__init__()
        self.used = used


def _left_out(
    path: Path, facts: NetworkFacts, own: Collection[str], trust_remote_code: bool
) -> dict[str, int]:
    """Bytes of tensors that the network does not use, by what their names begin with.

    Args:
        own: names of the network's parameters.
    """
    from cptstudio.weight_files import read_tensors

    tensors = read_tensors(path)
    if sum(tensor.bytes for tensor in tensors.values()) == facts.storage.bytes():
        return {}
    groups: dict[str, set[str]] = defaultdict(set)
    for name in tensors:
        groups[_group(name, facts.blocks)].add(name)
    # A network's own names may have one part before those in the files.
    known = {*own, *(name.partition(".")[2] for name in own)}
    groups = {group: names for group, names in groups.items() if names.isdisjoint(known)}
    if len(groups) > _MOST_GROUPS:
        return {}
    return {
        group: sum(tensors[name].bytes for name in names)
        for group, names in groups.items()
        if not _is_used(path, names, trust_remote_code)
    }


def _is_used(path: Path, names: Collection[str], trust_remote_code: bool) -> bool:
    """Whether any of these tensors of a folder comes into its network.

    What becomes of a tensor only mlx-lm's `sanitize` knows. So these are given to it as complex
    numbers, which no network has: where none comes out, they are left out.
    """
    import mlx.core as mx

    from cptstudio.lm.loading import load_network, network_classes

    def marking(config: dict[str, Any]) -> tuple[Any, type]:
        network, settings = network_classes(config)

        def sanitize(self: Any, weights: dict[str, mx.array]) -> dict[str, mx.array]:
            marked = {
                name: value.astype(mx.complex64)
                if name in names and mx.issubdtype(value.dtype, mx.floating)
                else value
                for name, value in weights.items()
            }
            sorted_out = network.sanitize(self, marked).values()
            raise _SanitizedError(any(value.dtype == mx.complex64 for value in sorted_out))

        if not hasattr(network, "sanitize"):
            return network, settings
        content = {"sanitize": sanitize, "__module__": network.__module__}
        return type(network.__name__, (network,), content), settings

    try:
        load_network(path, trust_remote_code=trust_remote_code, classes=marking)
    except _SanitizedError as end:
        return end.used
    except Exception:
        # What cannot be done with complex numbers is done with them, so they are used.
        return True
    return True


def _group(name: str, blocks: int) -> str:
    """The beginning of a tensor's name that says which part of a model it belongs to."""
    parts = name.split(".")
    for place, part in enumerate(parts):
        if part.isdigit():
            # Layers beyond the last foretell further tokens (DeepSeek V3 and others).
            beyond = parts[place - 1] == "layers" and int(part) >= blocks
            if beyond:
                return ".".join(parts[: place + 1])
    return ".".join(parts[:2] if parts[0] in _WHOLES else parts[:1])


if __name__ == "__main__":
    sys.exit(job_programs.answer_request(work))
