"""How pixels lie in memory."""
