"""The constants of a container's records: what is said once for all of them. A step without a loop.

From what the Engine says of the container, from the settings, and from the container's own labels.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence

from agent.batch import Container
from agent.engine.containers import ContainerFacts
from agent.labels import LabelOptions
from agent.selectors import Selector, project_of, selected, service_of
from agent.settings import Settings


def describe(
    facts: ContainerFacts,
    labels: LabelOptions,
    settings: Settings,
    *,
    host: str,
    selects: Mapping[str, Sequence[Selector]],
) -> Container:
    """The container as its records will tell of it.

    labels   what its `dockferry.*` labels ask for
    host     the name of the machine it runs on
    selects  by sink, which containers that sink wants; empty: all
    """
    return Container(
        id=facts.id,
        name=facts.name,
        image=facts.image,
        image_id=facts.image_id,
        tag=(labels.tag or settings.tag).render(facts),
        host=host,
        labels=_chosen(facts.labels, settings.labels),
        env=_chosen(facts.env, settings.env),
        project=project_of(facts.labels),
        service=service_of(facts.labels),
        sinks=_route(facts, labels, selects),
    )


def _chosen(values: Mapping[str, str], globs: Sequence[str]) -> dict[str, str]:
    return {
        key: value for key, value in values.items() if any(fnmatch.fnmatchcase(key, glob) for glob in globs)
    }


def _route(
    facts: ContainerFacts, labels: LabelOptions, selects: Mapping[str, Sequence[Selector]]
) -> tuple[str, ...] | None:
    route = tuple(
        name
        for name, select in selects.items()
        if (labels.sinks is None or name in labels.sinks) and selected(facts, select)
    )
    return None if len(route) == len(selects) else route
