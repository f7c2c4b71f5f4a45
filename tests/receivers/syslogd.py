"""rsyslogd and syslog-ng, the real ones, each of which writes down in JSON what it understood."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tests.receivers.program import free_port, listening, plain_environment, running, until
from tests.receivers.received import DEADLINE_S

SYSLOG_NG = Path("/var/cache/dockferry-receivers/syslog-ng")

RSYSLOG = """
global(net.enableDNS="off" workDirectory="{directory}" maxMessageSize="{most_bytes}")
module(load="imudp") module(load="imtcp") module(load="imuxsock" sysSock.use="off") module(load="mmpstrucdata")
template(name="json" type="list" option.jsonf="on") {{
  property(outname="priority" name="pri" format="jsonf")
  property(outname="time" name="timereported" dateFormat="rfc3339" format="jsonf")
  property(outname="host" name="hostname" format="jsonf")
  property(outname="tag" name="syslogtag" format="jsonf")
  property(outname="program" name="programname" format="jsonf")
  property(outname="msgid" name="msgid" format="jsonf")
  property(outname="data" name="$!rfc5424-sd" format="jsonf")
  property(outname="message" name="msg" format="jsonf")
}}
ruleset(name="all") {{
  action(type="mmpstrucdata" sd_name.lowercase="off")
  action(type="omfile" file="{out}" template="json")
}}
input(type="imudp" address="127.0.0.1" port="{udp}" ruleset="all" rcvbufSize="1m")
input(type="imtcp" address="127.0.0.1" port="{tcp}" ruleset="all")
input(type="imuxsock" socket="{unix}" ruleset="all" useSysTimeStamp="off" rateLimit.interval="0")
"""
RSYSLOG_TLS = """
input(type="imtcp" address="127.0.0.1" port="{tls}" ruleset="all" streamDriver.name="gtls" streamDriver.mode="1"
  streamDriver.authMode="{mode}" streamDriver.CAFile="{ca}" streamDriver.CertFile="{cert}"
  streamDriver.KeyFile="{key}")
"""
NG = """
@version: {version}
options {{ keep-hostname(yes); use-dns(no); dns-cache(no); stats-freq(0); log-msg-size({most_bytes}); }};
source all {{
  syslog(transport("udp") ip("127.0.0.1") port({udp}) so-rcvbuf(1048576));
  syslog(transport("tcp") ip("127.0.0.1") port({tcp}));
  network(transport("tcp") ip("127.0.0.1") port({lines}));
  unix-dgram("{unix}");
}};
destination json {{
  file("{out}" template("$(format-json priority=int($PRI) time=$UNIXTIME host=$HOST program=$PROGRAM pid=$PID
    msgid=$MSGID data=$SDATA message=$MESSAGE)\\n"));
}};
log {{ source(all); destination(json); }};
"""


@dataclass(frozen=True, slots=True)
class Syslogd:
    """A server on loopback. lines: where syslog-ng takes newline framing; rsyslog finds it out by itself."""

    udp: int
    tcp: int
    lines: int
    tls: int
    unix: Path
    out: Path

    def records(self, program: str, count: int) -> list[dict[str, Any]]:
        """What it wrote down of one program, once there is so much."""
        found: list[dict[str, Any]] = []

        def there() -> bool:
            text = self.out.read_bytes() if self.out.exists() else b""
            whole = text[: text.rfind(b"\n") + 1].splitlines()
            found[:] = [record for record in map(orjson.loads, whole) if record["program"] == program]
            return len(found) >= count

        until(there, DEADLINE_S)
        return found

    def ready(self) -> bool:
        """Whether it listens."""
        return self.unix.exists() and listening(self.tcp)


@contextlib.contextmanager
def rsyslogd(
    directory: Path,
    *,
    ca: Path | None = None,
    own: tuple[Path, Path] | None = None,
    clients: bool = False,
    most_bytes: int = 8192,
) -> Iterator[Syslogd]:
    """rsyslogd; `own`: its certificate and key, `clients`: it demands one of the authority `ca`."""
    server = _made(directory)
    text = RSYSLOG + (RSYSLOG_TLS if own else "")
    settings = directory / "rsyslog.conf"
    cert, key = own or (None, None)
    settings.write_text(
        text.format(
            **_places(server),
            directory=directory,
            ca=ca,
            cert=cert,
            key=key,
            mode="x509/certvalid" if clients else "anon",
            most_bytes=most_bytes,
        )
    )
    with running(
        ["rsyslogd", "-n", "-f", settings, "-i", directory / "pid"],
        log=directory / "said",
        ready=server.ready,
        env=plain_environment(),
    ):
        yield server


@contextlib.contextmanager
def syslog_ng(directory: Path, *, most_bytes: int = 65536) -> Iterator[Syslogd]:
    """syslog-ng, from where `.ci/receivers` unpacked it."""
    program = SYSLOG_NG / "usr/sbin/syslog-ng"
    modules = next((SYSLOG_NG / "usr/lib/syslog-ng").glob("[0-9]*"), SYSLOG_NG)
    libraries = [
        modules.parent,
        *(SYSLOG_NG / "usr/lib").glob("*-linux-gnu"),
        *SYSLOG_NG.glob("lib/*-linux-gnu"),
    ]
    server = _made(directory)
    settings = directory / "syslog-ng.conf"
    text = NG.format(**_places(server), version=modules.name, most_bytes=most_bytes)
    settings.write_text(text.replace("\n    msgid", " msgid"))
    with running(
        [
            *(program, "--foreground", "--no-caps", f"--module-path={modules}", f"--cfgfile={settings}"),
            *(
                f"--persist-file={directory}/persist",
                f"--pidfile={directory}/pid",
                f"--control={directory}/control",
            ),
        ],
        log=directory / "said",
        ready=server.ready,
        env=plain_environment(LD_LIBRARY_PATH=":".join(map(str, libraries))),
    ):
        yield server


def _made(directory: Path) -> Syslogd:
    return Syslogd(
        free_port(), free_port(), free_port(), free_port(), directory / "log", directory / "out.json"
    )


def _places(server: Syslogd) -> dict[str, object]:
    return {name: getattr(server, name) for name in ("udp", "tcp", "lines", "tls", "unix", "out")}
