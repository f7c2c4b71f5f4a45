"""What the steps of the pipeline cost, in µs a line: `python -m tests.bench.pipeline [STEP …]`. Asserts nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path

from agent.batch import Batch, Container, Stream
from agent.level import Level
from agent.metrics import Metrics
from agent.pipeline.conditions import Conditions, at_least, dropping
from agent.pipeline.levels import Levels
from agent.pipeline.multiline.joiner import Joiner
from agent.pipeline.multiline.rule import Rule
from agent.pipeline.parse import Parse
from agent.pipeline.rate import Rate
from agent.pipeline.redact import Redaction
from agent.pipeline.sample import Sampling
from agent.pipeline.step import Step
from agent.pipeline.tally import ContainerTally

WEB = Container(id="ab" * 32, name="web", image="web", tag="web", host="node")
#: 157 bytes with the number.
LINE = (
    b"2026-11-23T06:13:46.489Z INFO  [main] com.acme.Orders - 192.0.2.17 GET /api/v1/orders?page=3&size=50 "
    b"HTTP/1.1 200 5316 in 12 ms, mozilla/5.0, session open %05d"
)
JSON_LINE = (
    b'{"time":"2026-11-23T06:13:46.489Z","level":"info","logger":"com.acme.Orders","user":"alice","status":200,'
    b'"msg":"GET /api/v1/orders?page=3 in 12 ms","n":1%04d}'
)
JSON_LINES = [JSON_LINE % number for number in range(1000)]
ESCAPED_LINES = [line.replace(b" in ", b"\\n\\tin \\u00e9 ") for line in JSON_LINES]
TALLY = ContainerTally(Metrics(), "web")
BATCH_ROWS = (1000, 100)
_ROUNDS, _LINES_A_ROUND = 15, 20_000
Measured = Iterator[tuple[str, Sequence[bytes], Callable[[Batch], object]]]


def lines(text: bytes = LINE) -> list[bytes]:
    """A thousand different lines."""
    return [text % number for number in range(1000)]


def cost_us(work: Callable[[Batch], object], messages: Sequence[bytes], rows: int) -> float:
    """µs of the processor a line, the best of some rounds."""
    batches = [
        Batch(WEB, Stream.STDOUT, list(range(rows)), list(messages[start : start + rows]))
        for start in range(0, len(messages), rows)
    ]
    times = -(-_LINES_A_ROUND // len(messages))
    best = float("inf")
    for _ in range(_ROUNDS):
        start = time.process_time()
        for _ in range(times):
            for batch in batches:
                work(batch)
        best = min(best, time.process_time() - start)
    return best * 1e6 / (times * len(messages))


def multiline() -> Measured:
    """Presets over lines without traces, over lines that speak of errors, and over traces; patterns of one's own."""

    def feed(rule: str) -> Callable[[Batch], object]:
        joiner = Joiner(Rule.parse(rule))
        return lambda batch: joiner.feed(batch, 0.0)

    plain, warned = lines(), lines(LINE.replace(b"INFO ", b"WARN "))
    traces = Path(__file__).parents[1] / "pipeline/multiline/traces"
    trace = (traces / "java-caused.txt").read_bytes().splitlines()
    for preset in ("java", "python", "go", "node", "auto"):
        yield f"{preset}, no traces", plain, feed(preset)
    yield "java, coloured", [b"\x1b[32m" + line + b"\x1b[0m" for line in plain], feed("java")
    yield "java, one line in fifty an error", [*islice(cycle([warned[0], *plain[:49]]), 1000)], feed("java")
    yield "java, each line an error", warned, feed("java")
    yield "java, 9 lines of 100 a trace", [*islice(cycle([*plain[:91], *trace]), 1000)], feed("java")
    yield "java, nothing but traces", [*islice(cycle(trace), 1000)], feed("java")
    yield "auto, nothing but traces", [*islice(cycle(trace), 1000)], feed("auto")
    yield "indent, nothing indented", plain, feed("indent")
    yield "start=, each line", plain, feed(r"start=^\d{4}-\d\d-\d\d")
    yield (
        "start=, one line in ten",
        [*islice(cycle([plain[0], *([b"  " + LINE] * 9)]), 1000)],
        feed(r"start=^\d{4}-"),
    )


def parse() -> Measured:
    """Each format over lines of its own, and over lines of none."""

    def step(rule: str) -> Callable[[Batch], object]:
        return Parse.parse(rule).step(TALLY)

    pairs = lines(
        b'time=2026-11-23T06:13:46.489Z level=info msg="request served in good time" status=200 '
        b"path=/api/v1/items/00000 trace=4bf92f3577b34da6 took=12ms n=%05d"
    )
    access = (
        b'192.0.2.17 - - [23/Nov/2026:06:13:46 +0000] "GET /api/v1/orders/%05d HTTP/1.1" 200 612 "-" '
        b'"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101"'
    )
    inner = (
        b'{"level":30,"time":1795414426489,"pid":1,"req":{"id":1%04d},"msg":"served in good time","ms":3.1}'
    )
    broken = [line.replace(b"1", b"01") for line in JSON_LINES]
    for rule in ("json", "json;level=off", "json;time=time", "json;message=msg"):
        yield rule, JSON_LINES, step(rule)
    yield "json, one object in another", lines(inner), step("json")
    yield "json, broken", broken, step("json")
    yield (
        "json, 2 KiB a line",
        [line[:-1] + b',"more":"' + b"x" * 1900 + b'"}' for line in JSON_LINES],
        step("json"),
    )
    yield "json, each second line plain", [*islice(cycle([JSON_LINES[0], LINE]), 1000)], step("json")
    yield "json, plain lines", lines(), step("json")
    yield "logfmt", pairs, step("logfmt")
    yield "clf", lines(access), step("clf")
    yield "nginx", lines(access), step("nginx")
    yield "regex=, two groups", lines(), step(r"regex=^\S+ (?P<level>[A-Z]+) +\[(?P<thread>[^]]+)\]")
    for name, messages in (("JSON", JSON_LINES), ("logfmt", pairs), ("plain", lines())):
        yield f"auto, {name}", messages, step("auto")


