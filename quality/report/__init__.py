"""The daily report: what a person reads about the quality of one day. No Dagster, and no network at any time.

    collect      reads ledger and lake            facts      what the page tells
    trades       statistics of a symbol's trades  score      one number a symbol, with its parts
    candles      our bars beside the venue's      revisions  what changed since the report before
    figures      static SVG (matplotlib)          page       HTML (Jinja2, templates/)
    history      the files below `reports/`         words    numbers in words
    verdicts   what Great Expectations said

The command is commands/report.py, the asset assets/quality_report.py. Matplotlib, Jinja2 and Arrow are imported inside
functions: whoever only lists reports does without them.
"""
