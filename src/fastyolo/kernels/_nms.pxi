# Greedy non-maximum suppression of candidates, best first.

cdef inline void _begin_selecting(Workspace work) noexcept nogil:
    """Sort the candidates into buckets, of which none is taken yet."""
    work.is_selecting = True
    work.next_bucket = work.heap_size = 0
    if work.num_candidates > 0:
        _sort_into_buckets(work, &work.buckets)


cdef bint _select(Workspace work) noexcept nogil:
    """Greedy NMS, best candidate first, until max_detections are kept. False where it is time to look at signals.

    Buckets and heaps instead of a full sort: only candidates ahead of the last kept one are ever put into order.
    """
    cdef uint64_t* heap = work.heap
    cdef Py_ssize_t size = work.heap_size
    cdef Py_ssize_t kept = work.kept
    cdef Py_ssize_t first = work.next_bucket
    # So many candidates may have been tried in the end, each against all blocks that there are.
    cdef Py_ssize_t stop, position
    work.limit = first - size + max(1, min(TRIED_AT_ONCE, PATIENCE // (work.num_blocks + 1)))
    # Invariant: rows 0..kept-1 are final, and every candidate left scores no better than any of them.
    while True:
        stop = size - TRIED_UNSEEN if size > TRIED_UNSEEN else 0
        while size > stop:
            if _try_candidate(work, heap[0], kept):
                kept += 1
                if kept == work.max_detections:
                    work.kept = kept
                    return True
            size -= 1
            heap[0] = heap[size]
            _sift_down(heap, 0, size)
        if first - size >= work.limit:
            work.heap, work.heap_size, work.kept, work.next_bucket = heap, size, kept, first
            return False
        if size == 0:
            if first == work.num_candidates:
                work.kept = kept
                return True
            heap = &work.candidates[1, 0] + first
            size = <Py_ssize_t>work.buckets.sizes[_bucket_of(&work.buckets, heap[0])] - first
            first += size
            for position in range(size // 2 - 1, -1, -1):
                _sift_down(heap, position, size)


cdef inline bint _try_candidate(Workspace work, uint64_t candidate, Py_ssize_t row) noexcept nogil:
    """Keep a candidate as detection number `row`, unless a better one suppresses it."""
    cdef uint32_t index = ~<uint32_t>candidate
    cdef uint32_t box = index // <uint32_t>work.num_classes
    cdef uint32_t class_id = index - box * <uint32_t>work.num_classes
    cdef Py_ssize_t group = 0 if work.class_agnostic else class_id
    if _is_suppressed(work, &work.boxes[box, 0], group):
        return False
    _keep(work, row, box, class_id, <uint32_t>(candidate >> 32))
    _remember(work, &work.boxes[box, 0], group)
    return True


cdef inline void _keep(
    Workspace work, Py_ssize_t row, Py_ssize_t box, Py_ssize_t class_id, uint32_t score_bits
) noexcept nogil:
    memcpy(&work.xyxy[row, 0], &work.boxes[box, 0], 4 * sizeof(float))
    memcpy(&work.confidence[row], &score_bits, sizeof(score_bits))
    work.class_id[row] = <int32_t>class_id


cdef inline void _remember(Workspace work, const float* box, Py_ssize_t group) noexcept nogil:
    """Add a kept box to the list of its class."""
    cdef int32_t newest = work.newest_of_class[group]
    cdef boxes8* block
    cdef int32_t place
    if newest < 0 or work.kept_boxes[newest].used == KEPT_BLOCK:
        block = &work.kept_boxes[work.num_blocks]
        block.used = 0
        block.older = newest
        for place in range(KEPT_BLOCK):
            block.x1[place] = block.y1[place] = INFINITY
            block.x2[place] = block.y2[place] = -INFINITY
            block.area[place] = 0
        work.newest_of_class[group] = <int32_t>work.num_blocks
        work.num_blocks += 1
    else:
        block = &work.kept_boxes[newest]
    place = block.used
    block.x1[place] = box[0]
    block.y1[place] = box[1]
    block.x2[place] = box[2]
    block.y2[place] = box[3]
    block.area[place] = _area(box)
    block.used += 1


cdef inline bint _is_suppressed(Workspace work, const float* box, Py_ssize_t group) noexcept nogil:
    """True when a kept box of the class overlaps more than the threshold allows."""
    cdef float area = _area(box)
    cdef int32_t index = work.newest_of_class[group]
    cdef const boxes8* block
    cdef int found
    while index >= 0:
        block = &work.kept_boxes[index]
        found = overlapping(block, box[0], box[1], box[2], box[3], area, work.iou_threshold)
        # The distance term only lowers the value, so it is needed only where plain IoU already passed.
        if found and (not work.diou or _any_stays_above(block, found, box, area, work.iou_threshold)):
            return True
        index = block.older
    return False


cdef inline float _area(const float* box) noexcept nogil:
    return (box[2] - box[0]) * (box[3] - box[1])


cdef bint _any_stays_above(
    const boxes8* block, int found, const float* box, float area, float threshold
) noexcept nogil:
    """True when IoU - (d2 / c2) ** 0.6 is above the threshold for one of the boxes that `found` names."""
    cdef float a[4]
    cdef float intersection
    cdef Py_ssize_t place
    for place in range(KEPT_BLOCK):
        if found >> place & 1:
            a[0], a[1], a[2], a[3] = block.x1[place], block.y1[place], block.x2[place], block.y2[place]
            intersection = (min(a[2], box[2]) - max(a[0], box[0])) * (min(a[3], box[3]) - max(a[1], box[1]))
            if intersection / (block.area[place] + (area - intersection)) - _distance_term(a, box) > threshold:
                return True
    return False


cdef inline float _distance_term(const float* a, const float* b) noexcept nogil:
    """(d2 / c2) ** 0.6: squared centre distance over squared enclosing diagonal (Darknet's beta_nms exponent)."""
    cdef float dx = ((a[0] + a[2]) - (b[0] + b[2])) * <float>0.5
    cdef float dy = ((a[1] + a[3]) - (b[1] + b[3])) * <float>0.5
    cdef float width = max(a[2], b[2]) - min(a[0], b[0])
    cdef float height = max(a[3], b[3]) - min(a[1], b[1])
    return powf((dx * dx + dy * dy) / (width * width + height * height), <float>0.6)
