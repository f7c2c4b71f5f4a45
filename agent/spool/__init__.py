"""Spool: the durable queue between the pipeline and the sinks."""

from agent.spool.place import Entry, Lag
from agent.spool.reader import Reader
from agent.spool.shelf import SinkBacklog, inspect
from agent.spool.spool import Spool, SpoolConfig, Subscriber

__all__ = ["Entry", "Lag", "Reader", "SinkBacklog", "Spool", "SpoolConfig", "Subscriber", "inspect"]
