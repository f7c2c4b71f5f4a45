"""The error tree. What a person can mend is a `DockferryError`; it prints as one line, without a traceback.

    DockferryError
    ├── UsageError            what was typed or set is wrong (exit 2)
    │   └── SettingsError     every fault of one start, together
    ├── EngineError           the Docker Engine did not do what was asked
    │   ├── EngineUnreachable no connection, or it was lost
    │   └── EngineRefused     it answered with an error status
    ├── StreamError           an error the Engine sent inside a log stream, or a damaged frame
    ├── SpoolError            the state directory cannot be used as it is
    └── SinkError             a sink cannot be built or opened as configured

What a receiver answers is no error but an outcome: see `agent.sinks.base`.
"""

from collections.abc import Sequence


class DockferryError(Exception):
    """What is wrong, where, and what to do, in one line for a person."""

    exit_code = 1


class UsageError(DockferryError):
    """What was typed or set is wrong."""

    exit_code = 2


class SettingsError(UsageError):
    """Every fault found in the settings of one start."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class EngineError(DockferryError):
    """The Docker Engine did not do what was asked."""


class EngineUnreachable(EngineError):
    """No connection to the Engine, or it was lost."""


class EngineRefused(EngineError):
    """The Engine answered with an error status."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        self.message = message
        super().__init__(f"the Engine answered {status}: {message}")


class StreamError(DockferryError):
    """An error the Engine sent inside a log stream, or bytes that are no frame."""


class SpoolError(DockferryError):
    """The state directory cannot be used as it is."""


class SinkError(DockferryError):
    """A sink cannot be built or opened as configured."""
