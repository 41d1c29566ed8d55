from cptstudio.lm.streams import most_streams


def test_streams_are_limited_by_the_memory_of_their_gradients() -> None:
    gib = 1 << 30
    assert most_streams(16, 55 << 20, 24 * gib) == 16
    assert most_streams(16, 4 * gib, 256 * gib) == 5
    assert most_streams(16, 4 * gib, 24 * gib) == 2
    assert most_streams(1, 4 * gib, 24 * gib) == 1
