"""Autoencoders, and the linear subspace that they generalise."""
