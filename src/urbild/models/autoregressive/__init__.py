"""Models that take a sample apart into symbols and predict each from those before it."""
