"""Every training token is a target exactly once an epoch, in an order that is a pure function."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cptstudio.corpus.rows import Batch, MixtureMember, RowOrder, build_row_order
from cptstudio.errors import UserError
from cptstudio.settings import Packing
from tests.corpus.stores import BOS, EOS, write_store

LENGTHS = st.lists(st.integers(1, 70), min_size=1, max_size=90)
PACKINGS = st.sampled_from(["concat", "decompose"])


def epoch_batches(order: RowOrder, epoch: int) -> list[Batch]:
    first = sum(order.batches_in_epoch(number) for number in range(epoch))
    return [order.batch(first + number) for number in range(order.batches_in_epoch(epoch))]


def target_counts(batches: list[Batch]) -> Counter[int]:
    counts: Counter[int] = Counter()
    for batch in batches:
        assert batch.mask is None
        counts.update(batch.targets.ravel().tolist())
    return counts


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    lengths=LENGTHS,
    more=LENGTHS,
    context_length=st.integers(1, 40),
    rows_per_batch=st.integers(1, 5),
    packing=PACKINGS,
    adds_bos=st.booleans(),
    weights=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    epoch=st.integers(0, 2),
    of_rows=st.booleans(),
)
def test_each_training_token_is_a_target_as_often_as_its_weight_says(
    lengths: list[int],
    more: list[int],
    context_length: int,
    rows_per_batch: int,
    packing: Packing,
    adds_bos: bool,
    weights: tuple[int, int],
    epoch: int,
    of_rows: bool,
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        one = write_store(Path(folder) / "one", lengths, adds_bos=adds_bos)
        two = write_store(Path(folder) / "two", more, first_token=10_000, adds_bos=adds_bos)
        order = build_row_order(
            [
                MixtureMember("one", one, "domain", weights[0]),
                MixtureMember("two", two, "domain", weights[1]),
            ],
            context_length=context_length,
            packing=packing,
            rows_per_batch=rows_per_batch,
            seed=3,
            of_rows=of_rows,
        )
        batches = epoch_batches(order, epoch)
    counts = target_counts(batches)
    for count, special in ((counts.pop(EOS, 0), EOS), (counts.pop(BOS, 0), BOS)):
        documents = weights[0] * len(lengths) + weights[1] * len(more)
        assert special != EOS or count == documents
        assert special != BOS or count <= documents
    expected = Counter({2 + token: weights[0] for token in range(sum(lengths))})
    expected.update({10_000 + token: weights[1] for token in range(sum(more))})
    assert counts == expected
    targets = sum(batch.targets.size for batch in batches)
    assert epoch or targets == order.tokens_per_epoch
    specials = targets - sum(expected.values())
    assert specials <= 2 * (weights[0] * len(lengths) + weights[1] * len(more))
    assert all(batch.targets.size <= rows_per_batch * context_length for batch in batches)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    lengths=LENGTHS,
    context_length=st.integers(1, 40),
    packing=PACKINGS,
    adds_bos=st.booleans(),
)
def test_inputs_precede_their_targets_in_a_document(
    lengths: list[int], context_length: int, packing: Packing, adds_bos: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = write_store(Path(folder) / "store", lengths, adds_bos=adds_bos)
        order = build_row_order(
            [MixtureMember("one", store)],
            context_length=context_length,
            packing=packing,
            rows_per_batch=2,
            seed=1,
        )
        batches = epoch_batches(order, 0)
    starts = set((2 + np.cumsum([0, *lengths[:-1]])).tolist())
    start = BOS if adds_bos else EOS
    for batch in batches:
        before, after = batch.inputs.ravel(), batch.targets.ravel()
        text = after > 1
        first = np.isin(after, list(starts))
        assert (before[first] == start).all()
        assert (before[text & ~first] == after[text & ~first] - 1).all()
        if packing == "decompose":
            assert batch.inputs.shape[1] & (batch.inputs.shape[1] - 1) == 0
            assert not (batch.inputs[:, 1:] == start).any()


@pytest.mark.bench
@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(
    domain=LENGTHS,
    replay=st.lists(LENGTHS, min_size=1, max_size=3),
    packing=PACKINGS,
    rows_per_batch=st.integers(1, 4),
    share=st.sampled_from([0.05, 0.25, 0.5]),
    seed=st.integers(0, 5),
    of_rows=st.booleans(),
)
def test_random_access_ranks_and_a_second_order_give_the_same_batches(
    domain: list[int],
    replay: list[list[int]],
    packing: Packing,
    rows_per_batch: int,
    share: float,
    seed: int,
    of_rows: bool,
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        members = [MixtureMember("domain", write_store(folder / "domain", domain), "domain", 1.5)]
        for number, lengths in enumerate(replay):
            store = write_store(folder / str(number), lengths, first_token=10_000 * (number + 1))
            members.append(MixtureMember(str(number), store, "replay", 1.0 + number))

        def build() -> RowOrder:
            return build_row_order(
                members,
                context_length=16,
                packing=packing,
                rows_per_batch=rows_per_batch,
                seed=seed,
                replay_share=share,
                of_rows=of_rows,
            )

        order, other = build(), build()
        count = sum(order.batches_in_epoch(epoch) for epoch in range(3))
        sequential = [batch for _, batch in zip(range(count), order, strict=False)]
        for index in reversed(range(count)):
            batch = other.batch(index)
            assert np.array_equal(batch.inputs, sequential[index].inputs)
            assert np.array_equal(batch.targets, sequential[index].targets)
            parts = [other.batch(index, rank, 3) for rank in range(3)]
            rows = [tuple(row) for part in parts for row in part.targets.tolist()]
            assert sorted(rows) == sorted(tuple(row) for row in batch.targets.tolist())


@pytest.mark.slow
def test_replay_gives_its_share_and_goes_through_its_own_passes(tmp_path: Path) -> None:
    domain = write_store(tmp_path / "domain", [50] * 400)
    small = write_store(tmp_path / "small", [40] * 20, first_token=100_000)
    large = write_store(tmp_path / "large", [64] * 300, first_token=200_000)
    order = build_row_order(
        [
            MixtureMember("domain", domain),
            MixtureMember("small", small, "replay", 1.0),
            MixtureMember("large", large, "replay", 3.0),
        ],
        context_length=32,
        packing="concat",
        rows_per_batch=4,
        seed=0,
        replay_share=0.2,
    )
    epochs = [target_counts(epoch_batches(order, epoch)) for epoch in range(4)]
    for counts in epochs:
        tokens = {
            "domain": sum(n for token, n in counts.items() if 1 < token < 100_000),
            "small": sum(n for token, n in counts.items() if 100_000 <= token < 200_000),
            "large": sum(n for token, n in counts.items() if token >= 200_000),
        }
        total = sum(tokens.values())
        assert tokens["domain"] == 20_000
        assert (tokens["small"] + tokens["large"]) / total == pytest.approx(0.2, abs=0.01)
        assert tokens["large"] / tokens["small"] == pytest.approx(3, rel=0.06)
    together = sum(epochs, Counter())
    seen = [together[200_000 + token] for token in range(64 * 300)]
    assert max(seen) - min(seen) <= 1


def test_a_fractional_weight_covers_the_corpus_over_its_epochs(tmp_path: Path) -> None:
    store = write_store(tmp_path / "store", [30] * 101)
    order = build_row_order(
        [MixtureMember("half", store, "domain", 0.4)],
        context_length=8,
        packing="concat",
        rows_per_batch=3,
        seed=0,
    )
    counts = sum((target_counts(epoch_batches(order, epoch)) for epoch in range(5)), Counter())
    assert {counts[2 + token] for token in range(30 * 101)} == {2}


def test_epochs_and_seeds_have_different_orders(tmp_path: Path) -> None:
    store = write_store(tmp_path / "store", [20] * 50)

    def order(seed: int) -> RowOrder:
        return build_row_order(
            [MixtureMember("one", store)],
            context_length=16,
            packing="concat",
            rows_per_batch=2,
            seed=seed,
        )

    one, two = order(1), order(2)
    count = one.batches_per_epoch
    assert not np.array_equal(one.batch(0).inputs, two.batch(0).inputs)
    assert not np.array_equal(one.batch(0).inputs, one.batch(count).inputs)


def test_held_out_documents_never_reach_a_row(tmp_path: Path) -> None:
    sides = ["train", "validation", "test", "train"]
    store = write_store(tmp_path / "store", [5, 6, 7, 8], sides=sides)
    order = build_row_order(
        [MixtureMember("one", store)],
        context_length=4,
        packing="decompose",
        rows_per_batch=2,
        seed=1,
    )
    counts = target_counts(epoch_batches(order, 0))
    counts.pop(EOS)
    assert sorted(counts) == [*range(2, 7), *range(20, 28)]


@pytest.mark.slow
@pytest.mark.parametrize("packing", ["concat", "decompose"])
def test_the_number_of_shapes_is_small(tmp_path: Path, packing: Packing) -> None:
    lengths = np.random.default_rng(0).integers(1, 5_000, 300).tolist()
    store = write_store(tmp_path / "store", lengths)
    order = build_row_order(
        [MixtureMember("one", store)],
        context_length=512,
        packing=packing,
        rows_per_batch=4,
        seed=0,
    )
    taken = updates(order, 4, epochs=2)
    batches = [batch for update in taken for batch in update]
    assert len({batch.inputs.shape for batch in batches}) <= (4 if packing == "concat" else 20)
    # Updates of several shapes, and smaller ones, are those at the ends of the epochs.
    assert len(batches) <= len(taken) + 20
    assert sum(update_size(update) == 4 * 512 for update in taken) >= len(taken) - 10


def updates(order: RowOrder, rows: int, epochs: int) -> list[list[Batch]]:
    """The micro-batches of each update."""
    end = sum(order.batches_in_epoch(epoch) for epoch in range(epochs))
    step = order.batches_per_update
    return [
        list(order.micro_batches(first, min(first + step, end), rows))
        for first in range(0, end, step)
    ]


def update_size(update: list[Batch]) -> int:
    return sum(batch.targets.size for batch in update)


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(
    lengths=LENGTHS,
    replay=LENGTHS,
    packing=PACKINGS,
    per_update=st.sampled_from([1, 2, 5, 12]),
    seed=st.integers(0, 5),
)
def test_however_an_update_is_cut_it_has_the_same_rows(
    lengths: list[int], replay: list[int], packing: Packing, per_update: int, seed: int
) -> None:
    with tempfile.TemporaryDirectory() as name:
        members = [
            MixtureMember("domain", write_store(Path(name) / "d", lengths), "domain", 1.5),
            MixtureMember("r", write_store(Path(name) / "r", replay, first_token=10_000), "replay"),
        ]

        def order(rows: int) -> RowOrder:
            """Of a run whose own micro-batches have so many rows."""
            return build_row_order(
                members,
                context_length=16,
                packing=packing,
                rows_per_batch=rows,
                accumulation=per_update // rows,
                seed=seed,
                replay_share=0.25,
            )

        whole = updates(order(per_update), per_update, epochs=3)
        for rows in {1, 2, 3, (per_update + 1) // 2} & set(range(1, per_update + 1)):
            made_for = rows if per_update % rows == 0 else per_update
            cut = updates(order(made_for), rows, epochs=3)
            for update, same in zip(cut, whole, strict=True):
                assert [row.tolist() for batch in update for row in batch.targets] == [
                    row.tolist() for batch in same for row in batch.targets
                ]
                assert all(batch.targets.size <= rows * 16 for batch in update)


@pytest.mark.parametrize("packing", ["concat", "decompose"])
def test_runs_of_before_keep_their_order_also_with_smaller_micro_batches(
    tmp_path: Path, packing: Packing
) -> None:
    order = build_row_order(
        [MixtureMember("one", write_store(tmp_path / "store", [3, 40, 9, 170, 1, 33]))],
        context_length=16,
        packing=packing,
        rows_per_batch=4,
        accumulation=3,
        seed=0,
        of_rows=False,
    )
    assert order.batches_per_update == 3
    batches = epoch_batches(order, 0)
    for rows in (1, 2, 3, 4):
        cut = list(order.micro_batches(0, len(batches), rows))
        assert [row.tolist() for batch in cut for row in batch.inputs] == [
            row.tolist() for batch in batches for row in batch.inputs
        ]
    assert [batch.inputs.shape for batch in cut] == [batch.inputs.shape for batch in batches]


@pytest.mark.parametrize("packing", ["concat", "decompose"])
def test_origins_name_the_documents_of_each_row(tmp_path: Path, packing: Packing) -> None:
    lengths = [3, 40, 9, 17, 1]
    store = write_store(tmp_path / "store", lengths)
    starts = np.cumsum([0, *lengths])
    order = build_row_order(
        [MixtureMember("one", store)],
        context_length=16,
        packing=packing,
        rows_per_batch=2,
        seed=0,
    )
    for index in range(order.batches_per_epoch):
        batch = order.batch(index)
        for row, (segments, inputs) in enumerate(
            zip(order.origins(index), batch.inputs.tolist(), strict=True)
        ):
            whole = [*inputs, int(batch.targets[row, -1])]
            told = [
                2 + int(starts[segment.document]) + token
                for segment in segments
                for token in range(segment.start, segment.stop)
            ]
            assert told == [token for token in whole if token > 1]


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(
    lengths=LENGTHS,
    more=LENGTHS,
    context_length=st.integers(1, 40),
    packing=PACKINGS,
    adds_bos=st.booleans(),
    accumulation=st.integers(1, 3),
)
def test_a_document_s_first_row_is_found(
    lengths: list[int],
    more: list[int],
    context_length: int,
    packing: Packing,
    adds_bos: bool,
    accumulation: int,
) -> None:
    sides = ["validation" if number % 5 == 4 else "train" for number in range(len(lengths))]
    with tempfile.TemporaryDirectory() as folder:
        one = write_store(Path(folder) / "one", lengths, adds_bos=adds_bos, sides=sides)
        two = write_store(Path(folder) / "two", more, first_token=10_000, adds_bos=adds_bos)
        order = build_row_order(
            [MixtureMember("one", one), MixtureMember("two", two)],
            context_length=context_length,
            packing=packing,
            rows_per_batch=1,
            accumulation=accumulation,
            seed=3,
        )
        for member, (name, store) in enumerate((("one", one), ("two", two))):
            for number in range(len(store.documents)):
                batch = order.first_batch_of(number, member)
                if store is one and sides[number] != "train":
                    assert batch is None
                    continue
                assert batch is not None and batch < order.batches_per_epoch
                parts = [part for row in order.origins(batch) for part in row]
                assert any((p.corpus, p.document, p.start) == (name, number, 0) for p in parts)
            assert order.first_batch_of(len(store.documents), member) is None


def test_a_mixture_without_a_domain_is_refused(tmp_path: Path) -> None:
    store = write_store(tmp_path / "store", [5])
    with pytest.raises(UserError, match="no domain corpus"):
        build_row_order(
            [MixtureMember("one", store, "replay")],
            context_length=4,
            packing="concat",
            rows_per_batch=1,
            seed=0,
            replay_share=0.1,
        )


def test_a_corpus_without_training_documents_is_refused(tmp_path: Path) -> None:
    store = write_store(tmp_path / "store", [5], sides=["test"])
    with pytest.raises(UserError, match="no training documents"):
        build_row_order(
            [MixtureMember("one", store)],
            context_length=4,
            packing="concat",
            rows_per_batch=1,
            seed=0,
        )
