"""What one sink gets of the spool: less, and with secrets taken out, while nothing is settled that it did not get."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.batch import Batch
from agent.level import Level
from agent.losses import Losses
from agent.metrics import Metrics
from agent.options import MiB, Secret
from agent.pipeline.conditions import Conditions
from agent.pipeline.redact import Redaction
from agent.pipeline.sample import Sampling
from agent.sinks import parse_sink
from agent.sinks.base import Delivered, Misconfigured, Outcome, Partial, Refused, Retry, SinkOptions, TooLarge
from agent.sinks.letterbox import DeadLetters, letters
from agent.sinks.narrow import MOST_CONTAINERS, Narrowing
from agent.sinks.runner import Runner
from agent.spool import Entry, Spool, SpoolConfig, Subscriber
from tests.sinks.scripted import DB, WEB, Box, Feed, ScriptedSink, Stage, batch, numbered, script

KEEP_EVEN = Conditions.parse("[02468]$")


def narrowing(metrics: Metrics | None = None, **options: object) -> Narrowing:
    made = Narrowing.of("fake", SinkOptions(**options), metrics or Metrics())  # type: ignore[arg-type] # by name
    assert made is not None
    return made


def even(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(0, count, 2)]


def test_without_an_option_there_is_no_narrowing() -> None:
    """What leaves the sink out of it costs the sink nothing."""
    assert Narrowing.of("fake", SinkOptions(), Metrics()) is None
    off = SinkOptions(
        drop=Conditions.parse("off"),
        keep_only=Conditions.parse(""),
        sample=Sampling.parse("1"),
        redact=Redaction.parse("off"),
    )
    assert Narrowing.of("fake", off, Metrics()) is None


async def test_the_batch_itself_is_delivered_where_nothing_changes() -> None:
    """Its encodings are shared with other sinks."""
    seen: list[Batch] = []

    class Seeing(ScriptedSink):
        async def deliver(self, batches: Sequence[Batch]) -> Outcome:
            seen.extend(batches)
            return await super().deliver(batches)

    batches = numbered(6, each=2)
    await Stage(Seeing(), Feed(batches)).runner.run()
    await Stage(Seeing(drop=Conditions.parse("x"), redact=Redaction.parse("all")), Feed(batches)).runner.run()
    assert all(one is other for one, other in zip(seen, [*batches, *batches], strict=True))


async def test_what_is_left_out_is_settled_with_the_rest() -> None:
    """Entries left empty are done at once, the others with their last record; the count says how many and why."""
    sink = ScriptedSink(keep_only=KEEP_EVEN, batch_records=3)
    stage = Stage(sink, Feed([*numbered(20, each=4), batch(b"1", b"3"), batch(b"5")]))
    await stage.runner.run()
    assert sink.delivered == even(20)
    assert sorted(stage.feed.acknowledged) == [1, 2, 3, 4, 5, 6, 7]
    assert stage.counted("withheld_records_total", container="web", step="keep") == 13
    assert stage.counted("lag_records") == 0


async def test_the_lag_counts_what_is_not_settled() -> None:
    """Entries that were left empty are none of it while the sink is held."""
    stage = Stage(
        ScriptedSink(script(Misconfigured("401")), drop=Conditions.parse("^x")),
        Feed([batch(b"x", b"x"), batch(b"a", b"x")]),
    )
    lags: list[float] = []
    stage.feed.on_done = lambda _: lags.append(stage.feed.lag().records)
    await stage.runner.run()
    assert lags == [2, 0]
    assert stage.sink.requests == [[b"a"], [b"a"]]


async def test_steps_of_a_sink_go_in_their_order() -> None:
    """min_level, drop, keep_only, sample, redact: what one withholds is not counted by the next."""
    messages = [b"debug", b"health", b"other", *[b"bob@x.org %d" % number for number in range(10)]]
    given = replace(batch(*messages), levels=bytes([Level.DEBUG, *[Level.ERROR] * 12]))
    sink = ScriptedSink(
        min_level=Level.INFO,
        drop=Conditions.parse("health"),
        keep_only=Conditions.parse("@"),
        sample=Sampling.parse("5"),
        redact=Redaction.parse("email"),
    )
    stage = Stage(sink, Feed([given]))
    await stage.runner.run()
    assert [message[:4] for message in sink.delivered] == [b"*** "] * 2
    reasons = {
        step: stage.counted("withheld_records_total", container="web", step=step)
        for step in ("min_level", "drop", "keep", "sample")
    }
    assert reasons == {"min_level": 1, "drop": 1, "keep": 1, "sample": 8}


async def test_dead_letters_hold_what_the_sink_was_to_get(tmp_path: Path) -> None:
    """Redacted, and nothing that was left out."""
    box = DeadLetters(tmp_path, "fake")
    sink = ScriptedSink(
        script(Refused("400", isolate=False)), drop=Conditions.parse("^x"), redact=Redaction.parse("email")
    )
    await Stage(sink, Feed([batch(b"x", b"from bob@example.com", b"y")]), box=box).runner.run()
    assert box.path is not None
    assert [letter.message for _, _, letter in letters(box.path) if letter] == [b"from ***", b"y"]
    assert b"bob" not in box.path.read_bytes()


shapes = st.lists(st.lists(st.sampled_from(["good", "bad", "out"]), max_size=6), max_size=8)
ANSWERS: list[Outcome] = [
    Retry("down"),
    TooLarge("413"),
    Refused("400"),
    Partial(retry=[0]),
    Misconfigured("401"),
    Delivered(),
]


@settings(deadline=None, derandomize=True)  # each example is an event loop
@given(shapes, st.lists(st.sampled_from(ANSWERS), max_size=12), st.integers(1, 3), st.integers(1, 10))
def test_every_record_is_delivered_or_kept_or_withheld(
    shape: list[list[str]], answers: list[Outcome], concurrency: int, records: int
) -> None:
    """One of the three, once; and nothing is settled before that."""
    numbers = iter(range(1_000))
    messages = [[f"{kind}{next(numbers)}".encode() for kind in kinds] for kinds in shape]
    sink = ScriptedSink(
        script(*answers), concurrency=concurrency, batch_records=records, drop=Conditions.parse("^out")
    )
    stage = Stage(sink, Feed(batch(*each) for each in messages))

    def settled_first(entry: Entry) -> None:
        wanted = {message for message in entry.batch.messages if not message.startswith(b"out")}
        assert wanted <= {*sink.delivered, *(message for message, _ in stage.kept)}

    stage.feed.on_done = settled_first
    asyncio.run(stage.runner.run())
    everything = [message for each in messages for message in each]
    wanted = [message for message in everything if not message.startswith(b"out")]
    assert Counter(sink.delivered) + Counter(message for message, _ in stage.kept) == Counter(wanted)
    assert stage.feed.empty
    assert stage.counted("withheld_records_total", container="web", step="drop") == len(everything) - len(
        wanted
    )


@pytest.mark.parametrize("turns", range(40))
async def test_cancelled_anywhere_it_goes_on_without_loss(turns: int) -> None:
    """What comes again is narrowed alike, and counted once."""
    sink = ScriptedSink(script(Retry("down"), Partial(retry=[0])), batch_records=4, keep_only=KEEP_EVEN)
    stage = Stage(sink, Feed(numbered(12, each=4)))
    async with asyncio.TaskGroup() as group:
        first = group.create_task(stage.runner.run())
        for _ in range(turns):
            await asyncio.sleep(0)
        first.cancel()
    await stage.runner.run()
    assert set(sink.delivered) == set(even(12))
    assert stage.feed.empty
    assert stage.counted("withheld_records_total", container="web", step="keep") == 6


def rows(narrow: Narrowing, entries: Iterable[Entry]) -> list[list[bytes]]:
    return [list(narrow(entry).messages) for entry in entries]


def test_a_sample_is_the_same_whenever_an_entry_comes_again() -> None:
    """After a restart, too: what a sink stored of it is then known by its rows. About one in ten of all."""
    entries = [Entry(seq, each) for seq, each in enumerate(numbered(10_000, each=10), start=1)]
    first = rows(narrowing(sample=Sampling.parse("10")), entries)
    assert rows(narrowing(sample=Sampling.parse("10")), entries[500:]) == first[500:]
    assert 900 < sum(map(len, first)) < 1100
    assert len({message[-1:] for each in first for message in each}) == 10


def test_each_container_has_steps_of_its_own() -> None:
    """A private key that one prints line by line is none of the other's; some containers are forgotten in the end."""
    metrics = Metrics()
    narrow = narrowing(metrics, redact=Redaction.parse("private_key"))
    line = b"MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"
    assert rows(narrow, [Entry(1, batch(b"-----BEGIN PRIVATE KEY-----"))]) == [
        [b"-----BEGIN PRIVATE KEY-----"]
    ]
    assert rows(narrow, [Entry(2, batch(line, container=DB))]) == [[line]]
    assert rows(narrow, [Entry(3, batch(line))]) == [[b"***"]]
    for number in range(MOST_CONTAINERS + 5):
        narrow(Entry(4 + number, batch(b"a", container=replace(WEB, id=f"{number:064x}"))))
    assert len(narrow._lanes) == MOST_CONTAINERS


