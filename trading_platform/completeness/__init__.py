"""Which trades are proven or missing, judged by their ids: gap detection, epochs, day status. Pure: no I/O, no clock.

Storing this account is store/ledger/; fetching missing trades is ingest/recovery/.
"""
