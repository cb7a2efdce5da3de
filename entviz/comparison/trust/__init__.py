"""Which criterion to trust: scores of blocks beside the damage measured for each."""
