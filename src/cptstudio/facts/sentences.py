"""The complete sentences of a document's prose: nothing from code, tables, lists of links.

What is left out costs nothing, since a document has more sentences than anybody asks about; what is
let in wrongly becomes a senseless question. So every rule errs on the side of leaving out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

SHORTEST: Final = 45
LONGEST: Final = 320
_FEWEST_WORDS = 8
_CONTEXT = 2_000
_HARD_WRAP = 120
"""Longer lines are paragraphs; shorter ones may be lines of one."""
_SHORT_LINE = 45
_FENCE = re.compile(r"^\s*(?:```|~~~)")
_MARKUP = re.compile(r"^(?:\s{4,}|\t|[#|>$%{}<]|\s*[-+*=_]{3,}\s*$)")
_BULLET = re.compile(r"^\s*(?:[-*\u2022\u2013]|\(?[0-9a-z]{1,2}[.)])\s+")
_TERMINAL = re.compile(r"[.!?][\"'\u2019\u201d)\]]*$")
_BREAK = re.compile(
    r"(?<=[.!?])[\"'\u2019\u201d)\]]*\s+(?=[\"'\u2018\u201c(\[]?[A-Z\u00c0-\u00de0-9])"
)
_ABBREVIATED = re.compile(
    r"(?:^|[\s(\[\"'\u2018\u201c])(?:e\.g|i\.e|etc|cf|vs|viz|ca|al|et|resp|approx|Mr|Mrs|Ms|Dr|"
    r"Prof|St|Jr|Sr|Inc|Ltd|Co|Corp|No|Nos|Vol|pp?|Fig|Figs|Eq|Sec|Ch|Ed|Eds|Dept|Univ|U\.S|U\.K|"
    r"Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sep|Sept|Oct|Nov|Dec|[A-Z])\.$"
)
_BEGINS = re.compile(
    r"(?:The|This|That|There|These|Those|It|In|If|For|When|While|However|Note|As|An|All|Some|Both|"
    r"Use|Most|Many|Other|Since|On|At|By|But|And|To|We|You|They|Such|See|With|From)\b"
)
"""An abbreviation such as an initial may end a sentence after all."""
_WORD = re.compile(r"[A-Za-z\u00c0-\u024f][A-Za-z\u00c0-\u024f'\u2019-]*")
_CODE = re.compile(
    r"[<>{}=|\\^~$`@#*_]|::|->|//|\(\)|\w\(|\[\d|[a-z]\.[a-z0-9]|--|\.\.\.|\u2026|[a-z][A-Z]\w*\."
)
_FOOTNOTE = re.compile(r"(?:(?<=[a-z)\u2019\u201d])\d{1,3}|\b[A-Z]{3,}\d{2,3})(?=[\s,.;:)])")
_LEANS = re.compile(
    r"^(?:this|that|these|those|it|its|they|their|them|he|she|his|her|we|our|i|my|such|here|there|"
    r"thus|then|so|hence|therefore|otherwise|however|but|and|or|nor|yet|also|instead|similarly|"
    r"likewise|at the time of writing|specifically|again|note|see|for example|for instance|in this|"
    r"in that|in these|in those|in such|"
    r"in addition|in particular|in both|in each|in either|at this|on this|as this|as above|"
    r"if this|if these|if it|both|each of|either|neither|all of (?:the|these)|some of|most of|"
    r"one of (?:the|these)|many of|several of|another|other|others|the (?:first|second|third|"
    r"former|latter|other|same|last|next|following|above|previous|rest|result|example|reason|"
    r"difference|problem|idea|exception|two|three|four|default|current version|answer)|same|first|"
    r"second|finally|next|what|why|how|who|where|once|more|further|furthermore|moreover|"
    r"nevertheless|nonetheless|consequently|alternatively|conversely|accordingly|currently)\b",
    re.IGNORECASE,
)
_POINTS = re.compile(
    r"\b(?:above|below|following|previous(?:ly)?|preceding|aforementioned|earlier|"
    r"the latter|the former|this|these|those|as follows|see|footnote|section|chapter|figure|table|"
    r"appendix|page|"
    r"you|your|we|us|our|i|me|my|he|she|him|her|his|hers|they|them|it)\b",
    re.IGNORECASE,
)

_REFERENCE = re.compile(
    r"\bdoi\b|\bpp?\. ?\d|\bISBN\b|\bet al\b|\bibid\b|\d\u2013\d+ ?\(|\( ", re.IGNORECASE
)
_VERB = re.compile(
    r"\b(?:is|are|was|were|has|have|had|does|do|did|can|cannot|could|may|might|will|would|shall|"
    r"should|must|became|becomes|provides?|provided|uses|used|allows?|allowed|contains?|contained|"
    r"returns?|returned|supports?|supported|gives|gave|takes|took|makes|made|ensures?|means?|meant|"
    r"generates?|reads|writes|wrote|includes?|included|requires?|required|depends|works|worked|"
    r"refers|follows|followed|describes?|described|defines?|defined|creates?|created|introduced|"
    r"comes|came|consists?|consisted|holds|held|begins|began|ends|ended|needs|shows|showed|lies|"
    r"runs|ran|produces?|produced|represents?|corresponds?|specif(?:y|ies)|implements?|belongs?|"
    r"denotes?|controls?|offers?|offered|covers?|lives|lived|won|built|born|grew|drains?|drained|"
    r"opened|closed|founded|discovered|invented|keeps|kept|stands|stood|reached|reaches|weighs|"
    r"measures|measured|flows|feeds|eats|grows|appears|appeared|begin|changed|died|led|leads)\b"
)
_SUBORDINATE = re.compile(
    r"\b(?:which|that|who|whom|whose|when|where|if|while|because|since|unless|whether|although|"
    r"though|until|before|after|once)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Sentence:
    """A sentence of prose.

    Attributes:
        text: with white space as single spaces.
        context: the paragraph around it, shortened at whole sentences.
        sound: whether it stands on its own: complete, no code, leaning on nothing before it.
    """

    text: str
    context: str
    sound: bool


def sentences_of(text: str) -> Iterator[Sentence]:
    """Yield the sentences of a document's prose, in order."""
    for paragraph in paragraphs_of(text):
        parts = split(paragraph)
        for number, part in enumerate(parts):
            yield Sentence(part, _around(parts, number), is_sound(part))


