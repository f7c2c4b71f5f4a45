"""The commands: parse, build, run. What they do is in the rooms; here is how a person asks for it.

A command imports only what it needs: `health` runs every few seconds in many a container.
"""
# ruff: noqa: PLC0415 - see above

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from agent import __version__, terminal
from agent.errors import DockferryError, UsageError
from agent.settings import Settings, os_environ

if TYPE_CHECKING:
    from agent.sinks.base import Sink

Act: TypeAlias = Callable[[argparse.Namespace], int]

ABOUT = """\
Reads every Docker container's output and delivers it to as many places as you like, losing nothing.

  dockferry demo                      watch it work; needs no Docker
  dockferry run console:              print what every container here prints
  dockferry run loki+http://loki:3100 'file:///var/log/containers/{{.Name}}.ndjson'
"""
MORE = """\
Settings are environment variables (DOCKFERRY_STATE, DOCKFERRY_SINK_<NAME>, …) and container labels
(dockferry.tag, …): `dockferry options` lists them all, `dockferry config` shows those in force.
`dockferry COMMAND --help` says more about one command.
"""
RUN = """\
Ships the output of every container, from now on, to every sink: those of DOCKFERRY_SINK_<NAME> and those
named here. What a sink has not accepted yet is kept in DOCKFERRY_STATE, across restarts too.

Ends at SIGTERM or ^C, when the sinks have got what was read (at most DOCKFERRY_SHUTDOWN_GRACE later).
Arguments can be read by every user of this machine: a URL with a password belongs in a variable or, better,
in a file: DOCKFERRY_SINK_<NAME>_FILE.
"""
DEMO = """\
Does what `run` does, but with an Engine of its own that simulates a small shop: no Docker is needed, nothing
on this machine is read or changed. Records go to the sinks named here and to no sink of a variable; without
SINK_URL they are printed, and go into files and to an HTTP receiver besides. At the end what the shop wrote
is held against what each sink got. Exit status 0: every line arrived, 1: not so.
"""
CHECK = """\
Asks all that `run` would need, changes nothing and sends no record: are the settings right, does the Engine
answer, would each sink accept? One line each. Exit status 0: all is well, 1: something is not, 2: a setting
is wrong.
"""
CONFIG = """\
The value of each setting and where it comes from: a variable, a file (DOCKFERRY_<NAME>_FILE) or the default.
Passwords and tokens are shown as ***.
"""
OPTIONS = """\
Each DOCKFERRY_ variable, container label and sink URL option with its default and meaning; or, with SINK, the
options of that sink alone. The same stands in docs/reference.md.
"""
SPOOL = """\
Records, bytes and age of what waits for each sink, and of its dead letters: the records that its receiver
refused. Looks into DOCKFERRY_STATE, whether the agent is running or not.
"""
REPLAY = """\
Sends dead letters to their sinks again, after what made the receiver refuse them was mended. What is accepted
is removed, what is refused again stays.
"""
HEALTH = """\
Asks the agent that runs with the same DOCKFERRY_HTTP for /healthz. Exit status 0: it is alive, 1: it is not.
"""
TRY = """\
Reads lines from standard input, or the newest of a container, and shows record by record what the settings, and the
labels given, make of them: what is joined, parsed, redacted, and why a record is left out. Sends nothing.
"""
TOP = """\
Shows the containers, the sinks, what waits for each and what was lost, of the agent that runs here with the same
settings, or of the one at --url. `q` ends it. Without a terminal, it is shown once.
"""
TAIL = """\
Prints the lines that pass through the agent that runs here with the same settings, or the one at --url, until ^C.
When more come than can be followed, lines are skipped, and it is said how many; shipping is never slowed.
"""
URLS = "a sink besides those of DOCKFERRY_SINK_<NAME>; `dockferry options` lists them all"


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are errors like all others, and which guesses at no abbreviation."""

    def __init__(self, *, example: str = "", **settings: Any) -> None:  # noqa: ANN401 - argparse's own
        if example:
            settings["epilog"] = f"example:\n  {example}"
        settings["formatter_class"] = argparse.RawDescriptionHelpFormatter
        super().__init__(**settings, allow_abbrev=False)

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """End after --help or --version; what was printed is out by then, or BrokenPipeError says that it is not."""
        sys.stdout.flush()
        super().exit(status, message)

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see `{self.prog} --help`")


def parser() -> Parser:
    """The whole command line."""
    top = Parser(prog="dockferry", description=ABOUT, epilog=MORE)
    top.add_argument("--version", action="version", version=f"dockferry {__version__}")
    top.set_defaults(act=None)
    commands = top.add_subparsers(title="commands", metavar="COMMAND", parser_class=Parser)

    def command(name: str, act: Act, help: str, about: str, example: str) -> Parser:
        made = commands.add_parser(name, help=help, description=about, example=f"dockferry {example}")
        made.set_defaults(act=act)
        return made

    run = command("run", _run, "ship until told to stop", RUN, "run console: tcp://logs.example:5170")
    demo = command("demo", _demo, "the same on a simulated shop; needs no Docker", DEMO, "demo")
    for made in (run, demo):
        made.add_argument("urls", metavar="SINK_URL", nargs="*", help=URLS)
    check = command("check", _check, "would `run` work? asks the Engine and every sink", CHECK, "check")
    check.add_argument("urls", metavar="SINK_URL", nargs="*", help=URLS)
    command("config", _config, "the settings in force, and where each comes from", CONFIG, "config")
    options = command("options", _options, "every variable, label and URL option", OPTIONS, "options loki")
    options.add_argument("sink", metavar="SINK", nargs="?", help="a scheme or kind, such as file, loki, tcp")
    spool = command("spool", _spool, "what waits for which sink; dead letters", SPOOL, "spool")
    steps = spool.add_subparsers(title="commands", metavar="replay", parser_class=Parser)
    replay = steps.add_parser(
        "replay", help="send dead letters again", description=REPLAY, example="dockferry spool replay loki"
    )
    replay.add_argument("sink", metavar="SINK", nargs="?", help="the name of a sink (default: all of them)")
    replay.set_defaults(act=_replay)
    trial = command(
        "try",
        _try,
        "what the settings and labels make of lines; sends nothing",
        TRY,
        "try --label parse=json --label min_level=warning < app.log",
    )
    trial.add_argument(
        "--label",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="a label as the container would carry it; dockferry. may be left out before its name",
    )
    trial.add_argument("--container", metavar="NAME", help="read its newest lines, and go by its labels")
    trial.add_argument(
        "--tail", metavar="N", type=int, default=100, help="so many lines of it (default: 100)"
    )
    trial.add_argument("--json", action="store_true", help="the records as they would be sent, as JSON lines")
    top_ = command("top", _top, "containers, sinks and losses, as they are now", TOP, "top")
    tail = command(
        "tail",
        _tail,
        "the lines as they pass",
        TAIL,
        "tail name=web-* --level warning --url http://node-1:9469",
    )
    for made in (top_, tail):
        made.add_argument("--url", metavar="URL", help="of another agent: http://host:9469")
        made.add_argument("--token-file", metavar="FILE", help="holds that agent's DOCKFERRY_HTTP_TOKEN")
    top_.add_argument("--once", action="store_true", help="show it once, and end")
    tail.add_argument(
        "select", metavar="SELECTOR", nargs="*", help="only these containers, such as web-* or project=shop"
    )
    tail.add_argument("--level", metavar="LEVEL", help="this level or graver, where levels are known")
    tail.add_argument("--text", metavar="TEXT", help="only lines that have this text")
    tail.add_argument("--json", action="store_true", help="a JSON object a line")
    command("health", _health, "is the agent alive? for Docker's HEALTHCHECK", HEALTH, "health")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """What was asked for; the result is the exit status: 0 well, 1 a problem, 2 a mistake in what was set."""
    terminal.tolerate_any_character()
    try:
        arguments = parser().parse_args(argv)
        if arguments.act is None:
            parser().print_help(sys.stderr)
            return UsageError.exit_code
        act: Act = arguments.act
        status = act(arguments)
        sys.stdout.flush()
        return status
    except DockferryError as error:
        for line in str(error).splitlines():
            print(f"dockferry: {line}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # of `dockferry options | head`; the interpreter flushes once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _load(urls: Sequence[str] = ()) -> tuple[Settings, list[Sink[Any]]]:
    """Settings and sinks, or every fault of both."""
    from agent.sinks import parse_sink

    sinks: list[Sink[Any]] = []
    settings = Settings.load(os_environ(), urls, accept=lambda name, url: sinks.append(parse_sink(name, url)))
    return settings, sinks


def _print(lines: Iterable[str]) -> int:
    for line in lines:
        print(line)
    return 0


def _run(arguments: argparse.Namespace) -> int:
    import resource

    from agent import journal
    from agent.app import run
    from agent.loop import new_event_loop

    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))  # a core file would hold every secret
    settings, sinks = _load(arguments.urls)
    journal.begin(settings.log_level, settings.log_format)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(run(settings, sinks))


def _demo(arguments: argparse.Namespace) -> int:
    from agent import journal
    from agent.demo import load, main

    settings, _ = load(os_environ(), arguments.urls)
    journal.begin(settings.log_level, settings.log_format)
    return asyncio.run(main(os_environ(), arguments.urls))


def _check(arguments: argparse.Namespace) -> int:
    from agent.check import check

    settings, sinks = _load(arguments.urls)
    return asyncio.run(check(settings, sinks, print))


def _config(_: argparse.Namespace) -> int:
    from agent.show import config

    return _print(config(_load()[0]))


def _options(arguments: argparse.Namespace) -> int:
    from agent.show import options

    return _print(options(arguments.sink))


def _spool(_: argparse.Namespace) -> int:
    from agent.show import backlogs

    return _print(backlogs(Settings.load(os_environ()), time.time_ns()))


def _replay(arguments: argparse.Namespace) -> int:
    from agent.replay import replay

    settings, sinks = _load()
    return asyncio.run(replay(settings, sinks, arguments.sink, print))


def _try(arguments: argparse.Namespace) -> int:
    from agent.trial import labels_of, trial_of_container, trial_of_lines

    settings, sinks = _load()
    labels, how = labels_of(arguments.label), {"as_json": arguments.json}
    if arguments.container is None:
        trial_of_lines(settings, sinks, labels, sys.stdin.buffer, print, **how)
    else:
        asyncio.run(
            trial_of_container(
                settings, sinks, arguments.container, labels, print, tail=arguments.tail, **how
            )
        )
    return 0


def _top(arguments: argparse.Namespace) -> int:
    from agent.watch.remote import Place, Remote

    try:
        from agent.watch.top import top
    except ImportError:
        raise UsageError("`top` needs rich: pip install 'dockferry[terminal]'") from None
    place = Place.of(Settings.load(os_environ()), arguments.url, arguments.token_file)

    async def show() -> None:
        async with Remote(place) as remote:
            await top(remote, once=arguments.once)

    asyncio.run(show())
    return 0


def _tail(arguments: argparse.Namespace) -> int:
    from agent.watch.remote import Place, Remote
    from agent.watch.tail import tail

    place = Place.of(Settings.load(os_environ()), arguments.url, arguments.token_file)
    asked = {"select": ",".join(arguments.select), "level": arguments.level, "q": arguments.text}
    query = {name: text for name, text in asked.items() if text}

    def say(line: str) -> None:
        print(line, flush=True)

    def tell(note: str) -> None:
        print(f"dockferry: {note}", file=sys.stderr, flush=True)

    async def show() -> None:
        async with Remote(place) as remote:
            await tail(remote, query, say, tell, colour=sys.stdout.isatty(), as_json=arguments.json)

    asyncio.run(show())
    return 0


def _health(_: argparse.Namespace) -> int:
    from agent.http.ask import ask_health

    return _print([ask_health(Settings.load(os_environ()).http)])
