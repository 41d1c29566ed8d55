"""Cloze facts of a text whose facts, code, tables and navigation are known."""

from __future__ import annotations

from cptstudio.facts.cloze import ClozeSettings, Document, make_cloze
from cptstudio.facts.cloze_words import neighbors, value_of
from cptstudio.facts.sentences import is_sound, sentences_of
from cptstudio.ledgers.fact import GAP

PEOPLE = ("Maren Ostvik", "Tollef Brandt", "Isolde Ferrin", "Quill Hartog", "Benno Lask", "Ada Rue")
RIVERS = ("Velmar", "Osk", "Tirrel", "Undrin", "Passel", "Corvane")
TEXT = "\n\n".join(
    [
        "Home | News | Contact us today and every day of the week.",
        "```\nif Velmar > 1821: print('Maren Ostvik is the founder of the code in 1821.')\n```",
        "| River | Length |\n|---|---|\n| Velmar | 412 |",
        *(
            f"The {river} was first mapped in {1821 + 7 * n} by {person}, who measured its upper "
            f"valley. The {river} drains the marshes of Eastern {river}shire into the sea."
            for n, (person, river) in enumerate(zip(PEOPLE, RIVERS, strict=True))
        ),
        "This was changed in 1830 by Maren Ostvik, as we saw above in Section 3.",
    ]
)


def document(text: str, held_out: bool = False) -> Document:
    return Document("00" * 16, "rivers.txt", text, held_out)


def test_facts_are_whole_sentences_with_distractors_of_their_kind() -> None:
    facts, counts = make_cloze([document(TEXT)], "rivers", ClozeSettings(20, distractors=4))
    assert len(facts) == counts["sound"] == 6 + 6
    for fact in facts:
        assert fact.cloze is not None
        assert fact.cloze.replace(GAP, fact.answer) == fact.source.sentence
        assert fact.source.sentence in TEXT
        assert fact.source.sentence in fact.source.context
        assert len(fact.distractors) == 4
        # None of them stands near the answer, where it might be right, too.
        assert not any(wrong in fact.source.context for wrong in fact.distractors)
    years = [fact for fact in facts if fact.answer.isdigit()]
    assert years
    assert all(len(wrong) == 4 and wrong.isdigit() for fact in years for wrong in fact.distractors)
    names, _ = make_cloze([document(TEXT)], "rivers", ClozeSettings(20, ("name",), distractors=4))
    people = [fact for fact in names if fact.answer in PEOPLE]
    assert people
    assert all(set(fact.distractors) < set(PEOPLE) for fact in people)


def test_the_same_corpus_and_seed_give_the_same_facts() -> None:
    made = [
        make_cloze([document(TEXT)], "c", ClozeSettings(8, distractors=4, seed=seed))[0]
        for seed in (1, 1, 2)
    ]
    assert made[0] == made[1] != made[2]


def test_facts_of_held_out_documents_have_their_share() -> None:
    other = TEXT.replace("Velmar", "Ghol").replace("Osk", "Imber").replace("Tirrel", "Daun")
    texts = [document(TEXT), Document("11" * 16, "held.txt", other, True)]
    facts, _ = make_cloze(texts, "c", ClozeSettings(10, distractors=3, held_out_share=0.4))
    assert [fact.source.label for fact in facts].count("held.txt") == 4


def test_sentences_that_lean_on_others_or_are_no_prose_are_left_out() -> None:
    for text in (
        "It was opened in 1821 by Maren Ostvik, who measured its upper valley.",
        "Functions for reading and writing data stored by Minitab, Stata and others.",
        "The call x <- f(3) was added in 1821 by Maren Ostvik and her assistants.",
        "For the details of the survey of 1821 see Section 3 of this document.",
        "The river was mapped in 1821 by Maren Ostvik (who measured its upper valley.",
        "The upper valley is measured, mapped and described by nobody at all yet",
        "Maren Ostvik (1821), The Upper Valley of the Velmar, pp. 3 is the reference here.",
    ):
        assert not is_sound(text), text
    wrapped = (
        "The Velmar, a river of the east, was first mapped in\n1821 by Maren Ostvik, who also "
        "measured its upper\nvalley. Dr. Ostvik used the old chain of J. Brandt for it.\n"
    )
    assert [sentence.text for sentence in sentences_of(wrapped)] == [
        "The Velmar, a river of the east, was first mapped in 1821 by Maren Ostvik, who also "
        "measured its upper valley.",
        "Dr. Ostvik used the old chain of J. Brandt for it.",
    ]


def test_neighbors_of_a_number_have_its_form() -> None:
    assert set(neighbors("2.7.11")) >= {"2.7.10", "2.7.12"}
    assert all(len(one) == 4 for one in neighbors("0.66"))
    assert "1,823" in neighbors("1,822")
    assert neighbors("45%")[0] == "46%"
    assert value_of("4.2.1") > value_of("4.2.0") > value_of("4.1.9")
