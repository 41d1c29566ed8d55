"""Which languages a corpus is written in, estimated from the beginnings of some documents.

Source code is told by the names of files, exactly and for every document. Of the other
documents the longest are looked at, because few of them can hold most of the text, and a sample
of the rest that depends on nothing but their content. So the cost is bounded, whatever the size
of the corpus: about half a second for loading the identifier and less for looking.

The identifier is py3langid's naive Bayes model over byte sequences (Lui and Baldwin, "langid.py:
An Off-the-shelf Language Identification Tool", ACL 2012), which computes the same everywhere.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from cptstudio.corpus.document_store import DocumentStore
from cptstudio.corpus.manifest import LanguageShares
from cptstudio.corpus.token_store import SIDES

CODE = "source code"
OTHER = "numbers, markup, identifiers"
UNKNOWN = "unknown"

LONGEST = 200
"""So many of the longest documents are looked at,"""
SAMPLED = 800
"""and so many of the others."""
CHARACTERS = 1000
_LEAST_CONFIDENCE = 0.3
"""Greetings of two words reach 0.2 to 0.4, a sentence 0.99, `foo bar baz qux` 0.21."""

_CODE = """
.py .pyi .pyx .pxd .rb .pl .pm .php .lua .tcl .r .jl .m .mm .swift .kt .kts .java .scala
.groovy .gradle .clj .cljs .ex .exs .erl .hrl .hs .lhs .ml .mli .fs .fsi .fsx .cs .vb .c .h
.cc .cpp .cxx .hh .hpp .hxx .ipp .cu .cuh .metal .go .rs .zig .nim .d .dart .f .for .f90
.f95 .f03 .pas .adb .ads .asm .s .v .sv .vhd .vhdl .lisp .el .scm .rkt .sql .sh .bash .zsh
.fish .ps1 .bat .cmd .awk .sed .js .mjs .cjs .jsx .ts .tsx .vue .svelte .css .scss .sass
.less .xml .xsl .xsd .svg .yaml .yml .toml .ini .cfg .conf .cmake .mk .proto .thrift
.graphql .tf .nix .sol .wat .glsl .hlsl .vert .frag .diff .patch
"""
_CODE_SUFFIXES = frozenset(_CODE.split())
_CODE_NAMES = frozenset(("makefile", "dockerfile", "cmakelists.txt", "rakefile", "gemfile"))

_BY_CODE = """
af:Afrikaans am:Amharic ar:Arabic as:Assamese az:Azerbaijani ba:Bashkir be:Belarusian
bg:Bulgarian bn:Bengali br:Breton bs:Bosnian ca:Catalan cs:Czech cy:Welsh da:Danish
de:German dz:Dzongkha el:Greek en:English eo:Esperanto es:Spanish et:Estonian eu:Basque
fa:Persian fi:Finnish fo:Faroese fr:French fy:Frisian ga:Irish gd:Gaelic gl:Galician
gu:Gujarati ha:Hausa he:Hebrew hi:Hindi hr:Croatian ht:Haitian hu:Hungarian hy:Armenian
id:Indonesian ig:Igbo is:Icelandic it:Italian ja:Japanese jv:Javanese ka:Georgian
kk:Kazakh km:Khmer kn:Kannada ko:Korean ku:Kurdish ky:Kyrgyz la:Latin lb:Luxembourgish
lg:Ganda ln:Lingala lo:Lao lt:Lithuanian lv:Latvian mg:Malagasy mk:Macedonian
ml:Malayalam mn:Mongolian mr:Marathi ms:Malay mt:Maltese my:Burmese ne:Nepali nl:Dutch
nn:Nynorsk no:Norwegian oc:Occitan om:Oromo or:Odia pa:Punjabi pl:Polish ps:Pashto
pt:Portuguese qu:Quechua ro:Romanian ru:Russian rw:Kinyarwanda sa:Sanskrit si:Sinhala
sk:Slovak sl:Slovenian sn:Shona so:Somali sq:Albanian sr:Serbian st:Sotho sv:Swedish
sw:Swahili ta:Tamil te:Telugu tg:Tajik th:Thai tk:Turkmen tl:Tagalog tr:Turkish tt:Tatar
ug:Uyghur uk:Ukrainian ur:Urdu uz:Uzbek vi:Vietnamese wa:Walloon xh:Xhosa yo:Yoruba
yue:Cantonese zh:Chinese zu:Zulu
"""
_NAMES = dict(entry.split(":") for entry in _BY_CODE.split())


def is_code(label: str) -> bool:
    """Return whether a source of this label is source code or configuration, by its name.

    Args:
        label: as in reports; a member of an archive is named behind the last "!".
    """
    name = PurePosixPath(label.rpartition("!")[2].lower())
    if name.suffix in (".gz", ".zst"):
        name = name.with_suffix("")
    return name.suffix in _CODE_SUFFIXES or name.name in _CODE_NAMES


@cache
def _load_model() -> Any:
    """The model, which takes half a second to load, and 100 MB until the process ends."""
    # Imported here, so that it costs nothing where no corpus is built.
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(
        MODEL_FILE, norm_probs=True, min_confidence=_LEAST_CONFIDENCE
    )


class LanguageIdentifier:
    """Names the language of a text."""

    def __init__(self) -> None:
        self._model = _load_model()

    def language(self, text: str) -> str:
        """English name of the language, or its ISO 639 code; `OTHER`, `UNKNOWN`."""
        code, _ = self._model.classify(text[:CHARACTERS])
        return {"und": UNKNOWN, "zxx": OTHER}.get(code) or _NAMES.get(code, code)


def language_shares(
    store: DocumentStore, records: npt.NDArray[Any], labels: list[str]
) -> LanguageShares:
    """Return the shares of the languages in the documents that a corpus keeps.

    Args:
        store: the documents' texts.
        records: `RECORD` [documents], with the final status.
        labels: of the sources, by number.
    """
    lengths = records["length"].astype(np.float64)
    kept = np.flatnonzero(records["status"] < len(SIDES))
    code_sources = np.array([is_code(label) for label in labels], dtype=np.bool_)
    code = code_sources[records["source"][kept]]
    documents: dict[str, float] = defaultdict(float, {CODE: float(code.sum())})
    text_bytes: dict[str, float] = defaultdict(float, {CODE: lengths[kept[code]].sum()})
    strata = list(_strata(records, kept[~code]))
    identifier = LanguageIdentifier() if strata else None
    examined = 0
    for chosen, members in strata:
        assert identifier is not None
        examined += len(chosen)
        # What was not looked at is taken to be like what was.
        for_each = len(members) / len(chosen)
        for_byte = lengths[members].sum() / lengths[chosen].sum()
        for number in chosen.tolist():
            language = identifier.language(_beginning(store, number))
            documents[language] += for_each
            text_bytes[language] += for_byte * lengths[number]
    return LanguageShares(
        examined=examined, documents=_shares(documents), text_bytes=_shares(text_bytes)
    )


_Numbers = npt.NDArray[np.intp]


def _strata(records: npt.NDArray[Any], candidates: _Numbers) -> Iterator[tuple[_Numbers, _Numbers]]:
    """The documents to look at in the order of the store, with those that they stand for.

    The sample has the smallest content hashes, which is fair, changes little when documents
    are added, and does not depend on the order of the sources.
    """
    hashes = np.ascontiguousarray(records["hash"][candidates]).view(">u8").reshape(-1, 2)
    lengths = records["length"][candidates].astype(np.int64)
    longest = _least(-lengths, hashes, LONGEST)
    if len(longest):
        yield np.sort(candidates[longest]), candidates[longest]
    rest = np.ones(len(candidates), dtype=np.bool_)
    rest[longest] = False
    others = np.flatnonzero(rest)
    if len(others):
        chosen = others[_least(np.zeros(len(others)), hashes[others], SAMPLED)]
        yield np.sort(candidates[chosen]), candidates[others]


def _least(values: npt.NDArray[Any], hashes: npt.NDArray[Any], count: int) -> _Numbers:
    """Places of the least values, and of equal ones those with the least hashes."""
    places = np.arange(len(values))
    if len(places) > count:
        # Sorting ten million of them for a few would take long.
        most = np.partition(values, count - 1)[count - 1]
        surely, tied = np.flatnonzero(values < most), np.flatnonzero(values == most)
        keys = hashes[tied, 0]
        wanted = count - len(surely)
        tied = tied[keys <= np.partition(keys, wanted - 1)[wanted - 1]]
        places = np.concatenate((surely, tied))
    order = np.lexsort((hashes[places, 1], hashes[places, 0], values[places]))
    return places[order[:count]]


def _beginning(store: DocumentStore, number: int) -> str:
    wanted = 4 * CHARACTERS
    data = b""
    for part in store.parts(number):
        data += part[: wanted - len(data)]
        if len(data) == wanted:
            break
    return data.decode("utf-8", "ignore")[:CHARACTERS]


def _shares(amounts: dict[str, float]) -> dict[str, float]:
    total = sum(amounts.values())
    ordered = sorted(amounts.items(), key=lambda pair: (-pair[1], pair[0]))
    return {name: float(amount / total) for name, amount in ordered if amount}
