"""What a day, a week or a month was like, for people who read no SQL: a picture for Dagster's UI, and HTML pages.

What belongs here: reading the figures, drawing them, the words in Spanish and English, the files, and when a run does
so (`drawing.py`). What doesn't: Dagster.

`pygal` and `jinja2` take 0.05 s of CPU to import, 0.13 s where nothing else is loaded yet: whoever only might draw
imports `pictures` and `pages` when it does.
"""
