"""Telling a person what is wrong, in plain words: once for each cause, and once when it is over.

`troubles.py` finds what is wrong now, `news.py` decides what of it is to be told, `webhook.py` sends it, `sensor.py`
puts them together. Why runs fail is no matter of this folder.
"""

from wolkvox_assets.automation.alerts.sensor import build_alerts

__all__ = ["build_alerts"]
