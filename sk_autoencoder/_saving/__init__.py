"""A fitted estimator as arrays and JSON, and back."""
