"""Alembic's folder: one file a revision. The tables as they are now are store/ledger/tables.py."""
