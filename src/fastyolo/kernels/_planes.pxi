# Planes: neighbours are gathered first, then converted to RGB, each by itself because colours are limited to 0..255
# there, and then blended; every source row at most once while it is needed.

cdef void _resize_planes(Resizer plan, out_t[:, :, ::1] out) noexcept nogil:
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
            chroma_source = _resize_source_row(plan, upper_source, chroma_source, upper)
        wanted = min(wanted + 1, plan.source_height - 1)
        if lower_source != wanted:
            lower_source = wanted
            chroma_source = _resize_source_row(plan, lower_source, chroma_source, lower)
        _blend_planes(plan, upper, lower, plan.row_weights[row], out, row)


cdef inline Py_ssize_t _resize_source_row(
    Resizer plan, Py_ssize_t source, Py_ssize_t chroma_source, Py_ssize_t slot
) noexcept nogil:
    """Fill one slot of `plan.planes`. `plan.shares` are of the chroma row `chroma_source`; returns of which then."""
    cdef const unsigned char* luma = _source_row(plan, 0, source, 0)
    cdef int16_t* target = plan.planes + slot * plan.num_planes * plan.padded
    cdef Py_ssize_t wanted = source >> plan.down_shift
    if plan.channels == 1:
        _resize_luma(plan, luma, target)
        return -1
    if plan.kind == INTERLEAVED:
        _split_interleaved(luma, plan.first, plan.split, plan.split + plan.source_width, plan.source_width)
        luma = plan.split
    _gather_luma(plan, luma)
    if plan.kind == GREY:
        _blend_grey(plan, target)
        return -1
    if chroma_source != wanted:
        _gather_chroma(plan, wanted)
        _share_chroma(plan)
    _blend_colors(plan, target)
    return wanted


cdef inline void _resize_luma(Resizer plan, const unsigned char* luma, int16_t* target) noexcept nogil:
    """The same for a network of one channel."""
    if plan.kind == INTERLEAVED:
        _split_luma(luma + plan.first, plan.split, plan.source_width)
        luma = plan.split
    _gather_luma(plan, luma)
    if plan.kind == GREY:
        _blend_grey(plan, target)
    else:
        _blend_luma(plan, target)


cdef void _split_interleaved(
    const unsigned char* row, Py_ssize_t first, own_bytes luma, own_bytes chroma, Py_ssize_t count
) noexcept nogil:
    """A row of luma and chroma in turn, luma at byte `first` of two, as semi-planar formats have them."""
    cdef const unsigned char* others = row + (1 - first)
    cdef Py_ssize_t index
    row += first
    for index in range(count):
        luma[index] = row[2 * index]
        chroma[index] = others[2 * index]


cdef inline void _gather_luma(Resizer plan, const unsigned char* source) noexcept nogil:
    """Both neighbours in one move; little-endian, as every supported machine is."""
    cdef const int32_t* offsets = plan.taps
    cdef uint16_t* pairs = plan.luma_pairs
    cdef Py_ssize_t column
    for column in range(plan.num_safe):
        memcpy(&pairs[column], source + offsets[column], sizeof(uint16_t))
    for column in range(plan.num_safe, plan.width):
        pairs[column] = <uint16_t>(source[offsets[column]] * 0x101)


cdef inline void _gather_chroma(Resizer plan, Py_ssize_t row) noexcept nogil:
    """Chroma row `row` at every column, of the left neighbour and behind it -> `plan.chroma_pairs`."""
    if plan.kind == PLANAR:
        _gather_bytes(plan, _source_row(plan, 1, row, 1), plan.chroma_pairs)
        _gather_bytes(plan, _source_row(plan, 2, row, 2), plan.chroma_pairs + plan.padded)
    else:
        _gather_pairs(
            plan, plan.split + plan.source_width if plan.kind == INTERLEAVED else _source_row(plan, 1, row, 1))


cdef inline void _gather_pairs(Resizer plan, const unsigned char* chroma) noexcept nogil:
    """The U V of the left neighbour and those behind, in one move."""
    cdef const int32_t* offsets = plan.chroma_taps
    cdef uint16_t* pairs = plan.chroma_pairs
    cdef Py_ssize_t column
    for column in range(plan.num_safe_chroma):
        memcpy(&pairs[2 * column], chroma + offsets[column], 2 * sizeof(uint16_t))
    for column in range(plan.num_safe_chroma, plan.width):
        memcpy(&pairs[2 * column], chroma + offsets[column], sizeof(uint16_t))
        pairs[2 * column + 1] = pairs[2 * column]


cdef inline void _gather_bytes(Resizer plan, const unsigned char* chroma, uint16_t* pairs) noexcept nogil:
    """The U, or V, of the left neighbour and the one behind, in one move."""
    cdef const int32_t* offsets = plan.chroma_taps
    cdef Py_ssize_t column
    for column in range(plan.num_safe_chroma):
        memcpy(&pairs[column], chroma + offsets[column], sizeof(uint16_t))
    for column in range(plan.num_safe_chroma, plan.width):
        pairs[column] = <uint16_t>(chroma[offsets[column]] * 0x101)


