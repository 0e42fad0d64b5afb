"""Entry points of processes that a supervisor starts; not for users.

What they do is ingest/.
"""
