"""What a loop does, in C types. Nothing here knows of anything above: no NumPy C API, no modules of the package."""
