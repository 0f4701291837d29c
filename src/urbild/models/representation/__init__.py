"""Systems that learn representations: features, and what can be told from them."""
