"""Outliers among unlabeled rows."""