def level() -> Measured:
    """In plain text of some forms, and in JSON that is not parsed."""
    find = Levels.AUTO.step(TALLY)
    access = LINE.replace(b"INFO  [main] com.acme.Orders", b"[1] 192.0.2.17 -")
    yield "Java", lines(), find
    yield "Java, coloured", [b"\x1b[32m" + line + b"\x1b[0m" for line in lines()], find
    yield "a time, and no level", lines(access), find
    yield "plain words", lines(b"taking the next order of these " * 5 + b"%05d"), find
    yield "JSON", JSON_LINES, find


def redact() -> Measured:
    """Presets over lines without secrets, and with one in each or in some; lines of JSON with their fields."""

    def step(rule: str) -> Step:
        return Redaction.parse(rule).step(TALLY)

    plain = lines(LINE.replace(b"192.0.2.17", b"10-2-0-192"))
    mail = lines(LINE.replace(b"com.acme.Orders", b"bob@example.com"))
    for preset in ("email", "card", "bearer", "aws", "jwt", "ip", "private_key", "url_password", "all"):
        yield f"{preset}, no secrets", plain, step(preset)
    yield r"pattern=pin=(\d+), no secrets", plain, step(r"pattern=pin=(\d+)")
    yield "email, one line in fifty", [*islice(cycle([mail[0], *plain[:49]]), 1000)], step("email")
    yield "email, each line", mail, step("email")
    yield "email;with=hash, each line", mail, step("email;with=hash")
    yield "ip, each line", lines(), step("ip")
    yield "all, each line an address", lines(), step("all")
    yield "email, JSON, no secrets", JSON_LINES, _parsed(step("email"))
    yield "email, JSON with escapes, no secrets", ESCAPED_LINES, _parsed(step("email"))
    yield (
        "email, JSON, each line",
        [line.replace(b"alice", b"a@b.de") for line in JSON_LINES],
        _parsed(step("email")),
    )


def conditions() -> Measured:
    """drop and keep by pattern, level and field; min_level."""

    def step(text: str) -> Step:
        return dropping(Conditions.parse(text), TALLY)

    plain = lines()
    yield "drop=/healthz, none", plain, step("/healthz")
    yield "drop=session, each", plain, step("session")
    yield "drop=[05]$, one in five", plain, step("[05]$")
    yield "drop=level<info, none", plain, _graded(step("level<info"))
    yield "drop=level<warning, each", plain, _graded(step("level<warning"))
    yield "min_level=debug, none", plain, _graded(at_least(Level.DEBUG, TALLY))
    yield "drop=field.user=^bob$, none", JSON_LINES, _parsed(step("field.user=^bob$"))
    yield "drop=field.trace_id, none", JSON_LINES, _parsed(step("field.trace_id"))


def sample() -> Measured:
    """By count and by a field."""
    yield "10", lines(), Sampling.parse("10").step(TALLY)
    yield "10;by=field.user", JSON_LINES, _parsed(Sampling.parse("10;by=field.user").step(TALLY))


def rate() -> Measured:
    """Below the rate, and far above it."""
    below, above = Rate.parse("100000000/s").step(TALLY), Rate.parse("1/h").step(TALLY)
    yield "below it", lines(), lambda batch: below.feed(batch, 0.0)
    yield "above it", lines(), lambda batch: above.feed(batch, 0.0)


def _parsed(step: Step) -> Callable[[Batch], object]:
    return lambda batch: step(replace(batch, fields=batch.messages))


def _graded(step: Step) -> Callable[[Batch], object]:
    return lambda batch: step(replace(batch, levels=bytes([Level.INFO]) * len(batch)))


STEPS: Mapping[str, Callable[[], Measured]] = {
    "multiline": multiline,
    "parse": parse,
    "level": level,
    "redact": redact,
    "conditions": conditions,
    "sample": sample,
    "rate": rate,
}


def main(names: Sequence[str]) -> None:
    """Measure the steps of these names; of none: all."""
    for name in names or STEPS:
        for what, messages, work in STEPS[name]():
            costs = "  ".join(f"{cost_us(work, messages, rows):6.2f}" for rows in BATCH_ROWS)
            print(f"{name:10} {what:40} {costs} µs/line, batches of {' and '.join(map(str, BATCH_ROWS))}")


if __name__ == "__main__":
    main(sys.argv[1:])
