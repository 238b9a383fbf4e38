"""uint8 pixels -> input tensor in one pass: bilinear resize and quantisation fused. C types only; `preprocess.py`
owns the checks and the coordinate tables.
"""

cimport cython
from libc.math cimport floorf
from libc.stdint cimport int32_t

ctypedef fused out_t:
    float
    signed char
    unsigned char

cdef enum:
    CHANNELS = 3
    # Weights have 11 fractional bits, so a pixel weighted twice has 22 and fills 30 of an int32.
    WEIGHT_ONE = 2048
    VALUE_BITS = 22


@cython.final
cdef class Resizer:
    """The tables for one source size and one place in the network input, and two rows of memory."""

    cdef Py_ssize_t source_height, source_width, x, y, width, height
    cdef const int32_t[:, ::1] columns      # (3, width): left source column, right one, weight of the right one
    cdef const int32_t[:, ::1] rows         # (3, height): the same for rows
    cdef int32_t[:, ::1] buffers            # (2, width * 3): two source rows, resized horizontally
    cdef float multiplier, offset
    cdef bint shift_only
    cdef int lowest, highest, padding

    def __init__(
        self, Py_ssize_t source_height, Py_ssize_t source_width, Py_ssize_t x, Py_ssize_t y,
        const int32_t[:, ::1] columns not None, const int32_t[:, ::1] rows not None,
        int32_t[:, ::1] buffers not None, float multiplier, float offset, int lowest, int highest, int padding,
    ):
        self.source_height = source_height
        self.source_width = source_width
        self.x = x
        self.y = y
        self.width = columns.shape[1]
        self.height = rows.shape[1]
        self.columns = columns
        self.rows = rows
        self.buffers = buffers
        self.multiplier = multiplier
        self.offset = offset
        self.lowest = lowest
        self.highest = highest
        self.padding = padding
        self.shift_only = multiplier == 1 and offset == lowest

    def to_float32(self, const unsigned char[:, :, :] image not None, float[:, :, ::1] out not None):
        self._check(image.shape[0], image.shape[1], image.shape[2], out.shape[0], out.shape[1], out.shape[2])
        with nogil:
            _resize(self, image, out)

    def to_int8(self, const unsigned char[:, :, :] image not None, signed char[:, :, ::1] out not None):
        self._check(image.shape[0], image.shape[1], image.shape[2], out.shape[0], out.shape[1], out.shape[2])
        with nogil:
            _resize(self, image, out)

    def to_uint8(self, const unsigned char[:, :, :] image not None, unsigned char[:, :, ::1] out not None):
        self._check(image.shape[0], image.shape[1], image.shape[2], out.shape[0], out.shape[1], out.shape[2])
        with nogil:
            _resize(self, image, out)

    cdef int _check(
        self, Py_ssize_t height, Py_ssize_t width, Py_ssize_t channels,
        Py_ssize_t out_height, Py_ssize_t out_width, Py_ssize_t out_channels,
    ) except -1:
        if height != self.source_height or width != self.source_width or channels != CHANNELS:
            raise ValueError(f"image of shape ({height}, {width}, {channels}) does not fit the tables")
        if out_height < self.y + self.height or out_width < self.x + self.width or out_channels != CHANNELS:
            raise ValueError(f"tensor of shape ({out_height}, {out_width}, {out_channels}) does not fit the tables")
        return 0


cdef void _resize(Resizer plan, const unsigned char[:, :, :] image, out_t[:, :, ::1] out) noexcept nogil:
    """Fill `out` row by row; every source row is resized horizontally at most once while it is needed."""
    cdef Py_ssize_t row, upper = 0, lower = 1
    cdef int32_t upper_source = -1, lower_source = -1
    _pad(plan, out)
    # Invariant: buffers[upper] and buffers[lower] hold the source rows upper_source and lower_source.
    for row in range(plan.height):
        if lower_source == plan.rows[0, row]:
            upper, lower = lower, upper
            upper_source, lower_source = lower_source, upper_source
        if upper_source != plan.rows[0, row]:
            upper_source = plan.rows[0, row]
            _resize_row(plan, image, upper_source, upper)
        if lower_source != plan.rows[1, row]:
            lower_source = plan.rows[1, row]
            _resize_row(plan, image, lower_source, lower)
        _blend_rows(plan, out, row, upper, lower)


cdef inline void _resize_row(
    Resizer plan, const unsigned char[:, :, :] image, Py_ssize_t source, Py_ssize_t buffer
) noexcept nogil:
    """One source row at network width, with 11 fractional bits."""
    cdef Py_ssize_t column, left, right
    cdef int32_t weight
    cdef int channel
    for column in range(plan.width):
        left = plan.columns[0, column]
        right = plan.columns[1, column]
        weight = plan.columns[2, column]
        for channel in range(CHANNELS):
            plan.buffers[buffer, column * CHANNELS + channel] = (
                <int32_t>image[source, left, channel] * (WEIGHT_ONE - weight)
                + <int32_t>image[source, right, channel] * weight
            )


cdef inline void _blend_rows(
    Resizer plan, out_t[:, :, ::1] out, Py_ssize_t row, Py_ssize_t upper, Py_ssize_t lower
) noexcept nogil:
    """Two buffered rows -> one row of the tensor."""
    cdef int32_t weight = plan.rows[2, row]
    cdef const int32_t* above = &plan.buffers[upper, 0]
    cdef const int32_t* below = &plan.buffers[lower, 0]
    cdef out_t* target = &out[plan.y + row, plan.x, 0]
    cdef Py_ssize_t index
    for index in range(plan.width * CHANNELS):
        target[index] = _store(plan, above[index] * (WEIGHT_ONE - weight) + below[index] * weight, target)


cdef inline out_t _store(Resizer plan, int32_t value, const out_t* kind) noexcept nogil:
    """A pixel with 22 fractional bits -> the tensor's number, rounded half up. `kind` only chooses the type."""
    cdef float real
    if out_t is float:
        return <float>value * (plan.multiplier * <float>(1.0 / (1 << VALUE_BITS))) + plan.offset
    else:
        if plan.shift_only:
            return <out_t>(((value + (1 << (VALUE_BITS - 1))) >> VALUE_BITS) + plan.lowest)
        real = floorf(<float>value * <float>(1.0 / (1 << VALUE_BITS)) * plan.multiplier + plan.offset + <float>0.5)
        real = real if real < <float>plan.highest else <float>plan.highest
        return <out_t><int>(real if real > <float>plan.lowest else <float>plan.lowest)


cdef inline void _pad(Resizer plan, out_t[:, :, ::1] out) noexcept nogil:
    """Fill what lies outside the image, if anything does, with grey."""
    cdef Py_ssize_t row, index
    cdef Py_ssize_t width = out.shape[1]
    cdef out_t* target
    cdef Py_ssize_t below = plan.y + plan.height, right = plan.x + plan.width
    cdef out_t grey = _store(plan, plan.padding << VALUE_BITS, &out[0, 0, 0])
    if plan.width == width and plan.height == out.shape[0]:
        return
    for row in range(out.shape[0]):
        target = &out[row, 0, 0]
        for index in range(width * CHANNELS):
            if row < plan.y or row >= below or index < plan.x * CHANNELS or index >= right * CHANNELS:
                target[index] = grey
