"""What users read is true of the code: links resolve, and what is named, typed or quoted exists."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import pytest
import yaml

from agent.batch import Batch, Container, Stream
from agent.cli import parser
from agent.encode.ndjson import ndjson
from agent.engine import client
from agent.errors import UsageError
from agent.given import FILE_SUFFIX, SINK_PREFIX
from agent.labels import PREFIX as LABEL_PREFIX
from agent.labels import LabelOptions
from agent.losses import Cause
from agent.metrics import Metrics
from agent.options import declared
from agent.settings import Settings
from agent.sinks import parse_sink, schemes

ROOT = Path(__file__).parent.parent
README, OPERATIONS, SINKS = ROOT / "README.md", ROOT / "docs/operations.md", ROOT / "docs/sinks/README.md"

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
INDENTED = re.compile(r"(?:^    .*\n)+", re.MULTILINE)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
VARIABLE = re.compile(r"DOCKFERRY_[A-Z_]*[A-Z]")
SCHEMES = "|".join(re.escape(scheme.name) for scheme in schemes())
SINK_URL = re.compile(
    rf"(?<![\w+/.:-])(?:(?:console|journald):|(?:{SCHEMES})://)(?:\{{\{{.*?\}}\}}|[^\s'`#|])*"
)
COMMAND = re.compile(r"^(?:\w+=\S+ )*(?:docker exec dockferry )?dockferry(?: (.*))?$")
#: What is written on the left in a table of this page is another program's.
OTHERS = ROOT / "docs/moving-from.md"
FIRST_CELL = re.compile(r"^\|.*? \| ", re.MULTILINE)
#: Of conf/'s Compose files, not of the agent.
COMPOSE_VARIABLES = {"DOCKFERRY_IMAGE"}


@dataclass(frozen=True, slots=True)
class Page:
    """A page as written, and what in it is code: spans, and the lines of its blocks."""

    path: Path
    text: str = field(repr=False)
    spans: tuple[str, ...] = field(repr=False)
    lines: tuple[str, ...] = field(repr=False)

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def code(self) -> tuple[str, ...]:
        return (*self.spans, *self.lines)

    @property
    def urls(self) -> list[str]:
        """The sinks' URLs in its code, without the comma or colon behind one, and without mere placeholders."""
        found = [url for text in self.code for url in SINK_URL.findall(text)]
        return [
            re.sub(r"(?<=[\w/])[,;]$|(?<=\d):$", "", url)
            for url in found
            if "…" not in url and not url.endswith("//")
        ]

    def block(self, language: str) -> str:
        """The first fenced block of that language."""
        return next(match[2] for match in FENCE.finditer(self.text) if match[1] == language)

    def targets(self) -> set[str]:
        """The anchors of its headings, as GitHub makes them."""
        found = HEADING.findall(FENCE.sub("", self.text))
        return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in found}


def read(path: Path) -> Page:
    """The page at `path`."""
    text = path.read_text("utf-8")
    prose = INDENTED.sub("\n", FENCE.sub("", text))
    prose = FIRST_CELL.sub("| ", prose) if path == OTHERS else prose
    fenced = (block for _, block in FENCE.findall(text))
    blocks = [*fenced, *INDENTED.findall(FENCE.sub("", text))]
    lines = [line.strip() for block in blocks for line in block.splitlines() if line.strip()]
    return Page(path, text, tuple(SPAN.findall(prose)), tuple(lines))


