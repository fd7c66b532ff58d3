"""Log densities of unseen rows."""
