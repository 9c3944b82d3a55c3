-- Beside Dagster's own database. Postgres runs it once, when its folder is new.
CREATE DATABASE lake;
