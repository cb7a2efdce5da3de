"""What changes where tokens with massive activations are left out: turning points, and what criteria choose."""
