# Networks of one channel: finished colours are weighed where pixels are packed; of Y'CbCr only luma is looked at.

cdef inline void _weigh_row(Resizer plan) noexcept nogil:
    """The blended pixels of `plan.row` -> a finished row of grey."""
    cdef const int16_t* pixels = plan.row
    cdef int16_t* finished = plan.finished
    cdef int16_t green = GREEN_SHARE
    cdef int16_t first = BLUE_SHARE if plan.swapped else RED_SHARE
    cdef int16_t third = RED_SHARE if plan.swapped else BLUE_SHARE
    cdef Py_ssize_t _
    for _ in range(plan.padded // LANES):
        lanes_store(finished, lanes_weigh_colors(pixels, first, green, third))
        pixels += CHANNELS * LANES
        finished += LANES


cdef void _split_luma(const unsigned char* row, own_bytes luma, Py_ssize_t count) noexcept nogil:
    """Every other byte."""
    cdef Py_ssize_t index
    for index in range(count):
        luma[index] = row[2 * index]


cdef inline void _blend_luma(Resizer plan, int16_t* target) noexcept nogil:
    """Luma of both neighbours -> one row of grey: each by itself spread over 0..255 and limited, then blended."""
    cdef const int16_t* luma = <const int16_t*>plan.luma_pairs
    cdef const int16_t* weights = plan.weights
    cdef lanes zero = lanes_fill(<int16_t>plan.color.luma_zero)
    cdef lanes weight = lanes_fill(plan.color.luma)
    cdef lanes highest = lanes_fill(COLOR_LIMIT)
    cdef lanes pairs, left, right
    cdef Py_ssize_t at = 0, padded = plan.padded
    while at < padded:
        pairs = lanes_load(luma + at)
        left = lanes_weigh_luma(lanes_above(lanes_low_bytes(pairs), zero), weight)
        right = lanes_weigh_luma(lanes_above(lanes_high_bytes(pairs), zero), weight)
        lanes_store(target + at, lanes_blend(
            lanes_limit(left, highest), lanes_limit(right, highest), lanes_load(weights + at)))
        at += LANES


cdef inline void _blend_rows(Resizer plan, const int16_t* above, const int16_t* below, lanes weight) noexcept nogil:
    """Two rows of grey -> a finished one."""
    cdef int16_t* finished = plan.finished
    cdef Py_ssize_t at = 0, padded = plan.padded
    while at < padded:
        lanes_store(finished + at, lanes_raise2(lanes_blend(lanes_load(above + at), lanes_load(below + at), weight)))
        at += LANES


cdef inline void _store_grey(Resizer plan, out_t* target) noexcept nogil:
    """The finished row of grey -> one of the tensor."""
    cdef const int16_t* values = plan.finished
    cdef Transfer transfer = plan.transfer
    cdef Py_ssize_t column
    if out_t is not float:
        if plan.shift_only:
            _store_grey_bytes(plan, <unsigned char*>target)
            return
    for column in range(plan.width):
        target[column] = _store(transfer, values[column], target)


cdef inline void _store_grey_bytes(Resizer plan, unsigned char* target) noexcept nogil:
    """The same where the tensor's numbers are bytes, or bytes - 128."""
    cdef const int16_t* values = plan.finished
    cdef unsigned char flip = 0x80 if plan.transfer.lowest < 0 else 0
    cdef Py_ssize_t whole = plan.width // LANES
    cdef Py_ssize_t rest = plan.width - whole * LANES
    cdef unsigned char last[LANES]
    cdef Py_ssize_t _
    for _ in range(whole):
        lanes_store_bytes(target, lanes_load(values), flip)
        values += LANES
        target += LANES
    if rest:
        lanes_store_bytes(last, lanes_load(values), flip)
        memcpy(target, last, rest)
