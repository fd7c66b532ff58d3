"""The stages of a fit: plan, build, train, order, whiten."""
