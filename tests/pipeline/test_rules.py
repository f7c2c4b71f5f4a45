"""Whose word counts for each step, and the order in which they are taken."""

from __future__ import annotations

from collections import Counter

import pytest

from agent.batch import Batch
from agent.labels import read_labels
from agent.level import Level
from agent.pipeline.chain import Chain
from agent.pipeline.rules import Rules
from agent.settings import Settings
from tests.pipeline.steps import Tallied, batch


def rules(settings: dict[str, str], **labels: str) -> Rules:
    """What comes of variables and labels, both without their prefixes."""
    options, problems = read_labels(
        {f"dockferry.{name}": text for name, text in labels.items()}, container_name="web"
    )
    assert not problems
    return Rules.of(
        Settings.load({f"DOCKFERRY_{name.upper()}": text for name, text in settings.items()}), options
    )


def passed(asked: Rules, *lines: bytes) -> tuple[list[Batch], Counter[str]]:
    """What comes of these lines in the end."""
    tally = Tallied()
    chain = Chain(asked, tally)
    return [*chain.feed(batch(*lines), 0.0), *chain.finish(0.0)], tally.counts


def test_without_a_word_there_is_nothing_to_do() -> None:
    """So that the way of a record costs nothing."""
    assert not rules({})
    assert not rules(
        {}, multiline="off", parse="off", level="off", drop="off", sample="1", rate="off", redact="off"
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("multiline", "java"),
        ("parse", "json"),
        ("level", "auto"),
        ("drop", "x"),
        ("keep", "x"),
        ("min_level", "info"),
        ("sample", "10"),
        ("rate", "1/s"),
        ("redact", "email"),
    ],
)
def test_a_step_is_asked_for_by_variable_or_label(name: str, text: str) -> None:
    """The same text in both."""
    assert rules({name: text})
    assert rules({name: text}) == rules({}, **{name: text})


def test_a_label_stands_in_place_of_the_variable() -> None:
    """And can switch a step off."""
    assert str(rules({"drop": "a", "parse": "json"}, drop="b").drop) == "b"
    assert not rules({"drop": "a", "parse": "json"}, drop="off", parse="off")


def test_a_label_adds_to_what_is_redacted_everywhere() -> None:
    """No container sends what the owner of its host wants masked."""
    line = b"ada@example.com has pin=1234"
    for label, left in (("off", b"*** has pin=1234"), ("pattern=pin=(\\d+)", b"*** has pin=***")):
        [sent], counts = passed(rules({"redact": "email"}, redact=label), line)
        assert sent.messages == [left]
        assert counts["redacted"]


def test_the_steps_are_taken_in_their_order() -> None:
    """Joined before parsed, parsed before chosen by field, chosen before counted, redacted at last."""
    asked = rules(
        {
            "multiline": "start=^\\{",
            "parse": "json",
            "drop": "field.skip=^true$",
            "min_level": "info",
            "sample": "2",
            "redact": "email",
        }
    )
    lines = [b'{"level":"info",', b'"who":"ada@example.com"}', b'{"skip":true}', b'{"level":"debug"}']
    lines += [b'{"level":"warn","n":1}', b'{"level":"error","who":"bob@example.com","n":2}']
    batches, counts = passed(asked, *lines)
    sent = [message for batch in batches for message in batch.messages]
    assert sent == [b'{"level":"info",\n"who":"***"}', b'{"level":"error","who":"***","n":2}']
    assert b"".join(batch.levels or b"" for batch in batches) == bytes([Level.INFO, Level.ERROR])
    assert counts == {"drop": 1, "min_level": 1, "sample": 1, "redacted": 2}


def test_what_a_flood_was_is_redacted_like_all_else() -> None:
    """The record that tells of it passes the last steps, and not the first."""
    batches, counts = passed(
        rules({"rate": "1/m", "keep": "line", "redact": "pattern=withheld"}), *[b"line"] * 5
    )
    sent = [message for batch in batches for message in batch.messages]
    assert sent[0] == b"line"
    assert sent[1].startswith(b"4 records *** since ")
    assert counts["rate"] == 4


def test_hashes_go_by_the_key() -> None:
    """Without it anybody could guess what is hashed."""
    [plain], _ = passed(rules({"redact": "email;with=hash"}), b"ada@example.com")
    [keyed], _ = passed(rules({"redact": "email;with=hash", "redact_key": "k"}), b"ada@example.com")
    assert plain.messages != keyed.messages
    assert keyed.messages[0].startswith(b"hash-")
