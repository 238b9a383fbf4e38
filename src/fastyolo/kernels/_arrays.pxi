# Which memory an array has, and which head it fits.

cdef inline char _format_of(const Py_buffer* view) noexcept nogil:
    """FLOAT32, INT8 or UINT8; 0 for any other."""
    cdef const char* format = view.format
    if format == NULL:
        return 0
    if format[0] == b"=":  # so NumPy marks an array that is not aligned
        format += 1
    if format[0] == 0 or format[1] != 0:
        return 0
    if format[0] == FLOAT32:
        return FLOAT32 if view.itemsize == sizeof(float) else 0
    return format[0] if (format[0] == INT8 or format[0] == UINT8) and view.itemsize == 1 else 0


cdef inline bint _fits(const Head* head, const Py_buffer* view) noexcept nogil:
    """True for an array (rows, columns, anchors * terms), with or without a batch axis of 1, or with anchors apart."""
    cdef const Py_ssize_t* shape = view.shape
    if view.ndim == 5:
        return (
            shape[0] == 1 and shape[1] == head.rows and shape[2] == head.columns
            and shape[3] == head.num_anchors and shape[4] == head.num_terms
        )
    if view.ndim == 4 and shape[0] == 1:
        shape += 1
    elif view.ndim != 3:
        return False
    return shape[0] == head.rows and shape[1] == head.columns and shape[2] == head.num_anchors * head.num_terms
