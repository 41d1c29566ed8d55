"""Rows of conversations: whole ones, of which only the answers count."""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from cptstudio.corpus.conversations.rows import fit_conversations
from cptstudio.corpus.rows import MixtureMember, RowOrder, build_row_order
from cptstudio.corpus.token_store import COUNTS, TokenStore
from cptstudio.errors import UserError
from cptstudio.settings import LongConversations, Packing
from tests.corpus.stores import write_conversations, write_store

LENGTH = 64


def order_of(
    *members: MixtureMember,
    packing: Packing = "concat",
    replay_share: float = 0.0,
    long: LongConversations = "shorten",
) -> RowOrder:
    return build_row_order(
        members,
        context_length=LENGTH,
        packing=packing,
        rows_per_batch=2,
        seed=3,
        replay_share=replay_share,
        accumulation=2,
        long_conversations=long,
    )


def many(count: int) -> list[list[tuple[int, int]]]:
    chance = random.Random(5)
    return [
        [(chance.randint(2, 9), chance.randint(1, 9)) for _ in range(chance.randint(1, 3))]
        for _ in range(count)
    ]


def counted_in_epoch(order: RowOrder) -> list[int]:
    """Every target that counts in the first epoch."""
    found: list[int] = []
    for batch in order.micro_batches(0, order.batches_per_epoch, 2):
        assert batch.mask is not None and batch.mask.shape == batch.targets.shape
        found += batch.targets[batch.mask].tolist()
    return found


def answers_of(store: TokenStore) -> list[int]:
    assert store.counts is not None
    return store.tokens[store.counts].tolist()


@pytest.mark.parametrize("packing", ["concat", "decompose"])
def test_each_token_of_each_answer_counts_once_an_epoch_and_nothing_else(
    tmp_path: Path, packing: Packing
) -> None:
    store = write_conversations(tmp_path / "talk", many(80))
    order = order_of(MixtureMember("talk", store), packing=packing)
    counted = counted_in_epoch(order)
    assert sorted(counted) == answers_of(store)
    assert order.tokens_per_epoch == len(counted) == store.manifest.counted["train"]  # type: ignore[index]
    for number in range(order.batches_per_epoch):
        for segments, tokens, mask in zip(
            order.origins(number),
            order.batch(number).inputs,
            order.batch(number).mask,  # type: ignore[arg-type]
            strict=True,
        ):
            # Whole, in one piece, from the row's beginning on, and padding behind.
            parts = [store.document_tokens(one.position or 0) for one in segments]
            whole = np.concatenate(parts)
            assert tokens[: len(whole)].tolist() == whole[: len(tokens)].tolist()
            assert not mask[len(whole) - 1 :].any()
            if packing == "decompose":
                assert len(segments) == 1 and len(tokens) < 2 * max(1, len(whole) - 1)
    # Best fit: no two rows could have been one.
    if packing == "concat":
        used = [
            sum(one.stop - one.start for one in segments)
            for number in range(order.batches_per_epoch)
            for segments in order.origins(number)
        ]
        assert sum(sorted(used)[:2]) > LENGTH + 1


def test_no_answer_is_cut_and_what_is_left_out_is_told(tmp_path: Path) -> None:
    long = [[(10, 20), (10, 20), (10, 20)], [(60, 30)], [(5, 5)], [(60, 5), (3, 3)]]
    store = write_conversations(tmp_path / "talk", long)
    # 65 tokens fit into a row of 64 targets: two answers of the first, one of the last.
    shortened = fit_conversations(store, LENGTH, "shorten")
    assert (shortened.shortened, shortened.left_out) == (2, 1)
    assert shortened.lengths.tolist() == [60, 10, 65]
    assert shortened.counted.tolist() == [40, 5, 5]
    assert shortened.tokens_left_out == 20 + 30 + 3
    whole = fit_conversations(store, LENGTH, "leave out")
    assert (whole.shortened, whole.left_out, whole.tokens_left_out) == (0, 3, 60 + 30 + 8)
    order = order_of(MixtureMember("talk", store))
    first, _, third, last = (store.document_tokens(number).tolist() for number in range(4))
    assert sorted(counted_in_epoch(order)) == sorted(
        first[10:30] + first[40:60] + third[5:] + last[60:65]
    )
    with pytest.raises(UserError, match="No conversation of the corpus 'talk' fits into 64 tokens"):
        order_of(MixtureMember("talk", write_conversations(tmp_path / "none", [[(70, 9)]])))


def test_shares_are_of_counted_targets(tmp_path: Path) -> None:
    talk = write_conversations(tmp_path / "talk", many(60))
    plain = write_store(tmp_path / "plain", [50] * 40, first_token=1 << 18)
    members = (MixtureMember("talk", talk), MixtureMember("plain", plain, "replay"))
    order = order_of(*members, replay_share=0.25)
    counted = talk.manifest.counted["train"]  # type: ignore[index]
    replayed = order.passes_per_epoch[1] * 2040
    assert replayed / (replayed + counted) == Fraction(1, 4)
    found = counted_in_epoch(order)
    of_plain = [token for token in found if token >= 1 << 18 or token == 0]
    assert abs(len(of_plain) - float(replayed)) < LENGTH
    assert len(found) - len(of_plain) == counted
    # Cut in any way, an update sees the same rows and masks.
    whole = list(order.micro_batches(0, 4, 4))
    single = list(order.micro_batches(0, 4, 1))
    for name in ("inputs", "targets", "mask"):
        left = np.concatenate([getattr(batch, name).ravel() for batch in whole])
        assert (
            left.tolist()
            == np.concatenate([getattr(batch, name).ravel() for batch in single]).tolist()
        )
    # Plain text alone has no mask, and so the numbers that it had.
    assert order_of(MixtureMember("plain", plain)).batch(0).mask is None


def test_a_stores_counts_are_verified(tmp_path: Path) -> None:
    store = write_conversations(tmp_path / "talk", many(5))
    store.verify()
    path = tmp_path / "talk" / COUNTS
    path.write_bytes(path.read_bytes()[::-1])
    with pytest.raises(UserError, match=r"the content of counts\.bin has changed"):
        TokenStore(tmp_path / "talk").verify()
