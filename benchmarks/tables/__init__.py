"""Hidden features and filled cells of mixed tables."""
