"""A workspace with a corpus about things that do not exist."""

from __future__ import annotations

import pytest

from cptstudio.corpus.build import build_corpus
from cptstudio.corpus.manifest import BuildSettings
from cptstudio.workspace import Workspace

NAMES = "abcdefghijkl"


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Has the corpus "villages": 14 documents, of which 12 are trained on."""
    root = tmp_path_factory.mktemp("study")
    documents = root / "documents"
    documents.mkdir()
    for place, letter in enumerate(NAMES):
        (documents / f"{letter}.txt").write_text(
            f"Oru{letter}ven is a village of Zorbia near the capital Marn, on the river Teel. "
            f"It was founded by Elder Mik{letter} in {1500 + 7 * place}. The village has "
            f"{30 + 3 * place} houses and {20 + place} wells.\n\nThe mill of Oru{letter}ven was "
            f"built by Ana Tor{letter} in {1700 + 9 * place}. It grinds {340 + place} sacks "
            f"a year, and the people of Marn buy all of its flour at the market of Saint Oda."
        )
    (documents / "long.txt").write_text("Teel is the river of Zorbia. It is 410 km long.\n\n" * 3)
    (documents / "short.txt").write_text("Page 7")
    found = Workspace(root / "workspace")
    found.make(found.corpora)
    settings = BuildSettings(near_dedup=False, drop_boilerplate=False)
    build_corpus(found.corpus("villages"), [documents], settings, workers=1)
    return found
