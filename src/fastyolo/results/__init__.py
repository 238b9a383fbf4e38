"""How results look and are written."""
