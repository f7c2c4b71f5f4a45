"""One record in so many, and which."""

from __future__ import annotations

import random

import pytest

from agent.batch import Batch
from agent.level import Level
from agent.pipeline.sample import SAMPLE, Sampler, Sampling
from tests.pipeline.steps import Tallied, batch


def sampler(text: str, tally: Tallied | None = None) -> Sampler:
    return SAMPLE.parse(text).step(tally or Tallied())


def numbered(start: int, stop: int) -> Batch:
    return batch(*(b"%d" % number for number in range(start, stop)))


@pytest.mark.parametrize("text", ["10", "1/10", " 10 ; "])
@pytest.mark.parametrize("seed", range(5))
def test_each_tenth_stays_however_batches_are_cut(text: str, seed: int) -> None:
    """The first, the eleventh …; empty batches count for nothing."""
    seeded = random.Random(seed)
    tally, kept, at = Tallied(), list[bytes](), 0
    step = sampler(text, tally)
    while at < 1000:
        size = seeded.choice([0, 1, 3, 10, 40])
        kept += step(numbered(at, min(1000, at + size))).messages
        at += size
    assert kept == [b"%d" % number for number in range(0, 1000, 10)]
    assert tally.counts == {"sample": 900}


def test_of_a_trace_all_records_stay_or_none() -> None:
    """Each of a thousand traces of five records in a batch of its own; about one trace in ten stays."""
    step = sampler("10;by=field.trace.id")
    stays = []
    for trace in range(1000):
        fields = [b'{"trace":{"id":"%d"}}' % trace] * 5
        left = len(step(batch(*[b"x"] * 5, fields=fields)))
        assert left in (0, 5)
        stays.append(left == 5)
    assert 70 < sum(stays) < 130
    again = sampler("10;by=field.trace.id")
    assert [len(again(batch(b"y", fields=[b'{"trace":{"id":"%d"}}' % n]))) == 1 for n in range(1000)] == stays


def test_records_without_the_field_pass() -> None:
    given = batch(b"a", b"b", b"c", fields=[None, b'{"x":1}', b"{}"])
    assert sampler("1000000;by=field.trace_id")(given) is given
    plain = batch(b"a")
    assert sampler("1000000;by=field.trace_id")(plain) is plain


def test_excepted_records_pass_and_are_not_counted() -> None:
    levels = bytes([Level.ERROR, Level.INFO, Level.INFO, Level.WARNING, Level.INFO])
    step = sampler("3;except=level>=warning;except=x")
    given = batch(b"a", b"b", b"c", b"d", b"e", levels=levels)
    assert step(given).messages == [b"a", b"b", b"d"]
    assert step(batch(b"f", b"x", b"g")).messages == [b"f", b"x"]
    by_value = sampler("1000000;by=field.t;except=level>=warning")
    fields = [b'{"t":1}'] * 5
    assert by_value(batch(*[b"m"] * 5, levels=levels, fields=fields)).levels == bytes(
        [Level.ERROR, Level.WARNING]
    )


@pytest.mark.parametrize("text", ["off", "", "1", "1/1"])
def test_off_samples_nothing(text: str) -> None:
    assert not SAMPLE.parse(text)


@pytest.mark.parametrize("text", ["10", "1/10", "10;by=field.trace_id;except=level>=warning"])
def test_a_rule_reads_as_it_was_written(text: str) -> None:
    rule = SAMPLE.parse(text)
    assert rule
    assert SAMPLE.show(rule) == text
    assert SAMPLE.parse(text) == rule


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0", "a whole number from 1"),
        ("2/10", "a whole number from 1"),
        ("10%", "a whole number from 1"),
        ("10;20", "one of by=, except="),
        ("10;bye=field.x", "one of by=, except="),
        ("10;by=trace_id", "a field such as field.trace_id"),
        ("10;except=(", "RE2"),
        ("by=field.x", "a number such as 10"),
    ],
)
def test_what_is_no_rule_is_told_with_what_would_be(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Sampling.parse(text)
