"""Text of strangers (agents' names, a server's words) shown as text, whatever stands in it.

What belongs here: escaping for log lines, for Markdown cells and for chat messages. What doesn't: the words.
"""

import re

# Everything that Markdown or the HTML within it gives a meaning to.
_MARKDOWN = re.compile(r"[\\`*_{}\[\]()<>#+!|~&:@-]")


def visible(text: str) -> str:
    """One line without control, formatting or lone surrogate characters: `\\x1b` in place of an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def markdown(text: str) -> str:
    """The same for a place that reads Markdown, also a cell of a table: no link, image, HTML or mark in it.

    As entities: a backslash would itself be shown where the escaped character means nothing.
    """
    return _MARKDOWN.sub(lambda found: f"&#{ord(found[0])};", visible(text))


def chat(text: str) -> str:
    """The same for Slack (which reads `<…>`) and Teams (which reads Markdown): no mention, link text or image."""
    escaped = visible(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return escaped.replace("](", "] (").replace("][", "] [").replace("![", "! [")
