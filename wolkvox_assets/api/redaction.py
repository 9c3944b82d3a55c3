"""Takes the token out of texts that are kept: bodies, messages, errors.

What belongs here: finding the token in a text, however it was escaped on its way. What doesn't:
deciding which texts are kept (`client.py`: all of them pass through here).
"""

import html
import re

from pydantic import SecretStr

REDACTED = "[token]"


class Redactor:
    """Replaces the token in a text. Its own repr shows nothing of it.

    A server may echo the header in a JSON string, a URL or a page, so each character is also looked for as
    `\\/`, `\\u002f`, `%2f` and `&amp;`.
    """

    def __init__(self, token: SecretStr) -> None:
        self._pattern = re.compile("".join(_any_spelling(c) for c in token.get_secret_value()))

    def __call__(self, text: str) -> str:
        return self._pattern.sub(REDACTED, text)


def _any_spelling(character: str) -> str:
    number = f"{ord(character):02x}"
    # The longest first: of "&amp;" nothing may stay behind because "&" was found.
    spellings = [rf"(?i:\\u00{number})", rf"(?i:%{number})"]
    if (entity := html.escape(character)) != character:
        spellings.append(re.escape(entity))
    spellings.append(rf"\\?{re.escape(character)}")
    return f"(?:{'|'.join(spellings)})"