# Stores of lanes may alias anything, so what loops read of `plan` is read before.

cdef inline void _share_chroma(Resizer plan) noexcept nogil:
    """What the chroma row gathered last adds to the luma of the pixels above it, of left and right neighbours."""
    cdef lanes red_v = lanes_fill(plan.color.red_v)
    cdef lanes green_u = lanes_fill(plan.color.green_u)
    cdef lanes green_v = lanes_fill(plan.color.green_v)
    cdef lanes blue_u = lanes_fill(plan.color.blue_u)
    # Where V comes before U, what is computed of the one is the other's share, from B to R.
    if plan.kind == PLANAR and plan.swapped:
        _share_bytes(plan, True, blue_u, green_v, green_u, red_v)
    elif plan.kind == PLANAR:
        _share_bytes(plan, False, red_v, green_u, green_v, blue_u)
    elif plan.swapped:
        _share_pairs(plan, True, blue_u, green_v, green_u, red_v)
    else:
        _share_pairs(plan, False, red_v, green_u, green_v, blue_u)


cdef inline void _share_pairs(
    Resizer plan, bint swapped, lanes red_v, lanes green_u, lanes green_v, lanes blue_u
) noexcept nogil:
    """U and V in turn."""
    cdef Py_ssize_t padded = plan.padded
    cdef Py_ssize_t step = -2 * padded if swapped else 2 * padded
    cdef int16_t* shares = plan.shares + 4 * padded if swapped else plan.shares
    cdef const uint16_t* pairs = plan.chroma_pairs
    cdef const int16_t* is_next = plan.chroma_is_next
    cdef lanes left, right
    cdef Py_ssize_t _
    for _ in range(padded // LANES):
        lanes_load_pairs(pairs, &left, &right)
        right = lanes_choose(lanes_load(is_next), right, left)
        _store_shares(
            shares, step, lanes_low_bytes(left), lanes_high_bytes(left), red_v, green_u, green_v, blue_u)
        _store_shares(
            shares + padded, step, lanes_low_bytes(right), lanes_high_bytes(right), red_v, green_u, green_v, blue_u)
        pairs += 2 * LANES
        is_next += LANES
        shares += LANES


cdef inline void _share_bytes(
    Resizer plan, bint swapped, lanes red_v, lanes green_u, lanes green_v, lanes blue_u
) noexcept nogil:
    """U and V apart, the left neighbour's and the one behind in turn."""
    cdef Py_ssize_t padded = plan.padded
    cdef Py_ssize_t step = -2 * padded if swapped else 2 * padded
    cdef int16_t* shares = plan.shares + 4 * padded if swapped else plan.shares
    cdef const int16_t* u_pairs = <const int16_t*>plan.chroma_pairs
    cdef const int16_t* v_pairs = u_pairs + padded
    cdef const int16_t* is_next = plan.chroma_is_next
    cdef lanes u, v, right_u, right_v, mask
    cdef Py_ssize_t _
    for _ in range(padded // LANES):
        mask = lanes_load(is_next)
        u, v = lanes_load(u_pairs), lanes_load(v_pairs)
        right_u, right_v = lanes_high_bytes(u), lanes_high_bytes(v)
        u, v = lanes_low_bytes(u), lanes_low_bytes(v)
        right_u, right_v = lanes_choose(mask, right_u, u), lanes_choose(mask, right_v, v)
        _store_shares(shares, step, u, v, red_v, green_u, green_v, blue_u)
        _store_shares(shares + padded, step, right_u, right_v, red_v, green_u, green_v, blue_u)
        u_pairs += LANES
        v_pairs += LANES
        is_next += LANES
        shares += LANES


cdef inline void _store_shares(
    int16_t* shares, Py_ssize_t step, lanes u, lanes v, lanes red_v, lanes green_u, lanes green_v, lanes blue_u
) noexcept nogil:
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
    cdef Py_ssize_t at = 0
    while at < padded:
        pairs = lanes_load(luma + at)
        left = lanes_weigh_luma(lanes_above(lanes_low_bytes(pairs), zero), weight)
        right = lanes_weigh_luma(lanes_above(lanes_high_bytes(pairs), zero), weight)
        weight_right = lanes_load(weights + at)
        lanes_store(target + at, _color(left, right, shares + at, padded, weight_right))
        lanes_store(target + padded + at, _color(left, right, shares + 2 * padded + at, padded, weight_right))
        lanes_store(target + 2 * padded + at, _color(left, right, shares + 4 * padded + at, padded, weight_right))
        at += LANES


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
    """Two rows of planes -> one of the tensor; grey fills all channels."""
    cdef const int16_t* above = plan.planes + upper * plan.num_planes * plan.padded
    cdef const int16_t* below = plan.planes + lower * plan.num_planes * plan.padded
    cdef int16_t* finished = plan.finished
    cdef out_t* target = &out[plan.y + row, plan.x, 0]
    cdef lanes weight = lanes_fill(row_weight)
    cdef Py_ssize_t block
    if plan.channels == 1:
        _blend_rows(plan, above, below, weight)
        _store_grey(plan, target)
        return
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
