"""uint8 pixels -> input tensor in one pass: bilinear resize and quantisation fused. C types only; `preprocess.py`
owns the checks and the coordinate tables.
"""

cimport cython
from libc.math cimport floorf
from libc.stdint cimport int16_t, int32_t
from libc.string cimport memcpy

ctypedef fused out_t:
    float
    signed char
    unsigned char

cdef enum:
    CHANNELS = 3
    # Bytes copied at once to move a pixel, and the room that this needs behind the last one.
    QUAD = 4
    # Blended values are int16 with 6 fractional bits: 255 fills 14 of them, and twice a difference still fits.
    VALUE_BITS = 6
    VALUE_ONE = 64


@cython.final
cdef class Resizer:
    """The tables for one source size and one place in the network input, and the memory of a few rows."""

    cdef Py_ssize_t source_height, source_width, x, y, width, height
    cdef const int32_t[:, ::1] columns      # (2, width): left and right source column of every target column
    cdef const int16_t[::1] column_weights  # (width * 3,): weight of the right one, 15 fractional bits, per channel
    cdef const int32_t[:, ::1] rows         # (3, height): upper and lower source row, and weight of the lower one
    cdef int16_t[:, ::1] blended            # (2, width * 3): two source rows, resized horizontally
    cdef unsigned char[:, ::1] gathered     # (2, width * 3 + 1): left and right pixels of one row
    cdef unsigned char[::1] packed          # (source width * 3,): one source row, where the image's own is not packed
    cdef Py_ssize_t num_safe                # leading columns whose pixels may be copied as 4 bytes
    cdef float multiplier, offset
    cdef bint shift_only
    cdef int lowest, highest, padding

    def __init__(
        self, Py_ssize_t source_height, Py_ssize_t source_width, Py_ssize_t x, Py_ssize_t y,
        const int32_t[:, ::1] columns not None, const int16_t[::1] column_weights not None,
        const int32_t[:, ::1] rows not None, int16_t[:, ::1] blended not None,
        unsigned char[:, ::1] gathered not None, unsigned char[::1] packed not None,
        float multiplier, float offset, int lowest, int highest, int padding,
    ):
        self.source_height = source_height
        self.source_width = source_width
        self.x = x
        self.y = y
        self.width = columns.shape[1]
        self.height = rows.shape[1]
        self.columns = columns
        self.column_weights = column_weights
        self.rows = rows
        self.blended = blended
        self.gathered = gathered
        self.packed = packed
        self.num_safe = 0
        while self.num_safe < self.width and columns[1, self.num_safe] < source_width - 1:
            self.num_safe += 1
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
    # Invariant: blended[upper] and blended[lower] hold the source rows upper_source and lower_source.
    for row in range(plan.height):
        if lower_source == plan.rows[0, row]:
            upper, lower = lower, upper
            upper_source, lower_source = lower_source, upper_source
        if upper_source != plan.rows[0, row]:
            upper_source = plan.rows[0, row]
            _resize_row(plan, _packed_row(plan, image, upper_source), upper)
        if lower_source != plan.rows[1, row]:
            lower_source = plan.rows[1, row]
            _resize_row(plan, _packed_row(plan, image, lower_source), lower)
        _blend_rows(plan, out, row, upper, lower)
        if _is_reversed(image):
            _swap_red_and_blue(&out[plan.y + row, plan.x, 0], plan.width)


cdef inline void _swap_red_and_blue(out_t* pixels, Py_ssize_t width) noexcept nogil:
    """Cheaper here than in the source: the target row is short and in the cache."""
    cdef Py_ssize_t column
    cdef out_t red
    for column in range(width):
        red = pixels[column * CHANNELS + 2]
        pixels[column * CHANNELS + 2] = pixels[column * CHANNELS]
        pixels[column * CHANNELS] = red


cdef inline const unsigned char* _packed_row(
    Resizer plan, const unsigned char[:, :, :] image, Py_ssize_t source
) noexcept nogil:
    """One source row of packed pixels, in the order of `_is_reversed`: the image's own memory, or else a copy."""
    cdef Py_ssize_t column
    cdef int channel
    if image.strides[1] == CHANNELS or image.shape[1] == 1:
        if image.strides[2] == 1:
            return &image[source, 0, 0]
        if image.strides[2] == -1:
            return &image[source, 0, CHANNELS - 1]
    for column in range(plan.source_width):
        for channel in range(CHANNELS):
            plan.packed[column * CHANNELS + channel] = image[source, column, channel]
    return &plan.packed[0]


