"""Rows of a venue's daily files, in bulk. rows: bytes to columns of one usual form. pieces: records of the log.

Wire formats are venues/; downloading and cutting files into pieces is ingest/recovery/.
"""
