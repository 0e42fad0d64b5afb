"""Decide from silence what is wrong: keepalive pings, stale symbols, a blocked event loop.

Reconnecting is recorder/session.py, probing a symbol over REST is recovery/head_prober.py.
"""
