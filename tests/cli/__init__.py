"""The command lines: what they accept, what they refuse, how they end."""
