"""Convolutions and a user's own networks on images."""
