"""The order of training: which rows make up each batch of each epoch.

An epoch is defined by the domain corpora, each of which contributes `weight` passes. Replay
corpora add a fixed share of the epoch's targets and go on through their own passes: an epoch
takes up where the former one left off. What a corpus contributes to epoch e is, for every row
length, the rows number floor(e*w*n) to floor((e+1)*w*n) of its endless sequence of passes of n
rows each, with w passes an epoch; the arithmetic is exact. So with a whole weight every token
is a target exactly `weight` times an epoch, and with any weight the passes stay whole.

Conversations give rows of which only the answers count (`conversations.rows`); shares, epochs and
lengths in tokens are of counted targets.

Rows of equal length from all corpora are shuffled together and cut into batches of equal token
count; those batches are shuffled too, and the incomplete one that remains of each length comes
last. The order is a pure function of the stores' fingerprints, the seed and the epoch, and any
batch is computed by itself: the loader's whole state is the number of the next batch.

That was the order of micro-batches, which runs of before keep. The order of new runs is one of
rows: a batch is one row of full length, or as many shorter ones as make one up, and an update takes
so many of them as the run has decided once, over the ends of epochs, too. However an update is cut
into micro-batches, it sees the same rows: 4 rows at once are 1 row accumulated 4 times. Where rows
have several lengths, those of an update have the same one as far as there are enough of them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

import numpy as np
import numpy.typing as npt

from cptstudio.corpus.conversations.rows import ConversationRows
from cptstudio.corpus.packing import PackedCorpus, Segment, Tokens, pack
from cptstudio.corpus.permutation import Indices, KeyedPermutation, derive_key
from cptstudio.corpus.token_store import TokenStore
from cptstudio.errors import UserError
from cptstudio.settings import LongConversations, Packing


@dataclass(frozen=True)
class MixtureMember:
    """A corpus's part in a mixture.

    Attributes:
        name: the corpus's name, for messages and `Segment`.
        store: its tokens.
        role: "domain" corpora define the epoch, "replay" corpora accompany it.
        weight: for a domain corpus, passes an epoch; for a replay corpus, its part of the
            replayed targets relative to the other replay corpora.
    """

    name: str
    store: TokenStore
    role: Literal["domain", "replay"] = "domain"
    weight: float = 1.0


@dataclass(frozen=True)
class Batch:
    """Rows of one length.

    Attributes:
        inputs: int32 [rows, length].
        targets: int32 [rows, length], the token after each input.
        mask: bool [rows, length], which targets count; None when all do, as where no corpus is
            one of conversations.
        places: int64 [rows], which rows of the update these are, however it is cut and whoever
            computes it; None where nobody asked for an update.
    """

    inputs: Tokens
    targets: Tokens
    mask: npt.NDArray[np.bool_] | None = None
    places: Indices | None = None


@dataclass(frozen=True)
class _Share:
    """Rows of one length that one corpus contributes to one epoch."""

    member: int
    first: int
    count: int
    per_pass: int
    counted: int

    @property
    def targets(self) -> int:
        """How many targets of these rows count; on average, where it differs from row to row."""
        return self.count * self.counted // self.per_pass


@dataclass(frozen=True)
class _Group:
    """All rows of one length in one epoch."""

    length: int
    shares: tuple[_Share, ...]
    rows: int
    rows_per_batch: int
    permutation: KeyedPermutation

    @property
    def targets(self) -> int:
        """How many targets of its rows count."""
        return sum(share.targets for share in self.shares)

    def batch(self, number: int) -> Indices:
        """Return the rows of a batch before they are shuffled; the last batch may have fewer."""
        first = number * self.rows_per_batch
        return np.arange(first, min(first + self.rows_per_batch, self.rows))


class _Epoch:
    """The layout of one epoch: groups of rows and the order of their batches."""

    def __init__(self, groups: list[_Group], key: int) -> None:
        self.groups = groups
        self._full_ends = np.cumsum([group.rows // group.rows_per_batch for group in groups])
        self._full = int(self._full_ends[-1]) if groups else 0
        self._rest = [g for g, group in enumerate(groups) if group.rows % group.rows_per_batch]
        self._permutation = KeyedPermutation(self._full, key)
        self.batches = self._full + len(self._rest)
        self.targets = sum(group.targets for group in groups)
        self.positions = sum(group.rows * group.length for group in groups)

    def place(self, batch: int) -> tuple[_Group, Indices]:
        """Return the group of a batch and the row numbers in it, before they are shuffled."""
        if batch >= self._full:
            group = self.groups[self._rest[batch - self._full]]
            start = group.rows - group.rows % group.rows_per_batch
            return group, np.arange(start, group.rows)
        shuffled = int(self._permutation(np.array([batch]))[0])
        g = int(np.searchsorted(self._full_ends, shuffled, side="right"))
        number = shuffled - (int(self._full_ends[g - 1]) if g else 0)
        return self.groups[g], self.groups[g].batch(number)


class _EpochOfRows:
    """The layout of one epoch for updates of so many batches, of one row (of full length) each.

    Where rows have several lengths, whole updates of one length are shuffled. What is left over
    of each length comes at both ends: in front as much as completes the update that the former
    epoch began, so that the whole ones are not cut.

    Args:
        update: batches of an update.
        lead: how many batches complete the update that the former epoch began.
    """

    def __init__(self, groups: list[_Group], key: int, update: int, lead: int) -> None:
        self.groups = groups
        counts = [math.ceil(group.rows / group.rows_per_batch) for group in groups]
        self.batches = sum(counts)
        self.targets = sum(group.targets for group in groups)
        self.positions = sum(group.rows * group.length for group in groups)
        self._update = update
        self._lead = lead
        whole = [group.rows // group.rows_per_batch // update for group in groups]
        rest = self.batches - sum(whole) * update
        if rest < lead and any(whole):
            whole[whole.index(max(whole))] -= 1
        self._ends = np.cumsum(whole)
        self._rest = [
            (g, range(many * update, count))
            for g, (many, count) in enumerate(zip(whole, counts, strict=True))
        ]
        self._rest_ends = np.cumsum([len(numbers) for _, numbers in self._rest])
        self._permutation = KeyedPermutation(sum(whole), key)

    def place(self, batch: int) -> tuple[_Group, Indices]:
        """As `_Epoch.place`."""
        whole = self._permutation.size * self._update
        if self._lead <= batch < self._lead + whole:
            update, within = divmod(batch - self._lead, self._update)
            shuffled = int(self._permutation(np.array([update]))[0])
            g = int(np.searchsorted(self._ends, shuffled, side="right"))
            number = shuffled - (int(self._ends[g - 1]) if g else 0)
            return self.groups[g], self.groups[g].batch(number * self._update + within)
        left_over = batch if batch < self._lead else batch - whole
        place = int(np.searchsorted(self._rest_ends, left_over, side="right"))
        g, numbers = self._rest[place]
        return self.groups[g], self.groups[g].batch(
            numbers[left_over - (int(self._rest_ends[place - 1]) if place else 0)]
        )

    def batch_of(self, group: int, number: int) -> int:
        """Return the batch that is a group's batch of a number, which `place` gives for it."""
        before = int(self._ends[group - 1]) if group else 0
        if number < (int(self._ends[group]) - before) * self._update:
            update, within = divmod(number, self._update)
            return self._lead + self._permutation.place_of(before + update) * self._update + within
        place = next(place for place, (g, _) in enumerate(self._rest) if g == group)
        left_over = (int(self._rest_ends[place - 1]) if place else 0) + number
        left_over -= self._rest[place][1].start
        whole = self._permutation.size * self._update
        return left_over if left_over < self._lead else left_over + whole


