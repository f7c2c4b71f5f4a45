"""moto's server in a process of its own: S3 and CloudWatch Logs as somebody else reads their documentation."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from aiobotocore.session import AioSession

from tests.receivers.aws import ACCESS_KEY_ID

REGION = "eu-central-1"
_RUNNING = re.compile(rb"Running on http://127\.0\.0\.1:(\d+)")


@contextlib.contextmanager
def moto(directory: Path) -> Iterator[int]:
    """Its port."""
    with subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd=directory,
    ) as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                if found := _RUNNING.search(line):
                    threading.Thread(target=process.stderr.read, daemon=True).start()  # its log is not read
                    yield int(found[1])
                    return
            raise RuntimeError("moto did not start")
        finally:
            process.terminate()


@contextlib.asynccontextmanager
async def client(service: str, port: int) -> AsyncIterator[Any]:
    """A client of botocore's, to look at what is there."""
    async with AioSession().create_client(
        service,
        region_name=REGION,
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id=ACCESS_KEY_ID,
        aws_secret_access_key="x",
    ) as made:
        yield made
