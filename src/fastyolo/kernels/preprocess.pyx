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
    lanes_store_pixels,
    lanes_weigh,
    lanes_weigh_chroma,
    lanes_weigh_luma,
    lanes_weigh_pixels,
    own_bytes,
)

ctypedef fused out_t:
    float
    signed char
    unsigned char

cdef enum Layout:
    # How many bytes lie between two pixels, and what they are. `preprocess.py` uses the same numbers.
    RGB = 0
    RGBA = 1
    GREY = 2
    NV12 = 3
    YUYV = 4

cdef enum:
    CHANNELS = 3
    LANES = 8
    # Columns blended between two stores, so that an in-order core has four independent chains to work on.
    COLUMN_BLOCK = 4
    # Finished rows are int16 with 7 fractional bits.
    VALUE_BITS = 7
    VALUE_ONE = 128
    WEIGHT_ONE = 32768
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


@cython.final
cdef class Resizer:
    """The tables for one layout, source size and place in the network input, and the memory of a few rows."""

    cdef Layout layout
    cdef bint swapped                       # blue comes first
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
    cdef unsigned char* copies              # (2, row_bytes): source rows that do not lie packed in the image
    # Leading columns for which as many bytes may be read from the left neighbour on as are read at once.
    cdef Py_ssize_t num_safe
    # Packed pixels only.
    cdef int16_t* row                       # (width * 3 + 1): a finished row, pixels in the tensor's order
    cdef int32_t* offsets                   # (width,): byte offset of the left pixel
    cdef int16_t* entries                   # (width, LANES): both weights of every column, for `lanes_weigh`
    cdef Py_ssize_t tail_offset             # byte offset of what `tails` copies
    cdef unsigned char* tails               # (2, 2 * LANES): the last two pixels of the two source rows
    # Planes only: grey and Y'CbCr. Rows are as long as `padded`, a multiple of LANES.
    cdef Py_ssize_t num_planes, padded
    cdef int32_t* taps                      # (padded,): left neighbour
    cdef int16_t* weights                   # (padded,): `column_weights`
    cdef uint16_t* luma_pairs               # (padded,): the left neighbour's byte, and above it the right one's
    cdef int16_t* planes                    # (2, num_planes, padded): two source rows, resized horizontally
    cdef int16_t* finished                  # (num_planes, padded): a finished row, where it is not stored at once
    # Y'CbCr only.
    cdef Py_ssize_t num_safe_chroma
    cdef int32_t* chroma_taps               # (padded,): byte offset of the left neighbour's U V
    cdef int16_t* chroma_is_next            # (padded,): -1 where the right neighbour has the U V behind, else 0
    cdef uint16_t* chroma_pairs             # (padded, 2): U, and above it V, of the left neighbour, and the ones behind
    cdef int16_t* shares                    # (SHARES, padded): what the chroma row gathered last adds to luma
    cdef unsigned char* split               # (2, source_width): one YUYV row as NV12 has it, luma and U V

    def __init__(
        self, Layout layout, bint swapped, Py_ssize_t source_height, Py_ssize_t source_width,
        Py_ssize_t x, Py_ssize_t y,
        const int32_t[::1] columns not None, const int16_t[::1] column_weights not None,
        const int32_t[::1] rows not None, const int16_t[::1] row_weights not None,
        tuple color, float multiplier, float offset, int lowest, int highest, int padding,
    ):
        if self.copies != NULL:
            raise TypeError("a Resizer is made once")
        self.layout = layout
        self.swapped = swapped
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
        self.pixel_bytes = 3 if layout == RGB else 4 if layout == RGBA else 2 if layout == YUYV else 1
        self.row_bytes = source_width * self.pixel_bytes
        self.copies = <unsigned char*>_zeros(2 * self.row_bytes, 1)
        if layout == RGB or layout == RGBA:
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

    cdef int _plan_packed(self) except -1:
        cdef Py_ssize_t column, channel
        cdef int16_t* entry
        self.transfer.loss = 2
        # One value more, because four are stored at a time.
        self.row = <int16_t*>_zeros(self.width * CHANNELS + 1, sizeof(int16_t))
        self.offsets = <int32_t*>_zeros(self.width, sizeof(int32_t))
        self.entries = <int16_t*>_zeros(self.width * LANES, sizeof(int16_t))
        self.tails = <unsigned char*>_zeros(2 * 2 * LANES, 1)
        self.tail_offset = max(0, self.source_width - 2) * self.pixel_bytes
        for column in range(self.width):
            self.offsets[column] = <int32_t>(self.columns[column] * self.pixel_bytes)
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
        self.num_planes = 1 if self.layout == GREY else CHANNELS
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
        if self.layout == GREY:
            return 0
        self.chroma_taps = <int32_t*>_zeros(self.padded, sizeof(int32_t))
        self.chroma_is_next = <int16_t*>_zeros(self.padded, sizeof(int16_t))
        self.chroma_pairs = <uint16_t*>_zeros(2 * self.padded, sizeof(uint16_t))
        self.shares = <int16_t*>_zeros(SHARES * self.padded, sizeof(int16_t))
        if self.layout == YUYV:
            self.split = <unsigned char*>_zeros(2 * self.source_width, 1)
        for column in range(self.width):
            pixel = self.columns[column]
            # Two pixels share their U V.
            self.chroma_taps[column] = pixel // 2 * 2
            self.chroma_is_next[column] = -1 if pixel % 2 else 0
            if self.chroma_taps[column] + 4 <= self.source_width:
                self.num_safe_chroma = column + 1
        return 0

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
        self, Py_ssize_t height, Py_ssize_t width, Py_ssize_t pixel_bytes,
        Py_ssize_t out_height, Py_ssize_t out_width, Py_ssize_t out_channels,
    ) except -1:
        cdef Py_ssize_t rows = self.source_height + (self.source_height // 2 if self.layout == NV12 else 0)
        if height != rows or width != self.source_width or pixel_bytes != self.pixel_bytes:
            raise ValueError(f"image of shape ({height}, {width}, {pixel_bytes}) does not fit the tables")
        if out_height < self.y + self.height or out_width < self.x + self.width or out_channels != CHANNELS:
            raise ValueError(f"tensor of shape ({out_height}, {out_width}, {out_channels}) does not fit the tables")
        return 0


cdef void* _zeros(Py_ssize_t count, size_t size) except NULL:
    cdef void* memory = calloc(count, size)
    if memory == NULL:
        raise MemoryError
    return memory


cdef inline int16_t _opposite(int16_t weight) noexcept nogil:
    """1 - weight. A whole 1 does not fit into 15 bits, and so loses 1 / 32768."""
    return <int16_t>min(WEIGHT_ONE - weight, WEIGHT_ONE - 1)


cdef void _resize(Resizer plan, const unsigned char[:, :, :] image, out_t[:, :, ::1] out) noexcept nogil:
    _pad(plan, out)
    if plan.layout == RGBA:
        if plan.swapped:
            _resize_packed(plan, <const BgraPixel*>NULL, image, out)
        else:
            _resize_packed(plan, <const RgbaPixel*>NULL, image, out)
    elif plan.layout == RGB:
        if plan.swapped:
            _resize_packed(plan, <const BgrPixel*>NULL, image, out)
        else:
            _resize_packed(plan, <const RgbPixel*>NULL, image, out)
    else:
        _resize_planes(plan, image, out)


cdef inline const unsigned char* _source_row(
    Resizer plan, const unsigned char[:, :, :] image, Py_ssize_t row, Py_ssize_t slot
) noexcept nogil:
    """The bytes of one source row side by side: the image's own memory, or else a copy."""
    cdef Py_ssize_t column, index
    cdef unsigned char* copy = plan.copies + slot * plan.row_bytes
    if (image.strides[2] == 1 or image.shape[2] == 1) and (
        image.strides[1] == plan.pixel_bytes or image.shape[1] == 1
    ):
        return &image[row, 0, 0]
    for column in range(plan.source_width):
        for index in range(plan.pixel_bytes):
            copy[column * plan.pixel_bytes + index] = image[row, column, index]
    return copy


# Packed pixels: the four neighbours of a target pixel are two pairs that each fill one vector.

cdef void _resize_packed(
    Resizer plan, const pixel_t* kind, const unsigned char[:, :, :] image, out_t[:, :, ::1] out
) noexcept nogil:
    """`kind` only chooses the type."""
    cdef Py_ssize_t row, source
    cdef const unsigned char* above
    cdef const unsigned char* below
    for row in range(plan.height):
        source = plan.rows[row]
        above = _source_row(plan, image, source, 0)
        below = _source_row(plan, image, min(source + 1, plan.source_height - 1), 1)
        _blend_packed(plan, kind, above, below, plan.row_weights[row])
        _store_row(plan, out, row)


cdef inline void _blend_packed(
    Resizer plan, const pixel_t* kind, const unsigned char* above, const unsigned char* below, int16_t row_weight
) noexcept nogil:
    """Blend two source rows into `plan.row`."""
    cdef lanes weight_above = lanes_fill(_opposite(row_weight))
    cdef lanes weight_below = lanes_fill(row_weight)
    cdef const int32_t* offsets = plan.offsets
    cdef const int16_t* entries = plan.entries
    cdef int16_t* target = plan.row
    cdef lanes first, second, third, fourth
    cdef Py_ssize_t column = 0
    while column + COLUMN_BLOCK <= plan.num_safe:
        first = _blend_column(kind, above + offsets[0], below + offsets[0], weight_above, weight_below, entries)
        second = _blend_column(
            kind, above + offsets[1], below + offsets[1], weight_above, weight_below, entries + LANES)
        third = _blend_column(
            kind, above + offsets[2], below + offsets[2], weight_above, weight_below, entries + 2 * LANES)
        fourth = _blend_column(
            kind, above + offsets[3], below + offsets[3], weight_above, weight_below, entries + 3 * LANES)
        # Four values each; the fourth is overwritten by the next pixel.
        lanes_store4(target, first)
        lanes_store4(target + CHANNELS, second)
        lanes_store4(target + 2 * CHANNELS, third)
        lanes_store4(target + 3 * CHANNELS, fourth)
        offsets += COLUMN_BLOCK
        entries += COLUMN_BLOCK * LANES
        target += COLUMN_BLOCK * CHANNELS
        column += COLUMN_BLOCK
    _copy_tails(plan, above, below)
    while column < plan.width:
        if column < plan.num_safe:
            first = _blend_column(kind, above + offsets[0], below + offsets[0], weight_above, weight_below, entries)
        else:
            first = _blend_column(
                kind, plan.tails + (offsets[0] - plan.tail_offset),
                plan.tails + 2 * LANES + (offsets[0] - plan.tail_offset), weight_above, weight_below, entries)
        lanes_store4(target, first)
        offsets += 1
        entries += LANES
        target += CHANNELS
        column += 1


cdef inline lanes _blend_column(
    const pixel_t* kind, const unsigned char* above, const unsigned char* below,
    lanes weight_above, lanes weight_below, const int16_t* entries,
) noexcept nogil:
    """One target pixel from two neighbours in each of two rows: first the rows are blended, then the neighbours."""
    cdef lanes pair = lanes_weigh(
        lanes_add(lanes_weigh_pixels(above, weight_above), lanes_weigh_pixels(below, weight_below)), entries
    )
    if pixel_t is RgbPixel:
        return lanes_add(pair, lanes_drop3(pair))
    elif pixel_t is BgrPixel:
        return lanes_reverse3(lanes_add(pair, lanes_drop3(pair)))
    elif pixel_t is RgbaPixel:
        return lanes_add(pair, lanes_drop4(pair))
    else:
        return lanes_reverse3(lanes_add(pair, lanes_drop4(pair)))


cdef inline void _copy_tails(Resizer plan, const unsigned char* above, const unsigned char* below) noexcept nogil:
    """The last two pixels of both rows, where more bytes may be read behind them than in the image."""
    memcpy(plan.tails, above + plan.tail_offset, plan.row_bytes - plan.tail_offset)
    memcpy(plan.tails + 2 * LANES, below + plan.tail_offset, plan.row_bytes - plan.tail_offset)


# Planes: neighbours are gathered first, then converted to RGB, each by itself because colours are limited to 0..255
# there, and then blended; every source row at most once while it is needed.

cdef void _resize_planes(Resizer plan, const unsigned char[:, :, :] image, out_t[:, :, ::1] out) noexcept nogil:
    cdef Py_ssize_t row, upper = 0, lower = 1
    cdef Py_ssize_t upper_source = -1, lower_source = -1, chroma_source = -1, wanted
    # Invariant: planes[upper] and planes[lower] hold the source rows upper_source and lower_source, and shares those of
    # the chroma row chroma_source.
    for row in range(plan.height):
        wanted = plan.rows[row]
        if lower_source == wanted:
            upper, lower = lower, upper
            upper_source, lower_source = lower_source, upper_source
        if upper_source != wanted:
            upper_source = wanted
            chroma_source = _resize_source_row(plan, image, upper_source, chroma_source, upper)
        wanted = min(wanted + 1, plan.source_height - 1)
        if lower_source != wanted:
            lower_source = wanted
            chroma_source = _resize_source_row(plan, image, lower_source, chroma_source, lower)
        _blend_planes(plan, upper, lower, plan.row_weights[row], out, row)


cdef inline Py_ssize_t _resize_source_row(
    Resizer plan, const unsigned char[:, :, :] image, Py_ssize_t source, Py_ssize_t chroma_source, Py_ssize_t slot
) noexcept nogil:
    """Fill one slot of `plan.planes`. `plan.shares` are of the chroma row `chroma_source`; returns of which then."""
    cdef const unsigned char* luma = _source_row(plan, image, source, 0)
    cdef int16_t* target = plan.planes + slot * plan.num_planes * plan.padded
    if plan.layout == YUYV:
        _split_yuyv(luma, plan.split, plan.split + plan.source_width, plan.source_width)
        luma = plan.split
    _gather_luma(plan, luma)
    if plan.layout == GREY:
        _blend_grey(plan, target)
        return -1
    if plan.layout == YUYV:
        _share_chroma(plan, plan.split + plan.source_width)
    elif chroma_source != source // 2:
        _share_chroma(plan, _source_row(plan, image, plan.source_height + source // 2, 1))
    _blend_colors(plan, target)
    return source // 2


cdef void _split_yuyv(const unsigned char* row, own_bytes luma, own_bytes chroma, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t index
    for index in range(count):
        luma[index] = row[2 * index]
        chroma[index] = row[2 * index + 1]


cdef inline void _gather_luma(Resizer plan, const unsigned char* source) noexcept nogil:
    """Both neighbours in one move; little-endian, as every supported machine is."""
    cdef const int32_t* offsets = plan.taps
    cdef uint16_t* pairs = plan.luma_pairs
    cdef Py_ssize_t column
    for column in range(plan.num_safe):
        memcpy(&pairs[column], source + offsets[column], sizeof(uint16_t))
    for column in range(plan.num_safe, plan.width):
        pairs[column] = <uint16_t>(source[offsets[column]] * 0x101)


cdef inline void _gather_chroma(Resizer plan, const unsigned char* chroma) noexcept nogil:
    """The U V of the left neighbour and those behind, in one move."""
    cdef const int32_t* offsets = plan.chroma_taps
    cdef uint16_t* pairs = plan.chroma_pairs
    cdef Py_ssize_t column
    for column in range(plan.num_safe_chroma):
        memcpy(&pairs[2 * column], chroma + offsets[column], 2 * sizeof(uint16_t))
    for column in range(plan.num_safe_chroma, plan.width):
        memcpy(&pairs[2 * column], chroma + offsets[column], sizeof(uint16_t))
        pairs[2 * column + 1] = pairs[2 * column]


# Stores of lanes may alias anything, so what loops read of `plan` is read before.

cdef inline void _share_chroma(Resizer plan, const unsigned char* chroma) noexcept nogil:
    """What a chroma row adds to the luma of the pixels above it, of left and right neighbours -> `plan.shares`."""
    cdef Py_ssize_t padded = plan.padded
    cdef const uint16_t* pairs = plan.chroma_pairs
    cdef const int16_t* is_next = plan.chroma_is_next
    cdef int16_t* shares = plan.shares
    cdef lanes red_v = lanes_fill(plan.color.red_v)
    cdef lanes green_u = lanes_fill(plan.color.green_u)
    cdef lanes green_v = lanes_fill(plan.color.green_v)
    cdef lanes blue_u = lanes_fill(plan.color.blue_u)
    cdef lanes left, right
    cdef Py_ssize_t _
    _gather_chroma(plan, chroma)
    for _ in range(padded // LANES):
        lanes_load_pairs(pairs, &left, &right)
        right = lanes_choose(lanes_load(is_next), right, left)
        _store_shares(shares, 2 * padded, left, red_v, green_u, green_v, blue_u)
        _store_shares(shares + padded, 2 * padded, right, red_v, green_u, green_v, blue_u)
        pairs += 2 * LANES
        is_next += LANES
        shares += LANES


cdef inline void _store_shares(
    int16_t* shares, Py_ssize_t step, lanes chroma, lanes red_v, lanes green_u, lanes green_v, lanes blue_u
) noexcept nogil:
    cdef lanes u = lanes_low_bytes(chroma)
    cdef lanes v = lanes_high_bytes(chroma)
    lanes_store(shares, lanes_weigh_chroma(v, red_v))
    lanes_store(shares + step, lanes_add(lanes_weigh_chroma(u, green_u), lanes_weigh_chroma(v, green_v)))
    lanes_store(shares + 2 * step, lanes_weigh_chroma(u, blue_u))


cdef inline void _blend_grey(Resizer plan, int16_t* target) noexcept nogil:
    cdef const int16_t* luma = <const int16_t*>plan.luma_pairs
    cdef const int16_t* weights = plan.weights
    cdef lanes pairs
    cdef Py_ssize_t block
    for block in range(plan.padded // LANES):
        pairs = lanes_load(luma + block * LANES)
        lanes_store(target + block * LANES, lanes_blend(
            lanes_from_bytes(lanes_low_bytes(pairs)), lanes_from_bytes(lanes_high_bytes(pairs)),
            lanes_load(weights + block * LANES)))


cdef inline void _blend_colors(Resizer plan, int16_t* target) noexcept nogil:
    """Luma of both neighbours and `plan.shares` -> one row of each of the planes R, G and B."""
    cdef Py_ssize_t padded = plan.padded
    cdef const int16_t* luma = <const int16_t*>plan.luma_pairs
    cdef const int16_t* weights = plan.weights
    cdef const int16_t* shares = plan.shares
    cdef lanes zero = lanes_fill(<int16_t>plan.color.luma_zero)
    cdef lanes weight = lanes_fill(plan.color.luma)
    cdef lanes pairs, left, right, weight_right
    cdef Py_ssize_t _
    for _ in range(padded // LANES):
        pairs = lanes_load(luma)
        left = lanes_weigh_luma(lanes_above(lanes_low_bytes(pairs), zero), weight)
        right = lanes_weigh_luma(lanes_above(lanes_high_bytes(pairs), zero), weight)
        weight_right = lanes_load(weights)
        lanes_store(target, _color(left, right, shares, padded, weight_right))
        lanes_store(target + padded, _color(left, right, shares + 2 * padded, padded, weight_right))
        lanes_store(target + 2 * padded, _color(left, right, shares + 4 * padded, padded, weight_right))
        luma += LANES
        weights += LANES
        shares += LANES
        target += LANES


cdef inline lanes _color(
    lanes left, lanes right, const int16_t* shares, Py_ssize_t padded, lanes weight_right
) noexcept nogil:
    """R, G or B: of each neighbour limited to what bytes hold, as a conversion by itself would, then blended."""
    cdef lanes highest = lanes_fill(COLOR_LIMIT)
    return lanes_blend(
        lanes_limit(lanes_add(left, lanes_load(shares)), highest),
        lanes_limit(lanes_add(right, lanes_load(shares + padded)), highest),
        weight_right)


cdef inline void _blend_planes(
    Resizer plan, Py_ssize_t upper, Py_ssize_t lower, int16_t row_weight, out_t[:, :, ::1] out, Py_ssize_t row
) noexcept nogil:
    """Two rows of planes -> one of the tensor; grey fills all three channels."""
    cdef const int16_t* above = plan.planes + upper * plan.num_planes * plan.padded
    cdef const int16_t* below = plan.planes + lower * plan.num_planes * plan.padded
    cdef int16_t* finished = plan.finished
    cdef out_t* target = &out[plan.y + row, plan.x, 0]
    cdef lanes weight = lanes_fill(row_weight)
    cdef Py_ssize_t block
    if out_t is not float:
        if plan.shift_only:
            _blend_pixels(plan, above, below, weight, <unsigned char*>target)
            return
    for block in range(plan.num_planes * plan.padded // LANES):
        lanes_store(finished + block * LANES, lanes_raise2(lanes_blend(
            lanes_load(above + block * LANES), lanes_load(below + block * LANES), weight)))
    _store_planes(plan, target)


cdef inline void _blend_pixels(
    Resizer plan, const int16_t* above, const int16_t* below, lanes weight, unsigned char* target
) noexcept nogil:
    """The same where the tensor's numbers are bytes, or bytes - 128."""
    cdef unsigned char flip = 0x80 if plan.transfer.lowest < 0 else 0
    cdef Py_ssize_t second = plan.padded if plan.num_planes > 1 else 0
    cdef Py_ssize_t whole = plan.width // LANES
    cdef Py_ssize_t rest = plan.width - whole * LANES
    cdef unsigned char last[CHANNELS * LANES]
    cdef Py_ssize_t _
    for _ in range(whole):
        _blend_block(above, below, second, weight, target, flip)
        above += LANES
        below += LANES
        target += CHANNELS * LANES
    if rest:
        _blend_block(above, below, second, weight, last, flip)
        memcpy(target, last, CHANNELS * rest)


cdef inline void _blend_block(
    const int16_t* above, const int16_t* below, Py_ssize_t second, lanes weight, unsigned char* target,
    unsigned char flip,
) noexcept nogil:
    """LANES pixels of planes that lie `second` apart."""
    lanes_store_pixels(
        target,
        lanes_blend(lanes_load(above), lanes_load(below), weight),
        lanes_blend(lanes_load(above + second), lanes_load(below + second), weight),
        lanes_blend(lanes_load(above + 2 * second), lanes_load(below + 2 * second), weight),
        flip)


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
    cdef Py_ssize_t width = out.shape[1]
    cdef out_t* target
    cdef Py_ssize_t below = plan.y + plan.height, right = plan.x + plan.width
    cdef out_t grey
    if plan.width == width and plan.height == out.shape[0]:
        return
    grey = _store(plan.transfer, <int16_t>(plan.padding * VALUE_ONE - plan.transfer.loss), &out[0, 0, 0])
    for row in range(out.shape[0]):
        target = &out[row, 0, 0]
        for index in range(width * CHANNELS):
            if row < plan.y or row >= below or index < plan.x * CHANNELS or index >= right * CHANNELS:
                target[index] = grey
