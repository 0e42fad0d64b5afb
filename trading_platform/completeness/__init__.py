"""What ids and time spans prove: gap detection, epochs, sequence resets, the status of a day. Pure: no I/O, no clock.

Keeping the account is store/ledger/, fetching what is missing ingest/recovery/.
"""
