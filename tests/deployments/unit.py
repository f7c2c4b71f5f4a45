"""A systemd unit as the tests look at it, and its sandbox put round a process where systemd does not run.

Sources: systemd.syntax(7), systemd.exec(5); what a set of system calls holds, `systemd-analyze syscall-filter` tells.
"""

from __future__ import annotations

import errno
import json
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.receivers.program import absent

CONF = Path(__file__).parents[2] / "conf/systemd"
UNIT = CONF / "dockferry.service"
_CONFINE = Path(__file__).parent / "confine.py"
#: Every mount read-only, but for these directories; and of /proc the processes only.
_ENTER = r"""
open="$1"; shift
for place in $open; do mount --bind "$place" "$place"; done
awk '{ print $5 }' /proc/self/mountinfo | while read -r place; do
  place=$(printf %b "$place")
  case " $open " in *" $place "*) continue ;; esac
  mount -o remount,bind,ro "$place" || ! mountpoint -q "$place" # of a container that has gone meanwhile
done
mount -t proc -o subset=pid,hidepid=invisible proc /proc
exec "$@"
"""
_CALLS = re.compile(r"^(@\S+)\n((?: +.*\n)+)", re.MULTILINE)


class Unit:
    """The assignments of a section, in order."""

    def __init__(self, path: Path, section: str = "Service") -> None:
        body = re.split(rf"^\[{section}\]$", path.read_text("utf-8"), flags=re.MULTILINE)[1]
        lines = re.split(r"^\[", body, flags=re.MULTILINE)[0].splitlines()
        pairs = (line.split("=", 1) for line in lines if line and not line.startswith("#"))
        self._assigned = [(name, value) for name, value in pairs]

    def all(self, name: str) -> list[str]:
        """Every value that is assigned to a name."""
        return [value for each, value in self._assigned if each == name]

    def one(self, name: str) -> str:
        [value] = self.all(name)
        return value


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """`systemd-analyze …`, which needs no systemd that runs."""
    if shutil.which("systemd-analyze") is None:
        absent("systemd-analyze")
    return subprocess.run(
        ["systemd-analyze", "--no-pager", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def allowed(filters: Sequence[str]) -> frozenset[str]:
    """The system calls that these values of `SystemCallFilter=` leave, a `~` taking away."""
    told = analyze("syscall-filter")
    assert told.returncode == 0, told.stderr
    sets = {name: body.split("\n") for name, body in _CALLS.findall(told.stdout)}

    def calls(name: str) -> set[str]:
        if not name.startswith("@"):
            return {name}
        entries = (line.strip() for line in sets[name])
        return {call for entry in entries if entry and entry[0] != "#" for call in calls(entry)}

    left: set[str] = set()
    for value in filters:
        found = {call for word in value.removeprefix("~").split() for call in calls(word)}
        left = left - found if value.startswith("~") else left | found
    return frozenset(left)


def confined(unit: Unit, *writable: Path) -> list[str]:
    """What goes before a command to run it, as root, much as the unit would; it may write to these directories.

    System calls, address families, memory that is written and executed, capabilities, file systems, /proc. A system
    call that is not allowed kills the process, where the unit refuses it: but for fchown(2), which is known.
    """
    assert unit.one("CapabilityBoundingSet") == ""
    rules = {
        "allowed": sorted(allowed(unit.all("SystemCallFilter"))),
        "refused": {"fchown": getattr(errno, unit.one("SystemCallErrorNumber"))},
        "families": [getattr(socket, name).value for name in unit.one("RestrictAddressFamilies").split()],
    }
    places = " ".join(map(str, writable))
    return [
        *("unshare", "--mount", "sh", "-ec", _ENTER, "sh", places),
        *("setpriv", "--no-new-privs", "--bounding-set", "-all", "--inh-caps", "-all", "--"),
        *(sys.executable, str(_CONFINE), json.dumps(rules)),
    ]
