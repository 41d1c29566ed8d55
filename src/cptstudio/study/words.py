"""The names and numbers of a text, so that a made text can be held against its source.

A word is taken for a name by its capitals, or because it mixes letters and digits. What begins a
sentence is capitalized anyway, so it counts only where it is no ordinary word: one that the corpus
or the made texts also write small. In German all nouns are capitalized, and many scripts have no
capitals: there only words with digits, capitals inside them or nothing but capitals count.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Set
from dataclasses import dataclass
from functools import cache
from typing import Final

_TOKEN: Final = re.compile(
    r"""
    (?P<number>(?<![\w.,])[-+\u2212]?\d(?:[\d.,'\u00a0\u202f]*\d)?(?![\w-]*[A-Za-z]))
    |(?P<word>\w+(?:['\u2019.-]\w+)*)
    |(?P<end>[.!?:;\u2026\u3002]+["'\u201d\u2019)\]]*(?=\s|$)|\n|["\u201c\u2018(\[*#>|\u2022\u2013\u2014])
    """,
    re.VERBOSE,
)
_LIST_MARK: Final = re.compile(r"(?m)^\s*(?:[-*\u2022]\s*)?\(?\d{1,3}[.):]\s+")
_LABEL: Final = re.compile(
    r"(?im)^\W*(?:question|answer|step|fact|point|part|example|q|a|item|no\.?)\s*#?\d{1,3}\b"
)
_WITH_UNIT: Final = re.compile(r"(\d[\d.,]*)(st|nd|rd|th|s|[A-Za-z\u00b5\u03bc]{1,4})")
_NAME: Final = re.compile(
    r"\b(?:[A-Z]|\w+[A-Z])[\w\u2019'-]*(?:(?: (?:of|de|van|von))? [A-Z0-9][\w\u2019'-]*)*"
)
_POSSESSIVE: Final = re.compile(r"['\u2019](?:s|S)?$")
_UNITS: Final = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
)
_TENS: Final = "twenty thirty forty fifty sixty seventy eighty ninety"
_WORD_NUMBERS: Final[dict[str, float]] = {
    **{word: number for number, word in enumerate(_UNITS.split())},
    **{word: 10 * number for number, word in enumerate(_TENS.split(), start=2)},
    "half": 0.5,
    "dozen": 12,
}
_MULTIPLIERS: Final = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9,
                       "trillion": 10**12}  # fmt: skip
_GENERIC: Final = 4
"""Number words below this one are used without counting anything: "two sides", "one of them"."""
_PLAIN: Final = re.compile(r"(?<![\w.`'\"_(\[-])[a-z]{3,}(?![\w`'\"_(\[-])")
_LONG: Final = 6
_ENDINGS: Final = ("s", "es", "n", "an", "ian", "ish", "ese", "ic", "ns")
_SHORTEST: Final = 2
CAPITAL_NOUNS: Final = frozenset({"German", "Luxembourgish"})
_ORDINARY: Final = """
    a about above according accordingly across actually additionally after afterwards again
    all almost along already also although altogether always among an and another any anyone
    anything apart are around as aside ask asked assume at based because been before began begin
    behind being below beneath beside besides between beyond both briefly broadly but by can
    certainly clearly common compared consequently consider contrary could define definition
    despite did do does due during each early earlier either else equally especially essentially
    even eventually every everyone everything evidently exactly example explain fact few finally
    find first firstly following for former formerly fortunately from further furthermore general
    generally give given had has have having he hence her here his history how however i if
    imagine important in indeed initially inside instead interestingly into is it its itself
    just key know known last lastly later learn least less let like likely likewise look mainly
    make many may maybe me meaning means meanwhile might misconception more moreover most mostly
    much must my myth name namely near nearly neither never nevertheless next no nobody none
    nonetheless nor normally not note notably nothing now of often on once one only or
    ordinarily originally other others otherwise our out outside over overall overview
    particularly people perhaps please point previously primarily probably question answer quite
    rather read reader readers reality really recall recently regarding related remember
    remarkably roughly say says second secondly see seldom several shall she shortly should
    similarly simply since so some someone something sometimes soon specifically still students
    subsequently such summary suppose surely take taken term terms text than thank that the
    their them then there thereafter therefore these they thing things think third this those
    though through throughout thus timeline to today together too toward towards true truth
    false under unlike until up upon us used usually very was we well were what whatever when
    whenever where whereas wherever whether which while who whoever whole whom whose why will
    with within without would yes yet you your beginner
"""
_ORDINARY_AT_THE_FRONT: Final = """
    acknowledge add adults aim allow amazing ancient animal anybody appear apply argue arrange
    arrive artist attention author authorities balance basic bear big bold both bring build
    building buildings business buy call care careful case cause cease center centre century
    change check child children choose chronologically church cities citizens city claim close
    collect come company compare complete conclude connect conversation cook correct count
    countries country create critics culture current curious customers daily date day days dear
    decades describe despite develop developers difficult discover discuss distance doctors dogs
    draw drink driven drop eager early easily easy eat effectively engineers enjoy enough
    enter enthusiasts equipment ever evening evidence examine excellent except expect experts
    explore extremely false families famous farmers fast father feel fill fine fire fish focus
    folks follow food forget founder founders free friend friends front fully funny game gather
    generations get girls glad go gone good gradually great grow guess guests half hand happy
    hard head hear hello help helpful hi highly hint hold home hot hour houses huge human humans
    ideal identify immediately impressive improve include incorrect increase indeed individuals
    industry inhabitants inspired instructions intended introduce invented invention inventors
    join keep kids kind land large late leading leaders leave lesson letters light line list
    listen little live local locals long loosely lots love low made main major man management
    mankind manufacturers master match material meet members men mention merchants midway mind
    minor mistake mistakenly modern moment money month months mother motion move music mystery
    myths natural nature necessary needless new news nice night nobody normal notice nowadays number
    observe observers obviously odd official officially officials oh old older open opening
    operators opposite order ordinary origin outsiders owners pair parents partly parts past
    patients pause pay perfect person phase picture pick place places plain plan plants plenty
    possible power practically prepare presumably pretty previous private problem process
    producers proof properly prove public pull purpose put quick quickly quiet raise rarely
    recap recent records reflect regardless report reportedly reports research researchers
    residents respected result results return review right role rule safe sailors save scholars
    school science scientists seen seek sentence separately serious set settlers short show
    shown side significant silent simple single sit size slow slowly small smart software
    solution somebody sometime soon sorry sort sound special spend stand start started state
    statement statements stay stop stories story strange strangely stranger strong student study
    suddenly summarize sums sure surprisingly system systems talk teach teacher teachers tell
    terminology theory thereby thinking thoughts thousands time times tip today tomorrow tools top
    total tourists town townspeople track trade tradition traditionally train translate transport
    travel travelers travellers treat try turn two type types typical typically ultimately
    understand understanding undoubtedly unfortunately unique unlike upper use useful users
    valuable various vast view viewed villagers visit visitors vital wait walk want war watch
    water ways weeks welcome where wide wind winter wise women wonder word words work workers
    working world worth wow write writers writing wrong year years yesterday young
"""
OPENERS: Final = frozenset(_ORDINARY.split())
_WIDER: Final = OPENERS | frozenset(_ORDINARY_AT_THE_FRONT.split())


@dataclass(frozen=True)
class Found:
    """What a text names.

    Attributes:
        numbers: as values, rounded to ten digits.
        certain: folded words that are names by how they are written.
        opening: folded words that begin a sentence with a capital, which may be names.
        words: all folded words.
        small: folded words that stand in it without a capital.
    """

    numbers: frozenset[str]
    certain: frozenset[str]
    opening: frozenset[str]
    words: frozenset[str]
    small: frozenset[str]

    def names(self, ordinary: Set[str]) -> set[str]:
        """Return its names.

        Args:
            ordinary: folded words that are none where they begin a sentence.
        """
        return set(self.certain) | {one for one in self.opening if not is_ordinary(one, ordinary)}


def names_in(text: str, ordinary: Set[str] = frozenset()) -> list[str]:
    """Return the names of a text as it writes them, each once, in order; without articles."""
    found: dict[str, None] = {}
    for match in _NAME.finditer(text):
        words = match[0].split()
        while words and is_ordinary(words[0].casefold(), ordinary):
            words = words[1:]
        name = _POSSESSIVE.sub("", " ".join(words))
        if len(name) >= _SHORTEST and any(sign.isalpha() for sign in name):
            found[name] = None
    return list(found)


def is_ordinary(word: str, ordinary: Set[str]) -> bool:
    """Return whether a folded word that begins a sentence is none that only names have."""
    word, *rest = re.split(r"['\u2019]", word)
    if rest and word.endswith("n") and rest[0] == "t":
        return True
    if len(word) >= _LONG and word.endswith(("ing", "ly")):
        return True
    forms = [word, word + "s", word.removesuffix("s"), word.removesuffix("es")]
    for ending in ("ing", "ed", "ly", "er", "ers"):
        if word.endswith(ending):
            stem = word.removesuffix(ending)
            forms += [stem, stem + "e", stem + "s", stem + "y", stem + "ery"]
    return any(form in _WIDER or form in ordinary or form in _lexicon() for form in forms)


@cache
def _lexicon() -> frozenset[str]:
    """Return some thousand English words that are no names: those of Python's own documentation."""
    try:
        topics = importlib.import_module("pydoc_data.topics").topics
    except ImportError:
        return frozenset()  # Some distributions leave it out; then more texts are flagged.
    return frozenset(_PLAIN.findall(" ".join(topics.values())))


def look(text: str, language: str = "English", *, made: bool = False) -> Found:
    """Return what a text names.

    Args:
        language: as `languages` calls it.
        made: number words that are used without counting, such as "two", are left out.
    """
    text = _LABEL.sub(" \n", _LIST_MARK.sub("\n", text)) if made else text
    numbers: set[str] = set()
    certain: set[str] = set()
    opening: set[str] = set()
    words: set[str] = set()
    small: set[str] = set()
    for word, begins in _words(text, numbers, made=made):
        bare = _POSSESSIVE.sub("", word)
        folded = bare.casefold()
        words.add(folded)
        words.update(part for part in re.split(r"['\u2019.-]", folded) if part)
        kind = _kind(bare)
        if kind == "small":
            small.add(folded)
        elif kind == "odd":
            certain.add(folded)
        elif re.match(r"i(?:['\u2019]|\Z)", folded):
            small.add("i")
        elif kind == "capital" and language not in CAPITAL_NOUNS and len(bare) >= _SHORTEST:
            (opening if begins else certain).add(folded)
    return Found(*map(frozenset, (numbers, certain, opening, words, small)))


def invented(made: Found, source: Found) -> list[str]:
    """Return the numbers and the names of a made text that its source surely has nowhere."""
    names = (name for name in made.certain if not _stands_in(name, source.words))
    return sorted(names) + sorted(made.numbers - source.numbers)


def doubtful(made: Found, source: Found, ordinary: Set[str]) -> list[str]:
    """Return words that begin sentences of a made text and may be names that its source lacks."""
    return sorted(
        word
        for word in made.opening - made.certain
        if not is_ordinary(word, ordinary) and not _stands_in(word, source.words)
    )


def kept_share(made: Found, source: Found, ordinary: Set[str]) -> tuple[int, int]:
    """Return how many of a source's names and numbers a made text has, and how many there are."""
    names = source.names(ordinary)
    kept = sum(_stands_in(name, made.words) for name in names)
    return kept + len(source.numbers & made.numbers), len(names) + len(source.numbers)


def _stands_in(name: str, words: Set[str]) -> bool:
    if name in words:
        return True
    for ending in _ENDINGS:
        if name + ending in words or (name.endswith(ending) and name.removesuffix(ending) in words):
            return True
    parts = [part for part in re.split(r"['\u2019.-]", name) if part]
    return len(parts) > 1 and all(_stands_in(part, words) for part in parts)


def _words(text: str, numbers: set[str], *, made: bool) -> Iterator[tuple[str, bool]]:
    """Yield words with whether they begin a sentence; numbers go into the set."""
    begins = True
    titles = _title_lines(text)
    pending: list[float] = []
    for found in _TOKEN.finditer(text):
        if found["end"] is not None:
            begins = True
            _flush(pending, numbers, made=made)
            continue
        if found["number"] is not None:
            _flush(pending, numbers, made=made)
            value = _value(found["number"])
            if value is None:
                yield found["number"], begins
            pending = [] if value is None else [value, value]
            begins = False
            continue
        word = found["word"]
        folded = word.casefold()
        if _number_word(folded, pending):
            yield word, begins
            begins = False
            continue
        _flush(pending, numbers, made=made)
        unit = _WITH_UNIT.fullmatch(word)
        value = _value(unit[1]) if unit else None
        if value is not None:
            numbers.add(_written(value))
        else:
            yield word, begins or _within(found.start(), titles)
        begins = False
    _flush(pending, numbers, made=made)


def _number_word(folded: str, pending: list[float]) -> bool:
    """Take a number word into `pending`: [value so far, largest written with digits or 0]."""
    parts = folded.split("-")
    if folded in _MULTIPLIERS:
        if not pending:
            return False
        pending[0] = max(pending[0], 1) * _MULTIPLIERS[folded]
        pending[1] = pending[1] and pending[0]
        return True
    if not all(part in _WORD_NUMBERS for part in parts):
        return False
    value = float(sum(_WORD_NUMBERS[part] for part in parts))
    if pending and pending[1] == 0 and pending[0] >= 20:
        pending[0] += value
    elif not pending:
        pending[:] = [value, 0]
    else:
        return False
    return True


def _flush(pending: list[float], numbers: set[str], *, made: bool) -> None:
    if pending:
        value, written = pending
        if not made or written or value >= _GENERIC:
            numbers.add(_written(value))
    pending.clear()


def _title_lines(text: str) -> list[tuple[int, int]]:
    """Where lines are whose words are nearly all capitalized, as titles have it."""
    found = []
    for line in re.finditer(r"[^\n]+", text):
        words = re.findall(r"[^\W\d_]{4,}", line[0])
        capitals = sum(word[0].isupper() for word in words)
        ends = line[0].rstrip().endswith((".", "!", "?"))
        if len(words) >= 2 and capitals >= 0.8 * len(words) and not ends:
            found.append(line.span())
    return found


def _within(place: int, spans: list[tuple[int, int]]) -> bool:
    return any(begin <= place < end for begin, end in spans)


def _kind(word: str) -> str:
    letters = [sign for sign in word if sign.isalpha()]
    if not letters:
        # Such as a version, 1.2.3, or a date with points.
        return "odd" if any(sign.isdigit() for sign in word) else "none"
    upper = [sign.isupper() for sign in letters]
    if not any(upper):
        has_digit = any(sign.isdigit() for sign in word)
        return "odd" if has_digit and len(word) > 2 else "small"
    if len(letters) != len(word.replace("-", "").replace(".", "").replace("'", "")):
        return "odd"  # Letters and digits, such as ZX81.
    if len(letters) >= 2 and all(upper):
        return "odd"
    parts = re.split(r"[-.'\u2019]", word)
    if any(sign.isupper() for part in parts for sign in part[1:]):
        return "odd"
    return "capital" if word[0].isupper() else "small"


def _value(text: str) -> float | None:
    text = text.replace("\u2212", "-").lstrip("+")
    digits = re.sub(r"['\u00a0\u202f]", "", text)
    if "," in digits and "." in digits:
        decimal = max(",.", key=digits.rindex)
        digits = digits.replace("." if decimal == "," else ",", "").replace(decimal, ".")
    elif re.fullmatch(r"-?\d{1,3}(,\d{3})+", digits):
        digits = digits.replace(",", "")
    elif digits.count(".") > 1 and re.fullmatch(r"-?\d{1,3}(\.\d{3})+", digits):
        digits = digits.replace(".", "")
    else:
        digits = digits.replace(",", ".")
    try:
        return float(digits)
    except ValueError:
        return None


def _written(value: float) -> str:
    return f"{value:.10g}"
