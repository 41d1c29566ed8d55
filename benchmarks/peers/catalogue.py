"""Which peers there are: what to install for each, how it is started, and what it needs."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

MLX_VERSION = "0.32.4"


@dataclass(frozen=True)
class Peer:
    """A tool that trains MLX language models.

    Attributes:
        name: as its users write it.
        requirement: what pip installs.
        entry: the documented way to train with it, as used here.
        needed: what had to be done so that it runs where it does not as it is, or "".
        splits: its documents are split to the context length beforehand, as mlx-lm's own
            warning about long documents advises.
    """

    name: str
    requirement: str
    entry: str
    needed: str = ""
    splits: bool = False

    @property
    def package(self) -> str:
        """What is installed, and the name of its environment."""
        return self.requirement.partition("==")[0]


PEERS = (
    Peer("mlx-lm", "mlx-lm==0.32.2", "`mlx_lm.lora --train`"),
    Peer(
        "mlx-lm-lora",
        "mlx-lm-lora==5.10.2",
        "`mlx_lm_lora.train --train`",
        "On a CPU it stops with `KeyError: 'max_recommended_working_set_size'`: it sets Metal's "
        "limit on wired memory without asking whether there is Metal. Measured with that one "
        "call left out.",
    ),
    Peer(
        "mlx-tune",
        "mlx-tune==0.6.0",
        "`CPTTrainer` of its Python interface",
        "With its default of two learning rates it stops everywhere with `NameError: name "
        "'make_step_state' is not defined`. Measured with one rate, for which it calls mlx-lm's "
        "training loop.",
    ),
)

SPLIT = Peer(
    "mlx-lm, documents split",
    PEERS[0].requirement,
    PEERS[0].entry,
    "A file in which no document is longer than the context, made by hand.",
    splits=True,
)


def find_peer(name: str) -> Peer:
    """The peer of that name; a `ValueError` names those there are."""
    for peer in (*PEERS, SPLIT):
        if peer.name == name:
            return peer
    raise ValueError(f"no peer {name!r}; there are {', '.join(peer.name for peer in PEERS)}")


def mlx_requirements() -> list[str]:
    """MLX in the version measured, and on a Linux CPU what the fast BLAS needs.

    All environments get the same MLX, so that the tools are compared and not its versions.
    """
    if sys.platform == "linux":
        return [f"mlx[cpu]=={MLX_VERSION}", "scipy-openblas32", "pyelftools"]
    return [f"mlx=={MLX_VERSION}"]


def default_environments() -> Path:
    """Where the peers' environments lie when nobody says otherwise: the user's cache folder."""
    if sys.platform == "darwin":
        cache = Path.home() / "Library" / "Caches"
    else:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "cpt-studio" / "benchmark-peers"


def python_of(environments: Path, peer: Peer) -> Path:
    """The interpreter of a peer's environment, whether or not it is there."""
    return environments / peer.package / "bin" / "python"
