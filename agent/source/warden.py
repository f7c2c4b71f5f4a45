"""The watchdog's own process: `python warden.py FD SECONDS`. A script, run without the agent and its packages.

FD is a SOCK_SEQPACKET socket. What comes by it is a sign of life; `+NUMBER`, with a descriptor, is a connection to
guard, `-NUMBER` one to let go. After so many seconds without a sign all that are guarded are shut down, once. At the
end of the socket the agent is gone, and with us goes the last hold on its connections.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys


def main(control: socket.socket, limit_s: float) -> None:
    """Guard what comes by `control`, until its end."""
    guarded: dict[bytes, socket.socket] = {}
    while True:
        ready, _, _ = select.select([control], [], [], limit_s)
        if not ready:
            for connection in guarded.values():
                with contextlib.suppress(OSError):  # it has ended
                    connection.shutdown(socket.SHUT_RDWR)
                connection.close()
            guarded.clear()
            continue
        message, descriptors, _, _ = socket.recv_fds(control, 64, 1)
        if not message:
            return
        number = message[1:]
        if message[:1] == b"+" and descriptors:
            guarded[number] = socket.socket(fileno=descriptors[0])
        elif message[:1] == b"-" and number in guarded:
            guarded.pop(number).close()


if __name__ == "__main__":
    os.setsid()  # a ^C, or a stop signal to the agent's group, is not for us
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # we end when the agent does
    main(socket.socket(fileno=int(sys.argv[1])), float(sys.argv[2]))
