"""The tap and what its clients are sent: what fits, in order, and how many lines did not. Time is an argument."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import orjson
import pytest

from agent.http.frames import BURST_LINES, LINE_MOST_BYTES, LINES_PER_S, Frames
from agent.http.tap import MAX_CLIENTS, RECENT_LINES, WAITING_BYTES, WAITING_LINES, Client, Tap
from agent.http.wanted import Wanted
from agent.level import Level
from tests.http.fakes import FakeSpool, batch, container


@pytest.fixture
def spool() -> FakeSpool:
    return FakeSpool()


@pytest.fixture
async def tap(spool: FakeSpool) -> Tap:
    """Needs a loop for its one timer."""
    return Tap(spool)


def join(tap: Tap, query: dict[str, str] | None = None, last_id: str | None = None) -> tuple[Client, Frames]:
    client = tap.join(Wanted.parse(query or {}), last_id)
    assert client is not None
    return client, Frames(tap, client, 0.0)


def read(events: list[bytes]) -> list[tuple[str, dict[str, Any]]]:
    """Name and data of each event."""
    found = []
    for event in events:
        assert event.endswith(b"\n\n")
        fields = dict(line.split(b": ", 1) for line in event.strip().split(b"\n"))
        found.append((fields[b"event"].decode(), orjson.loads(fields[b"data"])))
    return found


def last_id(events: list[bytes]) -> str:
    return events[-1].split(b"\n")[0].removeprefix(b"id: ").decode()


def lines(events: list[bytes]) -> list[str]:
    return [line for name, data in read(events) if name == "lines" for line in data["lines"]]


def skipped(events: list[bytes]) -> int:
    return sum(data["skipped"] if name == "lines" else data["lines"] for name, data in read(events))


def numbered(count: int, first: int = 0) -> list[bytes]:
    return [b"%d" % number for number in range(first, first + count)]


async def test_nobody_tails_nothing_is_heard(spool: FakeSpool) -> None:
    """The spool has no tap until the first client, and again some time after the last, if none came back."""
    tap = Tap(spool, linger_s=0.01)
    heard = [spool.tapped]
    client, _ = join(tap)
    heard.append(spool.tapped)
    tap.leave(client)
    client, _ = join(tap)
    await asyncio.sleep(0.05)  # the timer of the first has run out, were it not stopped
    heard.append(spool.tapped)
    tap.leave(client)
    heard.append(spool.tapped)
    assert heard == [False, True, True, True]
    async with asyncio.timeout(10):
        while spool.tapped:  # noqa: ASYNC110 - an attribute tells nobody that it changed
            await asyncio.sleep(0.01)


async def test_an_event_is_columns(tap: Tap, spool: FakeSpool) -> None:
    """Everything the page shows of a line, in the shape of docs/status-page.md."""
    _, frames = join(tap)
    put = batch(b"one", b"\xff two", levels=bytes([Level.ERROR, 0]))
    put.fields = [b'{"a":1}', None]
    spool.put(put)
    events = frames.take(0.1)
    ((name, data),) = read(events)
    assert name == "lines"
    assert data == {
        "container": "web",
        "id": container().id[:12],
        "project": None,
        "service": None,
        "stream": "stdout",
        "skipped": 0,
        "times_us": [1795449226489633, 1795449226490633],
        "levels": ["error", None],
        "fields": [{"a": 1}, None],
        "lines": ["one", "\ufffd two"],
        "cut": {},
    }
    spool.put(batch(b"plain"))
    ((_, data),) = read(frames.take(0.2))
    assert (data["levels"], data["fields"]) == (None, None)


async def test_small_batches_of_one_container_share_an_event(tap: Tap, spool: FakeSpool) -> None:
    """As long as no other comes between."""
    _, frames = join(tap)
    api = container("api")
    spool.put(batch(b"a"), batch(b"b"), batch(b"c", of=api), batch(b"d"))
    found = [(data["container"], data["lines"]) for _, data in read(frames.take(0.1))]
    assert found == [("web", ["a", "b"]), ("api", ["c"]), ("web", ["d"])]


async def test_a_long_line_is_cut_and_says_so(tap: Tap, spool: FakeSpool) -> None:
    _, frames = join(tap)
    spool.put(batch(b"short", b"x" * (1 << 20)))
    ((_, data),) = read(frames.take(0.1))
    assert (len(data["lines"][1]), data["cut"]) == (LINE_MOST_BYTES, {"1": 1 << 20})


async def test_a_burst_is_shown_whole_and_a_flood_in_part(tap: Tap, spool: FakeSpool) -> None:
    """The newest of what came, and each line that was left out is counted, once."""
    _, frames = join(tap)
    spool.put(batch(*numbered(BURST_LINES)))
    assert len(lines(frames.take(0.0))) == BURST_LINES
    shown = told = written = 0
    for step in range(1, 101):
        spool.put(batch(*numbered(1000, first=written)))
        written += 1000
        events = frames.take(step / 10)
        assert lines(events)[-1:] == [f"{written - 1}"]
        shown += len(lines(events))
        told += skipped(events)
    assert shown == 10 * LINES_PER_S
    assert shown + told == written


async def test_a_noisy_container_does_not_drown_a_quiet_one(tap: Tap, spool: FakeSpool) -> None:
    """Each has the same share; what one does not need is the others'."""
    _, frames = join(tap)
    quiet, busy = container("quiet"), container("busy")
    spool.put(batch(*numbered(4900)), batch(*numbered(30), of=quiet), batch(*numbered(70), of=busy))
    events = frames.take(0.0)
    found = Counter[str]()
    for _, data in read(events):
        found[data["container"]] += len(data["lines"])
    assert found == {"web": BURST_LINES - 100, "quiet": 30, "busy": 70}
    assert skipped(events) == 1000