def test_hashes_have_the_sinks_own_key() -> None:
    redact = Redaction.parse("email;with=hash")
    one = narrowing(redact=redact)(Entry(1, batch(b"bob@x.org")))
    two = narrowing(redact=redact, redact_key=Secret("k"))(Entry(1, batch(b"bob@x.org")))
    assert one.messages != two.messages


def test_a_url_says_it_all() -> None:
    """Percent-escaped where a URL wants it; none of it is shown of the key."""
    url = (
        "http://h/?min_level=warning&drop=%5EGET%20/healthz;level%3Cinfo&keep_only=level>=error;field.user"
        r"&sample=10;by=field.trace_id&redact=card;pattern=pin=(\d%2B);with=hash&redact_key=s3cret"
    )
    options: SinkOptions = parse_sink("web", url).options
    assert options.min_level is Level.WARNING
    assert str(options.drop) == "^GET /healthz;level<info"
    assert str(options.keep_only) == "level>=error;field.user"
    assert options.sample.one_in == 10
    assert str(options.redact) == r"card;pattern=pin=(\d+);with=hash"
    assert options.redact_key == Secret("s3cret")


def test_the_file_sink_keeps_its_keep() -> None:
    """There it is the number of old files."""
    sink = parse_sink("file", "file:///tmp/x.ndjson?keep=3&keep_only=level>=error")
    assert sink.options.keep == 3
    assert str(sink.options.keep_only) == "level>=error"


