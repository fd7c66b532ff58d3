"""The module that a fit trains: encode, decode, and the parts around a network."""
