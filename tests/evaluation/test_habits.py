"""Chat habits: checks of answers, repetition, and toys whose right answer is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cptstudio import run_files
from cptstudio.errors import UserError
from cptstudio.evaluation import chat_program
from cptstudio.evaluation.chat_again import ChatMeasured, check_request, gains_kept, suggested
from cptstudio.evaluation.habits.answering import answer_all
from cptstudio.evaluation.habits.checks import CHECKS, fulfills
from cptstudio.evaluation.habits.prompts import built_in
from cptstudio.evaluation.habits.repetition import longest_loop, repeated_share, units_of
from cptstudio.evaluation.merging import first_base, instruct_delta, lineage, roles_in
from cptstudio.evaluation.references import ModelReference
from cptstudio.intervals import mean_of, share_of
from cptstudio.lm.merging import Part, merge
from cptstudio.lm.parameters import named_parameters
from cptstudio.workspace import Workspace
from tests import toy_chats
from tests.evaluation.silence import Silence
from tests.web.run_directories import config_of

# Check, an answer that fulfills it, and answers that do not.
TABLE: tuple[tuple[dict[str, Any], str, tuple[str, ...]], ...] = (
    ({"check": "bullets", "count": 2}, "- a\n- b", ("- a\n- b\n- c", "Here:\n- a\n- b", "a\nb")),
    ({"check": "numbered", "count": 2}, "1. a\n2) b", ("1. a\n3. b", "2. a\n1. b", "1. 1.")),
    ({"check": "matches", "pattern": r"<<[^<>\n]+>>"}, "<<Fall>>\nx", ("<Fall>", "<<>>")),
    ({"check": "lowercase"}, "rome, 753 bc", ("Rome", "753")),
    ({"check": "uppercase"}, "ICE AHEAD!", ("Ice", "!!!")),
    ({"check": "parts", "separator": "***", "count": 2}, "a\n***\nb", ("a *** b", "a\n***\n")),
    ({"check": "paragraphs", "count": 2}, "a\nb\n\nc", ("a\nb", "a\n\nb\n\nc")),
    (
        {"check": "json", "keys": ["name", "age"]},
        '```json\n{"name": "A", "age": 3}\n```',
        ('{"name": "A"}', 'Sure: {"name": "A", "age": 3}', '{"name": "A", "age": 3', "[]"),
    ),
    ({"check": "json_list", "count": 2}, '["a", "b"]', ('["a"]', "[1, 2]", '{"a": "b"}')),
    ({"check": "words", "least": 2, "most": 3}, "It's three words", ("one", "far too many words")),
    (
        {"check": "sentences", "count": 2},
        "One. (Two!)",
        ("One.", "One. Two. Three.", "One. Two and no end"),
    ),
    (
        {"check": "language", "code": "de"},
        "Der Schnee ist kalt und die Luft ist klar.",
        ("The snow is cold and the air is clear.", "Schnee.", "La neige est froide et les"),
    ),
    (
        {"check": "contains", "words": ["green"], "times": 2},
        "Green trees, green grass",
        ("greenish greenery green", ""),
    ),
    ({"check": "leaves_out", "words": ["sun"]}, "A sunny day", ("The Sun is up", "", "  ")),
    ({"check": "lacks", "text_left_out": ","}, "bread and cake", ("bread, cake",)),
    ({"check": "one_of", "choices": ["yes", "no"]}, " Yes.", ("Yes, it is", "maybe", ".")),
    ({"check": "starts", "beginning": "# "}, "# Walking\n", ("Walking", "#Walking")),
    ({"check": "ends", "ending": "Stay well."}, "Eat. Stay well.\n", ("Stay well. Bye",)),
)


def test_checks_tell_answers_that_follow_an_instruction_from_others() -> None:
    assert {check["check"] for check, _, _ in TABLE} == set(CHECKS)
    for check, right, wrong in TABLE:
        assert fulfills(right, check), (check, right)
        assert [answer for answer in wrong if fulfills(answer, check)] == [], check
    with pytest.raises(UserError, match="no check 'rhymes'"):
        fulfills("a", {"check": "rhymes"})
    with pytest.raises(UserError, match="other arguments than these: size"):
        fulfills("a", {"check": "bullets", "size": 2})


def test_every_built_in_prompt_can_be_checked_and_has_a_name_of_its_own() -> None:
    prompts = built_in().prompts
    assert 40 <= len(prompts) <= 60
    assert len({prompt.id for prompt in prompts}) == len(prompts)
    for prompt in prompts:
        assert prompt.messages[-1]["content"]
        assert bool(prompt.checks) == (prompt.kind != "open")
        for check in prompt.checks:
            fulfills("An answer.", check)
            assert not fulfills("", check)


def test_repetition_counts_words_and_finds_loops_of_any_period() -> None:
    assert repeated_share(units_of("a b c d e f")) == 0
    # 7 4-grams, of which "a b c d" and "b c d a" ... come again from the fifth on.
    assert repeated_share(units_of("a b c d a b c d a b")) == pytest.approx(3 / 7)
    assert repeated_share(units_of("a b")) == 0
    assert longest_loop(units_of("1. " * 12)) == 24
    assert longest_loop(units_of("I like tea. " * 2)) == 0
    assert longest_loop(units_of("Well: " + "I like green tea. " * 5 + "Done.")) == 25 + 0
    assert longest_loop(units_of("茶が好き" * 6)) == 24


def test_shares_and_means_have_intervals_that_hold_their_value() -> None:
    # Wilson (1927): 8 of 10 are 0.490 to 0.943; none of 10 are 0 to 0.278.
    some, none = share_of([True] * 8 + [False] * 2), share_of([False] * 10)
    assert some is not None and none is not None
    assert (some.low, some.high) == (
        pytest.approx(0.4902, abs=1e-4),
        pytest.approx(0.9433, abs=1e-4),
    )
    assert (none.value, none.low, none.high) == (0, 0, pytest.approx(0.2775, abs=1e-4))
    assert share_of([]) is None and mean_of([]) is None
    mean = mean_of([0.0, 0.5, 1.0, 0.5] * 10)
    assert mean is not None and mean.low < mean.value == 0.5 < mean.high
    same = mean_of([0.25] * 3)
    assert same is not None and (same.low, same.high) == (0.25, 0.25)


@pytest.fixture(scope="module")
def chats(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A base that never stops, its instruct model, and the base after CPT, without a template."""
    workspace = Workspace(tmp_path_factory.mktemp("chats"))
    for name, changes in (
        ("base", (toy_chats.SINGS,)),
        ("instruct", (toy_chats.SINGS, toy_chats.STOPS)),
        ("cpt", (toy_chats.SINGS, toy_chats.CPT)),
    ):
        toy_chats.make_toy(workspace.base_model(name), *changes, template=name == "instruct")
    return workspace


