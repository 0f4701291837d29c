"""Published systems, one file each, in folders by family. Nothing is imported here: `catalogue` finds them."""
