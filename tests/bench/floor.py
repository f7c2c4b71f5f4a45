"""What no sender of datagrams can do without: the kernel's work for each, measured from C."""

from __future__ import annotations

import asyncio
import shutil
import struct
import subprocess
from asyncio.subprocess import PIPE
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agent.sinks.base import Sink
from agent.sinks.over_socket import UdpSink, UnixSink
from agent.sinks.parcel import Parcel
from agent.transport.pour import BURST_DATAGRAMS, CALL_DATAGRAMS

SOURCE = Path(__file__).with_name("datagrams.c")


class Floor:
    """`datagrams.c`, compiled into `directory` where there is a compiler."""

    def __init__(self, directory: Path) -> None:
        self._program = directory / SOURCE.stem
        if compiler := shutil.which("cc"):
            subprocess.run([compiler, "-O2", "-o", self._program, SOURCE], check=True)

    async def us(self, sink: Sink[Any], parcels: Sequence[Parcel]) -> float | None:
        """Microseconds for each datagram of `parcels`, to the sink's own receiver; None: it sends none."""
        if not self._program.exists():
            return None
        if isinstance(sink, UdpSink):
            made = [await sink.encode(parcel.batches) for parcel in parcels]
            where = ["udp", str(sink.target.port), str(sink.options.rate), str(BURST_DATAGRAMS)]
        elif isinstance(sink, UnixSink):
            made = [sink.encode(parcel.batches) for parcel in parcels]
            where = ["unix", str(sink.path), "0", str(CALL_DATAGRAMS)]
        else:
            return None
        data = [struct.pack("=I", len(each)) + each for datagrams, _ in made for each in datagrams]
        process = await asyncio.create_subprocess_exec(self._program, *where, stdin=PIPE, stdout=PIPE)
        said, _ = await process.communicate(b"".join(data))
        if process.returncode:
            raise RuntimeError(f"{self._program} ended with {process.returncode}")
        return float(said)
