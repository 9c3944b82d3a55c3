"""The vocabulary of everything else, in nothing but Python: reports and their measures, windows of the wall clock,
time, the total row.
"""
