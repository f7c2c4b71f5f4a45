"""One parcel to its end: asked, asked again, divided, until every record is delivered or a dead letter.

The one place that knows what to do about an `Outcome`. Retrying is tenacity's; how long to wait, `pace`'s.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeAlias, assert_never

from tenacity import AsyncRetrying, RetryCallState, retry_if_result

from agent.losses import Cause
from agent.metrics import Metrics
from agent.options import show_duration
from agent.sinks.base import Delivered, Misconfigured, Outcome, Partial, Refused, Retry, Sink, TooLarge
from agent.sinks.health import Health
from agent.sinks.letterbox import Refusal
from agent.sinks.pace import Pace
from agent.sinks.parcel import Parcel
from agent.sinks.refusals import Refusals

Answer: TypeAlias = Delivered | Retry | TooLarge | Refused | Misconfigured
_NAMES: Mapping[type[Outcome], str] = {
    Delivered: "delivered",
    Retry: "retry",
    Partial: "partial",
    TooLarge: "too_large",
    Refused: "refused",
    Misconfigured: "misconfigured",
}
_IS_RETRY = retry_if_result(lambda answer: isinstance(answer, Retry))
#: After a request was found too large, each delivered one lets the next be larger by one part in so many.
_GROWTH = 64


@dataclass(slots=True, eq=False)
class _Job:
    """A parcel on its way: what is under way now, and what comes after it, last first.

    began  when something last came of `parcel` (monotonic seconds), from which `retry_for` counts
    """

    parcel: Parcel
    pending: list[Parcel]
    began: float = 0.0
    refused: int = 0


class Delivery:
    """Delivers the parcels of one sink; several may be under way at once.

    settled  told of rows that need not be sent again, after they are delivered or durably dead letters
    """

    def __init__(
        self,
        sink: Sink[Any],
        *,
        metrics: Metrics,
        health: Health,
        refusals: Refusals,
        settled: Callable[[Parcel], None],
        pace: Pace,
    ) -> None:
        name = sink.target.name
        self._sink = sink
        self._health = health
        self._refusals = refusals
        self._settled = settled
        self._pace = pace
        self._most = batch_weight(sink)
        self._mending = asyncio.Lock()
        self._mended = 0
        self._holds = 0
        self._seconds = metrics.request_seconds.labels(name)
        self._retries = metrics.retries.labels(name)
        self._outcomes = {kind: metrics.requests.labels(name, text) for kind, text in _NAMES.items()}
        self._bytes = metrics.delivered_bytes.labels(name)
        self._records = metrics.delivered_records
        self._undecodable = metrics.undecodable_records.labels(name)
        #: The most one parcel should weigh now: less than configured while the receiver finds that too large.
        self.weight = self._most

    async def deliver(self, parcel: Parcel) -> int:
        """Returns when every record is delivered or a dead letter: how many are dead letters.

        It waits as long as that takes, and may be cancelled at any time: what was not settled can be given
        again. What the sink raises passes through; a Partial of rows that are not there is a ValueError.
        """
        job = _Job(parcel, [parcel])
        self._health.begin(job)
        try:
            while job.pending:
                await self._advance(job)
        finally:
            self._health.end(job)
        return job.refused

    async def _advance(self, job: _Job) -> None:
        mended = self._mended
        job.parcel, job.began = job.pending.pop(), self._pace.now()
        answer = await self._answer(job)
        match answer:
            case Delivered():
                self._health.answered(job)
                if job.parcel.parts:  # of a Partial, nothing may be left
                    self._health.accepted()
                    self._deliver(job.parcel)
            case Retry(why=why):
                await self._refuse(job, why, Cause.GAVE_UP)
            case Misconfigured(why=why):
                await self._hold(job, why, mended)
                job.pending.append(job.parcel)
            case TooLarge(why=why) | Refused(why=why):
                self._health.answered(job)
                await self._divide(job, answer, why)
            case _:
                assert_never(answer)

    async def _divide(self, job: _Job, answer: TooLarge | Refused, why: str) -> None:
        if len(job.parcel) == 1 or (isinstance(answer, Refused) and not answer.isolate):
            await self._refuse(job, why, Cause.REFUSED)
            return
        if isinstance(answer, TooLarge):
            self.weight = max(1, job.parcel.weight // 2)
        job.pending += reversed(job.parcel.halves())

    async def _answer(self, job: _Job) -> Answer:
        """What the receiver finally says: a Retry only when `retry_for` is over."""
        answer = await self._request(job)
        return await self._persist(job, answer) if isinstance(answer, Retry) else answer

    async def _persist(self, job: _Job, first: Retry) -> Answer:
        # Most requests never come here: making tenacity's machinery costs as much as all else done for one.
        # Its first attempt is the request that was made already.
        known: list[Answer] = [first]

        async def attempt() -> Answer:
            return known.pop() if known else await self._request(job)

        again = AsyncRetrying(
            sleep=self._pace.sleep,
            retry=_IS_RETRY,
            wait=lambda state: self._wait(job, state.attempt_number, _result(state)),
            stop=lambda _: self._left(job) <= 0,
            before_sleep=lambda _: self._count_retry(),
            retry_error_callback=_result,
        )
        answer: Answer = await again(attempt)
        return answer

    def _wait(self, job: _Job, attempt: int, answer: Answer) -> float:
        after = answer.after if isinstance(answer, Retry) else None
        return max(0.0, min(self._pace.retry(attempt, after), self._left(job)))

    def _left(self, job: _Job) -> float:
        limit: float | None = self._sink.options.retry_for
        return math.inf if limit is None else job.began + limit - self._pace.now()

    def _count_retry(self) -> None:
        self._retries.inc()
        self._health.retried()

    async def _request(self, job: _Job) -> Answer:
        batches = job.parcel.batches
        began = self._pace.now()
        outcome = await self._ask(lambda: self._sink.deliver(batches))
        self._seconds.observe(self._pace.now() - began)
        self._outcomes[type(outcome)].inc()
        answer = await self._part(job, outcome) if isinstance(outcome, Partial) else outcome
        if isinstance(answer, Retry):
            self._health.failed(job, answer.why)
        return answer

    async def _ask(self, question: Callable[[], Awaitable[Outcome]]) -> Outcome:
        seconds: float = self._sink.options.timeout
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                return await question()
        except TimeoutError:
            if not limit.expired():
                raise
        return Retry(f"no answer within {show_duration(seconds)}")

    async def _part(self, job: _Job, outcome: Partial) -> Answer:
        """Settle what can be; the answer for the rest, which is the job's parcel from now on."""
        parcel = job.parcel
        again = set(outcome.retry)
        refused = outcome.refused.keys() - again
        unsettled = again | refused
        if unsettled and not 0 <= min(unsettled) <= max(unsettled) < len(parcel):
            raise ValueError(
                f"{self._sink.target.name} judged rows that are not among the {len(parcel)} sent"
            )
        delivered = [row for row in range(len(parcel)) if row not in unsettled]
        if delivered:
            self._health.accepted()
            self._deliver(parcel.pick(delivered))
        if refused:
            await self._refuse_rows(job, outcome.refused, sorted(refused))
        if delivered or refused:
            job.began = self._pace.now()
        job.parcel = parcel.pick(sorted(again))
        return Retry(outcome.why or "some records were not taken", outcome.after) if again else Delivered()

    def _deliver(self, parcel: Parcel) -> None:
        self._holds = 0
        self.weight = min(self._most, self.weight + self.weight // _GROWTH + 1)
        self._bytes.inc(parcel.bytes)
        records = Counter[str]()
        for part in parcel.parts:
            records[part.batch.container.name] += len(part.batch)
            if part.batch.undecodable:
                self._undecodable.inc(len(part.batch.undecodable))
        for container, count in records.items():
            self._records.labels(self._sink.target.name, container).inc(count)
        self._settled(parcel)

    async def _refuse(self, job: _Job, why: str, cause: Cause) -> None:
        refusals = [Refusal(batch, why) for batch in job.parcel.batches]
        await self._bury(job, refusals, job.parcel, cause)

    async def _refuse_rows(self, job: _Job, whys: Mapping[int, str], rows: Sequence[int]) -> None:
        refusals = [
            Refusal(batch, why)
            for why, same in groupby(rows, key=whys.__getitem__)
            for batch in job.parcel.pick(list(same)).batches
        ]
        await self._bury(job, refusals, job.parcel.pick(rows), Cause.REFUSED)

    async def _bury(self, job: _Job, refusals: Sequence[Refusal], parcel: Parcel, cause: Cause) -> None:
        await self._refusals.keep(job, refusals, cause)
        job.refused += len(parcel)
        self._settled(parcel)

    async def _hold(self, job: _Job, why: str, mended: int) -> None:
        """Returns when the receiver's probe no longer says that something must be mended first.

        mended  the count of mendings when the request began: one probes for all that were refused meanwhile.
        """
        self._health.held(job, why)
        async with self._mending:
            while self._mended == mended:
                self._holds += 1
                await self._pace.sleep(self._pace.hold(self._holds))
                answer = await self._ask(self._sink.probe)
                match answer:
                    case Misconfigured(why=why) | Retry(why=why):
                        self._health.held(job, why)
                    case Delivered() | Partial() | TooLarge() | Refused():
                        # A probe may be refused for itself: whether records pass, only records tell.
                        self._mended += 1
                    case _:
                        assert_never(answer)


def batch_weight(sink: Sink[Any]) -> int:
    """The most one request of this sink should weigh, in bytes: see `Part.weight`."""
    wanted: int = sink.options.batch_bytes
    return wanted if sink.limits.request_bytes is None else min(wanted, sink.limits.request_bytes)


def batch_records(sink: Sink[Any]) -> int:
    """The most records of one request of this sink."""
    wanted: int = sink.options.batch_records
    return wanted if sink.limits.request_records is None else min(wanted, sink.limits.request_records)


def _result(state: RetryCallState) -> Answer:
    if state.outcome is None:
        raise RuntimeError("tenacity asks about an attempt before it was made")
    answer: Answer = state.outcome.result()
    return answer
