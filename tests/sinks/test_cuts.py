"""Killed anywhere, however the next life cuts its requests: what is kept by its first record is there once."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.batch import Batch
from agent.sinks.cuts import Cuts, first_id
from agent.sinks.parcel import Parcel, cut
from tests.receivers.sent import START_NS, batch

NS_A_RECORD = 1_000_000


class Killed(Exception):
    """The process is gone: only what is durable is left."""


class World:
    """A spool with one position, and a receiver that keeps each request under its first record's id.

    durable  how many entries are done, and the checkpoint, as they were saved last together
    steps    how many more steps this life has: each save and each request is one
    """

    def __init__(self, sizes: list[int], chance: random.Random) -> None:
        self.chance = chance
        self.entries: list[Batch] = []
        row = 0
        for size in sizes:
            self.entries.append(batch([b"x"] * size, start_ns=START_NS + row * NS_A_RECORD))
            row += size
        self.durable: tuple[int, bytes | None] = (0, None)
        self.kept: dict[str, list[bytes]] = {}
        self.steps = 0

    def live(self, steps: int, records: int) -> None:
        """One life, until all is done or it is killed; with at most so many records in a request."""
        self.steps = steps
        done, checkpoint = self.durable
        cuts = Cuts(checkpoint)
        while done < len(self.entries):
            filled = self.entries[done : done + self.chance.randint(1, 5)]
            left = [len(entry) for entry in filled]
            for parcel in cut(enumerate(filled), records=records, weight=1 << 30):
                pending = [parcel]
                while pending:
                    part = pending.pop()
                    stored = self._deliver(cuts, part, done)
                    if not stored:
                        pending += reversed(part.halves())
                        continue
                    if stored < len(part):
                        pending.append(part.slice(stored, len(part)))
                    ended = self._settle(part.slice(0, stored), left)
                    if ended:
                        done += ended
                        checkpoint = cuts.settled()
                        if self.chance.random() < 0.5:  # positions are saved now and then
                            self._save(done, checkpoint)

    def _deliver(self, cuts: Cuts, part: Parcel, done: int) -> int:
        """How many rows, from the first on, are there; those after them are to be given again."""
        again = True
        while again:
            again = False
            requests = cuts.requests(part.batches)
            there = len(part) - sum(len(each) for request in requests for each in request)
            for request in requests:
                again = self.chance.random() < 0.2  # the answer to it is lost
                self._save(done, cuts.begin(request))
                self._step()
                size = sum(map(len, request))
                if len(part) > 1 and self.chance.random() < 0.2:
                    return there
                self.kept[first_id(request[0])] = [name for each in request for name in each.ids()]
                if again and there:
                    return there
                if again:
                    break
                cuts.end()
                there += size
        return len(part)

    def _settle(self, part: Parcel, left: list[int]) -> int:
        """How many entries ended with it."""
        ended = 0
        for each in part.parts:
            left[each.seq] -= len(each.batch)
            ended += not left[each.seq]
        return ended

    def _save(self, done: int, checkpoint: bytes) -> None:
        self._step()
        self.durable = done, checkpoint

    def _step(self) -> None:
        self.steps -= 1
        if self.steps < 0:
            raise Killed


@given(
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=12),
    lives=st.lists(st.tuples(st.integers(0, 12), st.integers(1, 9)), max_size=6),
    seed=st.integers(0, 1 << 32),
)
def test_every_record_is_kept_once(sizes: list[int], lives: list[tuple[int, int]], seed: int) -> None:
    """`lives`: steps until it is killed, and the most records of one request."""
    world = World(sizes, random.Random(seed))
    for steps, records in lives:
        try:
            world.live(steps, records)
        except Killed:
            continue
    world.live(10_000, 4)
    wanted = [name for entry in world.entries for name in entry.ids()]
    kept = [name for names in world.kept.values() for name in names]
    assert sorted(kept) == sorted(wanted)


def test_after_a_kill_the_request_under_way_is_cut_where_it_was() -> None:
    first, second, third = (
        batch([b"x"] * 3, start_ns=START_NS + number * 3 * NS_A_RECORD) for number in range(3)
    )
    saved = Cuts().begin([first, second])
    after = Cuts(saved).requests([first, second, third])
    assert [[each.ids() for each in request] for request in after] == [
        [first.ids(), second.ids()],
        [third.ids()],
    ]


def test_what_was_delivered_of_an_entry_that_goes_on_is_left_out() -> None:
    entry = batch([b"x"] * 9)
    cuts = Cuts()
    cuts.begin([entry.rows(0, 4)])
    cuts.end()
    saved = cuts.begin([entry.rows(4, 8)])
    after = Cuts(saved)
    assert after.requests([entry.rows(0, 3)]) == []
    [under_way, rest] = after.requests([entry.rows(3, 9)])
    assert [each.ids() for each in under_way] == [entry.ids()[4:8]]
    assert [each.ids() for each in rest] == [entry.ids()[8:]]


def test_killed_while_it_leaves_out_what_is_there_it_knows_the_rest_of_that_still() -> None:
    """Of two requests after a kill the first is delivered, the second under way; and then the limits are smaller."""
    entries = [batch([b"x"] * 2, start_ns=START_NS + number * 2 * NS_A_RECORD) for number in range(4)]
    cuts = Cuts(Cuts().begin(entries[:3]))
    [under_way, rest] = cuts.requests(entries)
    cuts.begin(under_way)
    cuts.end()
    after = Cuts(cuts.begin(rest))
    assert after.requests(entries[:1]) == []
    killed_again = Cuts(after.settled())
    [request] = killed_again.requests(entries[1:])
    assert [each.ids() for each in request] == [entries[3].ids()]


def test_past_it_all_nothing_is_left_out() -> None:
    one, other = batch([b"x"] * 3), batch([b"x"] * 3, start_ns=START_NS + 10 * NS_A_RECORD)
    cuts = Cuts()
    cuts.begin([one])
    cuts.end()
    [request] = Cuts(cuts.settled()).requests([other])
    assert [each.ids() for each in request] == [other.ids()]


@pytest.mark.parametrize("batches", [1, 1000])
def test_a_checkpoint_is_small(batches: int) -> None:
    request = [batch([b"x"], start_ns=START_NS + number * NS_A_RECORD) for number in range(batches)]
    cuts = Cuts()
    assert len(cuts.begin(request)) < 200
    cuts.end()
    assert len(cuts.settled()) < 200
