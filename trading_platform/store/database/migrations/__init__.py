"""Revisions of the database's schemas `market` and `platform`, run by store/database/migrate.py."""