async def test_who_does_not_take_misses_lines_and_is_told(tap: Tap, spool: FakeSpool) -> None:
    """What waits is bounded in lines and in bytes; nothing waits for the client."""
    _, frames = join(tap)
    for _ in range(20):
        spool.put(batch(*numbered(1000)))
    events = frames.take(10.0)
    assert len(lines(events)) + skipped(events) == 20_000
    assert len(lines(events)) <= WAITING_LINES
    for _ in range(20):
        spool.put(batch(b"x" * (WAITING_BYTES // 4)))
    events = frames.take(20.0)
    assert (len(lines(events)), skipped(events)) == (4, 16)


async def test_what_is_left_out_at_the_end_is_told_by_itself(tap: Tap, spool: FakeSpool) -> None:
    """There is no line of that container to tell it with."""
    _, frames = join(tap, {"q": "needle"})
    spool.put(*[batch(*numbered(1000)) for _ in range(9)])
    assert read(frames.take(0.1)) == [("skipped", {"lines": 4000})]
    spool.put(batch(b"a needle"))
    assert lines(frames.take(0.2)) == ["a needle"]


async def test_who_comes_back_goes_on_where_it_was(tap: Tap, spool: FakeSpool) -> None:
    """Nothing twice, nothing left out, while it was away for less than half a minute."""
    client, frames = join(tap)
    spool.put(batch(b"a"), batch(b"b"))
    seen = frames.take(0.1)
    assert lines(seen) == ["a", "b"]
    tap.leave(client)
    spool.put(batch(b"c"), batch(b"d"))
    again, frames = join(tap, last_id=last_id(seen))
    assert lines(frames.take(0.0)) == ["c", "d"]
    assert not again.unknown
    spool.put(batch(b"e"))
    assert lines(frames.take(0.1)) == ["e"]


@pytest.mark.parametrize("last", ["", "x", "other.5", ".", "abc.-1", "abc.٣"])
async def test_an_id_of_another_run_is_a_gap(tap: Tap, spool: FakeSpool, last: str) -> None:
    """How long nobody can say; nor is anything shown twice."""
    spool.put(batch(b"a"))
    client, frames = join(tap, last_id=last)
    assert client.news.is_set()
    assert read(frames.take(0.0)) == [("skipped", {"lines": None})]


async def test_what_is_kept_for_those_who_come_back_is_bounded(tap: Tap, spool: FakeSpool) -> None:
    """A gap beyond it is said."""
    client, frames = join(tap)
    spool.put(batch(b"a"))
    seen = last_id(frames.take(0.1))
    tap.leave(client)
    for _ in range(10):
        spool.put(batch(*numbered(1000)))
    _, frames = join(tap, last_id=seen)
    events = read(frames.take(0.0))
    assert events[0] == ("skipped", {"lines": None})
    assert sum(len(data["lines"]) + data["skipped"] for _, data in events[1:]) == RECENT_LINES


@pytest.mark.parametrize("number", ["0", "2", "3", "99"])
async def test_a_client_knows_where_it_begins(tap: Tap, spool: FakeSpool, number: str) -> None:
    """Whoever asks for something else before anything came goes on from there, and misses nothing."""
    first, _ = join(tap)
    assert first.first == 0
    spool.put(batch(b"a", b"b"), batch(b"c"))
    run = tap.id_at(0).partition(".")[0]
    again, frames = join(tap, last_id=f"{run}.{number}")
    assert again.first == min(int(number), 3)
    assert lines(frames.take(0.0)) == ["a", "b", "c"][again.first :]


async def test_clients_have_a_bound(tap: Tap, spool: FakeSpool) -> None:
    """One that leaves makes room; all end with the tap."""
    clients = [join(tap)[0] for _ in range(MAX_CLIENTS)]
    assert tap.join(Wanted()) is None
    tap.leave(clients[0])
    late, _ = join(tap)
    tap.close()
    assert late.ended
    assert late.news.is_set()