def parts(workspace: Workspace, strength: float) -> list[Part]:
    (point,) = instruct_delta(
        ModelReference("cpt", workspace.base_model("cpt")),
        workspace.base_model("base"),
        workspace.base_model("instruct"),
        [strength],
    )
    return [Part(part.model, part.adapter, part.weight) for part in point.parts]


@pytest.mark.slow
def test_the_difference_of_a_toy_is_exact_and_stops_from_a_known_strength_on(
    chats: Workspace,
) -> None:
    for strength, stops in ((0.0, False), (0.5, False), (0.74, False), (0.76, True), (1.0, True)):
        loaded = merge(parts(chats, strength))
        made = np.array(named_parameters(loaded.model)["lm_head.weight"])
        added = {pair: score * strength for pair, score in toy_chats.STOPS.items()}
        right = toy_chats.head(toy_chats.SINGS, toy_chats.CPT, added)
        assert np.abs(made - right).max() <= (0 if strength * 4 % 1 == 0 else 1e-6)
        prompt = [toy_chats.WORDS.index("<|answer|>")]
        short, long = answer_all(loaded, [prompt, [1, *prompt]], [3], 12)
        assert short.stopped is long.stopped is stops
        said = [toy_chats.WORDS[token] for token in short.tokens]
        assert said == (["la", "li", "<|end|>"] if stops else ["la", "li"] * 6)


def song_file(workspace: Workspace) -> str:
    """Questions of which a model that sings knows the first two, and one that stops the first."""
    lines = [
        {"context": "la", "answer": " li"},
        {"context": "me li", "choices": [" <|end|>", " la"], "answer": 1},
        {"context": "la li", "answer": " me"},
    ]
    file = workspace.root / "song.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return str(file)


