"""What an orchestrator says of a container, in labels: Swarm's task, Kubernetes' pod.

Sources: moby daemon/cluster/executor/container/container.go; cri-dockerd core/docker_service.go, kubelet
pkg/kubelet/types/labels.go. Its pods' own labels and annotations the kubelet puts on no container.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_SWARM: Final = {
    "service_id": "com.docker.swarm.service.id",
    "task": "com.docker.swarm.task.name",
    "task_id": "com.docker.swarm.task.id",
    "node_id": "com.docker.swarm.node.id",
}
_KUBERNETES: Final = {
    "namespace": "io.kubernetes.pod.namespace",
    "pod": "io.kubernetes.pod.name",
    "pod_uid": "io.kubernetes.pod.uid",
    "container": "io.kubernetes.container.name",
}


def swarm(labels: Mapping[str, str]) -> dict[str, str]:
    """What is known of the task: of `service_id`, `task`, `task_id`, `node_id`."""
    return {name: labels[label] for name, label in _SWARM.items() if labels.get(label)}


def kubernetes(labels: Mapping[str, str]) -> dict[str, str]:
    """What is known of the pod: of `namespace`, `pod`, `pod_uid`, `container`."""
    return {name: labels[label] for name, label in _KUBERNETES.items() if labels.get(label)}


def is_sandbox(labels: Mapping[str, str]) -> bool:
    """Whether this container only holds a pod's namespaces (the `pause` container)."""
    return labels.get("io.kubernetes.docker.type") == "podsandbox"