def paragraphs_of(text: str) -> Iterator[str]:
    """Yield the paragraphs of prose, each as one line; lines of one are joined."""
    waiting: list[str] = []
    fenced = False
    for line in [*text.split("\n"), ""]:
        if _FENCE.match(line):
            fenced = not fenced
            line = ""
        plain = "" if fenced or _MARKUP.match(line) else _BULLET.sub("", line).strip()
        new = not plain or plain != line.strip() or len(line) > _HARD_WRAP
        # A short line is a heading or an item, and no line of a paragraph that goes on.
        ends = bool(waiting) and len(waiting[-1]) < _SHORT_LINE
        if waiting and (new or ends):
            yield from _prose(waiting)
            waiting = []
        if plain:
            waiting.append(plain)
        if len(line) > _HARD_WRAP:
            yield from _prose(waiting)
            waiting = []


def _prose(lines: list[str]) -> Iterator[str]:
    joined = " ".join(" ".join(lines).split())
    if len(joined) >= SHORTEST and _TERMINAL.search(joined) is not None:
        yield joined


def split(paragraph: str) -> list[str]:
    """Return the sentences of a paragraph; none ends inside brackets or after an abbreviation."""
    found: list[str] = []
    start = 0
    for match in _BREAK.finditer(paragraph):
        before = paragraph[start : match.start()]
        if _open(before) or (
            _ABBREVIATED.search(before) and not _BEGINS.match(paragraph[match.end() :])
        ):
            continue
        found.append(paragraph[start : match.end()].strip())
        start = match.end()
    found.append(paragraph[start:].strip())
    return [one for one in found if one]


def _open(text: str) -> bool:
    return text.count("(") > text.count(")") or text.count("\u201c") > text.count("\u201d")


def is_sound(text: str) -> bool:
    """Return whether a sentence stands on its own, as far as rules can tell."""
    if not SHORTEST <= len(text) <= LONGEST or not text[0].isupper() or text[-1] != ".":
        return False
    if _CODE.search(text) or _FOOTNOTE.search(text) or _LEANS.match(text) or _POINTS.search(text):
        return False
    for one, other in ("()", "[]", "\u201c\u201d"):
        if text.count(one) != text.count(other):
            return False
    if text.count('"') % 2 or text.count("\u2018") > text.count("\u2019"):
        return False
    if _REFERENCE.search(text):
        return False
    words = _WORD.findall(text)
    lower = [word for word in words if word[0].islower()]
    # Titles, references and lists of names have few small words; prose has many.
    return len(words) >= _FEWEST_WORDS and 2 * len(lower) >= len(words) and _has_verb(text)


def _has_verb(text: str) -> bool:
    """Return whether there is a finite verb outside of subordinate clauses."""
    for verb in _VERB.finditer(text):
        before = text[: verb.start()]
        if before.endswith(("to ", "-", "the ", "a ")):
            continue
        subordinate = max((one.start() for one in _SUBORDINATE.finditer(before)), default=-1)
        if subordinate < 0 or max(before.rfind(char) for char in ",;:)") > subordinate:
            return True
    return False


def _around(parts: list[str], number: int) -> str:
    """The paragraph, or as many whole sentences around one as there is room for."""
    first = last = number
    size = len(parts[number])
    while True:
        grown = False
        if first > 0 and size + len(parts[first - 1]) < _CONTEXT:
            first -= 1
            size += len(parts[first]) + 1
            grown = True
        if last + 1 < len(parts) and size + len(parts[last + 1]) < _CONTEXT:
            last += 1
            size += len(parts[last]) + 1
            grown = True
        if not grown:
            return " ".join(parts[first : last + 1])
