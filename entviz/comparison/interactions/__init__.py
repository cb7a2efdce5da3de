"""The cost of dropping two blocks beyond the sum of their single costs."""
