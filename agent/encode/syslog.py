"""The record as a syslog message, in the form of RFC 5424 or of RFC 3164, and how messages are framed in a stream.

Header fields as moby daemon/logger/syslog/syslog.go has them: the tag is APP-NAME and MSGID, PROCID our process,
the severity that of the record's level, else `info`, of stderr `err`. What that driver has no place for is
structured data. No BOM before the text: receivers store it. Framing after RFC 6587: counted octets, or a newline,
which then must not be in a message.
"""

from __future__ import annotations

import functools
import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent.batch import NS, Batch, Container, Stream
from agent.encode.fields import Flattened
from agent.encode.orchestrated import NAMES, named
from agent.encode.utf8 import cleaned
from agent.level import Level

#: RFC 5424, 6.2.1. The driver of Docker sends as `daemon`.
FACILITIES = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp"),
    *("ntp", "audit", "alert", "clock", *(f"local{number}" for number in range(8))),
)
DAEMON = FACILITIES.index("daemon")
#: The private enterprise number set aside for documentation (RFC 5612); we have none of our own.
STRUCTURED_DATA = "docker@32473"
NAME_CHARACTERS = 32  # of an SD-NAME
CUT = b"..."

_SEVERITIES = {Stream.STDOUT: 6, Stream.STDERR: 3}
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MICROSECONDS = len("2026-11-23T06:13:46.489633")
_NOT_PRINTABLE = re.compile(r"[^!-~]")
_NOT_IN_TAGS = re.compile(r"[^!-9;-Z\\^-~]")  # nor a colon or bracket, which end a tag
_NOT_IN_NAMES = re.compile(r'[^!-~]|[="\].]')  # RFC 5424 allows dots, but syslog-ng takes them for a path
_IN_VALUES = re.compile(r'["\\\]]')
_TAKEN = {"record_id", "truncated", *NAMES}
#: What ends a message in a stream of lines (null bytes do for syslog-ng), and how rsyslog writes that.
_ENDS = ((b"\n", b"#012"), (b"\0", b"#000"))


@dataclass(frozen=True, slots=True)
class Style:
    """How a receiver wants its messages.

    rfc       "5424" or "3164"
    facility  0 to 23
    sd_id     what the structured data is called; None: there is none
    host      whether to name the host: a local socket's reader, of RFC 3164, knows it and expects none
    most      bytes of a message: one that would be longer goes without its parsed fields
    """

    rfc: str = "5424"
    facility: int = DAEMON
    sd_id: str | None = STRUCTURED_DATA
    host: bool = True
    most: int = 8192


def messages(batch: Batch, style: Style) -> list[bytes]:
    """Every record as one message, not framed."""
    column = _rfc5424(batch, style) if style.rfc == "5424" else _rfc3164(batch, style)
    return _with_levels(column, batch, style) if batch.levels else column


def _with_levels(column: Sequence[bytes], batch: Batch, style: Style) -> list[bytes]:
    """The messages with their levels' severities instead of the stream's."""
    plain = _SEVERITIES[batch.stream]
    severities = [plain, *(level.severity for level in Level)]
    heads = [b"<%d>" % (style.facility * 8 + severity) for severity in severities]
    after = len(heads[0])
    return [
        heads[level] + message[after:] for level, message in zip(batch.levels or b"", column, strict=True)
    ]


def counted(column: Sequence[bytes]) -> bytes:
    """The messages, each behind its length."""
    return b"".join([b"%d %b" % (len(message), message) for message in column])


def lines(column: Sequence[bytes]) -> bytes:
    """The messages, each ended by a newline; one within is written `#012`, a null byte `#000`."""
    whole = b"\n".join(column)
    if whole.count(b"\n") >= len(column) or b"\0" in whole:
        whole = b"\n".join(map(_without_ends, column))
    return whole + b"\n" if column else b""


def _without_ends(message: bytes) -> bytes:
    for end, written in _ENDS:
        message = message.replace(end, written)
    return message


def shortened(message: bytes, most: int) -> bytes:
    """`message` in no more than `most` bytes, the end `...` when some are missing, no character cut in two."""
    if len(message) <= most:
        return message
    return message[: most - len(CUT)].decode(errors="ignore").encode() + CUT


def _rfc5424(batch: Batch, style: Style) -> list[bytes]:
    head = b"<%d>1 " % _priority(batch.stream, style)
    middle, tail, marked = _around(batch.container, batch.stream, style)
    times = [stamp[:_MICROSECONDS] for stamp in batch.rfc3339()]
    ids = batch.ids() if style.sd_id is not None else [b""] * len(batch)
    messages = cleaned(batch)
    column = [
        b"".join((head, stamp, middle, identity, tail, text))
        for stamp, identity, text in zip(times, ids, messages, strict=True)
    ]
    for row in batch.truncated:
        column[row] = b"".join((head, times[row], middle, ids[row], marked, messages[row]))
    if style.sd_id is None or batch.fields is None:
        return column
    before = len(head) + _MICROSECONDS + len(middle) + len(b'"')
    ends = [before + len(identity) for identity in ids]
    return _with_fields(column, ends, batch, style)


