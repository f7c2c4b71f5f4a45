"""The other end of /healthz: what `dockferry health` does, every few seconds, with next to no imports."""

from __future__ import annotations

import http.client
from typing import Final

from agent.errors import DockferryError, UsageError
from agent.settings import reachable, show_address

TIMEOUT_S: Final = 3.0


def ask_health(address: tuple[str, int] | None) -> str:
    """What an agent that listens at `address` says of itself. Takes 3 s at the most for each step.

    Raises DockferryError when none answers or it is not well, UsageError when it was told not to listen.
    """
    if address is None:
        raise UsageError("DOCKFERRY_HTTP is off: set an address to ask the agent for its health")
    host, port = reachable(address[0]), address[1]
    where = f"http://{show_address(host, port)}/healthz"
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        body = answer.read(4096).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "strerror", None) or error
        raise DockferryError(f"no agent answers at {where}: {why}") from error
    finally:
        connection.close()
    if answer.status != 200:
        raise DockferryError(f"{where} answered {answer.status}: {body}")
    return body
