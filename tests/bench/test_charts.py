"""The pictures of the report are SVG that anything draws."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from tests.bench import charts
from tests.bench.charts import Chart, shown

SVG = "{http://www.w3.org/2000/svg}"
CHART = Chart("µs <a & b>", ["1", "20"], {"ours": [2.0, 3.5], "bare & <plain>": [None, 1.0]})


def drawn(text: str, kind: str) -> list[ET.Element]:
    return list(ET.fromstring(text).iter(SVG + kind))


def test_each_figure_is_drawn_and_told() -> None:
    """A place without one stays empty."""
    assert len(drawn(charts.lines([CHART, CHART]), "circle")) == 6
    assert len(drawn(charts.dots(CHART), "circle")) == 3
    bars = [bar for bar in drawn(charts.bars(CHART), "rect") if bar.get("x") != "10" and bar.get("x")]
    assert len([bar for bar in bars if bar.get("height") == "16"]) == 3
    assert [title.text for title in drawn(charts.dots(CHART), "title")] == [
        "ours: 2", "ours: 3.5", "bare & <plain>: 1",
    ]  # fmt: skip


def test_one_picture_serves_light_and_dark() -> None:
    [style] = drawn(charts.bars(CHART), "style")
    assert "prefers-color-scheme:dark" in str(style.text)


@pytest.mark.parametrize("tens", [False, True])
@pytest.mark.parametrize(
    "values", [[1.0], [0.03, 7.0], [3.0, 99.0, 100.0], [1.0, 12_345.0], [163_552.0, 45_507.0]]
)
def test_every_value_is_on_the_scale(values: list[float], *, tens: bool) -> None:
    """A greater one is higher; the scale has few marks, its ends among them."""
    chart = Chart("", [str(value) for value in values], {"a": values}, tens)
    low, high, marks = chart.scale()
    assert low <= min(values) <= max(values) <= high
    assert [marks[0], marks[-1]] == pytest.approx([low, high])
    assert 2 <= len(marks) <= 8
    shares = [chart.share(value) for value in sorted(values)]
    assert shares == sorted(shares)
    assert all(0 <= share <= 1 for share in shares)


def test_nothing_measured_is_an_empty_chart() -> None:
    for text in (
        charts.lines([Chart("", [], {})]),
        charts.bars(Chart("", [], {})),
        charts.dots(Chart("", [], {})),
    ):
        assert ET.fromstring(text).tag == SVG + "svg"


def test_figures_are_short() -> None:
    given = (0.152, 2.44, 3.0, 18.4, 950.0, 1077.0, 83_400.0)
    assert [shown(value) for value in given] == ["0.15", "2.4", "3", "18", "950", "1,077", "83 k"]
