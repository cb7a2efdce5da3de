"""How a text becomes token ids."""
