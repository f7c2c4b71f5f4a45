"""The table of the contract is whole: each scheme plays every case, or says why its protocol cannot."""

from __future__ import annotations

from agent.sinks import schemes
from tests.contract.stage import Case, stages


def test_every_scheme_of_ours_has_a_stage() -> None:
    played = {scheme for stage in stages() for scheme in stage.schemes}
    assert played == {scheme.name for scheme in schemes()}


def test_what_a_stage_cannot_it_gives_a_reason_for() -> None:
    for stage in stages():
        assert all(stage.cannot.values()), stage


def test_some_stage_plays_each_case() -> None:
    """A case that nobody plays would promise nothing."""
    every = list(stages())
    assert [case for case in Case if all(case in stage.cannot for stage in every)] == []
