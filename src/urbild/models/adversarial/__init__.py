"""Adversarial networks: a generator, and a critic that tells its samples from real ones."""
