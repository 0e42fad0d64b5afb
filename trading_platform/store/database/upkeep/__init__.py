"""What keeps the database in shape besides its rows: the wide view, compression, retention, aggregates."""
