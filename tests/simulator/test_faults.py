"""Which request, stream or event a fault befalls, and how often."""

from agent.simulator import Faults, SteppableClock
from agent.simulator.containers import Container
from tests.simulator.test_containers import Register, a_container


def web() -> Container:
    """Some container."""
    return a_container(Register())


def test_a_refusal_is_for_its_route_its_container_its_method_and_so_many_times() -> None:
    """Others are not touched, and do not use it up."""
    faults, container = Faults(), web()
    faults.refuse(503, "later", route="logs", container=container, method="GET", count=2)
    assert faults.take_refusal("inspect", container, "GET") is None
    assert faults.take_refusal("logs", web(), "GET") is None
    assert faults.take_refusal("logs", container, "POST") is None
    for _ in range(2):
        refusal = faults.take_refusal("logs", container, "GET")
        assert refusal is not None
        assert (refusal.status, refusal.message) == (503, "later")
    assert faults.take_refusal("logs", container, "GET") is None


def test_a_proxy_without_post_refuses_each() -> None:
    """GET and HEAD pass."""
    faults = Faults()
    faults.forbid_post()
    for _ in range(3):
        refusal = faults.take_refusal("attach", web(), "POST")
        assert refusal is not None
        assert refusal.status == 403
    assert faults.take_refusal("logs", web(), "GET") is None
    faults.clear()
    assert faults.take_refusal("attach", web(), "POST") is None


def test_delays_add_up_and_are_used_up() -> None:
    """Seconds."""
    faults = Faults()
    faults.delay(0.5)
    faults.delay(0.25, route="list", count=None)
    assert [faults.take_delay("list", None) for _ in range(3)] == [0.75, 0.25, 0.25]


def test_an_event_is_lost_by_action_and_container() -> None:
    """Once, by default."""
    faults, container = Faults(), web()
    faults.lose_events("start", "die", container=container)
    assert not faults.take_loss(container, "create")
    assert not faults.take_loss(web(), "start")
    assert faults.take_loss(container, "die")
    assert not faults.take_loss(container, "start")
    faults.lose_events()
    assert faults.take_loss(container, "anything")


def test_a_stream_fault_meets_streams_open_and_to_come_so_many_times() -> None:
    """And wakes those that wait."""
    faults, woken = Faults(), list[str]()
    first = faults.open_course("logs", None, lambda: woken.append("first"), follow=True)
    other = faults.open_course("events", None, lambda: woken.append("other"), follow=True)
    faults.cut(7, count=2)
    second = faults.open_course("logs", None, lambda: None, follow=True)
    third = faults.open_course("logs", None, lambda: None, follow=True)
    assert woken == ["first"]
    assert [one.cut is not None for one in (first, other, second, third)] == [True, False, True, False]


def test_a_stream_that_cannot_suffer_a_fault_does_not_use_it_up() -> None:
    """A read that does not follow cannot hang."""
    faults = Faults()
    faults.hang()
    assert not faults.open_course("logs", None, lambda: None, follow=False).changes_records
    assert faults.open_course("logs", None, lambda: None, follow=True).changes_records


def test_a_closed_stream_is_not_woken() -> None:
    """Its faults are over."""
    faults, woken = Faults(), list[bool]()
    course = faults.open_course("logs", None, lambda: woken.append(True), follow=True)
    faults.close_course(course)
    faults.cut()
    assert woken == []


def test_a_clock_can_be_set_and_steps_back() -> None:
    """Nanoseconds."""
    clock = SteppableClock(at=5_000_000_000)
    assert clock() == 5_000_000_000
    clock.step(-3.5)
    assert clock() == 1_500_000_000
    running = SteppableClock()
    before = running()
    running.step(-3600)
    assert before - 3601 * 10**9 < running() < before
