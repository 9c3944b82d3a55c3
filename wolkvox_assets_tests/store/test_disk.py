"""What a disk is, as the system lists it."""

from pathlib import Path

import pytest

from wolkvox_assets.store import disk


@pytest.mark.parametrize("name", ["datos", "año ñandú", "名前", "tab\tand \\ back"])
def test_names_of_mounts_are_read_whatever_is_in_them(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    escaped = "".join(f"\\{ord(c):03o}" if c in " \t\n\\" else c for c in name)
    line = f"36 35 98:0 / /mnt/{escaped} rw,noatime master:1 - ext3 /dev/root rw\n"
    monkeypatch.setattr(Path, "read_text", lambda *_: line)
    assert disk._mounts() == [(Path("/mnt", name), "ext3")]
