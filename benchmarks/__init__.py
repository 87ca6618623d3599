"""What the gateway costs, measured beside nginx: see README.md for the method."""
