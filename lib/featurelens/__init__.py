"""Which features make vision models robust: encoders, image sets, kernels and the figures of the book."""