class RowOrder:
    """Every batch of every epoch, by number.

    Attributes:
        context_length: targets in the longest row.
        rows_per_batch: rows in a full batch of the longest rows.
        batches_per_update: that one optimizer update takes.
        members: the mixture.
        passes_per_epoch: for each member, the passes over it in an epoch.
        is_masked: whether there are targets that do not count, and batches say which do.

    Args:
        of_rows: whether this is the order of rows, with one row in each batch, or that of
            micro-batches.
    """

    def __init__(
        self,
        members: Sequence[MixtureMember],
        packed: Sequence[PackedCorpus],
        passes_per_epoch: Sequence[Fraction],
        context_length: int,
        rows_per_batch: int,
        seed: int,
        batches_per_update: int = 1,
        of_rows: bool = False,
    ) -> None:
        self.members = tuple(members)
        self.context_length = context_length
        self.rows_per_batch = rows_per_batch
        self.batches_per_update = batches_per_update
        self._of_rows = of_rows
        self.passes_per_epoch = tuple(passes_per_epoch)
        self._packed = tuple(packed)
        self.is_masked = any(member.store.counts is not None for member in members)
        fingerprints = [member.store.fingerprint for member in members]
        self._key = derive_key("mixture", seed, *fingerprints)
        self._epochs: dict[int, _Epoch | _EpochOfRows] = {}
        self._starts = [0]

    @property
    def batches_per_epoch(self) -> int:
        """Batches in the first epoch; later ones differ by a few where weights are fractions."""
        return self.batches_in_epoch(0)

    @property
    def tokens_per_epoch(self) -> int:
        """Targets in the first epoch that count."""
        return self._epoch(0).targets

    @property
    def positions_per_epoch(self) -> int:
        """All targets in the first epoch, those that do not count and padding included."""
        return self._epoch(0).positions

    def batches_in_epoch(self, epoch: int) -> int:
        """Return the batches in one epoch."""
        return self._epoch(epoch).batches

    def locate(self, index: int) -> tuple[int, int]:
        """Epoch, and batch within it, of a batch's number counted from the run's start."""
        if index < 0:
            raise IndexError(f"batch {index}")
        while self._starts[-1] <= index:
            self._start(len(self._starts))
        epoch = int(np.searchsorted(self._starts, index, side="right")) - 1
        return epoch, index - self._starts[epoch]

    def batch(self, index: int, rank: int = 0, ranks: int = 1) -> Batch:
        """Return one batch, or a rank's share of it.

        Args:
            index: the batch's number counted from the start of the first epoch.
            rank: which share.
            ranks: number of shares; they take the batch's rows in turn. A share of a batch
                of fewer rows than ranks may be empty, [0, length].
        """
        _, group, rows = self._rows(index)
        chosen = rows[rank::ranks]
        return _batch_of(self._tokens(group, chosen), self._mask(group, chosen))

    def micro_batches(
        self, first: int, until: int, rows: int, rank: int = 0, ranks: int = 1
    ) -> Iterator[Batch]:
        """Yield the batches from one number up to another, cut into micro-batches.

        Args:
            rows: of full length in a micro-batch at most; of shorter ones as many as have as many
                tokens. All rows of a micro-batch have the same length, so some are smaller.
            rank: which share of these rows.
            ranks: number of shares; they take the rows in turn. One may get none.
        """
        count = 0
        for length, parts in self._parts(first, until):
            tokens = np.concatenate([self._tokens(group, numbers) for group, numbers in parts])
            mask = None
            if self.is_masked:
                masks = [self._mask(group, numbers) for group, numbers in parts]
                mask = np.concatenate([one for one in masks if one is not None])
            places = np.arange(count, count + len(tokens))
            count += len(tokens)
            if ranks > 1:
                mine = places % ranks == rank
                tokens, places = tokens[mine], places[mine]
                mask = None if mask is None else mask[mine]
            size = max(1, rows * self.context_length // length)
            for start in range(0, len(tokens), size):
                part = slice(start, start + size)
                batch = _batch_of(tokens[part], None if mask is None else mask[part])
                yield replace(batch, places=places[part])

    def _parts(self, first: int, until: int) -> Iterator[tuple[int, list[tuple[_Group, Indices]]]]:
        """Rows that may lie in one micro-batch, by their length.

        In the order of micro-batches these are a batch's. In that of rows they are all which
        have the same length and follow each other.
        """
        placed = [self._rows(index)[1:] for index in range(first, until)]
        if not self._of_rows:
            yield from ((group.length, [(group, rows)]) for group, rows in placed)
            return
        for length, same in itertools.groupby(placed, key=lambda one: one[0].length):
            parts: list[tuple[_Group, Indices]] = []
            for group, rows in same:
                if parts and parts[-1][0] is group:
                    parts[-1] = (group, np.concatenate([parts[-1][1], rows]))
                else:
                    parts.append((group, rows))
            yield length, parts

    def _tokens(self, group: _Group, rows: Indices) -> Tokens:
        """int32 [rows, length + 1]: inputs, and the target of the last one."""
        tokens = np.empty((len(rows), group.length + 1), dtype=np.int32)
        for share, first, places in self._by_share(group, rows):
            passes, within = np.divmod(first, share.per_pass)
            for number in np.unique(passes).tolist():
                chosen = passes == number
                packed = self._packed[share.member]
                tokens[places[chosen]] = packed.rows(number, group.length, within[chosen])
        return tokens

    def _mask(self, group: _Group, rows: Indices) -> npt.NDArray[np.bool_] | None:
        """Which targets of rows count, [rows, length]; None in an order where all do."""
        if not self.is_masked:
            return None
        mask = np.ones((len(rows), group.length), dtype=bool)
        for share, first, places in self._by_share(group, rows):
            passes, within = np.divmod(first, share.per_pass)
            for number in np.unique(passes).tolist():
                chosen = passes == number
                found = self._packed[share.member].mask(number, group.length, within[chosen])
                if found is not None:
                    mask[places[chosen]] = found
        return mask

    def origins(self, index: int) -> list[list[Segment]]:
        """For every row of a batch, the parts of documents that it is made of."""
        _, group, rows = self._rows(index)
        result: list[list[Segment]] = [[] for _ in rows]
        for share, first, places in self._by_share(group, rows):
            for row, place in zip(first.tolist(), places.tolist(), strict=True):
                number, within = divmod(row, share.per_pass)
                packed = self._packed[share.member]
                result[place] = packed.segments(number, group.length, within)
        return result

    def first_batch_of(self, document: int, member: int = 0) -> int | None:
        """The batch of the first epoch with a document's first row; None where there is none.

        Only in the order of rows.

        Args:
            document: its number in the document store.
            member: of which corpus of the mixture.
        """
        found = self._packed[member].first_row(0, document)
        epoch = self._epoch(0)
        if found is None or not isinstance(epoch, _EpochOfRows):
            return None
        length, row = found
        for number, group in enumerate(epoch.groups):
            if group.length != length:
                continue
            before = 0
            for share in group.shares:
                if share.member == member and share.first <= row < share.first + share.count:
                    place = group.permutation.place_of(before + row - share.first)
                    return epoch.batch_of(number, place // group.rows_per_batch)
                before += share.count
        return None

    def __iter__(self) -> Iterator[Batch]:
        """Batches without end, from the first one."""
        index = 0
        while True:
            yield self.batch(index)
            index += 1

    def _rows(self, index: int) -> tuple[int, _Group, Indices]:
        epoch, within = self.locate(index)
        group, rows = self._epoch(epoch).place(within)
        return epoch, group, group.permutation(rows)

    @staticmethod
    def _by_share(group: _Group, rows: Indices) -> Iterator[tuple[_Share, Indices, Indices]]:
        """Rows of each corpus: (share, numbers in its endless sequence, places in the batch)."""
        ends = np.cumsum([share.count for share in group.shares])
        which = np.searchsorted(ends, rows, side="right")
        for number, share in enumerate(group.shares):
            places = np.flatnonzero(which == number)
            if places.size:
                yield share, rows[places] - (int(ends[number]) - share.count) + share.first, places

    def _epoch(self, epoch: int) -> _Epoch | _EpochOfRows:
        if epoch not in self._epochs:
            start = self._start(epoch) if self._of_rows else 0
            if len(self._epochs) >= 8:
                self._epochs.pop(min(self._epochs))
            self._epochs[epoch] = self._lay_out(epoch, start)
        return self._epochs[epoch]

    def _start(self, epoch: int) -> int:
        """Number of an epoch's first batch."""
        while len(self._starts) <= epoch:
            self._starts.append(self._starts[-1] + self.batches_in_epoch(len(self._starts) - 1))
        return self._starts[epoch]

    def _lay_out(self, epoch: int, start: int) -> _Epoch | _EpochOfRows:
        shares: dict[int, list[_Share]] = {}
        for member, (packed, passes) in enumerate(
            zip(self._packed, self.passes_per_epoch, strict=True)
        ):
            for length, per_pass in packed.row_counts.items():
                first = math.floor(epoch * passes * per_pass)
                count = math.floor((epoch + 1) * passes * per_pass) - first
                if count:
                    share = _Share(member, first, count, per_pass, packed.counted[length])
                    shares.setdefault(length, []).append(share)
        groups = []
        for length in sorted(shares, reverse=True):
            rows = sum(share.count for share in shares[length])
            size = max(1, self.rows_per_batch * self.context_length // length)
            permutation = KeyedPermutation(rows, derive_key("rows", self._key, epoch, length))
            groups.append(_Group(length, tuple(shares[length]), rows, size, permutation))
        key = derive_key("batches", self._key, epoch)
        if not self._of_rows:
            return _Epoch(groups, key)
        return _EpochOfRows(groups, key, self.batches_per_update, -start % self.batches_per_update)


def _batch_of(tokens: Tokens, mask: npt.NDArray[np.bool_] | None) -> Batch:
    inputs, targets = tokens[:, :-1], tokens[:, 1:]
    return Batch(np.ascontiguousarray(inputs), np.ascontiguousarray(targets), mask)


def build_row_order(
    members: Sequence[MixtureMember],
    *,
    context_length: int,
    packing: Packing,
    rows_per_batch: int,
    seed: int,
    replay_share: float = 0.0,
    accumulation: int = 1,
    of_rows: bool = True,
    long_conversations: LongConversations = "shorten",
) -> RowOrder:
    """Return the order of training for a mixture.

    Args:
        members: corpora tokenised by the same tokenizer, at least one of them a domain.
        context_length: targets in the longest row; with "decompose" the largest power of two
            up to it is used.
        packing: "concat" or "decompose".
        rows_per_batch: rows in a full micro-batch of the longest rows.
        seed: chooses the order.
        replay_share: fraction of all targets of an epoch that the replay corpora give.
        accumulation: micro-batches of an update.
        of_rows: the order of rows; otherwise that of micro-batches, as in runs of before.
        long_conversations: what becomes of conversations that are longer than a row.

    Raises:
        UserError: no domain corpus, one without training documents, or tokenizers that differ.
    """
    if packing == "decompose":
        context_length = 1 << (context_length.bit_length() - 1)
    _check(members)
    if replay_share == 0:
        members = [member for member in members if member.role == "domain"]
    packed: list[PackedCorpus] = []
    for member in members:
        of = (member.store, member.name, context_length, packing)
        conversations = member.store.counts is not None
        rows: PackedCorpus = (
            ConversationRows(*of, long_conversations) if conversations else pack(*of, seed)
        )
        if not rows.targets_per_pass:
            raise _nothing_to_train_on(member, context_length)
        packed.append(rows)
    passes = _passes_per_epoch(members, packed, replay_share)
    of_one = (1, rows_per_batch * accumulation) if of_rows else (rows_per_batch, accumulation)
    return RowOrder(members, packed, passes, context_length, of_one[0], seed, of_one[1], of_rows)


def _nothing_to_train_on(member: MixtureMember, context_length: int) -> UserError:
    if member.store.manifest.documents.get("train", 0) and member.store.counts is not None:
        return UserError(
            f"No conversation of the corpus {member.name!r} fits into {context_length:,} tokens. "
            "Increase the sequence length."
        )
    return UserError(f"The corpus {member.name!r} has no training documents.")


def _check(members: Sequence[MixtureMember]) -> None:
    if not any(member.role == "domain" for member in members):
        raise UserError("There is no domain corpus. Add at least one.")
    first = members[0]
    for member in members[1:]:
        if member.store.tokenizer != first.store.tokenizer:
            raise UserError(
                f"The corpora {first.name!r} and {member.name!r} were tokenized with "
                "different tokenizers. Tokenize both for the model you want to train."
            )


def _passes_per_epoch(
    members: Sequence[MixtureMember], packed: Sequence[PackedCorpus], replay_share: float
) -> list[Fraction]:
    """Exact passes an epoch over each corpus."""
    share = Fraction(str(replay_share))
    weights = [Fraction(str(member.weight)) for member in members]
    targets = [rows.targets_per_pass for rows in packed]
    domain = sum(
        (w * n for m, w, n in zip(members, weights, targets, strict=True) if m.role == "domain"),
        Fraction(0),
    )
    relative = sum(w for m, w in zip(members, weights, strict=True) if m.role == "replay")
    replayed = domain * share / (1 - share)
    return [
        weight if member.role == "domain" else replayed * weight / relative / count
        for member, weight, count in zip(members, weights, targets, strict=True)
    ]
