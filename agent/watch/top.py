"""`dockferry top`: containers, sinks and losses of one agent as they are now, on a terminal."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import termios
import tty
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from agent.options import show_duration
from agent.terminal import printable
from agent.watch.remote import Remote, Unanswered

EVERY_S: Final = 1.0
_HISTORY: Final = 16
#: Of what is no terminal: nothing is cut.
_PIPE_WIDTH: Final = 240
_BARS: Final = "▁▂▃▄▅▆▇█"
_STATES: Final = {
    "idle": "green",
    "delivering": "green",
    "starting": "yellow",
    "retrying": "yellow",
    "held": "red",
}
_QUIT: Final = {"q", "Q", "\x1b", "\x03"}


class Top:
    """What is shown: made of the API's answers, one after the other."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._waiting: dict[str, deque[int]] = defaultdict(lambda: deque(maxlen=_HISTORY))
        self._state: Mapping[str, Any] | None = None
        self._problem: str | None = None

    def see(self, state: Mapping[str, Any]) -> None:
        """The agent's present state."""
        self._state, self._problem = state, None
        for sink in state["sinks"]:
            self._waiting[sink["name"]].append(sink["waiting_records"])

    def miss(self, problem: str) -> None:
        """It did not answer: what was seen last stays."""
        self._problem = problem

    def render(self, height: int) -> RenderableType:
        """All of it, in about so many lines."""
        parts: list[RenderableType] = []
        if self._problem is not None:
            parts.append(Text(printable(self._problem), style="bold red"))
        if self._state is not None:
            sinks = self._sinks(self._state["sinks"])
            parts += [self._head(self._state), "", sinks, "", self._losses(self._state["losses"]), ""]
            room = max(3, height - 12 - len(self._state["sinks"]) - len(self._state["losses"]))
            parts.append(self._containers(self._state["containers"], room))
        return Group(*parts)

    def _head(self, state: Mapping[str, Any]) -> Text:
        engine, spool, agent = state["engine"], state["spool"], state["agent"]
        head = Text.assemble(
            ("dockferry ", "bold"),
            f"{agent['version']} at {self._where}, up {show_duration(round(agent['uptime_seconds']))}\n",
            "Engine  ",
            (printable(engine["name"]), "green" if engine["connected"] else "bold red"),
            f"\nSpool   memory {_size(spool['memory_bytes'])} of {_size(spool['memory_max_bytes'])}",
        )
        if spool["disk_bytes"] is not None:
            head.append(f", disk {_size(spool['disk_bytes'])} of {_size(spool['disk_max_bytes'])}")
        if spool["degraded"]:
            head.append(f"  {printable(spool['degraded'])}", "bold red")
        return head

    def _sinks(self, sinks: Sequence[Mapping[str, Any]]) -> Table:
        table = _table(
            "SINK", "STATE", ">LINES/S", ">BYTES/S", ">WAITING", ">LAG", "", ">REFUSED", "LAST ERROR"
        )
        for sink in sinks:
            well = sink["state"] not in {"retrying", "held"}
            table.add_row(
                printable(sink["name"]),
                Text(sink["state"], style=_STATES.get(sink["state"], "")),
                _rate(sink["records_per_second"]),
                _size(sink["bytes_per_second"]),
                f"{sink['waiting_records']:,}",
                f"{sink['lag_seconds']:.1f} s",
                "".join(_spark(self._waiting[sink["name"]])),
                Text(f"{sink['refused_records']:,}", style="red" if sink["refused_records"] else ""),
                Text(printable(sink["last_error"] or ""), style="dim" if well else "red"),
            )
        return table

    def _losses(self, losses: Sequence[Mapping[str, Any]]) -> RenderableType:
        if not losses:
            return Text("Nothing was lost.", style="green")
        table = _table(">LOST", "CAUSE", "MOST OF IT")
        for loss in losses:
            first = loss["where"][0]
            place = printable(first["container"]) + (
                f" for {printable(first['sink'])}" if first["sink"] else ""
            )
            table.add_row(Text(f"{loss['records']:,}", style="bold red"), loss["meaning"], place)
        return table

    def _containers(self, containers: Sequence[Mapping[str, Any]], room: int) -> Table:
        busiest = sorted(containers, key=lambda each: (-each["records_per_second"], each["name"]))
        table = _table("CONTAINER", ">LINES/S", ">BYTES/S", ">LAST LINE", "READ BY", "SERVICE", "IMAGE")
        for each in busiest[:room]:
            ago = each["last_record_seconds_ago"]
            table.add_row(
                printable(each["name"]),
                _rate(each["records_per_second"]),
                _size(each["bytes_per_second"]),
                "" if ago is None else f"{show_duration(round(ago))} ago" if ago >= 1 else "now",
                each["mode"],
                printable(each["service"] or ""),
                printable(each["image"]),
            )
        if len(busiest) > room:
            table.add_row(f"and {len(busiest) - room} more")
        return table


async def top(remote: Remote, *, once: bool, every_s: float = EVERY_S) -> None:
    """Show until `q`; or once, which is also what happens where there is no terminal.

    Raises Unanswered if there is no answer at the beginning, UsageError if the agent refuses.
    """
    shown, console = Top(remote.where), Console()
    if not console.is_terminal:
        console = Console(width=_PIPE_WIDTH)
    shown.see(await remote.state())
    if once or not console.is_terminal:
        console.print(shown.render(1 << 30))
        return
    with Live(console=console, screen=True, auto_refresh=False) as live, _keys() as pressed:
        while not pressed.is_set():
            live.update(shown.render(console.height), refresh=True)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(every_s):
                    await pressed.wait()
            try:
                shown.see(await remote.state())
            except Unanswered as error:
                shown.miss(str(error))


@contextlib.contextmanager
def _keys() -> Iterator[asyncio.Event]:
    """Set once a key was pressed that ends it."""
    pressed = asyncio.Event()
    if not sys.stdin.isatty():
        yield pressed
        return
    loop, fd = asyncio.get_running_loop(), sys.stdin.fileno()
    before = termios.tcgetattr(fd)

    def press() -> None:
        key = sys.stdin.read(1)
        if not key or key in _QUIT:
            pressed.set()

    tty.setcbreak(fd)
    loop.add_reader(fd, press)
    try:
        yield pressed
    finally:
        loop.remove_reader(fd)
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


def _table(*names: str) -> Table:
    """`>` before a name: numbers, to the right. Where the terminal is too narrow, the last column gives way."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in names:
        title, last = name.removeprefix(">"), name is names[-1]
        justify: Literal["left", "right"] = "right" if name.startswith(">") else "left"
        table.add_column(
            title, justify=justify, no_wrap=True, min_width=None if last else 7 if justify == "right" else 10
        )
    return table


def _spark(values: Sequence[int]) -> Iterator[str]:
    most = max(values, default=0)
    for value in values:
        yield _BARS[value * (len(_BARS) - 1) // most] if most else _BARS[0]


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def _size(value: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"
