"""Takes the token, however it was escaped on its way, out of everything that comes from a server: bodies, and the texts
of errors.
"""

import html
import re

from pydantic import SecretStr

REDACTED = "[token]"


class Redactor:
    """Replaces the token. Its own repr shows nothing of it.

    A server may echo the header in a JSON string, a URL or a page, so each character is also looked for as
    `\\/`, `\\u002f`, `%2f`, `%252f`, `&amp;`, `&#47;` and `&#x2f;`.
    """

    def __init__(self, token: SecretStr) -> None:
        pattern = "".join(_any_spelling(c) for c in token.get_secret_value())
        self._in_text, self._in_bytes = re.compile(pattern), re.compile(pattern.encode())

    def __call__(self, text: str) -> str:
        return self._in_text.sub(REDACTED, text)

    def in_place(self, view: memoryview) -> None:
        """The same for bytes that may be many: they are neither copied nor moved, so what stands for the token is as
        long as it.
        """
        for found in self._in_bytes.finditer(view):
            start, end = found.span()
            view[start:end] = REDACTED.encode().ljust(end - start, b".")[: end - start]


def _any_spelling(character: str) -> str:
    # Each begins with a fixed character, for which alone `re` can skip fast to where the token may be.
    number = "".join(f"[{d}{d.upper()}]" if d.isalpha() else d for d in f"{ord(character):02x}")
    itself = re.escape(character)
    # The longest first: of "&amp;" nothing may stay behind because "&" was found.
    spellings = [
        rf"\\u00{number}",
        rf"%(?:25)?{number}",
        rf"\\{{1,3}}{itself}",
        rf"&#0*{ord(character)};",
        rf"&#[xX]0*{number};",
        itself,
    ]
    if (entity := html.escape(character)) != character:
        spellings.insert(0, re.escape(entity))
    return f"(?:{'|'.join(spellings)})"
