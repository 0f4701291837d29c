"""What was measured, and how: `reproduce` holds claims, `peers` runs side by side, `results` keeps the figures."""
