# One head: its geometry, its gates, and the tables that int8 and uint8 heads are decoded by.

ctypedef void (*scan_head)(Workspace, const Head*) noexcept nogil

cdef struct Head:
    # One head: its geometry, its gates, and for int8 and uint8 one table per kind of term.
    Py_ssize_t rows, columns, num_anchors, num_terms
    Py_ssize_t first_box, num_boxes, first_anchor
    float stride, scale_x_y, score_threshold
    HeadType type
    float float_gate
    # Tables are indexed by (byte - lowest), lowest being -128 for int8 and 0 for uint8.
    int lowest
    bint any_passes
    int byte_gate
    int class_gates[BYTES]
    float units[BYTES]
    float sizes[BYTES]
    # The head's array: its position among those passed, its buffer format, and where its numbers lie in this frame.
    Py_ssize_t position
    char format
    scan_head scan
    const void* terms
    # An array that is not contiguous is copied here.
    void* copy


cdef void _load_tables(Head* head, float scale, int zero_point, int lowest) noexcept nogil:
    """Build the tables for real = scale * (byte - zero_point) and bytes from `lowest` on."""
    cdef int index
    cdef float real
    head.lowest = lowest
    for index in range(BYTES):
        real = scale * <float>(index + lowest - zero_point)
        head.units[index] = unit(real, head.type)
        head.sizes[index] = size_in_anchors(real, head.type)
    _set_byte_gates(head)


cdef void _set_byte_gates(Head* head) noexcept nogil:
    """For every objectness byte the smallest class byte whose product of scores passes."""
    cdef int objectness, class_index
    head.any_passes = False
    for objectness in range(BYTES - 1, -1, -1):
        class_index = 0
        while class_index < BYTES and not (
            head.units[objectness] * head.units[class_index] >= head.score_threshold
        ):
            class_index += 1
        if class_index < BYTES:
            head.any_passes = True
            head.byte_gate = objectness + head.lowest
        # Where nothing passes the gate is the highest byte, and the product of scores then decides.
        head.class_gates[objectness] = min(class_index, BYTES - 1) + head.lowest
