"""The miniature: a procedural captioned world, its image sets, and a zoo of small networks trained on it."""
