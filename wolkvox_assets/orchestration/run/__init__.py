"""What a run over windows does in Dagster's terms: marks, metadata, progress, failures."""
