import ast
import sys
from pathlib import Path

import wolkvox_assets.sync

ALLOWED = {
    "wolkvox_assets.report.measures",
    "wolkvox_assets.report.windows",
    "wolkvox_assets.report.plain_text",
}


LARGE = 150  # lines


def test_nothing_but_python_and_the_words_everything_is_spoken_in() -> None:
    files = sorted(Path(wolkvox_assets.sync.__file__).parent.glob("**/*.py"))
    assert files
    for file in files:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert not node.level
                names = [node.module or ""]
            for name in names:
                fine = (
                    name.partition(".")[0] in sys.stdlib_module_names
                    or name in ALLOWED
                    or name.startswith("wolkvox_assets.sync.")
                )
                assert fine, f"{file.name} imports {name}"


def test_the_folder_and_each_large_module_says_what_belongs_in_it() -> None:
    for file in Path(wolkvox_assets.sync.__file__).parent.glob("**/*.py"):
        source = file.read_text(encoding="utf-8")
        if file.name != "__init__.py" and source.count("\n") < LARGE:
            continue
        words = " ".join((ast.get_docstring(ast.parse(source)) or "").split())
        assert "What belongs here" in words, file.name
        assert "What doesn't" in words, file.name
