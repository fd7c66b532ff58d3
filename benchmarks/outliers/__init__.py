"""Outliers among unlabelled rows."""
