"""Figure functions, one module per chapter; each takes a tidy table and returns a Figure."""
