"""What destinations on this machine cannot do, whatever they are."""

from __future__ import annotations

from collections.abc import Mapping

from tests.contract.stage import Case

_NOBODY = "nobody is there who could say so"
_NO_NETWORK = "nothing travels"

CANNOT: Mapping[Case, str] = {
    Case.SPLIT: _NOBODY,
    Case.THROTTLED: _NOBODY,
    Case.FAILING: "tests/sinks has the failures of disks and pipes",
    Case.REFUSED: _NOBODY,
    Case.LOCKED: "tests/sinks has the permissions",
    **dict.fromkeys([Case.CUT, Case.ABSENT, Case.NAMELESS, Case.TLS], _NO_NETWORK),
    **dict.fromkeys([Case.UNTRUSTED, Case.WRONG_NAME, Case.UNVERIFIED, Case.OURS], _NO_NETWORK),
}
