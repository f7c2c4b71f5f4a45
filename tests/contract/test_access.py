"""Who the sink is, and whom it trusts: credentials and certificates are for a person to mend."""

from __future__ import annotations

import logging

import pytest

from agent.sinks.base import Delivered, Misconfigured
from agent.sinks.health import State
from tests.contract.cases import many
from tests.contract.play import AT_ONCE, opened, playing
from tests.contract.stage import Case, Stage, performed
from tests.receivers.sent import batch, expected

RIGHT = "127.0.0.1"


@performed(Case.LOCKED)
async def test_wrong_credentials_are_told_once_and_the_records_wait(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """However often it is asked; and no credential is shown. Mended, it goes on by itself."""
    caplog.set_level(logging.DEBUG)
    sent = many(20)
    async with stage.standing(), stage.locked(), opened(stage.sink()) as sink:
        assert isinstance(await sink.probe(), Misconfigured)
    caplog.clear()
    async with playing(stage) as play:
        async with stage.locked():
            await play.put(sent)
            await play.until(lambda: len(play.slept) >= 5)
            assert play.runner.health.state is State.HELD
        await play.settled()
        arrived = await stage.have(20)
    assert [line.levelname for line in caplog.records if "waits until this is mended" in line.message] == [
        "ERROR"
    ]
    assert {record.message for record in arrived} == {record.message for record in expected(sent)}
    assert len(arrived) == 20
    assert play.dead == []
    shown = f"{caplog.text} {play.runner.health} {play.sink!r} {play.sink.options!r} {play.sink.target!r}"
    assert stage.secret not in shown


@performed(Case.TLS, name=RIGHT)
async def test_tls_with_a_private_authority(stage: Stage) -> None:
    assert stage.tls is not None
    async with playing(stage, f"{AT_ONCE}&ca={stage.tls.ca.ca_file}") as play:
        await play.put([batch()])
        await play.settled()
        assert await play.sink.probe() == Delivered()
        assert len(await stage.have(5)) == 5


@performed(Case.UNTRUSTED, name=RIGHT)
async def test_an_untrusted_authority_is_for_a_person_to_mend(stage: Stage) -> None:
    async with stage.standing(), opened(stage.sink()) as sink:
        outcome = await sink.deliver([batch()])
        assert isinstance(outcome, Misconfigured)
        assert "its certificate is not trusted: " in outcome.why
        assert await stage.have(0) == []


@performed(Case.WRONG_NAME, name="elsewhere.example")
async def test_a_wrong_name_is_for_a_person_to_mend(stage: Stage) -> None:
    assert stage.tls is not None
    async with stage.standing(), opened(stage.sink(f"ca={stage.tls.ca.ca_file}")) as sink:
        outcome = await sink.deliver([batch()])
        assert isinstance(outcome, Misconfigured)
        assert "127.0.0.1" in outcome.why
        assert await stage.have(0) == []


@performed(Case.UNVERIFIED, name="elsewhere.example")
async def test_verify_off_takes_any_certificate(stage: Stage) -> None:
    async with stage.standing(), opened(stage.sink("verify=off")) as sink:
        assert await sink.deliver([batch()]) == Delivered()
        assert len(await stage.have(5)) == 5


@performed(Case.OURS, name=RIGHT, clients=True)
async def test_a_receiver_that_asks_who_we_are_is_told(stage: Stage) -> None:
    assert stage.tls is not None
    ca = stage.tls.ca
    cert, key = ca.client()
    async with (
        stage.standing(),
        opened(stage.sink(f"ca={ca.ca_file}&cert={cert}&key={key}")) as sink,
    ):
        assert await sink.deliver([batch()]) == Delivered()
        assert len(await stage.have(5)) == 5
