# Non-maximum suppression of boxes that somebody else decoded.

cdef enum:
    # The sign among the bits of a score.
    NEGATIVE = 0x80000000

cdef struct KeptBoxes:
    # Kept boxes by group, in lists of blocks as a Workspace has them.
    boxes8* blocks
    int32_t* newest
    Py_ssize_t num_blocks


def suppress(
    const float[:, ::1] boxes not None, const float[::1] scores not None, const int32_t[::1] class_ids not None,
    float iou_threshold, float score_threshold, bint diou, bint class_agnostic, Py_ssize_t max_per_class,
    uint64_t[::1] heap not None, int32_t[::1] newest not None, Py_ssize_t[::1] left not None,
    Py_ssize_t[::1] kept not None,
):
    """Greedy NMS of plain boxes; fills `kept` with indices, best first, and returns how many there are.

    `heap`, as long as the arrays, and `newest` and `left`, which class ids index, are memory to work in.
    """
    cdef KeptBoxes memory
    cdef Py_ssize_t count, index
    if boxes.shape[1] != 4 or not boxes.shape[0] == scores.shape[0] == class_ids.shape[0] == heap.shape[0]:
        raise ValueError("arrays of different lengths")
    if newest.shape[0] != left.shape[0] or kept.shape[0] == 0:
        raise ValueError("memory of different lengths")
    if not _all_below(class_ids, newest.shape[0]):
        raise IndexError(newest.shape[0])
    memory.blocks = <boxes8*>PyMem_Malloc(kept.shape[0] * sizeof(boxes8))
    if memory.blocks == NULL:
        raise MemoryError
    memory.newest = &newest[0]
    memory.num_blocks = 0
    with nogil:
        for index in range(newest.shape[0]):
            newest[index] = -1
            left[index] = max_per_class
        count = _collect_rows(boxes, scores, score_threshold, heap)
        count = _select_rows(boxes, class_ids, iou_threshold, diou, class_agnostic, heap, count, &memory, left, kept)
    PyMem_Free(memory.blocks)
    return count


cdef bint _all_below(const int32_t[::1] class_ids, Py_ssize_t limit) noexcept nogil:
    cdef Py_ssize_t index
    for index in range(class_ids.shape[0]):
        if not 0 <= class_ids[index] < limit:
            return False
    return True


cdef Py_ssize_t _collect_rows(
    const float[:, ::1] boxes, const float[::1] scores, float threshold, uint64_t[::1] heap
) noexcept nogil:
    """Make a heap of the rows whose score passes and in which everything is a number; returns how many there are."""
    cdef Py_ssize_t index, count = 0
    cdef float score
    cdef uint32_t bits
    for index in range(scores.shape[0]):
        score = scores[index] + <float>0  # no -0.0, which is as good as 0
        if not score >= threshold or _any_nan(&boxes[index, 0]):
            continue
        # Bits that sort like the scores; the inverted index makes ties keep the lower.
        memcpy(&bits, &score, sizeof(bits))
        bits = ~bits if bits & <uint32_t>NEGATIVE else bits | <uint32_t>NEGATIVE
        heap[count] = (<uint64_t>bits << 32) | <uint32_t>~<uint32_t>index
        count += 1
    for index in range(count // 2 - 1, -1, -1):
        _sift_down(&heap[0], index, count)
    return count


cdef inline bint _any_nan(const float* box) noexcept nogil:
    return box[0] != box[0] or box[1] != box[1] or box[2] != box[2] or box[3] != box[3]


cdef Py_ssize_t _select_rows(
    const float[:, ::1] boxes, const int32_t[::1] class_ids, float threshold, bint diou, bint class_agnostic,
    uint64_t[::1] heap, Py_ssize_t size, KeptBoxes* memory, Py_ssize_t[::1] left, Py_ssize_t[::1] kept,
) noexcept nogil:
    """Greedy NMS, best row of the heap first; returns how many were kept."""
    cdef Py_ssize_t count = 0, row
    cdef int32_t class_id, group
    cdef float box[4]
    # Invariant: every row left in the heap is no better than those in `kept`.
    while size > 0 and count < kept.shape[0]:
        row = <Py_ssize_t><uint32_t>~<uint32_t>heap[0]
        size -= 1
        heap[0] = heap[size]
        _sift_down(&heap[0], 0, size)
        class_id = class_ids[row]
        if left[class_id] == 0:
            continue
        group = 0 if class_agnostic else class_id
        _corners(&boxes[row, 0], box)
        if not _covered(memory, box, group, threshold, diou):
            _add(memory, box, group)
            left[class_id] -= 1
            kept[count] = row
            count += 1
    return count


cdef inline void _corners(const float* given, float* box) noexcept nogil:
    """The box with its lower corner first, whichever came first, and so limited that its area is a number."""
    cdef Py_ssize_t axis
    cdef float limit = <float>1e18
    for axis in range(2):
        box[axis] = max(min(min(given[axis], given[axis + 2]), limit), -limit)
        box[axis + 2] = max(min(max(given[axis], given[axis + 2]), limit), -limit)


cdef bint _covered(KeptBoxes* memory, const float* box, int32_t group, float threshold, bint diou) noexcept nogil:
    """True when a kept box of the group overlaps more than the threshold allows."""
    cdef float area = _area(box)
    # The products that vectors compare round otherwise than the quotient: they only tell whose is worth a look.
    cdef float careful = threshold * <float>0.999999
    cdef int32_t index = memory.newest[group]
    cdef const boxes8* block
    cdef int found
    while index >= 0:
        block = &memory.blocks[index]
        found = overlapping(block, box[0], box[1], box[2], box[3], area, careful)
        if found and _any_above(block, found, box, area, threshold, diou):
            return True
        index = block.older
    return False


cdef bint _any_above(
    const boxes8* block, int found, const float* box, float area, float threshold, bint diou
) noexcept nogil:
    """True when the quotient, as ONNX and TensorFlow take it, is above the threshold for one that `found` names."""
    cdef float a[4]
    cdef float intersection, value
    cdef Py_ssize_t place
    for place in range(KEPT_BLOCK):
        if found >> place & 1:
            a[0], a[1], a[2], a[3] = block.x1[place], block.y1[place], block.x2[place], block.y2[place]
            intersection = (min(a[2], box[2]) - max(a[0], box[0])) * (min(a[3], box[3]) - max(a[1], box[1]))
            value = intersection / (block.area[place] + area - intersection)
            if diou:
                value -= _distance_term(a, box)
            if value > threshold:
                return True
    return False


cdef inline void _add(KeptBoxes* memory, const float* box, int32_t group) noexcept nogil:
    """Add a kept box to the list of its group."""
    cdef int32_t newest = memory.newest[group]
    cdef boxes8* block
    cdef int32_t place
    if newest < 0 or memory.blocks[newest].used == KEPT_BLOCK:
        block = &memory.blocks[memory.num_blocks]
        block.used = 0
        block.older = newest
        for place in range(KEPT_BLOCK):
            block.x1[place] = block.y1[place] = INFINITY
            block.x2[place] = block.y2[place] = -INFINITY
            block.area[place] = 0
        memory.newest[group] = <int32_t>memory.num_blocks
        memory.num_blocks += 1
    else:
        block = &memory.blocks[newest]
    place = block.used
    block.x1[place], block.y1[place], block.x2[place], block.y2[place] = box[0], box[1], box[2], box[3]
    block.area[place] = _area(box)
    block.used += 1
