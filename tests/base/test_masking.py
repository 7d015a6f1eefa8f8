"""Words of others: one printable line, cut, without mailboxes, in a time that grows with the length alone."""

import time

import pytest

from base.masking import LIMIT, clean, clean_lines, mask


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("plain, ñ 漢 😀", "plain, ñ 漢 😀"),
        ("two\nlines\r\nand\ttab", r"two\nlines\r\nand\ttab"),
        ("\x1b[31mred\x07\x00\x7f", r"\x1b[31mred\x07\x00\x7f"),
        ("C1 \x85 \x9b", r"C1 \x85 \x9b"),
        ("lines \u2028 \u2029", r"lines \u2028 \u2029"),
        ("turned \u202e \u2066 \u200f \u061c", r"turned \u202e \u2066 \u200f \u061c"),
        ("unseen \u200b \ufeff \xad \U000e0041", r"unseen \u200b \ufeff \xad \U000e0041"),
        ("blanks \xa0 \u3000", r"blanks \xa0 \u3000"),
        ("half \udc80", r"half \udc80"),
        ("nobody \ue000 \uffff", r"nobody \ue000 \uffff"),
        ("of ana@example.com.", "of a…@example.com."),
        ("ana\x1b@example.com", "a…@example.com"),
        ('"ana lopez"@example.com @@', "…@example.com …@…@"),
        ("x" * 10_000, "x" * LIMIT),
        ("\x1b" * 10_000, (r"\x1b" * LIMIT)[:LIMIT]),
    ],
)
def test_words_of_others(said: str, shown: str) -> None:
    assert clean(said) == shown
    assert clean(shown) == shown


def test_lines_of_ours_stay_lines() -> None:
    assert clean_lines("ours\n\x1b ana@example.com\n") == "ours\n\\x1b a…@example.com\n"


@pytest.mark.parametrize(
    "piece",
    ["{}@", "@{}", "@{},", '@"{}', '"{}"@', '@"{}"', '{}@"'],
    ids=["mailbox", "run", "runs", "open quote", "quoted mailbox", "quoted", "quote at the end"],
)
def test_the_mask_takes_a_time_that_grows_with_the_length_alone(piece: str) -> None:
    """Where it grew with the square, 32 times the text took 1,000 times as long."""

    def taken(length: int) -> float:
        text = piece.format("a" * length)
        return min(timed(text) for _ in range(3))

    def timed(text: str) -> float:
        started = time.perf_counter()
        mask(text)
        return time.perf_counter() - started

    assert taken(64_000) < 300 * max(taken(2_000), 1e-5)


def test_what_the_mask_finds_in_pieces_it_finds_in_the_whole() -> None:
    assert mask('a@b@c "x y"@z "@q') == 'a…@b…@c …@z "…@q'
