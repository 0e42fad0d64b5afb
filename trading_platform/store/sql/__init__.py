"""Answer SQL over the lake with DuckDB: views, what may be asked, which files a statement needs.

Published files are store/lake/; what users call is api/readers.py and the command query.
"""
