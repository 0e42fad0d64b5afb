"""Dagster's nouns: keys, partitions, resources, jobs, what a run reports, and starting Dagster itself. No logic.

    keys partitions recipes   what the assets are declared with
    resources report charts   what an asset is given, and what it says afterwards
    jobs runs                 what sensors launch, and what became of it
    home launch processes     Dagster's own processes; import no Dagster, so that the command line may use them

What is computed is pipeline/; what is judged is quality/.
"""
