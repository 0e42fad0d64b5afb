"""Follow the log behind the recorder: decode, tell the ledger, stage, publish, seal.

What a record means is decoder/; how files are written is store/.
"""