cdef inline bint _is_reversed(const unsigned char[:, :, :] image) noexcept nogil:
    """True where `_packed_row` gives blue first: a view, last channel first, of packed BGR pixels."""
    return image.strides[2] == -1 and (image.strides[1] == CHANNELS or image.shape[1] == 1)


cdef inline void _resize_row(Resizer plan, const unsigned char* source, Py_ssize_t row) noexcept nogil:
    """Blend the neighbours of every target column: gathered first, so that the arithmetic runs in vectors."""
    cdef const unsigned char* left = &plan.gathered[0, 0]
    cdef const unsigned char* right = &plan.gathered[1, 0]
    cdef const int16_t* weights = &plan.column_weights[0]
    cdef int16_t* target = &plan.blended[row, 0]
    cdef Py_ssize_t index
    _gather(plan, source, 0)
    _gather(plan, source, 1)
    for index in range(plan.width * CHANNELS):
        target[index] = <int16_t>(
            left[index] * VALUE_ONE
            + _times(<int16_t>((right[index] - left[index]) * 2 * VALUE_ONE), weights[index])
        )


cdef inline void _gather(Resizer plan, const unsigned char* source, Py_ssize_t side) noexcept nogil:
    """Copy the left (0) or right (1) pixel of every target column."""
    cdef const int32_t* columns = &plan.columns[side, 0]
    cdef unsigned char* target = &plan.gathered[side, 0]
    cdef Py_ssize_t column
    # Four bytes in one move; the fourth is overwritten by the next pixel, and exists as the source goes on.
    for column in range(plan.num_safe):
        memcpy(target + column * CHANNELS, source + columns[column] * CHANNELS, QUAD)
    for column in range(plan.num_safe, plan.width):
        memcpy(target + column * CHANNELS, source + columns[column] * CHANNELS, CHANNELS)


cdef inline int16_t _times(int16_t difference, int16_t weight) noexcept nogil:
    """The upper half of a product, which vector units give in one instruction."""
    return <int16_t>((<int32_t>difference * <int32_t>weight) >> 16)


cdef inline void _blend_rows(
    Resizer plan, out_t[:, :, ::1] out, Py_ssize_t row, Py_ssize_t upper, Py_ssize_t lower
) noexcept nogil:
    """Two blended rows -> one row of the tensor."""
    cdef int16_t weight = <int16_t>plan.rows[2, row]
    cdef const int16_t* above = &plan.blended[upper, 0]
    cdef const int16_t* below = &plan.blended[lower, 0]
    cdef out_t* target = &out[plan.y + row, plan.x, 0]
    cdef Py_ssize_t index
    cdef int16_t value
    cdef int16_t lowest = <int16_t>plan.lowest
    if out_t is not float:
        if plan.shift_only:
            for index in range(plan.width * CHANNELS):
                value = <int16_t>(above[index] + _times(<int16_t>((below[index] - above[index]) * 2), weight))
                # 33 instead of 32: both products were rounded down.
                target[index] = <out_t>(((value + 33) >> VALUE_BITS) + lowest)
            return
    for index in range(plan.width * CHANNELS):
        value = <int16_t>(above[index] + _times(<int16_t>((below[index] - above[index]) * 2), weight))
        target[index] = _store(plan, value, target)


cdef inline out_t _store(Resizer plan, int16_t value, const out_t* kind) noexcept nogil:
    """A pixel with 6 fractional bits -> the tensor's number, rounded half up. `kind` only chooses the type."""
    cdef float real = <float>value * (plan.multiplier * <float>(1.0 / VALUE_ONE)) + plan.offset
    if out_t is float:
        return real
    else:
        real = floorf(real + <float>0.5)
        real = real if real < <float>plan.highest else <float>plan.highest
        return <out_t><int>(real if real > <float>plan.lowest else <float>plan.lowest)


cdef inline void _pad(Resizer plan, out_t[:, :, ::1] out) noexcept nogil:
    """Fill what lies outside the image, if anything does, with grey."""
    cdef Py_ssize_t row, index
    cdef Py_ssize_t width = out.shape[1]
    cdef out_t* target
    cdef Py_ssize_t below = plan.y + plan.height, right = plan.x + plan.width
    cdef out_t grey = _store(plan, <int16_t>(plan.padding * VALUE_ONE), &out[0, 0, 0])
    if plan.width == width and plan.height == out.shape[0]:
        return
    for row in range(out.shape[0]):
        target = &out[row, 0, 0]
        for index in range(width * CHANNELS):
            if row < plan.y or row >= below or index < plan.x * CHANNELS or index >= right * CHANNELS:
                target[index] = grey
