"""Text from strangers (agents' names, a server's words) escaped for log lines, messages, Markdown and chats."""

import re

SHOWN = 100
"""Characters of a name that are shown; it may have a million."""

# Everything that Markdown or the HTML within it gives a meaning to.
_MARKDOWN = re.compile(r"[\\`*_{}\[\]()<>#+!|~&:@-]")


def visible(text: str) -> str:
    """One line without control, formatting or lone surrogate characters: `\\x1b` in place of an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def counted(number: int, noun: str) -> str:
    """`1 row`, `2 rows`: for a message in which there can be one."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def quoted(text: str) -> str:
    """The same in quotes and of bounded length, as a name stands in a sentence."""
    return (
        f"'{visible(text)}'" if len(text) <= SHOWN else f"'{visible(text[:SHOWN])}…' ({len(text)} characters)"
    )


def short(text: str) -> str:
    """The same, of bounded length: for a table's cell."""
    return visible(text) if len(text) <= SHOWN else f"{visible(text[:SHOWN])}…"


def markdown(text: str) -> str:
    """A name in a place that reads Markdown, also a cell of a table: no link, image, HTML or mark in it.

    As entities: a backslash would itself be shown where the escaped character means nothing.
    """
    return _MARKDOWN.sub(lambda found: f"&#{ord(found[0])};", short(text))


def chat(text: str) -> str:
    """The same for Slack (which reads `<…>`) and Teams (which reads Markdown): no mention, link text or image."""
    escaped = visible(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return escaped.replace("](", "] (").replace("][", "] [").replace("![", "! [")
