"""Great Expectations: is a day like the days before it? Statistics over time; rows are the gates' (schemas/).

    day_statistics  numbers of one symbol-day (pure)     families    which numbers are judged, and how (a table)
    kept            the numbers of each day, on disk      limits      how far a number may lie from the days before
    suites          Great Expectations itself             data_docs   its site, loading nothing from elsewhere
    checkpoint      all of it for one day

`great_expectations` takes 8 s to import: suites.py alone imports it, inside a function. No Dagster here; the asset is
assets/statistics.py.
"""
