"""SQL that is the same for every report, filled in with the names of one.

`{windows}` stands for the report's table of windows, and so on for all of `Names`. `[[SUM(#)::BIGINT AS #]]` stands for
one of these for each measure, in their order, with commas between; each on a line of its own where they begin one.
`{first}` and `{last}` are the columns of the first measure and of the last.
"""

import re
from functools import cache, lru_cache
from importlib import resources

from wolkvox_assets.report.definition import Report


def literal(value: object) -> str:
    """This text, or path, where SQL takes no parameter."""
    return "'" + str(value).replace("'", "''") + "'"


@lru_cache(maxsize=512)
def filled(text: str, report: Report) -> str:
    """Raises `KeyError` where the text has a name in braces that no report has."""
    names = {**report.names.by_role(), "first": report.columns[0], "last": report.columns[-1]}

    def each(found: re.Match[str]) -> str:
        indent, one = found.groups()
        between = ", " if indent is None else f",\n{indent}"
        return (indent or "") + between.join(one.replace("#", column) for column in report.columns)

    return re.sub(r"\{(\w+)\}", lambda found: names[found[1]], re.sub(r"(?m)(^ +)?\[\[(.+?)\]\]", each, text))


@cache
def filled_file(name: str, report: Report) -> str:
    """The same of a file of this folder."""
    return filled(resources.files(__package__).joinpath(name).read_text("utf-8"), report)
