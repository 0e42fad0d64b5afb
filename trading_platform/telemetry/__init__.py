"""Logs (structlog), Prometheus metrics, and a progress line for a person at a terminal.

Nothing here takes decisions. `domain`, `venues` and `analytics` never import it: they return facts, and their callers
log or count them.
"""
