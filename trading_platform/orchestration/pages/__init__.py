"""Our own pages beside Dagster's, at `/platform/…` of the UI's port: status, live market, reports, dbt docs, Data Docs.

    navigation   the one bar, the style sheet      application   which address gives what; read-only
    status       the completeness of every symbol  feed          the live market as server-sent events

They import no Dagster: webserver.py puts them beside it, behind the same guard.
"""
