"""Counts of a model's network: parameters, linear layers, and how they are stored.

Counted by `lm.network_program`, asked for by `lm.network_reader`. Nothing here imports MLX.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cptstudio.errors import Finding, UserError

if TYPE_CHECKING:
    from cptstudio.settings import MethodSettings

SIZES: Final = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Bytes of the types that a network's floating-point numbers are computed in."""


@dataclass(frozen=True)
class Storage:
    """How numbers of a network lie in memory as its files store them.

    Attributes:
        packed: bytes of what is no floating-point number: packed weights, their scales of 8 bits.
        numbers: how many floating-point numbers there are of each type.
        lasting: those among them that a narrower computation leaves in their type, see
            `lm.tensor_types`.
    """

    packed: int = 0
    numbers: dict[str, int] = field(default_factory=dict)
    lasting: dict[str, int] = field(default_factory=dict)

    def bytes(self, dtype: str | None = None) -> int:
        """Return the bytes of all, as stored, or loaded for a computation in a type."""
        total = self.packed
        for stored, count in self.numbers.items():
            # A computation in float32 widens everything.
            lasting = 0 if dtype == "float32" else self.lasting.get(stored, 0)
            total += SIZES[dtype or stored] * (count - lasting) + SIZES[stored] * lasting
        return total


@dataclass(frozen=True)
class LinearLayers:
    """Linear layers of one name and shape, one in each of some blocks.

    Attributes:
        path: inside a block, such as "self_attn.q_proj".
        blocks: numbers of the blocks that have it.
        shape: [outputs, inputs] or [experts, outputs, inputs], packed ones unpacked.
        bits: of a packed weight; None where it is not packed.
        lora: numbers that lora trains for each rank.
        dora: numbers that dora trains for each rank; None where mlx-lm has no dora for the layer,
            so that it stays frozen.
        magnitudes: numbers that dora trains besides.
    """

    path: str
    blocks: tuple[int, ...]
    shape: tuple[int, ...]
    bits: int | None
    lora: int
    dora: int | None
    magnitudes: int


@dataclass(frozen=True)
class Trained:
    """How many numbers a method trains, by how optimizers update them.

    Attributes:
        matrices: of matrices and of adapters' factors.
        others: of embeddings and vectors.
    """

    matrices: int
    others: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.matrices + self.others


@dataclass(frozen=True)
class NetworkFacts:
    """The facts that can be counted in a network without its weights.

    Attributes:
        kinds: number of parameters of each kind of `lm.parameter_kinds`, packed ones unpacked,
            shared ones once.
        storage: of all parameters.
        tables: number of parameters of the token embedding and the output head.
        table_storage: of these.
        blocks: how many there are.
        linears: all layers inside the blocks that an adapter could be put on.
        left_out: bytes of tensors in the files that the network does not use, by what their
            names begin with, such as "vision_tower".
        attentions: how often it attends to all that came before, by MLX's own function.
    """

    kinds: dict[str, int]
    storage: Storage
    tables: int
    table_storage: Storage
    blocks: int
    linears: tuple[LinearLayers, ...]
    left_out: dict[str, int]
    attentions: int = 0

    @property
    def parameters(self) -> int:
        """All parameters that mlx-lm loads."""
        return sum(self.kinds.values())

    def trained(self, method: MethodSettings) -> Trained:
        """Return how many numbers a method trains; its kind must be set."""
        if method.kind == "full":
            matrices = self.kinds.get("matrix", 0)
            return Trained(matrices, self.parameters - self.kinds.get("constant", 0) - matrices)
        factors = magnitudes = 0
        for layer, count in self._chosen(method):
            if method.way == "lora":
                factors += count * method.adapter_rank * layer.lora
            elif layer.dora is not None:
                factors += count * method.adapter_rank * layer.dora
                magnitudes += count * layer.magnitudes
        return Trained(factors, magnitudes + (self.tables if method.train_embeddings else 0))

    def _chosen(self, method: MethodSettings) -> Iterator[tuple[LinearLayers, int]]:
        """The layers that adapters are put on, and in how many blocks."""
        first = self.blocks - (method.layers or self.blocks)
        for layer in self.linears:
            wanted = method.targets is None or any(
                is_meant(layer.path, target) for target in method.targets
            )
            count = sum(block >= first for block in layer.blocks)
            if wanted and count:
                yield layer, count

    def without_dora(self, method: MethodSettings) -> int:
        """Return how many of the chosen layers mlx-lm has no dora for; the kind must be dora."""
        return sum(count for layer, count in self._chosen(method) if layer.dora is None)

    def problems_of(self, path: Path, method: MethodSettings) -> Sequence[Finding]:
        """Return what of a method the network does not have, each with its field.

        Args:
            path: the model's folder, for messages.
        """
        if method.kind == "full":
            return ()
        first = self.blocks - (method.layers or self.blocks)
        known = {one.path for one in self.linears if any(block >= first for block in one.blocks)}
        try:
            check_layers(path, method.layers, self.blocks)
            check_targets(path, method.targets, known)
            if method.kind is not None and not self.trained(method).matrices:
                raise no_layer_for(path, method.kind)
        except UserError as error:
            return error.findings
        return ()

    def frozen_bytes(self, method: MethodSettings, dtype: str) -> int:
        """Return the bytes of what stays as it is beside adapters, in a computation's type."""
        whole = self.storage.bytes(dtype)
        return whole - self.table_storage.bytes(dtype) if method.train_embeddings else whole


def check_layers(path: Path, layers: int | None, blocks: int) -> None:
    """Refuse a number of last layers beyond those of the model in a folder, with a UserError."""
    if layers is not None and layers > blocks:
        raise UserError.at(
            "method.layers",
            f"method.layers is {layers}, but the model in {path} has {blocks} layers. Use at most "
            f"{blocks}.",
        )


def check_targets(path: Path, targets: Iterable[str] | None, known: Collection[str]) -> None:
    """Refuse targets that mean no linear layer of the model in a folder, with a UserError.

    Args:
        known: paths of the layers inside a block.
    """
    for target in targets or ():
        if not any(is_meant(inner, target) for inner in known):
            raise UserError.at(
                "method.targets",
                f"method.targets: {target!r} is not a linear layer of the model in "
                f"{path}. Available: {', '.join(sorted(known))}.",
            )


def no_layer_for(path: Path, kind: str) -> UserError:
    """Return the error where no layer of the model in a folder can carry an adapter of a kind."""
    sentence = f"The model in {path} has no linear layer that supports {kind}."
    return UserError.at("method.kind", sentence)


def is_meant(path: str, target: str) -> bool:
    """Return whether a setting of targets means the layer at a path inside a block."""
    return path == target or path.endswith(f".{target}")
