"""TimescaleDB beside the lake: addresses, connections, migrations, roles, and a server of this machine.

Optional: without ``TRADING_PLATFORM_DATABASE_URL`` nothing here is imported. What fills it is ingest/processor.
"""
