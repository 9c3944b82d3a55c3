"""No spelling of the token gets through; nothing else is touched."""

import html
import json
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from wolkvox_assets.api.redaction import REDACTED, Redactor

tokens = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=6, max_size=60)


@given(tokens)
def test_every_spelling_goes(token: str) -> None:
    redact = Redactor(SecretStr(token))
    spellings = [
        token,
        json.dumps(token)[1:-1],
        json.dumps(token)[1:-1].replace("/", "\\/"),
        quote(token, safe=""),
        "".join(f"\\u{ord(c):04x}" for c in token),
        "".join(f"\\u{ord(c):04X}" for c in token),
        html.escape(token),
        html.escape(token).replace("&#x27;", "&#039;"),
        quote(quote(token, safe=""), safe=""),
        json.dumps(json.dumps(token)[1:-1])[1:-1],
        "".join(f"&#{ord(c)};" for c in token),
        "".join(f"&#x{ord(c):X};" for c in token),
    ]
    for spelling in spellings:
        assert redact(f"<<<{spelling}>>>") == f"<<<{REDACTED}>>>", spelling


def test_the_rest_stays() -> None:
    text = '{"agent_name": "José \\u00d1u\\/ñez", "count": "1"}'
    assert Redactor(SecretStr("abc123def"))(text) == text


def test_its_repr_shows_nothing() -> None:
    assert "abc123def" not in repr(Redactor(SecretStr("abc123def")))
