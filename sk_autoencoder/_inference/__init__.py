"""Samples through a trained module, chunk by chunk, and what is computed from them."""
