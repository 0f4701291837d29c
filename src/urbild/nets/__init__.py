"""Parts that several systems share. `stock` chooses networks by the shape of a sample."""
