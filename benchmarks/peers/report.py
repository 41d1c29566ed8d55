"""From measured processes to the tables of docs/benchmarks.md."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from benchmarks.peers.catalogue import PEERS, SPLIT
from benchmarks.peers.markdown import table
from benchmarks.peers.measure import RANK, Measured
from benchmarks.peers.model_folder import TOKENIZER_PIECES, training_operations
from benchmarks.peers.plan import OURS

DISTURBED = 0.3


def of_cell(measured: Sequence[Measured], like: Measured) -> list[Measured]:
    """Those with the same method, context, vocabulary and BLAS, without failures."""
    return [one for one in measured if cell_of(one) == cell_of(like) and not one.error]


def cell_of(one: Measured) -> tuple[str, int, int, bool]:
    """What the tables have a section for."""
    return one.method, one.context, one.vocabulary, one.fast_blas


def cells(measured: Sequence[Measured]) -> list[Measured]:
    """One of each cell, in the order of measuring."""
    first: dict[tuple[str, int, int, bool], Measured] = {}
    for one in measured:
        first.setdefault(cell_of(one), one)
    return list(first.values())


def best_peer(measured: Sequence[Measured]) -> str | None:
    """The peer with the highest median of useful tokens per second, documents as they are."""
    names = {one.tool for one in measured if one.tool not in (OURS, SPLIT.name)}
    return max(
        names,
        key=lambda name: median(one.useful_per_second for one in measured if one.tool == name),
        default=None,
    )


def paired_ratios(measured: Sequence[Measured], peer: str) -> list[float]:
    """Ours over the peer's useful tokens per second, of each round that has both."""
    speed = {(one.tool, one.round): one.useful_per_second for one in measured}
    rounds = sorted({number for tool, number in speed if tool == OURS})
    return [
        speed[OURS, number] / speed[peer, number] for number in rounds if (peer, number) in speed
    ]


def ratio_text(ratios: Sequence[float]) -> str:
    """The median, and the range where there are several."""
    if not ratios:
        return "-"
    text = f"{median(ratios):.2f}"
    return text if len(ratios) == 1 else f"{text} ({min(ratios):.2f} to {max(ratios):.2f})"


def _row(name: str, ours: Sequence[Measured], ratios: Sequence[float]) -> list[str]:
    def middle(attribute: str) -> float:
        return median(float(getattr(one, attribute)) for one in ours)

    return [
        name,
        f"{middle('useful_per_second'):,.0f}",
        ratio_text(ratios),
        f"{middle('positions_per_second'):,.0f}",
        f"{middle('padding'):.1%}",
        f"{middle('covered'):.1%}",
        f"{middle('peak_bytes') / 1e6:,.0f}",
        f"{middle('mlx_peak_bytes') / 1e6:,.0f}",
        f"{middle('start_seconds'):.0f}",
        f"{ours[0].first_step_seconds:.1f}",
    ]


_HEAD = [
    "Tool",
    "useful tokens/s",
    "ours is ... times as fast",
    "computed/s",
    "padding",
    "corpus read in an epoch",
    "process MB",
    "MLX MB",
    "start s",
    "first step s",
]


def cell_table(measured: Sequence[Measured], like: Measured) -> str:
    """All tools in one cell."""
    there = of_cell(measured, like)
    tools = sorted(
        {one.tool for one in there},
        key=lambda name: -median(one.useful_per_second for one in there if one.tool == name),
    )
    rows = []
    for name in tools:
        own = [one for one in there if one.tool == name]
        rows.append(_row(name, own, [] if name == OURS else paired_ratios(there, name)))
    failed = {one.tool: one.error for one in measured if cell_of(one) == cell_of(like)}
    lines = [f"\n{name} has no row: {why}" for name, why in failed.items() if why]
    return "\n".join([table(_HEAD, rows), *lines])


