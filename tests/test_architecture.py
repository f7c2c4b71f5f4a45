"""The shape of the house, read from the imports of `agent/`: data flows one way, and so does knowledge."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

AGENT = Path(__file__).parent.parent / "agent"
MAX_LINES = 400

# The rooms in the order in which data passes them, and those beside the flow.
FLOW = ("engine", "source", "pipeline", "spool", "sinks")
ROOMS = {*FLOW, "encode", "transport", "http", "stats", "simulator", "watch"}
# The top floor, which builds and drives the rooms. `_top_` is agent/__init__.py.
TOP = {"__main__", "app", "check", "cli", "demo", "reference", "replay", "show", "trial"}
# What a label may say is what the pipeline's steps can do: its table names kinds of values that they define.
TABLES = {"labels": {"pipeline"}, "settings": {"pipeline"}}


@dataclass(frozen=True, slots=True)
class Module:
    """A source file of the agent and the dotted names that it imports."""

    name: str
    path: Path
    text: str = field(repr=False)
    imports: frozenset[str] = field(repr=False)

    @property
    def part(self) -> str:
        """The room or ground-floor file it is of: `sinks` for agent.sinks.loki, `batch` for agent.batch."""
        return part_of(self.name)

    @property
    def parts_imported(self) -> set[str]:
        """The parts of the agent it imports from, its own left out."""
        parts = {part_of(name) for name in self.imports if name.partition(".")[0] == "agent"}
        return parts - {self.part, "_top_"}


def part_of(name: str) -> str:
    """The second word of a dotted name; `_top_` for the package itself."""
    return name.split(".")[1] if "." in name else "_top_"


def imports_of(tree: ast.AST, package: str) -> Iterator[str]:
    """Every dotted name imported in a file of `package`, wherever in the file, relative ones made absolute.

    `from a import b` gives `a.b`: whether b is a module or a name in one does not matter here.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def read(path: Path) -> Module:
    """The module at `path`, a file below agent/."""
    parts = path.relative_to(AGENT.parent).with_suffix("").parts
    package = ".".join(parts[:-1])
    name = package if parts[-1] == "__init__" else ".".join(parts)
    text = path.read_text("utf-8")
    return Module(name, path, text, frozenset(imports_of(ast.parse(text), package)))


MODULES = [read(path) for path in sorted(AGENT.rglob("*.py"))]
each_module = pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("import agent.spool", "agent.spool"),
        ("import agent.spool as below", "agent.spool"),
        ("from agent import spool", "agent.spool"),
        ("from agent.spool import Spool", "agent.spool.Spool"),
        ("from . import runner", "agent.sinks.runner"),
        ("from .base import Sink", "agent.sinks.base.Sink"),
        ("from .. import spool", "agent.spool"),
        ("from ..spool import Spool", "agent.spool.Spool"),
        ("def late():\n    from agent import spool", "agent.spool"),
        ("if TYPE_CHECKING:\n    from agent import spool", "agent.spool"),
    ],
)
def test_no_form_of_import_escapes(line: str, name: str) -> None:
    """The reader of imports, which all else here rests on, knows every way to write one."""
    assert list(imports_of(ast.parse(line), "agent.sinks")) == [name]


def test_the_whole_agent_is_read() -> None:
    """An empty list would keep every promise below."""
    assert {"agent", "agent.batch", "agent.errors"} <= {module.name for module in MODULES}


@each_module
def test_a_room_knows_no_later_one(module: Module) -> None:
    """engine → source → pipeline → spool → sinks: nothing looks downstream."""
    if module.part in FLOW:
        later = FLOW[FLOW.index(module.part) + 1 :]
        assert module.parts_imported.isdisjoint(later)


@each_module
def test_only_the_top_floor_knows_the_top_floor(module: Module) -> None:
    """Who builds the rooms is none of their business."""
    if module.part not in {*TOP, "_top_"}:
        assert module.parts_imported.isdisjoint(TOP)


@each_module
def test_the_ground_floor_imports_no_room(module: Module) -> None:
    """Everybody may stand on batch, errors, options, metrics: so they stand on nothing that moves."""
    if module.part not in {*ROOMS, *TOP}:
        assert module.parts_imported & ROOMS <= TABLES.get(module.part, set())


@each_module
def test_only_sinks_encode_and_transport(module: Module) -> None:
    """Formats and connections belong to destinations; `try` shows a record as they would get it."""
    if module.part not in {"sinks", "encode", "transport", "trial"}:
        assert module.parts_imported.isdisjoint({"encode", "transport"})


@each_module
def test_formats_and_transports_know_no_room(module: Module) -> None:
    """A format does not know how it travels, nor a connection what it carries, nor either for whom."""
    if module.part in {"encode", "transport"}:
        assert module.parts_imported.isdisjoint(ROOMS)


@each_module
def test_the_web_page_knows_no_room(module: Module) -> None:
    """Health and status are told to agent/http/; it asks nobody."""
    if module.part == "http":
        assert module.parts_imported.isdisjoint(ROOMS)


@each_module
def test_what_containers_use_is_beside_the_flow(module: Module) -> None:
    """agent/stats/ asks the Engine, hands on batches, and is known to nobody who reads logs."""
    if module.part == "stats":
        assert module.parts_imported & ROOMS <= {"engine"}
    elif module.part not in TOP:
        assert "stats" not in module.parts_imported


@each_module
def test_only_the_demo_knows_the_simulator(module: Module) -> None:
    """The agent must not be able to tell the simulated Engine from a real one."""
    if module.part not in {"cli", "demo"}:
        assert "simulator" not in module.parts_imported


@each_module
def test_the_simulator_shares_nothing_with_what_it_tests(module: Module) -> None:
    """A fault in our reading of the protocol would hide itself, were both ends made of the same code."""
    if module.part == "simulator":
        assert module.parts_imported.isdisjoint(ROOMS)


@each_module
def test_the_agent_runs_without_its_tests(module: Module) -> None:
    """What is installed has no tests/ beside it."""
    assert not [name for name in module.imports if name.partition(".")[0] == "tests"]


@each_module
def test_no_file_holds_two_ideas(module: Module) -> None:
    """Past 300 lines there are usually two; at 400 there certainly are."""
    assert len(module.text.splitlines()) <= MAX_LINES


@each_module
def test_every_module_says_its_place(module: Module) -> None:
    """A stranger learns from the first line what belongs into a file."""
    assert ast.get_docstring(ast.parse(module.text))