PAGES = [read(path) for path in (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")))]
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def said_in(folder: str) -> list[str]:
    """Every text that the code has, adjacent literals joined, as Python sees them."""
    trees = (ast.parse(path.read_text("utf-8")) for path in sorted((ROOT / folder).rglob("*.py")))
    nodes = (node for tree in trees for node in ast.walk(tree))
    return [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def named(words: Iterator[str], known: set[str]) -> list[str]:
    """Those of `words` that are not known."""
    return sorted({word for word in words if word not in known})


def test_every_page_is_read() -> None:
    """An empty list would keep every promise below."""
    names = {page.name for page in PAGES}
    assert {"README.md", "CHANGELOG.md", "docs/operations.md", "docs/decisions/columns.md"} <= names


@each_page
def test_every_link_leads_somewhere(page: Page) -> None:
    """Files, folders, and the headings in them."""
    pages = {other.path: other for other in PAGES}
    for link in LINK.findall(FENCE.sub("", page.text)):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = (page.path.parent / name).resolve() if name else page.path
        assert target.exists(), link
        assert not anchor or anchor in pages[target].targets(), link


@each_page
def test_every_variable_exists(page: Page) -> None:
    """In prose as in code; `_FILE` may follow."""
    known = {f"DOCKFERRY_{entry.name.upper()}" for entry in declared(Settings)} | COMPOSE_VARIABLES
    found = VARIABLE.findall(
        page.text.replace("DOCKFERRY_STAT ", "")
    )  # a typing error that is shown on purpose
    plain = (text.removesuffix(FILE_SUFFIX) for text in found if not f"{text}_".startswith(SINK_PREFIX))
    assert named(plain, known) == []


@each_page
def test_every_setting_shown_with_a_value_is_understood(page: Page) -> None:
    """`DOCKFERRY_BACKLOG=all` is not only a name."""
    for text in page.spans:
        match = re.fullmatch(rf"({VARIABLE.pattern})=(.+)", text)
        if match and match[1] not in COMPOSE_VARIABLES:
            Settings.load({match[1]: match[2]})


@each_page
def test_every_label_exists(page: Page) -> None:
    """The names in `dockferry.…` that are no file."""
    known = {entry.name for entry in declared(LabelOptions)} | {"env", "labels"}
    known |= {"truncated"}  # an attribute in OTLP
    found = re.findall(rf"(?<![\w/]){re.escape(LABEL_PREFIX)}([a-z_]+)", "\n".join(page.code))
    assert named(iter(found), known) == []


@each_page
def test_every_sink_url_is_understood(page: Page) -> None:
    """Whatever a person may copy from a page; files with secrets are taken to be there."""
    for url in page.urls:
        parse_sink("shown", url, read_file=lambda _: "x")


def test_there_are_urls_of_every_sink() -> None:
    """So the test before this one looks at something; and no sink is left out of its page."""
    pages = [page for page in PAGES if page.path.parent == SINKS.parent]
    begun = {url.partition(":")[0] for page in pages for url in page.urls}
    assert begun == {scheme.name for scheme in schemes()}


@each_page
def test_every_option_shown_alone_is_understood(page: Page) -> None:
    """`?select=name=web-*`, `?tenant=shop`: by some sink."""
    for text in page.spans:
        if not text.startswith("?") or "…" in text:
            continue
        urls = (url.partition("?")[0] for other in PAGES for url in other.urls)
        assert any(_parses(url + text) for url in urls), text


def _parses(url: str) -> bool:
    try:
        parse_sink("shown", url, read_file=lambda _: "x")
    except UsageError:
        return False
    return True


@each_page
def test_every_command_can_be_typed(page: Page) -> None:
    """`dockferry spool replay loki` is understood by the command line itself."""
    for text in page.code:
        typed = re.split(r"\s+#\s", text)[0]
        match = COMMAND.match(typed)
        if match and not re.search(r"[…│]|^dockferry:", typed):
            parser().parse_args(shlex.split(match[1] or ""))


@each_page
def test_every_metric_and_cause_exists(page: Page) -> None:
    """With the very label values, where one is shown."""
    metrics = {metric.name for metric in Metrics().declared}
    found = re.findall(r"(?<![\w/.-])(dockferry_[a-z_]+)", page.text)
    assert named(iter(found), metrics) == []
    causes = re.findall(r'cause="(\w+)"', page.text)
    assert named(iter(causes), {cause.value for cause in Cause}) == []


@each_page
def test_every_file_of_ours_exists(page: Page) -> None:
    """Paths below agent/, conf/, docs/, tests/ and .ci/ in code; folders end in a slash."""
    for path in re.findall(r"(?<![\w/.])((?:agent|conf|docs|tests|\.ci)/[\w./-]*)", " ".join(page.code)):
        assert (ROOT / path).exists(), path


@each_page
def test_every_make_target_exists(page: Page) -> None:
    """Those that a person is told to type."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    found = [match[1] for text in page.code if (match := re.match(r"make ([a-z]+)\b", text))]
    assert named(iter(found), targets) == []


def test_the_readme_names_the_targets_that_ci_runs() -> None:
    """What stands under "Development" is what a change must pass, no more and no less."""
    text = read(README).text.partition("## Development")[2]
    run = re.findall(r"make --no-print-directory ([\w-]+)", (ROOT / ".ci/run").read_text("utf-8"))
    assert run
    assert sorted(re.findall(r"^    make ([\w-]+)", text, re.MULTILINE)) == sorted(run)


def test_the_readme_s_compose_file_is_part_of_the_real_one() -> None:
    """Line by line, so that it cannot be left behind."""
    real = {line.strip() for line in (ROOT / "conf/host/compose.yaml").read_text("utf-8").splitlines()}
    shown = read(README).block("yaml")
    assert yaml.safe_load(shown)["services"]["dockferry"]["environment"]
    assert [line for line in shown.splitlines() if line.strip() not in real] == []


def test_the_readme_is_short() -> None:
    """Who is on call reads it in a minute."""
    assert len(read(README).text.splitlines()) <= 150


def test_the_record_that_is_shown_is_one() -> None:
    """Byte for byte what the encoder makes of the same values."""
    shown = read(SINKS).block("json").encode()
    values = orjson.loads(shown)
    constants = {"tag": values["tag"], "host": values["host"], **values["container"]}
    stamp = int(values["id"][21:])
    batch = Batch(Container(**constants), Stream(values["stream"]), [stamp], [values["message"].encode()])
    assert ndjson(batch) == shown


def test_the_alerts_are_yaml_and_ask_for_metrics() -> None:
    """A rule on a metric that is not there never fires."""
    rules = yaml.safe_load(read(OPERATIONS).block("yaml"))["groups"][0]["rules"]
    metrics = {metric.name for metric in Metrics().declared}
    for rule in rules:
        assert set(re.findall(r"dockferry_\w+", rule["expr"])) <= metrics
        assert re.search(r"dockferry_\w+", rule["expr"])


def test_every_warning_explained_is_one_that_is_given() -> None:
    """The pieces between the `…` of each message stand in the code, letter by letter."""
    text = read(OPERATIONS).text
    table = text.partition("| message | it costs |")[2].partition("\n\n")[0]
    messages = [row[1] for line in table.splitlines() if (row := re.match(r"\| `([^`]+)` \|", line))]
    code = said_in("agent")
    pieces = [piece.strip(" :;.()") for message in messages for piece in message.split("…")]
    assert len(messages) > 10
    assert [piece for piece in pieces if piece and not any(piece in said for said in code)] == []


def test_every_cause_of_a_loss_has_its_advice() -> None:
    """Who is woken by one finds its name."""
    table = read(OPERATIONS).text.partition("| cause of a loss |")[2].partition("\n\n")[0]
    advised = {name for line in table.splitlines() for name in SPAN.findall(line.split(" | ")[0])}
    assert advised == {cause.value for cause in Cause}


def test_every_request_to_the_engine_is_told() -> None:
    """The rules of a socket proxy are made from this table."""
    asked = set(re.findall(r"^    [A-Z]+ +(\S+)", client.__doc__ or "", re.MULTILINE))
    table = read(OPERATIONS).text.partition("| request | why |")[2].partition("\n\n")[0]
    assert asked
    assert set(re.findall(r"^\| `(\S+)` \|", table, re.MULTILINE)) == asked
