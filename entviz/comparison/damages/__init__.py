"""What each block still costs, given what is dropped already; and which tokens each dropped block costs."""
