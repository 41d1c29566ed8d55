"""Make an environment for each peer: `python -m benchmarks.peers.setup`.

Each peer gets a virtual environment of its own, outside the repository, with the exact version
that docs/benchmarks.md names. An environment that is there already is left as it is.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import venv
from pathlib import Path

from benchmarks.peers.catalogue import (
    PEERS,
    Peer,
    default_environments,
    find_peer,
    mlx_requirements,
    python_of,
)


def make_environment(environments: Path, peer: Peer) -> None:
    """Create the peer's environment and install it there.

    Raises:
        subprocess.CalledProcessError: pip could not install it; pip has said why.
    """
    folder = environments / peer.package
    venv.create(folder, with_pip=True, symlinks=True)
    python = str(python_of(environments, peer))
    command = [python, "-m", "pip", "install", "--quiet", peer.requirement, *mlx_requirements()]
    subprocess.run(command, check=True)
    (folder / "complete").touch()


def is_complete(environments: Path, peer: Peer) -> bool:
    """Whether the peer was installed to the end."""
    return (environments / peer.package / "complete").is_file()


def main() -> int:
    """Create what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--environments", type=Path, default=default_environments())
    parser.add_argument("--peers", nargs="+", default=[peer.name for peer in PEERS])
    arguments = parser.parse_args()
    for name in arguments.peers:
        peer = find_peer(name)
        if is_complete(arguments.environments, peer):
            print(f"{peer.name}: there already")
            continue
        print(
            f"{peer.name}: installing {peer.requirement} in {arguments.environments / peer.package}"
        )
        try:
            make_environment(arguments.environments, peer)
        except subprocess.CalledProcessError:
            print(f"{peer.name}: could not be installed; pip's message is above", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
