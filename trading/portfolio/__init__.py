"""What is held, what it is worth, what it earned, and the limits it is held to. Light."""
