"""Entry points of worker processes that `ingest` and `replay` start; not for users.

Their work is ingest/.
"""