@pytest.mark.slow
def test_toys_are_asked_once_and_the_strength_that_stops_is_suggested(chats: Workspace) -> None:
    cpt = ModelReference("cpt", chats.base_model("cpt"))
    sums = instruct_delta(cpt, chats.base_model("base"), chats.base_model("instruct"), [0.5, 1.0])
    request = {
        **check_request(
            [ModelReference("instruct", chats.base_model("instruct"))],
            ChatMeasured(max_tokens=40),
            [],
        ),
        "workspace": chats.root,
        "fast_blas": True,
        "questions": {"file": song_file(chats), "name": "song.jsonl"},
    }
    trained = check_request([cpt], ChatMeasured(), [])["points"][0]
    template = str(chats.base_model("instruct"))
    sum_of_models = {"way": "difference", "tokenizer": None, "answers": True}
    request["points"][0]["way"] = "instruct"
    request["points"] += [
        {**trained, "way": "trained", "tokenizer": template},
        *({**one.request(), **sum_of_models} for one in sums),
    ]
    result = chat_program.measure_points(request, Silence())
    json.dumps(result)
    instruct, lost, weak, full = (point["habits"] for point in result["points"])
    prompts = len(built_in().prompts)
    for habits, stops in ((instruct, 1), (lost, 0), (weak, 0), (full, 1)):
        assert habits["stops"]["value"] == habits["template"]["value"] == stops
        assert habits["stops"]["count"] == prompts
        assert habits["loops"]["value"] == 1 - stops
        assert len(habits["answers"]) == prompts
    known = [point["questions"]["value"] for point in result["points"]]
    assert known == pytest.approx([1 / 3, 2 / 3, 2 / 3, 1 / 3])
    assert full["repetition"]["value"] == 0 < 0.8 < lost["repetition"]["value"]
    assert result["suggested"] == sums[1].label
    # Kept answers are not made again: the models' folders are not even loaded.
    asked: list[str] = []

    class Listening(Silence):
        def progress(self, *, final: bool = False, **facts: Any) -> None:
            asked.append(str(facts.get("phase")))

    again = chat_program.measure_points(request, Listening())
    assert again == result
    assert not [phase for phase in asked if "answering" in phase]

    refused = {**request, "points": [trained]}
    with pytest.raises(UserError, match="has no chat template"):
        chat_program.measure_points(refused, Silence())


def test_what_keeps_too_little_of_the_gain_is_not_suggested() -> None:
    def point(way: str, bits: float, kept: float) -> dict[str, Any]:
        habits = {key: {"value": kept} for key in ("template", "instructions", "repetition")}
        corpora = {"docs": {"bits_per_byte": bits}}
        return {"label": f"{way} {bits}", "way": way, "habits": habits, "corpora": corpora}

    points = [
        point("base", 2.0, 0.9),
        point("trained", 1.0, 0.1),
        point("difference", 1.1, 0.5),
        point("difference", 1.3, 0.8),
    ]
    gains_kept(points, "docs")
    assert [round(one["gain_kept"], 6) for one in points] == [0, 1, 0.9, 0.7]
    assert suggested(points) == "difference 1.1"
    gains_kept(points, None)
    assert suggested(points) == "difference 1.3"
    assert suggested(points[2:]) is None


def test_an_instruct_model_has_no_difference_from_itself(chats: Workspace) -> None:
    instruct = chats.base_model("instruct")
    cpt = ModelReference("cpt", chats.base_model("cpt"))
    with pytest.raises(UserError, match="no difference to add"):
        instruct_delta(cpt, instruct, instruct, [1.0])


def test_the_base_of_a_later_stage_is_what_the_first_run_began_with(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    first, second = workspace.run("cpt"), workspace.run("chat")
    checkpoint = first / "checkpoints" / run_files.checkpoint_name(20)
    checkpoint.mkdir(parents=True)
    (checkpoint / run_files.MANIFEST).touch()
    second.mkdir()
    cpt = config_of("cpt", data={"corpora": [{"name": "docs"}], "sequence_length": 32})
    run_files.write_record(first / run_files.CONFIG, cpt)
    chat = config_of("chat").model_copy(update={"model_path": str(checkpoint)})
    run_files.write_record(second / run_files.CONFIG, chat)
    assert lineage(second) == [first, second] and lineage(first) == [first]
    assert first_base(second) == first_base(first) == Path("/nowhere/toy")
    assert roles_in(second, ["docs", "code", "other"]) == {
        "docs": "domain",
        "code": "domain",
        "other": None,
    }
