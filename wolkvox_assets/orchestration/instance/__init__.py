"""Dagster's own records: its storage, runs that died, names that are not public."""
