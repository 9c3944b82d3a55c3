"""The store as a lake (DuckLake): the catalog in Postgres, the data on object storage or in a folder that all share.

What belongs here: being a store by these means. What doesn't: SQL on the tables, which both kinds of store share.
"""
