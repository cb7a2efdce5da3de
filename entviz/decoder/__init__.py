"""The decoder: where its layers and blocks are, and running it without some of them."""
