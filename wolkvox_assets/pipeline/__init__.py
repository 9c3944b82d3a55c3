"""From the clock to a commit: what is due, how it is asked, when it is tried again, what is stored together.

What belongs here: everything between settings and a commit that needs no Dagster. What doesn't: how the API speaks
(`api/`), which requests to make (`sync/`), SQL (`store/`), runs and the UI (`orchestration/`).
"""