def _with_fields(column: Sequence[bytes], ends: Sequence[int], batch: Batch, style: Style) -> list[bytes]:
    """The messages with parsed fields among the structured data. `ends`: where the id's parameter does."""
    container, stream = batch.container, batch.stream
    taken = {*_known(container, stream), *_parameters(container, stream), *_TAKEN}
    described = Flattened(parameter_name, taken)
    made = [_told(described.texts(fields)).encode() for fields in batch.fields or ()]
    return [
        message[:end] + more + message[end:] if len(message) + len(more) <= style.most else message
        for message, end, more in zip(column, ends, made, strict=True)
    ]


def _told(parameters: Mapping[str, str]) -> str:
    """Parameters as they are written, a blank before each."""
    return "".join([f' {name}="{_IN_VALUES.sub(_escape, value)}"' for name, value in parameters.items()])


def _around(container: Container, stream: Stream, style: Style) -> tuple[bytes, bytes, bytes]:
    """What stands between time and id; between id and text; and there when the text was cut."""
    header = _header(container)
    if style.sd_id is None:
        return header + b"-", b" ", b" "
    key = ("syslog", stream, style.sd_id)
    known = container.constants.get(key)
    if known is None:
        told = _told(_parameters(container, stream))
        known = container.constants[key] = f'{style.sd_id}{told} record_id="'.encode()
    return header + b"[" + known, b'"] ', b'" truncated="true"] '


def _header(container: Container) -> bytes:
    """The rest of the time, and HOSTNAME to MSGID."""
    known = container.constants.get("syslog header")
    if known is None:
        host, app, message = (
            _printable(text, most)
            for text, most in ((container.host, 255), (container.tag, 48), (container.tag, 32))
        )
        known = container.constants["syslog header"] = f"Z {host} {app} {os.getpid()} {message} ".encode()
    return known


def _known(container: Container, stream: Stream) -> dict[str, str | None]:
    """The parameters that are ours alone."""
    return {
        "stream": stream.value,
        "container_id": container.id,
        "container_name": container.name,
        "image_name": container.image,
        "image_id": container.image_id,
        "project": container.project,
        "service": container.service,
        **named(container),
    }


def _parameters(container: Container, stream: Stream) -> dict[str, str]:
    """Names and values of the structured data, but for what differs from record to record."""
    ours = _known(container, stream)
    named = {name: value for name, value in ours.items() if value}
    taken = {*ours, *_TAKEN}
    for name, value in [*container.labels.items(), *container.env.items()]:
        allowed = parameter_name(name)
        if allowed and value and allowed not in taken:
            named.setdefault(allowed, value)
    return named


@functools.lru_cache(maxsize=1024)
def parameter_name(name: str) -> str:
    """`name` of a label, variable or parsed field as an SD-NAME: of a long one the end, which says more."""
    return _NOT_IN_NAMES.sub("_", name)[-NAME_CHARACTERS:]


def _rfc3164(batch: Batch, style: Style) -> list[bytes]:
    head = b"<%d>" % _priority(batch.stream, style)
    tag = _NOT_IN_TAGS.sub("_", batch.container.tag)[-48:] or "-"
    host = f" {_printable(batch.container.host, 255)}" if style.host else ""
    middle = f"{host} {tag}[{os.getpid()}]: ".encode()
    seconds = [stamp // NS for stamp in batch.timestamps]
    openings = {second: b"".join((head, _local(second), middle)) for second in set(seconds)}
    return [openings[second] + text for second, text in zip(seconds, cleaned(batch), strict=True)]


def _local(second: int) -> bytes:
    """A time as RFC 3164 has it: the sender's own zone, no year, the day without a leading zero."""
    then = time.localtime(second)
    clock = f"{then.tm_hour:02}:{then.tm_min:02}:{then.tm_sec:02}"
    return f"{_MONTHS[then.tm_mon - 1]} {then.tm_mday:2} {clock}".encode()


def _priority(stream: Stream, style: Style) -> int:
    return style.facility * 8 + _SEVERITIES[stream]


def _printable(text: str, most: int) -> str:
    """`text` as a header field; of a long one the end, as Docker's driver cuts it."""
    return _NOT_PRINTABLE.sub("_", text)[-most:] or "-"


def _escape(match: re.Match[str]) -> str:
    return f"\\{match[0]}"
