"""What is written and what is stored."""

from itertools import count, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.simulator.copier import PIECE_BYTES, STDERR, STDOUT, Copier, Piece, as_json_file_keeps


def copied(*writes: bytes, driver: str = "local", ends_long_lines: bool = True) -> list[Piece]:
    """Write this, and exit; times count up from 1."""
    copier, clock = Copier(STDOUT, driver=driver, ends_long_lines=ends_long_lines), count(1)
    pieces = [piece for data in writes for piece in copier.write(data, lambda: next(clock))]
    return pieces + copier.finish(lambda: next(clock))


long_runs = st.integers(0, 3 * PIECE_BYTES).map(lambda length: b"x" * length)
output = st.lists(st.one_of(st.binary(max_size=40), st.just(b"\n"), long_runs), max_size=8).map(b"".join)


@given(output, st.lists(st.integers(0, 4 * PIECE_BYTES), max_size=6))
def test_whatever_the_writes_the_pieces_are_the_bytes_and_the_same(data: bytes, cuts: list[int]) -> None:
    """Nothing is lost, and where the process cut its writes cannot be seen."""
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    writes = [data[start:end] for start, end in pairwise(places)]
    pieces = copied(*writes)
    assert b"".join(piece.payload for piece in pieces) == data
    assert pieces == copied(data)


@given(output)
def test_a_piece_is_a_line_or_16_kib_of_one(data: bytes) -> None:
    """No newline inside; none missing unless the piece is full, or the last that was written."""
    *pieces, _last = [*copied(data), None]
    for piece in pieces:
        assert piece is not None
        line, newline, rest = piece.payload.partition(b"\n")
        assert rest == b""
        assert len(line) <= PIECE_BYTES
        assert newline or len(line) == PIECE_BYTES or piece is pieces[-1]


def test_all_pieces_of_a_line_bear_the_time_of_the_first() -> None:
    """Also when a line follows at once."""
    pieces = copied(b"x" * 40_000 + b"\nnext\n")
    assert [(piece.at, len(piece.payload)) for piece in pieces] == [(1, 16384), (1, 16384), (1, 7233), (2, 5)]


def test_a_line_of_exactly_16_kib_ends_in_an_empty_piece() -> None:
    """Its newline did not fit."""
    assert [piece.payload for piece in copied(b"y" * PIECE_BYTES + b"\n")] == [b"y" * PIECE_BYTES, b"\n"]
    assert [piece.payload for piece in copied(b"y" * (PIECE_BYTES - 1) + b"\n")] == [
        b"y" * (PIECE_BYTES - 1) + b"\n"
    ]


def test_an_unfinished_line_waits_and_never_gets_its_newline() -> None:
    """It is stamped when it is stored."""
    copier = Copier(STDERR)
    assert copier.write(b"one\ntw", lambda: 1) == [Piece(STDERR, 1, b"one\n")]
    assert copier.waiting == b"tw"
    assert not copier.at_line_start
    assert copier.finish(lambda: 9) == [Piece(STDERR, 9, b"tw")]
    assert copier.at_line_start


def test_the_local_driver_of_20_10_drops_the_newline_of_a_cut_line() -> None:
    """Not that of a whole one."""
    payloads = [p.payload for p in copied(b"x" * PIECE_BYTES + b"rest\nwhole\n", ends_long_lines=False)]
    assert payloads == [b"x" * PIECE_BYTES, b"rest", b"whole\n"]


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (b"caf\xc3\xa9", b"caf\xc3\xa9"),
        (b"a\xffb", "a\ufffdb".encode()),
        (b"\xe2\x82", "\ufffd\ufffd".encode()),
        (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd".encode()),
    ],
)
def test_json_file_keeps_a_replacement_for_each_bad_byte(written: bytes, kept: bytes) -> None:
    """As Go's decoder counts them: a cut sequence is several bad bytes."""
    assert as_json_file_keeps(written) == kept


def test_json_file_breaks_a_character_at_the_16_kib_border() -> None:
    """Each half is bad on its own."""
    data = b"x" * (PIECE_BYTES - 1) + "é".encode() + b"\n"
    first, last = (piece.payload for piece in copied(data, driver="json-file"))
    assert first.endswith("x\ufffd".encode())
    assert last == "\ufffd\n".encode()
