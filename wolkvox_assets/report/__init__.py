"""The words everything else is spoken in: reports and their measures, windows of the wall clock, time, the total row.

What belongs here: what the report is about, in nothing but Python. What doesn't: asking for it, storing it.
"""
