# Packed pixels: the four neighbours of a target pixel are two pairs that each fill one vector.

cdef void _resize_packed(
    Resizer plan, const pixel_t* kind, out_t[:, :, ::1] out
) noexcept nogil:
    """`kind` only chooses the type."""
    cdef Py_ssize_t row, source
    cdef const unsigned char* above
    cdef const unsigned char* below
    for row in range(plan.height):
        source = plan.rows[row]
        above = _source_row(plan, 0, source, 0)
        below = _source_row(plan, 0, min(source + 1, plan.source_height - 1), 1)
        _blend_packed(plan, kind, above, below, plan.row_weights[row])
        if plan.channels == 1:
            _weigh_row(plan)
            _store_grey(plan, &out[plan.y + row, plan.x, 0])
        else:
            _store_row(plan, out, row)


# Not inline: with what is around it, which differs by tensor, gcc would run out of registers for its loop.
cdef void _blend_packed(
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
    _copy_tails(plan, kind, above, below)
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


cdef inline void _copy_tails(
    Resizer plan, const pixel_t* kind, const unsigned char* above, const unsigned char* below
) noexcept nogil:
    """The last two pixels of both rows, where more bytes may be read behind them than in the image."""
    if plan.source_width < 2:
        memcpy(plan.tails, above, sizeof(pixel_t))
        memcpy(plan.tails + 2 * LANES, below, sizeof(pixel_t))
    else:  # of a size that is known here, so that nothing is called
        memcpy(plan.tails, above + plan.tail_offset, 2 * sizeof(pixel_t))
        memcpy(plan.tails + 2 * LANES, below + plan.tail_offset, 2 * sizeof(pixel_t))
