"""Packages of Office Open XML (ECMA-376 part 2): parts, and what they say of each other."""

from __future__ import annotations

import posixpath
import zipfile
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import unquote

from cptstudio.corpus.readers.items import Item, Unreadable
from cptstudio.corpus.readers.xml_tree import attributes, below, name_of, parse

_FIRST = "_rels/.rels"


@dataclass(frozen=True)
class Relation:
    """A relation to another part.

    Attributes:
        kind: the last word of its type, such as "footnotes"; strict files have the same.
        target: the name of a part, or an address outside.
        external: it lies outside.
    """

    kind: str
    target: str
    external: bool


class Package:
    """A file of Word or PowerPoint, opened; what is damaged in it is a finding of its item."""

    def __init__(self, archive: zipfile.ZipFile, item: Item) -> None:
        self._archive = archive
        self._item = item
        self._relations: dict[str, dict[str, Relation]] = {}

    @cached_property
    def names(self) -> dict[str, str]:
        """The parts by their names in lower case: names are the same in any case (6.2.2.3)."""
        return {name.lower().lstrip("/"): name for name in self._archive.namelist()}

    @cached_property
    def main(self) -> str:
        """The name of the part that the others hang on."""
        for relation in self.relations("").values():
            if relation.kind == "officeDocument":
                return relation.target
        raise Unreadable("no main part")

    def data(self, name: str) -> bytes:
        """Return a part's bytes."""
        real = self.names.get(name.lower())
        if real is None:
            raise Unreadable(f"no part {name}")
        return self._archive.read(real)

    def part(self, name: str) -> Any:
        """Return a part's root element."""

        def damage(reason: str) -> None:
            self._item.findings.add(f"{name}: {reason}; what could be read was used")

        return parse(self.data(name), damage)

    def relations(self, part: str) -> dict[str, Relation]:
        """Return a part's relations by id; those of the package itself for an empty name."""
        if part not in self._relations:
            folder, name = posixpath.split(part)
            place = posixpath.join(folder, f"_rels/{name}.rels") if part else _FIRST
            found = {}
            if place.lower() in self.names:
                for one in below(self.part(place), "?:Relationship"):
                    target, external = one.get("Target", ""), one.get("TargetMode") == "External"
                    if not external:
                        # From the root, or from the folder of the part.
                        target = unquote(target.replace("\\", "/"))
                        target = posixpath.normpath(posixpath.join("/", folder, target)).lstrip("/")
                    kind = one.get("Type", "").rpartition("/")[2]
                    found[one.get("Id", "")] = Relation(kind, target, external)
            self._relations[part] = found
        return self._relations[part]

    def related(self, part: str, kind: str) -> list[str]:
        """Return the parts of a kind that a part names."""
        return [
            one.target
            for one in self.relations(part).values()
            if one.kind == kind and not one.external
        ]


def drawn_text(package: Package, part: str, element: Any) -> list[str]:
    """Return the words of a diagram (SmartArt) or chart that an element of a part shows."""
    relation = None
    name = name_of(element)
    if name == "dgm:relIds":
        relation = package.relations(part).get(attributes(element).get("r:dm", ""))
    elif name == "c:chart":
        relation = package.relations(part).get(attributes(element).get("r:id", ""))
    if relation is None or relation.external:
        return []
    root = package.part(relation.target)
    paragraphs = ("".join(t.text or "" for t in below(p, "a:t")) for p in below(root, "a:p"))
    return [text for text in paragraphs if text.strip()]
