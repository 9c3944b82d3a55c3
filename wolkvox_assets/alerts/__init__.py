"""Telling a person what is wrong, in plain words: once for each cause, and once when it is over.

`troubles.py` finds what is wrong now, `news.py` decides what of it is to be told, `webhook.py` sends it. No
Dagster: the sensor that puts them together is in `orchestration/automation/alerts.py`.
"""
