# Finished rows -> the tensor.

cdef inline void _store_row(Resizer plan, out_t[:, :, ::1] out, Py_ssize_t row) noexcept nogil:
    cdef const int16_t* values = plan.row
    cdef out_t* target = &out[plan.y + row, plan.x, 0]
    cdef int16_t lowest = <int16_t>plan.transfer.lowest
    cdef Transfer transfer = plan.transfer
    cdef Py_ssize_t index
    if out_t is not float:
        if plan.shift_only:
            for index in range(plan.width * CHANNELS):
                target[index] = <out_t>(((values[index] + ROUNDING) >> VALUE_BITS) + lowest)
            return
    for index in range(plan.width * CHANNELS):
        target[index] = _store(transfer, values[index], target)


cdef inline void _store_planes(Resizer plan, out_t* target) noexcept nogil:
    """Interleave the finished planes."""
    cdef Py_ssize_t second = plan.padded if plan.num_planes > 1 else 0
    cdef const int16_t* red = plan.finished
    cdef const int16_t* green = red + second
    cdef const int16_t* blue = green + second
    cdef Transfer transfer = plan.transfer
    cdef Py_ssize_t column
    for column in range(plan.width):
        target[column * CHANNELS] = _store(transfer, red[column], target)
        target[column * CHANNELS + 1] = _store(transfer, green[column], target)
        target[column * CHANNELS + 2] = _store(transfer, blue[column], target)


cdef inline out_t _store(Transfer transfer, int16_t value, const out_t* kind) noexcept nogil:
    """A pixel with 7 fractional bits -> the tensor's number, rounded half up. `kind` only chooses the type."""
    cdef int16_t restored = <int16_t>(value + transfer.loss) if value > 0 else value
    cdef float real = <float>restored * transfer.multiplier + transfer.offset
    if out_t is float:
        return real
    else:
        real = floorf(real + <float>0.5)
        real = real if real < <float>transfer.highest else <float>transfer.highest
        return <out_t><int>(real if real > <float>transfer.lowest else <float>transfer.lowest)


cdef inline void _pad(Resizer plan, out_t[:, :, ::1] out) noexcept nogil:
    """Fill what lies outside the image, if anything does, with grey."""
    cdef Py_ssize_t row, index
    cdef Py_ssize_t width = out.shape[1], channels = plan.channels
    cdef out_t* target
    cdef Py_ssize_t below = plan.y + plan.height, right = plan.x + plan.width
    cdef out_t grey
    if plan.width == width and plan.height == out.shape[0]:
        return
    grey = _store(plan.transfer, <int16_t>(plan.padding * VALUE_ONE - plan.transfer.loss), &out[0, 0, 0])
    for row in range(out.shape[0]):
        target = &out[row, 0, 0]
        for index in range(width * channels):
            if row < plan.y or row >= below or index < plan.x * channels or index >= right * channels:
                target[index] = grey
