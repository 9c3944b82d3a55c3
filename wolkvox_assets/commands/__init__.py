"""The command `wolkvox-assets` and what it can do."""
