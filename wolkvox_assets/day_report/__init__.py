"""What a day, a week or a month was like, for people who read no SQL: a picture for Dagster's UI, and HTML pages.

What belongs here: reading the figures, drawing them, the words in Spanish and English, the files. What doesn't: when a
run does so (`orchestration/run/reports.py`).

`jinja2` takes 0.03 s of CPU to import: whoever only might write pages imports `pages` when it does.
"""
