"""The states of a container, what it announces, and what its process writes."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.simulator.containers import ATTACH_CHUNK_BYTES, Container, Spec, State


class Register:
    """A daemon that writes down what containers ask of it."""

    def __init__(self, release: int = 28) -> None:
        self.up = True
        self.release = release
        self.actions: list[tuple[str, dict[str, str]]] = []
        self.removals: list[Container] = []
        self.forgotten: list[Container] = []
        self._clock = count(1_000)

    def now(self) -> int:
        return next(self._clock)

    def publish(self, container: Container, action: str, **attributes: str) -> None:
        self.actions.append((action, attributes))

    def remove_soon(self, container: Container) -> None:
        self.removals.append(container)

    def forget(self, container: Container) -> None:
        self.forgotten.append(container)

    def claim_name(self, name: str) -> None:
        if name == "taken":
            raise ValueError(name)

    def heard(self) -> list[str]:
        """Return the actions since last asked."""
        actions, self.actions = [action for action, _ in self.actions], []
        return actions


class Terminal:
    """An attached client that reads nothing."""

    def __init__(self) -> None:
        self.got: list[tuple[int, bytes]] = []
        self.ended = False

    @property
    def backlog(self) -> int:
        return sum(len(data) for _, data in self.got)

    def deliver(self, stream: int, data: bytes) -> None:
        assert not self.ended
        self.got.append((stream, data))

    def end(self) -> None:
        self.ended = True


def a_container(
    daemon: Register,
    *,
    tty: bool = False,
    driver: str = "json-file",
    auto_remove: bool = False,
    restart_policy: str = "no",
) -> Container:
    """One that is created."""
    spec = Spec("image", {}, {}, tty, driver, {}, auto_remove, restart_policy, created=1)
    return Container(daemon, "0" * 64, "web", spec)


def payloads(container: Container) -> list[bytes]:
    """What the log keeps."""
    return [piece.payload for piece in container.log.pieces]


def test_a_life_is_announced_in_moby_s_order() -> None:
    """As Engine 20.10.24 does it."""
    daemon = Register()
    container = a_container(daemon)
    container.start()
    container.rename("shop")
    container.restart()
    container.pause()
    container.unpause()
    container.finish(3)
    container.remove()
    assert daemon.actions == [
        ("start", {}),
        ("rename", {"oldName": "/web"}),
        ("kill", {"signal": "15"}),
        ("die", {"exitCode": "137", "execDuration": "0"}),
        ("stop", {}),
        ("start", {}),
        ("restart", {}),
        ("pause", {}),
        ("unpause", {}),
        ("die", {"exitCode": "3", "execDuration": "0"}),
        ("destroy", {}),
    ]
    assert daemon.forgotten == [container]


def test_die_comes_when_everything_is_in_the_log_and_clients_are_let_go() -> None:
    """Whoever acts on it finds the log complete."""
    seen: list[tuple[list[bytes], bool]] = []

    class Reader(Register):
        def publish(self, container: Container, action: str, **attributes: str) -> None:
            if action == "die":
                seen.append((payloads(container), terminal.ended))

    terminal = Terminal()
    container = a_container(Reader())
    container.start()
    container.attach(terminal)
    container.write(b"done\nno newline")
    container.finish()
    assert seen == [([b"done\n", b"no newline"], True)]


@pytest.mark.parametrize(
    ("policy", "exit_code", "state"),
    [
        ("always", 0, State.RESTARTING),
        ("on-failure", 1, State.RESTARTING),
        ("on-failure", 0, State.EXITED),
        ("no", 1, State.EXITED),
    ],
)
def test_the_restart_policy_decides_the_state_after_an_exit(
    policy: str, exit_code: int, state: State
) -> None:
    """Only a restart by policy counts."""
    container = a_container(Register(), restart_policy=policy)
    container.start()
    container.finish(exit_code)
    assert container.state is state
    container.start()
    assert container.restart_count == (1 if state is State.RESTARTING else 0)


def test_an_auto_removed_container_is_being_removed_when_it_dies() -> None:
    """The daemon does it soon."""
    daemon = Register()
    container = a_container(daemon, auto_remove=True)
    container.start()
    container.finish()
    assert container.state is State.REMOVING
    assert daemon.removals == [container]
    assert daemon.heard() == ["start", "die"]


def test_removing_a_running_container_kills_it_first() -> None:
    """As `docker rm -f` does."""
    daemon = Register()
    container = a_container(daemon)
    container.start()
    container.write(b"half")
    container.remove()
    assert daemon.heard() == ["start", "kill", "die", "destroy"]
    assert payloads(container) == [b"half"]


def test_stopping_overrules_the_restart_policy() -> None:
    """As `docker stop` does."""
    container = a_container(Register(), restart_policy="always")
    container.start()
    container.stop()
    assert container.state is State.EXITED


def test_what_a_container_cannot_do_says_why() -> None:
    """Nobody writes in a container that does not run."""
    container = a_container(Register())
    with pytest.raises(ValueError, match=r"web is created.* to write"):
        container.write(b"x")
    with pytest.raises(ValueError, match=r"web is created.* to write"):
        container.write_many([b"x"])
    with pytest.raises(ValueError, match=r"web is created.* to finish"):
        container.finish()
    with pytest.raises(ValueError, match="taken"):
        container.rename("taken")
    container.start()
    container.pause()
    with pytest.raises(ValueError, match=r"web is paused.* to write"):
        container.write(b"x")
    with pytest.raises(ValueError, match=r"web is paused.* to start"):
        container.start()


def test_a_terminal_writes_one_stream_with_cr_lf() -> None:
    """stderr too is on the terminal."""
    container = a_container(Register(), tty=True)
    container.start()
    container.write(b"out\n")
    container.write(b"err\n", "stderr")
    assert [(p.stream, p.payload) for p in container.log.pieces] == [(1, b"out\r\n"), (1, b"err\r\n")]


def test_the_driver_none_keeps_nothing_but_clients_see_all() -> None:
    """Attach is beside the driver."""
    container, terminal = a_container(Register(), driver="none"), Terminal()
    container.start()
    container.attach(terminal)
    container.write(b"hello\n")
    container.write_many([b"again"])
    container.finish()
    assert payloads(container) == []
    assert terminal.got == [(1, b"hello\n"), (1, b"again\n")]


def test_an_attached_client_gets_writes_as_they_were_up_to_32_kib() -> None:
    """Not lines; and bytes that json-file would replace."""
    container, terminal = a_container(Register()), Terminal()
    container.start()
    container.attach(terminal)
    container.write(b"a\nb\nc", "stderr")
    container.write(b"\xff" * (ATTACH_CHUNK_BYTES + 1))
    assert terminal.got == [
        (2, b"a\nb\nc"),
        (1, b"\xff" * ATTACH_CHUNK_BYTES),
        (1, b"\xff"),
    ]
    assert container.attached_backlog == ATTACH_CHUNK_BYTES + 6
    container.detach(terminal)
    container.write(b"unheard")
    assert container.attached_backlog == 0


@pytest.mark.parametrize(("release", "last"), [(20, b"x"), (23, b"x\n")])
def test_the_local_driver_lost_newlines_until_release_23(release: int, last: bytes) -> None:
    """Of lines that were cut."""
    container = a_container(Register(release), driver="local")
    container.start()
    container.write(b"x" * 16385 + b"\n")
    assert payloads(container)[-1] == last


def test_what_is_written_while_the_daemon_is_down_is_stamped_when_it_is_back() -> None:
    """It waited in the pipe."""
    daemon = Register()
    container = a_container(daemon)
    container.start()
    daemon.up = False
    container.write(b"meanwhile\n")
    with pytest.raises(ValueError, match="the Engine is down"):
        container.stop()
    assert payloads(container) == []
    daemon.up, back = True, daemon.now()
    container.daemon_returned()
    assert [(p.at > back, p.payload) for p in container.log.pieces] == [(True, b"meanwhile\n")]


def test_an_exit_while_the_daemon_is_down_is_noticed_when_it_is_back() -> None:
    """With all that was written before it; the process is gone at once."""
    daemon = Register()
    container = a_container(daemon)
    container.start()
    daemon.up = False
    container.write(b"last words")
    container.finish(3)
    assert daemon.heard() == ["start"]
    with pytest.raises(ValueError, match="to write"):
        container.write(b"x")
    daemon.up = True
    container.daemon_returned()
    assert payloads(container) == [b"last words"]
    assert (container.state, container.exit_code) == (State.EXITED, 3)
    assert daemon.heard() == ["die"]


def test_a_time_can_be_given() -> None:
    """For all lines of one write."""
    container = a_container(Register())
    container.start()
    container.write(b"a\nb\n", at=7)
    container.write_many([b"c", b"d"], at=9)
    container.append_raw("stderr", b"odd", 5)
    assert [(p.at, p.payload) for p in container.log.pieces] == [
        (7, b"a\n"),
        (7, b"b\n"),
        (9, b"c\n"),
        (10, b"d\n"),
        (5, b"odd"),
    ]


lines = st.lists(st.one_of(st.binary(max_size=30), st.just(b"x" * 16383), st.just(b"x" * 20_000)), max_size=5)


@given(given=lines, tty=st.booleans(), before=st.sampled_from([b"", b"begun"]))
def test_writing_many_lines_stores_what_writing_each_does(
    *, given: list[bytes], tty: bool, before: bytes
) -> None:
    """The fast way is no other way."""
    slow, fast = a_container(Register(), tty=tty), a_container(Register(), tty=tty)
    for container in (slow, fast):
        container.start()
        container.write(before)
    for line in given:
        slow.write(line + b"\n")
    fast.write_many(given)
    for container in (slow, fast):
        container.finish()
    assert payloads(fast) == payloads(slow)


def test_a_health_check_is_four_events() -> None:
    """With the command in the action, as moby writes it."""
    daemon = Register()
    a_container(daemon).check_health(2, "unhealthy")
    assert [action.partition(":")[0] for action in daemon.heard()] == 2 * [
        "exec_create",
        "exec_start",
        "exec_die",
        "health_status",
    ]
