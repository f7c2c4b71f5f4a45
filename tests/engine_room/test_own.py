"""Our own container, from what /proc shows in the places an agent runs in."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.engine.own import Traces, read_traces, traces

A = "6cea90b08f57bb1fb75f9eb7a74e6521a82c34f23f9461d423b80f98c6539554"
B = "b0257c8f11e6fade367df079963a1adb064846683cdab17c491ddc8e7477104a"
LAYER = "/var/lib/docker/overlay2/1b80938ad48a0350/diff"

DOCKER_MOUNTS = f"""\
612 480 0:59 / / rw,relatime master:241 - overlay overlay rw,lowerdir=/l/X:/l/Y,upperdir={LAYER},workdir=/w
613 612 0:62 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw
619 612 8:1 /var/lib/docker/containers/{A}/resolv.conf /etc/resolv.conf rw,relatime - ext4 /dev/sda1 rw
620 612 8:1 /var/lib/docker/containers/{A}/hostname /etc/hostname rw,relatime - ext4 /dev/sda1 rw
621 612 8:1 /var/lib/docker/containers/{A}/hosts /etc/hosts rw,relatime - ext4 /dev/sda1 rw
622 612 0:23 /docker.sock /run/docker.sock rw,nosuid,nodev,relatime - tmpfs tmpfs rw,size=1624088k
"""
PODMAN_MOUNTS = f"""\
701 650 0:51 / / rw,relatime - overlay overlay rw,lowerdir=/l,upperdir=/home/u/containers/storage/overlay/1/diff
709 701 0:46 /containers/overlay-containers/{A}/userdata/hostname /etc/hostname rw,nosuid,nodev - tmpfs tmpfs rw
710 701 0:46 /containers/overlay-containers/{A}/userdata/.containerenv /run/.containerenv rw - tmpfs tmpfs rw
"""
KUBERNETES_MOUNTS = f"""\
900 800 0:59 / / rw,relatime - overlay overlay rw,lowerdir=/l,upperdir={LAYER},workdir=/w
907 900 8:1 /var/lib/kubelet/pods/0d9d2b1c/etc-hosts /etc/hosts rw,relatime - ext4 /dev/sda1 rw
908 900 8:1 /var/lib/docker/containers/{B}/resolv.conf /etc/resolv.conf rw,relatime - ext4 /dev/sda1 rw
909 900 8:1 /var/lib/docker/containers/{B}/hostname /etc/hostname rw,relatime - ext4 /dev/sda1 rw
"""
HOST_MOUNTS = f"""\
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
42 27 254:0 /var/lib/docker /var/lib/docker rw,relatime shared:1 - ext4 /dev/vda rw
48 27 0:4 net:[4026531833] /run/docker/netns/default rw - nsfs nsfs rw
97 27 0:51 / /var/lib/docker/overlay2/1b80/merged rw - overlay overlay rw,lowerdir=/l,upperdir={LAYER}
98 27 0:61 / /var/lib/docker/containers/{A}/mounts/shm rw,nosuid - tmpfs shm rw,size=65536k
"""


def test_docker_with_cgroup_v1() -> None:
    cgroup = f"12:memory:/docker/{A}\n11:cpu,cpuacct:/docker/{A}\n1:name=systemd:/docker/{A}\n0::/\n"
    assert traces(DOCKER_MOUNTS, cgroup, A[:12]) == Traces((A,), (A, A[:12]), LAYER)


def test_docker_with_cgroup_v2_shows_the_mounts_only() -> None:
    assert traces(DOCKER_MOUNTS, "0::/\n", "web") == Traces((), (A,), LAYER)


@pytest.mark.parametrize(
    "path",
    [
        f"/system.slice/docker-{A}.scope",
        f"/docker/{B}/docker/{A}",
        f"/docker/{A}/init.scope",
        f"/machine.slice/libpod-{A}.scope/container",
        f"/kubepods/burstable/pod0d9d2b1c-9e2f-4d3c-8f0e-0c8f4c1c5a77/{A}",
        f"/kubepods.slice/kubepods-pod0d9d2b1c.slice/docker-{A}.scope",
    ],
)
def test_the_last_id_in_a_cgroups_path_is_ours(path: str) -> None:
    assert traces("", f"0::{path}\n", "web").cgroup == (A,)


def test_podman_leaves_its_own_directories() -> None:
    assert traces(PODMAN_MOUNTS, "0::/\n", A[:12]).hints == (A, A[:12])


def test_a_kubernetes_pod_hints_at_its_pause_container() -> None:
    """Which is not ours: only the layer tells."""
    assert traces(KUBERNETES_MOUNTS, "0::/\n", "agent-x7k2p") == Traces((), (B,), LAYER)


def test_other_containers_mounts_on_the_host_are_no_trace() -> None:
    cgroup = "0::/user.slice/user-1000.slice/session-3.scope\n"
    assert traces(HOST_MOUNTS, cgroup, "vm") == Traces((), (), None)


@pytest.mark.parametrize("hostname", ["web", "deadbeef", A + "0", A[:12].upper(), ""])
def test_a_hostname_that_is_no_id_is_no_trace(hostname: str) -> None:
    assert traces("", "", hostname).hints == ()


def test_a_machine_without_proc_has_no_traces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "laptop")
    assert read_traces(tmp_path / "nothing") == Traces()


def test_this_process_is_read() -> None:
    read = read_traces()
    assert all(len(each) == 64 for each in read.cgroup)
