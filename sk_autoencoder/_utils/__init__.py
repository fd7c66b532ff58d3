"""What every room may use: it knows nothing of the package's own classes."""
