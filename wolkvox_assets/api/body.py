"""The bytes of an answer: held once, without the token, and weighed before they are opened.

What belongs here: keeping memory down, whatever a server sends. What doesn't: receiving (`client.py`), what
the JSON means (`parsing.py`).

An answer may have 256 MB [D+]. As Python objects a few of these bytes can take forty times as much (`[],[],…`), and one
wide character makes all others of its text take four bytes each. So nothing here makes a copy of the whole.
"""

import io
import re

from wolkvox_assets.api.redaction import Redactor

SMALL = 4 * 1024 * 1024
"""Bytes of a body that may hold anything; and so the longest value there is."""

MEMORY = 360 * 1024 * 1024
"""What a body may take as Python objects: 60,000 rows in 256 MB, with a few wide characters, take less."""

# Bytes that objects take at most, with their place in what holds them.
_TEXT, _ITEM, _OBJECT, _LIST = 64, 100, 264, 120
_SHORT = 16  # bytes of a text whose width does not count: nine of ten are columns and durations

# Ends in any case, also where the body does: else each quote behind would be tried anew.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_WIDEST = re.compile(rb"[\xf0-\xf4]|\\u[dD][89abAB]")
_WIDE = re.compile(rb"[\xc4-\xef]|\\u(?!00)")

_BOM = b"\xef\xbb\xbf"


class TooHeavy(ValueError):
    """More than any report needs, and than there is memory for."""


class Body:
    """Grows by `add`. From `redact` on nothing that it gives away holds the token."""

    def __init__(self) -> None:
        self._bytes = io.BytesIO()  # hands its bytes over without a copy, which a bytearray can't

    def add(self, chunk: bytes) -> None:
        self._bytes.write(chunk)

    def __len__(self) -> int:
        return self._bytes.tell()

    def cut(self, size: int) -> None:
        """Of a body that is given up no more than what people look at needs to be there."""
        self._bytes.truncate(size)
        self._bytes.seek(0, io.SEEK_END)

    def redact(self, redact: Redactor) -> None:
        with self._bytes.getbuffer() as view:
            redact.in_place(view)

    def beginning(self, characters: int) -> str:
        """As text, for people; bytes that are no UTF-8 replaced."""
        with self._bytes.getbuffer() as view:
            start = bytes(view[: len(_BOM) + 4 * characters])
        return start.decode("utf-8-sig", "replace")[:characters]

    def json(self) -> bytes:
        """All of it, with blanks for a byte-order mark, which JSON does not know."""
        with self._bytes.getbuffer() as view:
            if view[: len(_BOM)] == _BOM:
                view[: len(_BOM)] = b" " * len(_BOM)
        return self._bytes.getvalue()


def weigh(body: bytes) -> None:
    """Raises `TooHeavy` for what is not to be opened; takes seconds for hundreds of MB."""
    if len(body) <= SMALL:
        return
    # Commas and brackets within texts count as well: that is too much rather than too little.
    weight = body.count(b",") * _ITEM + body.count(b"{") * _OBJECT + body.count(b"[") * _LIST
    for text in _STRING.finditer(body) if weight <= MEMORY else ():
        start, end = text.span()
        if end - start > SMALL:
            raise TooHeavy(f"it has a text of more than {SMALL} bytes (at byte {start})")
        weight += _TEXT + (end - start) * (_width(body[start:end]) if end - start > _SHORT else 1)
    if weight > MEMORY:
        raise TooHeavy(f"it has {len(body)} bytes, and would take {weight} or more to read")


def _width(text: bytes) -> int:
    """Bytes for each character of this text: the widest of them decides."""
    if text.isascii() and b"\\u" not in text:
        return 1
    return 4 if _WIDEST.search(text) else 2 if _WIDE.search(text) else 1
