"""Supervision: what fails is begun again; what is told to stop, stops."""

from __future__ import annotations

import asyncio

import pytest

from agent.metrics import Metrics
from agent.supervise import supervise


async def test_a_part_that_fails_is_begun_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """And counted."""
    monkeypatch.setattr("agent.supervise._FIRST_S", 0.0)
    metrics, results = Metrics(), [ValueError("once"), ValueError("twice"), None]

    async def run() -> None:
        if (error := results.pop(0)) is not None:
            raise error

    async with asyncio.timeout(10):
        await supervise("part", run, metrics)
    assert results == []
    assert metrics.registry.get_sample_value("dockferry_task_restarts_total", {"part": "part"}) == 2


async def test_a_part_that_fails_while_it_is_cancelled_is_not_begun_again() -> None:
    """As one does that starts a task in a TaskGroup which is shutting down: the cancellation is not swallowed."""
    begun = 0

    async def run() -> None:
        nonlocal begun
        begun += 1
        try:
            await asyncio.Event().wait()
        finally:
            raise RuntimeError("TaskGroup is shutting down")

    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        task = group.create_task(supervise("part", run, Metrics()))
        await asyncio.sleep(0)
        task.cancel()
    assert task.cancelled()
    assert begun == 1
