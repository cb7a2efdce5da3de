"""The decoder: find its layers and blocks, and run it without some of them."""
