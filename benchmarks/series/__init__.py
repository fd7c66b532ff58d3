"""Recurrent networks on series."""
