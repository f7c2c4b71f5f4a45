"""`python confine.py RULES COMMAND…`: runs the command below a filter of system calls; a script.

RULES is JSON: `allowed`, the calls by name; `refused`, name to error number; `families`, what socket(2) may ask for.
Memory is never both writable and executable. Whatever else is called kills the process.
Source: seccomp_init(3), seccomp_rule_add_array(3).
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import sys
from typing import TypedDict

_KILL, _ERRNO, _ALLOW = 0x8000_0000, 0x0005_0000, 0x7FFF_0000
_EQUAL, _MASKED_EQUAL = 4, 7
_UNKNOWN = -1


class Rules(TypedDict):
    """See above."""

    allowed: list[str]
    refused: dict[str, int]
    families: list[int]


class _Compare(ctypes.Structure):
    _fields_ = (
        ("argument", ctypes.c_uint),
        ("how", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


def main(rules: Rules, command: list[str]) -> None:
    """Load the filter and become the command."""
    library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(_KILL)))

    def rule(action: int, name: str, *compare: _Compare) -> None:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number == _UNKNOWN:  # of a newer kernel than the library
            return
        array = (_Compare * len(compare))(*compare)
        done = library.seccomp_rule_add_array(context, ctypes.c_uint32(action), number, len(compare), array)
        if done < 0:
            raise OSError(-done, f"{os.strerror(-done)}: {name}")

    special = {
        "socket": [_Compare(0, _EQUAL, family) for family in rules["families"]],
        "mmap": [_Compare(2, _MASKED_EQUAL, bit, 0) for bit in (mmap.PROT_EXEC, mmap.PROT_WRITE)],
        "mprotect": [_Compare(2, _MASKED_EQUAL, mmap.PROT_EXEC, 0)],
    }
    for name in rules["allowed"]:
        for compare in special.get(name, [None]):
            rule(_ALLOW, name, *([compare] if compare else []))
    for name, number in rules["refused"].items():
        rule(_ERRNO | number, name)
    if library.seccomp_load(context) < 0:
        raise OSError("the filter cannot be loaded")
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), sys.argv[2:])
