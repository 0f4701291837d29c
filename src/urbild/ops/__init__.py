"""Pure functions of tensors. Losses and densities give one value per sample; none of them changes or keeps state."""
