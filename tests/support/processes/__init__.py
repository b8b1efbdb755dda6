"""Programs that tests run as processes of their own, forked from one process that has already imported everything."""
