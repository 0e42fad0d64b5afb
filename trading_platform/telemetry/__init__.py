"""Logs (structlog), Prometheus metrics, and a progress line for a person at a terminal.

Nothing here takes decisions. `domain`, `venues` and `analytics` never import it: they return facts, and their callers
log or count them.
"""

SHARED = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable of prometheus-client that names the folder in which several processes share metrics.

It must be set before metrics.py is imported, so it stands here.
"""
