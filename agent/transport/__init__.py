"""How bytes travel: HTTP requests, and streams over TCP, TLS and Unix sockets; shared by the sinks.

A transport knows neither formats nor outcomes. What goes wrong on the way is one of the two errors below.
"""

from __future__ import annotations

import os


class TransportError(Exception):
    """The bytes did not, or not certainly, arrive; another try may help. Says why, for a person."""


class UntrustedError(TransportError):
    """One side does not trust the other's certificate: no further try helps before someone mends that."""


def reason(error: OSError) -> str:
    """Why a system call or a look-up of a name failed, for a person: `Connection refused`."""
    if error.errno is not None and error.errno > 0:  # look-ups count downwards, and bring their own text
        return os.strerror(error.errno)
    return error.strerror or str(error) or type(error).__name__