def installed_table(measured: Sequence[Measured]) -> str:
    """Peers as installed beside CPT Studio as installed."""
    rows = []
    for one in measured:
        if one.fast_blas or one.error:
            continue
        ours = [
            other.useful_per_second
            for other in measured
            if other.tool == OURS
            and other.vocabulary == TOKENIZER_PIECES
            and (other.method, other.context) == (one.method, one.context)
        ]
        speed = median(ours) if ours else 0.0
        rows.append(
            [
                one.tool,
                one.method,
                f"{one.context:,}",
                f"{one.useful_per_second:,.1f}",
                f"{speed:,.0f}" if ours else "-",
                f"{speed / one.useful_per_second:.1f}" if ours else "-",
            ]
        )
    head = ["Tool", "method", "context", "useful tokens/s", "ours, as installed", "ratio"]
    return table(head, rows, texts=2)


def peak_table(measured: Sequence[Measured], product_speed: float) -> str:
    """What share of the machine's speed in large products our steps reach."""
    rows = []
    for like in cells(measured):
        own = [one for one in of_cell(measured, like) if one.tool == OURS]
        if not own:
            continue
        operations = training_operations(like.method, like.vocabulary, like.context, RANK)
        speed = median(one.positions_per_second for one in own) * operations
        rows.append(
            [
                like.method,
                f"{like.context:,}",
                f"{like.vocabulary:,}",
                f"{operations / 1e6:,.0f}",
                f"{speed / 1e9:,.0f}",
                f"{speed / product_speed:.0%}",
            ]
        )
    head = ["Method", "context", "vocabulary", "MFLOP a token", "GFLOP/s", "share of peak"]
    return table(head, rows)


def peers_table(measured: Sequence[Measured]) -> str:
    """Versions, and what each peer needed."""
    versions = {one.tool: one.versions for one in measured if one.versions}
    rows = []
    for peer in (*PEERS, SPLIT):
        found = versions.get(peer.name)
        if found:
            text = ", ".join(f"{name} {version}" for name, version in found.items())
            rows.append([peer.name, peer.entry, text, peer.needed or "nothing"])
    return table(["Peer", "started as", "versions", "what it needed"], rows, texts=4)


def page_part(facts: dict[str, Any], measured: Sequence[Measured]) -> str:
    """The whole part of docs/benchmarks.md that this benchmark keeps."""
    machine, documents = facts["machine"], facts["documents"]
    lines = [
        f"{facts['date']}: {machine['processor']}, {machine['cores']} cores, "
        f"{machine['memory_gib']} GiB, {machine['system']}, Python {machine['python']}; "
        f"large float32 products reach {facts['product_speed'] / 1e9:,.0f} GFLOP/s.",
        "",
        f"{documents['documents']:,} documents, {documents['bytes']:,} bytes, "
        f"{documents['tokens']:,} tokens (median {documents['median_tokens']:,}, longest "
        f"{documents['longest_tokens']:,}). Batch 4, AdamW, LoRA of rank {RANK} on all linear "
        f"layers; medians of {facts['rounds']} rounds, the tools in turn. Ratios are formed round "
        "by round: median (smallest to largest).",
        "",
        "#### With the same BLAS",
    ]
    for like in cells(measured):
        if like.fast_blas:
            title = f"{like.method}, context {like.context:,}, vocabulary {like.vocabulary:,}"
            lines += ["", f"**{title[0].upper()}{title[1:]}**", "", cell_table(measured, like)]
    if any(not one.fast_blas for one in measured):
        lines += ["", "#### As installed", "", installed_table(measured)]
    lines += ["", "#### Share of the machine's peak", ""]
    lines += [peak_table(measured, facts["product_speed"])]
    lines += ["", "#### The peers", "", peers_table(measured)]
    disturbed = sum(one.other_load >= DISTURBED for one in measured)
    if disturbed:
        lines += ["", f"Other programs disturbed {disturbed} of {len(measured)} processes."]
    return "\n".join(lines)
