"""The Dagster layer: asset keys, partitions, resources, jobs, run reports, and starting Dagster's own processes.

    keys partitions asset_factory        declaring assets
    resources reporting/                 what an asset is given, and what it reports
    jobs runs                            jobs that sensors launch, and the state of their runs
    dagster_home dagster_services        Dagster's folder and processes; import no Dagster
    webserver guard                      the UI behind a request guard

Computing is pipeline/; validating is quality/.
"""
