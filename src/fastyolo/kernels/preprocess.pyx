"""uint8 pixels -> input tensor in one pass: colour, bilinear resize and quantisation fused. C types only;
`preprocess.py` owns the checks, the coordinate tables and the colour formulas.
"""

cimport cython
from libc.math cimport floorf
from libc.stdint cimport int16_t, int32_t, uint16_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from fastyolo.kernels._lanes cimport (
    lanes,
    lanes_above,
    lanes_add,
    lanes_blend,
    lanes_choose,
    lanes_drop3,
    lanes_drop4,
    lanes_entry,
    lanes_fill,
    lanes_from_bytes,
    lanes_high_bytes,
    lanes_limit,
    lanes_load,
    lanes_load_pairs,
    lanes_low_bytes,
    lanes_raise2,
    lanes_reverse3,
    lanes_store,
    lanes_store4,
    lanes_store_bytes,
    lanes_store_pixels,
    lanes_weigh,
    lanes_weigh_chroma,
    lanes_weigh_colors,
    lanes_weigh_luma,
    lanes_weigh_pixels,
    own_bytes,
)

ctypedef fused out_t:
    float
    signed char
    unsigned char

cdef enum Kind:
    # What is done with the planes of a frame. `frames/colors.py` uses the same numbers.
    PACKED3 = 0      # one plane, three bytes a pixel
    PACKED4 = 1      # one plane, four bytes a pixel, one of which is ignored
    GREY = 2         # luma alone
    SEMIPLANAR = 3   # luma; Cb Cr in turn
    PLANAR = 4       # luma; Cb; Cr
    INTERLEAVED = 5  # one plane, luma and Cb, luma and Cr in turn

cdef enum:
    CHANNELS = 3
    MAX_PLANES = 3
    LANES = 8
    # Columns blended between two stores, so that an in-order core has four independent chains to work on.
    COLUMN_BLOCK = 4
    # Finished rows are int16 with 7 fractional bits.
    VALUE_BITS = 7
    VALUE_ONE = 128
    WEIGHT_ONE = 32768
    # What red, green and blue are of grey, of 32768: 0.299, 0.587, 0.114.
    RED_SHARE = 9798
    GREEN_SHARE = 19235
    BLUE_SHARE = 3735
    # Half a step, and what rounding down twice takes off on average.
    ROUNDING = 66
    # Chroma's share of R, then of G, then of B, each of the left and of the right neighbours.
    SHARES = 6
    # 255 with the 5 fractional bits of planes: so few that luma's and chroma's shares can be added before the limit.
    COLOR_LIMIT = 8160


cdef struct RgbPixel:
    unsigned char red, green, blue

cdef struct BgrPixel:
    unsigned char blue, green, red

cdef struct RgbaPixel:
    unsigned char red, green, blue, unused

cdef struct BgraPixel:
    unsigned char blue, green, red, unused

ctypedef fused pixel_t:
    RgbPixel
    BgrPixel
    RgbaPixel
    BgraPixel


cdef struct Color:
    # Y'CbCr -> RGB; coefficients of chroma with 13 fractional bits, of luma with 14.
    int luma_zero
    int16_t luma, red_v, green_u, green_v, blue_u


cdef struct Transfer:
    # A finished value -> the tensor's number: value * multiplier + offset.
    float multiplier, offset
    int lowest, highest
    # What rounding down took off every value above 0 where nothing was blended; given back where that can be seen.
    int16_t loss


cdef struct Plane:
    # Where a plane of the frame at hand lies; steps between rows, columns and the bytes of a column, which may go back.
    const unsigned char* data
    Py_ssize_t row_step, column_step, byte_step
    # Of the format: rows, columns, bytes of each.
    Py_ssize_t rows, columns, bytes
    bint is_packed


