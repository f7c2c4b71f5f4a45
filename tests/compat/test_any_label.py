"""Whatever a container says to other agents, it is translated or told, and never raises."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.compat import Peers
from agent.compat.datadog import LABEL
from agent.compat.filebeat import PREFIX
from agent.engine.containers import ContainerFacts
from agent.labels import LabelOptions, read_labels

ALL = Peers(("filebeat", "datadog", "logspout"), multiline="start=^x")
HINTS = (
    *("enabled", "disable", "exclude_lines", "include_lines", "module", "json.message_key", "json.target"),
    *(
        f"multiline.{name}"
        for name in ("pattern", "negate", "match", "timeout", "max_lines", "flush_pattern", "type")
    ),
)
TEXTS = st.text() | st.sampled_from(
    ("true", "false", "before", "after", "5s", "^a", "a;b", r"\Q;\E", "off", "(", "\0")
)
#: JSON of any shape, and such as comes close to a configuration.
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
RULES = st.fixed_dictionaries(
    {
        "type": st.sampled_from(("multi_line", "exclude_at_match", "include_at_match", "mask_sequences"))
        | VALUES,
        "pattern": TEXTS | VALUES,
    }
)
CONFIGS = st.lists(
    st.fixed_dictionaries(
        {}, optional={"log_processing_rules": st.lists(RULES) | VALUES, "type": VALUES, "tags": VALUES}
    )
    | VALUES,
    max_size=3,
)


@given(
    st.dictionaries(st.sampled_from([f"{PREFIX}/{name}" for name in HINTS]) | st.text(), TEXTS),
    TEXTS | CONFIGS.map(json.dumps),
    st.dictionaries(st.sampled_from(("LOGSPOUT", "LOGSPOUT_MULTILINE")), TEXTS),
)
@example({}, '[{"type": [1]}]', {})
def test_it_is_translated_or_told(labels: dict[str, str], config: str, env: dict[str, str]) -> None:
    """And what is translated is a label of ours that parses, or is told with where it came from."""
    facts = ContainerFacts(id="a", name="web", labels={**labels, LABEL: config}, env=env)
    found = ALL.translate(facts)
    assert set(found.labels) == set(found.sources)
    options, problems = read_labels({}, container_name="web", translated=found)
    assert isinstance(options, LabelOptions)
    assert all(problem.startswith("container web: ") for problem in problems)


@pytest.mark.parametrize("text", ["a" * 1_000_000, "((" * 50_000, "a{1000}" * 10_000, r"\x3b;" * 100_000])
def test_a_hint_of_any_length_takes_no_time(text: str) -> None:
    """Nor memory: what is too long for a pattern is told."""
    labels = {f"{PREFIX}/{name}": text for name in HINTS} | {
        LABEL: json.dumps([{"log_processing_rules": text}])
    }
    found = ALL.translate(ContainerFacts(id="a", name="web", labels=labels))
    options, problems = read_labels({}, container_name="web", translated=found)
    assert options == LabelOptions()
    assert problems
    assert sum(map(len, problems)) < 20_000
