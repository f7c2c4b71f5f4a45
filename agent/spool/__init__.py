"""Spool: the durable queue between the pipeline and the sinks. One file; one position per sink.

What must hold
    1.  Batches and the cursors put with them are committed together, in the order of the calls.
    2.  A sink is given every batch that is for it, in order, until it is done with it; after a restart
        exactly those that were not done when the positions were last saved (≤ 0.3 s ago).
    3.  No sink sees a batch before its commit, except while the disk cannot be written.
    4.  A sequence number stands for one batch for ever.
    5.  Memory, file and log (WAL) are bounded, whatever the sinks do.
    6.  What is lost all the same is in the book of losses.

Operation
    `put` numbers its batches and queues them in memory; one task, the writer, commits all that has gathered
    (at most 10 times a second, sooner when much waits or someone asks), with cursors, facts and positions, and
    deletes what every sink has passed, in the same transaction. Then sinks may see them. The newest batches
    stay in memory, the window: sinks that keep up take the same objects from it. When memory is short the
    window's oldest go, and a sink that still needs them is fed from disk in pieces, by a thread of its own.

    A commit costs no fsync (WAL, synchronous=NORMAL); emptying the log into the file, every 8 MB, does.

Tables (format 1; `schema.py`)
    progress     last_seq: the highest number given
    containers   constants, once for each fingerprint; unused ones are removed now and then
    batches      seq, container, stream, records, bytes, first_ns, last_ns, data: the columns, see `codec.py`
    cursors      by container id
    facts        small things to be remembered, by key
    sinks        position: all up to it is done; beyond: ranges done out of order; checkpoint; gone_ns: since
                 when the sink is no longer configured. Its position is kept 7 days, its batches are not

What happens
    at kill -9          The last transaction is there, or it is not. What was not committed is read again from the
                        Engine, since its cursor was not either; what was done and not saved is given again.
    at loss of power    The same, but the last seconds of transactions may be gone: never their order.
    with a full disk    Sinks go on from memory, `degraded` says why. All is tried again every second. What every
                        sink has done needs no writing; when memory is full of the rest, `put` waits.
    of an older format  Brought up to ours, step by step, in one transaction. One of a newer format is left as it is,
                        and the start refused.
    with a damaged file Set aside, and a new one begun; what is in memory (and cursors, facts, positions) is written
                        to that. A single damaged row is passed over.
    at the file's bound Laggards with `drop_oldest` lose their oldest; for one with `block`, `put` waits. What a
                        sink has taken is never dropped.
    without a file      The same, in bounded memory (`SpoolConfig.directory` None); what is left at the end is lost.

Files: `place.py` (one sink's place), `queue.py` (the window), `drop.py` are pure; `codec.py` a row's bytes;
`schema.py`, `store.py` (writes), `shelf.py` (reads) SQLite; `disk.py` their threads; `writer.py`, `memory.py`,
`reader.py`, `spool.py` asyncio; `directory.py` the lock.
"""

from agent.spool.place import Entry, Lag
from agent.spool.reader import Reader
from agent.spool.shelf import SinkBacklog, inspect
from agent.spool.spool import Spool, SpoolConfig, Subscriber
from agent.spool.writer import COMMIT_EVERY_S

__all__ = [
    "COMMIT_EVERY_S",
    "Entry",
    "Lag",
    "Reader",
    "SinkBacklog",
    "Spool",
    "SpoolConfig",
    "Subscriber",
    "inspect",
]
