"""What containers use of CPU, memory, network and disks: a room beside the flow, off by default.

`StatsReader` is told of containers as `Readers` is, asks the Engine about each in its turn (`timetable`), keeps what
it said last (`sample`, `limits`), and shows that at /metrics under cAdvisor's names (`families`, `exposition`). If
asked to, it makes a record of each answer for the sinks (`records`), computed as `docker stats` does (`formulas`).
"""

from agent.stats.reader import StatsReader

__all__ = ["StatsReader"]
