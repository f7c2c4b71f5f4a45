"""The constants of a container's records: what is said once for all of them. A step without a loop.

From what the Engine says of the container, from the settings, and from the container's own labels. Labels and
variables may be of any length, and each record carries them: longer ones are cut, with `…` behind.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from agent.batch import Container
from agent.engine.containers import ContainerFacts
from agent.engine.orchestrated import kubernetes, swarm
from agent.labels import LabelOptions
from agent.selectors import Selector, project_of, selected, service_of
from agent.settings import Settings

#: Characters of a name (an orchestrator's have 253 at the most), of a tag, of a label or variable sent along.
MAX_NAME: Final = 255
MAX_TAG: Final = 1024
MAX_VALUE: Final = 4096
#: Labels, or variables, of one container.
MAX_CHOSEN: Final = 256
_CUT = "…"


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
        tag=_cut((labels.tag or settings.tag).render(facts), MAX_TAG),
        host=host,
        labels=_chosen(facts.labels, settings.labels),
        env=_chosen(facts.env, settings.env),
        project=_name(project_of(facts.labels)),
        service=_name(service_of(facts.labels)),
        swarm=_names(swarm(facts.labels)),
        kubernetes=_names(kubernetes(facts.labels)),
        sinks=_route(facts, _wanted(labels, settings, selects), selects),
    )


def _chosen(values: Mapping[str, str], globs: Sequence[str]) -> dict[str, str]:
    if not globs:
        return {}
    chosen = [
        (key, value)
        for key, value in values.items()
        if len(key) <= MAX_NAME and any(fnmatch.fnmatchcase(key, glob) for glob in globs)
    ]
    return {key: _cut(value, MAX_VALUE) for key, value in chosen[:MAX_CHOSEN]}


def _name(text: str | None) -> str | None:
    return None if text is None else _cut(text, MAX_NAME)


def _names(texts: Mapping[str, str]) -> dict[str, str]:
    return {key: _cut(text, MAX_NAME) for key, text in texts.items()}


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + _CUT


def _wanted(labels: LabelOptions, settings: Settings, known: Collection[str]) -> Sequence[str] | None:
    """Names of sinks; None: all. A label that names none that there is counts as none."""
    own = labels.sinks
    if own is not None and (not own or not known or set(own) & set(known)):
        return own
    return settings.sinks or None


def _route(
    facts: ContainerFacts, wanted: Sequence[str] | None, selects: Mapping[str, Sequence[Selector]]
) -> tuple[str, ...] | None:
    route = tuple(
        name
        for name, select in selects.items()
        if (wanted is None or name in wanted) and selected(facts, select)
    )
    return None if len(route) == len(selects) else route
