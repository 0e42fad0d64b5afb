"""Keep to a venue's limits: cooldowns after refusals, connection budgets, circuit breakers.

Sending requests is recovery/rest_client.py, opening connections recorder/session.py.
"""
