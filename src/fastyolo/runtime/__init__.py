"""Which TFLite runtime and delegate, which tensors, what machine. The only room that imports a TFLite runtime."""
