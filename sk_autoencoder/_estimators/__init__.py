"""The transformers: parameters, methods, documentation."""
