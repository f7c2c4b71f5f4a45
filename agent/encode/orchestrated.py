"""What an orchestrator says of a container, where a format has names without a structure."""

from __future__ import annotations

from agent.batch import Container

#: All of them, so that nothing else is called so where they are absent.
NAMES = frozenset(
    {
        *("swarm_service_id", "swarm_task", "swarm_task_id", "swarm_node_id"),
        *("kubernetes_namespace", "kubernetes_pod", "kubernetes_pod_uid", "kubernetes_container"),
    }
)


def named(container: Container, prefix: str = "") -> dict[str, str]:
    """`swarm_task`, `kubernetes_pod` and the like, of that what is known."""
    parts = {"swarm": container.swarm, "kubernetes": container.kubernetes}
    return {f"{prefix}{part}_{name}": value for part, of in parts.items() for name, value in of.items()}
