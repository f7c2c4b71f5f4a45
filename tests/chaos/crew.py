"""The containers of a storm: what each writes, numbered, and what it has noted to have written.

A line is `<who>.<run>.<o|e> <number> <length> <flag> <padding>`; a long one's padding ends in whose it is. A
container that is started again begins its next run at number 1. After each few lines it notes, in a directory that
it shares with the test, how far it has come: what is noted was taken by the Engine's pipe.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from docker.models.containers import Container

from tests.engine.containers import RunContainer

WHOLE: Final = {"max-size": "1g"}
#: Some ten seconds of a container's output.
SMALL: Final = {"max-size": "32k", "max-file": "2"}
#: A line with this flag is not for every receiver.
UNWANTED: Final = "unwanted"
_SCRIPT: Final = """
n=$(cat /runs 2>/dev/null || echo 0); n=$((n + 1)); echo $n >/runs
short=$(printf '%060d' 0) long=$(printf '%020000d' 0) o=0 e=0
while [ $o -lt LIMIT ]; do
  for each in 1 2 3 4; do
    o=$((o + 1)) pad=$short flag=-
    [ $((o % 199)) -ne 0 ] || pad=$long/WHO.$n.o/$o
    [ $((o % 499)) -ne 0 ] || flag=unwanted
    if [ $((o % 23)) -eq 0 ]; then
      printf '%s' "WHO.$n.o $o "; usleep 1000; printf '%s\\n' "${#pad} $flag $pad"
    else
      echo "WHO.$n.o $o ${#pad} $flag $pad"
    fi
  done
  e=$((e + 1)); echo "WHO.$n.e $e ${#short} - $short" >&2
  echo "$o $e" >>/written/WHO.$n
  usleep 200000
done
"""


@dataclass(frozen=True, slots=True)
class Kind:
    """How a container's output is kept and read. `lines`: of stdout in one run, some twenty a second."""

    driver: str = "json-file"
    options: Mapping[str, str] = field(default_factory=lambda: WHOLE)
    source: str = "logs"
    lines: int = 10**9
    restarts: bool = False
    removes_itself: bool = False


KINDS: Final = (
    Kind(),
    Kind(options=SMALL),
    Kind(source="attach"),
    Kind(options=SMALL, source="attach"),
    Kind("local", {}),
    Kind(lines=150, restarts=True),
    Kind("local", {"max-size": "32k", "max-file": "3", "compress": "false"}, restarts=True),
    Kind("local", {}, source="attach", lines=150, restarts=True),
    Kind(restarts=True),
    Kind(options=SMALL, restarts=True),
)
SHORT: Final = Kind(lines=20, removes_itself=True, source="auto")


@dataclass(slots=True)
class Writer:
    """One container; `born_ns`: when it was made, ns since the epoch."""

    who: str
    kind: Kind
    container: Container
    born_ns: int

    @property
    def id(self) -> str:
        """64 hexadecimal digits."""
        return self.container.id or ""


def launched(run: RunContainer, who: str, kind: Kind, written: Path, born_ns: int) -> Writer:
    """A container of this kind, that runs. Its name is `who`, or begins with `who-`."""
    script = _SCRIPT.replace("WHO", who).replace("LIMIT", str(kind.lines))
    container = run(
        script,
        name=who,
        log_driver=kind.driver,
        log_opts=kind.options,
        labels={"dockferry.source": kind.source},
        restart_policy={"Name": "always"} if kind.restarts else None,
        auto_remove=kind.removes_itself,
        volumes={str(written): {"bind": "/written", "mode": "rw"}},
    )
    return Writer(who, kind, container, born_ns)


def noted(written: Path) -> dict[str, int]:
    """How far each stream of each run has come, by its key (`c7.1.o`)."""
    reached: dict[str, int] = {}
    for path in written.iterdir():
        whole, _, _ = path.read_text().rpartition("\n")
        if whole:
            out, err = whole.rpartition("\n")[2].split()
            reached |= {f"{path.name}.o": int(out), f"{path.name}.e": int(err)}
    return reached