@cython.final
cdef class Resizer:
    """The tables for one format, source size and place in the network input, and the memory of a few rows."""

    cdef Kind kind
    cdef Py_ssize_t channels                # of the tensor: 3 for R G B, 1 for grey
    cdef bint swapped                       # blue comes before red, V before U
    cdef Py_ssize_t first                   # byte of a pixel at which its colours begin, or its luma
    cdef Py_ssize_t across                  # so many pixels side by side share their chroma
    cdef int down_shift                     # and 2 ** down_shift below each other: no division with every row
    cdef Plane source[MAX_PLANES]
    cdef Py_ssize_t num_sources
    cdef Py_ssize_t source_height, source_width, x, y, width, height
    cdef Py_ssize_t pixel_bytes, row_bytes
    cdef const int32_t[::1] columns         # (width,): left source pixel of every target column
    cdef const int16_t[::1] column_weights  # (width,): weight of the pixel right of it; 0 where there is none
    cdef const int32_t[::1] rows            # (height,): upper source row of every target row
    cdef const int16_t[::1] row_weights     # (height,): weight of the row below it; 0 where there is none
    cdef Color color
    cdef Transfer transfer
    cdef bint shift_only
    cdef int padding
    cdef unsigned char* copies              # (MAX_PLANES, copy_bytes): source rows that do not lie packed in the frame
    cdef Py_ssize_t copy_bytes
    # Leading columns for which as many bytes may be read from the left neighbour on as are read at once.
    cdef Py_ssize_t num_safe
    cdef Py_ssize_t padded                  # `width`, up to a multiple of LANES
    cdef int16_t* finished                  # (num_planes, padded): a finished row, where it is not stored at once
    # Packed pixels only.
    cdef int16_t* row                       # (padded * 3 + 1): a finished row, pixels in the tensor's order
    cdef int32_t* offsets                   # (width,): byte offset of the left pixel
    cdef int16_t* entries                   # (width, LANES): both weights of every column, for `lanes_weigh`
    cdef Py_ssize_t tail_offset             # byte offset of what `tails` copies
    cdef unsigned char* tails               # (2, 2 * LANES): the last two pixels of the two source rows
    # Planes only: grey and Y'CbCr. Rows are as long as `padded`.
    cdef Py_ssize_t num_planes
    cdef int32_t* taps                      # (padded,): left neighbour
    cdef int16_t* weights                   # (padded,): `column_weights`
    cdef uint16_t* luma_pairs               # (padded,): the left neighbour's byte, and above it the right one's
    cdef int16_t* planes                    # (2, num_planes, padded): two source rows, resized horizontally
    # Y'CbCr only.
    cdef Py_ssize_t num_safe_chroma
    cdef int32_t* chroma_taps               # (padded,): byte offset of the left neighbour's chroma
    cdef int16_t* chroma_is_next            # (padded,): -1 where the right neighbour has the chroma behind, else 0
    cdef uint16_t* chroma_pairs             # (padded, 2): U, and above it V, of the left neighbour, then those behind;
    #                                         or (2, padded): U of the left, and above it the one behind; then V
    cdef int16_t* shares                    # (SHARES, padded): what the chroma row gathered last adds to luma
    cdef unsigned char* split               # (2, source_width): an interleaved row as luma and chroma

    def __init__(
        self, Kind kind, tuple planes not None, bint swapped, Py_ssize_t first,
        Py_ssize_t source_height, Py_ssize_t source_width, Py_ssize_t x, Py_ssize_t y,
        const int32_t[::1] columns not None, const int16_t[::1] column_weights not None,
        const int32_t[::1] rows not None, const int16_t[::1] row_weights not None,
        tuple color, float multiplier, float offset, int lowest, int highest, int padding, Py_ssize_t channels,
    ):
        if self.copies != NULL:
            raise TypeError("a Resizer is made once")
        if channels != CHANNELS and channels != 1:
            raise ValueError(f"a tensor has 3 channels or 1, got {channels}")
        self.kind = kind
        self.channels = channels
        self.swapped = swapped
        self.first = first
        self.source_height = source_height
        self.source_width = source_width
        self.x = x
        self.y = y
        self.width = columns.shape[0]
        self.height = rows.shape[0]
        self.columns = columns
        self.column_weights = column_weights
        self.rows = rows
        self.row_weights = row_weights
        (
            self.color.luma_zero, self.color.luma, self.color.red_v,
            self.color.green_u, self.color.green_v, self.color.blue_u,
        ) = color
        self.transfer.multiplier = multiplier * <float>(1.0 / VALUE_ONE)
        self.transfer.offset = offset
        self.transfer.lowest = lowest
        self.transfer.highest = highest
        self.padding = padding
        self.shift_only = multiplier == 1 and offset == lowest
        self._describe_planes(planes)
        if kind == PACKED3 or kind == PACKED4:
            self._plan_packed()
        else:
            self._plan_planes()

    def __dealloc__(self):
        free(self.copies)
        free(self.row)
        free(self.offsets)
        free(self.entries)
        free(self.tails)
        free(self.taps)
        free(self.weights)
        free(self.luma_pairs)
        free(self.planes)
        free(self.finished)
        free(self.chroma_taps)
        free(self.chroma_is_next)
        free(self.chroma_pairs)
        free(self.shares)
        free(self.split)

    cdef int _describe_planes(self, tuple planes) except -1:
        """`planes` holds (bytes, across, down) of each: bytes of a column, and how many pixels share them each way."""
        cdef Plane* plane
        cdef Py_ssize_t rows_shared
        self.across = 1
        self.num_sources = 0
        if not 1 <= len(planes) <= MAX_PLANES:
            raise ValueError(f"a frame has 1 to {MAX_PLANES} planes, got {len(planes)}")
        for count, across, down in planes:
            plane = &self.source[self.num_sources]
            self.across, rows_shared = across, down
            self.down_shift = 1 if rows_shared == 2 else 0
            plane.bytes = count
            plane.columns = (self.source_width + self.across - 1) // self.across
            plane.rows = (self.source_height + rows_shared - 1) // rows_shared
            self.copy_bytes = max(self.copy_bytes, plane.columns * plane.bytes)
            self.num_sources += 1
        if self.kind == INTERLEAVED:
            self.across = 2
        self.pixel_bytes = self.source[0].bytes
        self.row_bytes = self.source_width * self.pixel_bytes
        self.copies = <unsigned char*>_zeros(MAX_PLANES * self.copy_bytes, 1)
        return 0

    cdef int _plan_packed(self) except -1:
        cdef Py_ssize_t column, channel
        cdef int16_t* entry
        # Of a network of one channel it is given back where colours are weighed.
        self.transfer.loss = 2 if self.channels == CHANNELS else 0
        self.padded = (self.width + LANES - 1) // LANES * LANES
        # One value more, because four are stored at a time.
        self.row = <int16_t*>_zeros(self.padded * CHANNELS + 1, sizeof(int16_t))
        if self.channels == 1:
            self.finished = <int16_t*>_zeros(self.padded, sizeof(int16_t))
        self.offsets = <int32_t*>_zeros(self.width, sizeof(int32_t))
        self.entries = <int16_t*>_zeros(self.width * LANES, sizeof(int16_t))
        self.tails = <unsigned char*>_zeros(2 * 2 * LANES, 1)
        self.tail_offset = max(0, self.source_width - 2) * self.pixel_bytes
        for column in range(self.width):
            self.offsets[column] = <int32_t>(self.columns[column] * self.pixel_bytes + self.first)
            if self.offsets[column] + LANES <= self.row_bytes:
                self.num_safe = column + 1
            entry = &self.entries[column * LANES]
            for channel in range(CHANNELS):
                entry[channel] = lanes_entry(_opposite(self.column_weights[column]))
                entry[self.pixel_bytes + channel] = lanes_entry(self.column_weights[column])
        return 0

    cdef int _plan_planes(self) except -1:
        cdef Py_ssize_t column
        cdef int32_t pixel
        cdef Py_ssize_t chroma_bytes, row_bytes
        self.num_planes = 1 if self.kind == GREY else self.channels
        self.padded = (self.width + LANES - 1) // LANES * LANES
        self.taps = <int32_t*>_zeros(self.padded, sizeof(int32_t))
        self.weights = <int16_t*>_zeros(self.padded, sizeof(int16_t))
        self.luma_pairs = <uint16_t*>_zeros(self.padded, sizeof(uint16_t))
        self.planes = <int16_t*>_zeros(2 * self.num_planes * self.padded, sizeof(int16_t))
        self.finished = <int16_t*>_zeros(self.num_planes * self.padded, sizeof(int16_t))
        for column in range(self.width):
            self.taps[column] = self.columns[column]
            self.weights[column] = self.column_weights[column]
            if self.columns[column] + 2 <= self.source_width:
                self.num_safe = column + 1
        if self.kind == INTERLEAVED:
            self.split = <unsigned char*>_zeros(2 * self.source_width, 1)
        if self.num_planes == 1:
            return 0
        self.chroma_taps = <int32_t*>_zeros(self.padded, sizeof(int32_t))
        self.chroma_is_next = <int16_t*>_zeros(self.padded, sizeof(int16_t))
        self.chroma_pairs = <uint16_t*>_zeros(2 * self.padded, sizeof(uint16_t))
        self.shares = <int16_t*>_zeros(SHARES * self.padded, sizeof(int16_t))
        # Bytes of a column of chroma, and of a whole row of it.
        chroma_bytes = 1 if self.kind == PLANAR else 2
        row_bytes = (self.source_width + self.across - 1) // self.across * chroma_bytes
        for column in range(self.width):
            pixel = self.columns[column]
            self.chroma_taps[column] = <int32_t>(pixel // self.across * chroma_bytes)
            self.chroma_is_next[column] = -1 if (pixel + 1) % self.across == 0 else 0
            if self.chroma_taps[column] + 2 * chroma_bytes <= row_bytes:
                self.num_safe_chroma = column + 1
        return 0

    def to_float32(
        self, float[:, :, ::1] out not None, const unsigned char[:, :, :] first not None,
        const unsigned char[:, :, :] second=None, const unsigned char[:, :, :] third=None,
    ):
        self._take(first, second, third, out.shape[0], out.shape[1], out.shape[2])
        with nogil:
            _resize(self, out)

    def to_int8(
        self, signed char[:, :, ::1] out not None, const unsigned char[:, :, :] first not None,
        const unsigned char[:, :, :] second=None, const unsigned char[:, :, :] third=None,
    ):
        self._take(first, second, third, out.shape[0], out.shape[1], out.shape[2])
        with nogil:
            _resize(self, out)

    def to_uint8(
        self, unsigned char[:, :, ::1] out not None, const unsigned char[:, :, :] first not None,
        const unsigned char[:, :, :] second=None, const unsigned char[:, :, :] third=None,
    ):
        self._take(first, second, third, out.shape[0], out.shape[1], out.shape[2])
        with nogil:
            _resize(self, out)

    cdef int _take(
        self, const unsigned char[:, :, :] first, const unsigned char[:, :, :] second,
        const unsigned char[:, :, :] third, Py_ssize_t out_height, Py_ssize_t out_width, Py_ssize_t out_channels,
    ) except -1:
        """Note where the planes of the frame at hand lie."""
        cdef Py_ssize_t given = 1 + (second is not None) + (third is not None)
        if given != self.num_sources:
            raise ValueError(f"expected {self.num_sources} planes, got {given}")
        self._take_plane(&self.source[0], first)
        if self.num_sources > 1:
            self._take_plane(&self.source[1], second)
        if self.num_sources > 2:
            self._take_plane(&self.source[2], third)
        if out_height < self.y + self.height or out_width < self.x + self.width or out_channels != self.channels:
            raise ValueError(f"tensor of shape ({out_height}, {out_width}, {out_channels}) does not fit the tables")
        return 0

    cdef int _take_plane(self, Plane* plane, const unsigned char[:, :, :] view) except -1:
        if view.shape[0] != plane.rows or view.shape[1] != plane.columns or view.shape[2] != plane.bytes:
            raise ValueError(
                f"plane of shape ({view.shape[0]}, {view.shape[1]}, {view.shape[2]}) does not fit the tables"
            )
        plane.data = &view[0, 0, 0]
        plane.row_step, plane.column_step, plane.byte_step = view.strides[0], view.strides[1], view.strides[2]
        plane.is_packed = (plane.byte_step == 1 or plane.bytes == 1) and (
            plane.column_step == plane.bytes or plane.columns == 1
        )
        return 0


cdef void* _zeros(Py_ssize_t count, size_t size) except NULL:
    cdef void* memory = calloc(count, size)
    if memory == NULL:
        raise MemoryError
    return memory


cdef inline int16_t _opposite(int16_t weight) noexcept nogil:
    """1 - weight. A whole 1 does not fit into 15 bits, and so loses 1 / 32768."""
    return <int16_t>min(WEIGHT_ONE - weight, WEIGHT_ONE - 1)


cdef void _resize(Resizer plan, out_t[:, :, ::1] out) noexcept nogil:
    _pad(plan, out)
    # Grey takes the colours in whichever order they come.
    if plan.kind == PACKED4:
        if plan.swapped and plan.channels == CHANNELS:
            _resize_packed(plan, <const BgraPixel*>NULL, out)
        else:
            _resize_packed(plan, <const RgbaPixel*>NULL, out)
    elif plan.kind == PACKED3:
        if plan.swapped and plan.channels == CHANNELS:
            _resize_packed(plan, <const BgrPixel*>NULL, out)
        else:
            _resize_packed(plan, <const RgbPixel*>NULL, out)
    else:
        _resize_planes(plan, out)


cdef inline const unsigned char* _source_row(
    Resizer plan, Py_ssize_t index, Py_ssize_t row, Py_ssize_t slot
) noexcept nogil:
    """The bytes of one row of a plane side by side: the frame's own memory, or else a copy."""
    cdef const Plane* plane = &plan.source[index]
    cdef const unsigned char* source = plane.data + row * plane.row_step
    cdef unsigned char* copy = plan.copies + slot * plan.copy_bytes
    cdef Py_ssize_t column, byte
    if plane.is_packed:
        return source
    for column in range(plane.columns):
        for byte in range(plane.bytes):
            copy[column * plane.bytes + byte] = source[column * plane.column_step + byte * plane.byte_step]
    return copy


include "_packed.pxi"
include "_planes.pxi"
include "_store.pxi"
include "_grey.pxi"
