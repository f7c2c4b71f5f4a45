"""Several datagrams in one system call: sendmmsg(2), where there is one; elsewhere one call for each.

Sources: sendmmsg(2), and recvmsg(2) for its structures, as 64-bit systems lay them out. The arrays for the kernel
are built whole, by calls in C: no datagram is touched by itself.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from array import array
from collections.abc import Sequence
from itertools import accumulate

_WORD = "Q"
#: A struct mmsghdr: no name, one vector at the address that is the third word, no control data.
_HEADER = array(_WORD, [0, 0, 0, 1, 0, 0, 0, 0])
_VECTOR_AT = 2
_HEADER_BYTES = len(_HEADER) * _HEADER.itemsize
#: A struct iovec: address and length.
_VECTOR = array(_WORD, [0, 0])
_VECTOR_BYTES = len(_VECTOR) * _VECTOR.itemsize

_LIBC = ctypes.CDLL(None, use_errno=True)
HAS_SENDMMSG = hasattr(_LIBC, "sendmmsg") and struct.calcsize("P") == _HEADER.itemsize


class Together:
    """Datagrams as the kernel reads them: their bytes, a vector for each, and a header for each vector."""

    def __init__(self, datagrams: Sequence[bytes]) -> None:
        self._data = b"".join(datagrams)
        sizes = array(_WORD, map(len, datagrams))
        self._vectors = _VECTOR * len(sizes)
        self._vectors[0::2] = array(_WORD, accumulate(sizes[:-1], initial=_address(self._data)))
        self._vectors[1::2] = sizes
        self._headers = _HEADER * len(sizes)
        first = self._vectors.buffer_info()[0]
        self._headers[_VECTOR_AT :: len(_HEADER)] = array(
            _WORD, range(first, first + _VECTOR_BYTES * len(sizes), _VECTOR_BYTES)
        )

    def send(self, sock: socket.socket, first: int, count: int) -> int:
        """Send `count` of them, from the `first` on, to the connected peer.

        Returns how many the kernel has taken. Raises OSError when it takes none.
        """
        headers = ctypes.c_void_p(self._headers.buffer_info()[0] + first * _HEADER_BYTES)
        sent = _LIBC.sendmmsg(sock.fileno(), headers, count, 0)
        if sent < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return int(sent)


class OneByOne:
    """The same with a system call for each."""

    def __init__(self, datagrams: Sequence[bytes]) -> None:
        self._datagrams = datagrams

    def send(self, sock: socket.socket, first: int, count: int) -> int:
        """As `Together.send`."""
        for sent, datagram in enumerate(self._datagrams[first : first + count]):
            try:
                sock.send(datagram)
            except OSError:
                if not sent:
                    raise
                return sent
        return count


def _address(data: bytes) -> int:
    return ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value or 0


def as_sent(datagrams: Sequence[bytes]) -> Together | OneByOne:
    """`datagrams`, one or more, as this system can send them."""
    return Together(datagrams) if HAS_SENDMMSG else OneByOne(datagrams)
