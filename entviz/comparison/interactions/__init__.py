"""What dropping two blocks costs beyond the sum of the two."""