@pytest.mark.parametrize("requests", range(5))
async def test_across_two_lives_of_the_agent_all_arrive(tmp_path: Path, requests: int) -> None:
    """On the spool's disk; the first life ends in the middle of a request. At most what was under way comes twice."""
    stop = asyncio.Event()

    class Stopping(ScriptedSink):
        async def deliver(self, batches: Sequence[Batch]) -> Outcome:
            if len(self.requests) == requests:
                stop.set()
                await asyncio.Event().wait()
            return await super().deliver(batches)

    @contextlib.asynccontextmanager
    async def spool() -> AsyncIterator[Spool]:
        metrics = Metrics()
        config, subscriber = SpoolConfig(tmp_path, 16 * MiB, 16 * MiB), Subscriber("fake", "block")
        async with Spool.open(config, [subscriber], metrics=metrics, losses=Losses(metrics)) as opened:
            yield opened

    def runner(sink: ScriptedSink, opened: Spool) -> Runner:
        metrics = Metrics()
        return Runner(
            sink, opened.reader("fake"), metrics=metrics, losses=Losses(metrics), dead_letters=Box()
        )

    options: dict[str, Any] = {
        "batch_records": 2,
        "keep_only": KEEP_EVEN,
        "redact": Redaction.parse("pattern=^1"),
    }
    first, second = Stopping(**options), ScriptedSink(**options)
    async with spool() as opened, asyncio.TaskGroup() as group, asyncio.timeout(10):
        running = group.create_task(runner(first, opened).run())
        await opened.put(numbered(20, each=4))
        await stop.wait()
        running.cancel()
    async with spool() as opened, asyncio.timeout(10):
        opened.seal()
        await runner(second, opened).run()
        assert opened.reader("fake").lag().records == 0
    times = Counter(first.delivered + second.delivered)
    assert set(times) == {message.replace(b"1", b"***") for message in even(20)}
    assert sum(times.values()) <= 10 + 2
