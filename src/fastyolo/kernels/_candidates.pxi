# Candidates: collected in a room whose floor rises, and sorted as far as somebody asks.

cdef inline void _append(Workspace work, uint32_t index, float score) noexcept nogil:
    """Append a candidate if its score really passes. Gates only spared us the hopeless ones."""
    cdef uint32_t score_bits
    if score >= work.floor and score < work.ceiling:
        # Scores are never negative, so their bits sort like the scores; the inverted index makes ties keep the lower.
        memcpy(&score_bits, &score, sizeof(score))
        work.candidates[0, work.num_candidates] = (<uint64_t>score_bits << 32) | <uint32_t>~index
        work.num_candidates += 1
        if work.num_candidates == work.room < work.candidates.shape[1]:
            _make_room(work)


cdef void _make_room(Workspace work) noexcept nogil:
    """Leave out the lower scores, here and from now on; where too many are alike, take twice the room."""
    cdef uint64_t* candidates = &work.candidates[0, 0]
    cdef Buckets buckets
    cdef Py_ssize_t cut, staying, index
    cdef uint32_t floor_bits
    _count(work, &buckets)
    cut = buckets.count - 1
    staying = buckets.sizes[cut]
    while cut > 0 and staying < work.room // 2:
        cut -= 1
        staying += buckets.sizes[cut]
    if staying > work.room // 4 * 3:
        work.room = min(2 * work.room, work.candidates.shape[1])
        return
    floor_bits = buckets.lowest + (<uint32_t>cut << buckets.shift)
    memcpy(&work.floor, &floor_bits, sizeof(floor_bits))
    staying = 0
    for index in range(work.num_candidates):
        candidates[staying] = candidates[index]
        staying += (candidates[index] >> 32) >= floor_bits
    work.num_candidates = staying


cdef void _count(Workspace work, Buckets* buckets) noexcept nogil:
    """Count the candidates of each bucket. Few candidates get few buckets: these too have to be gone through."""
    cdef const uint64_t* candidates = &work.candidates[0, 0]
    cdef float one = 1.0
    cdef uint32_t span
    cdef Py_ssize_t limit = min(4 * work.num_candidates, BUCKETS)
    cdef Py_ssize_t index
    memcpy(&buckets.lowest, &work.floor, sizeof(float))
    memcpy(&span, &one, sizeof(float))
    span -= buckets.lowest
    buckets.shift = 0
    while <Py_ssize_t>(span >> buckets.shift) >= limit:
        buckets.shift += 1
    buckets.count = (span >> buckets.shift) + 1
    memset(buckets.sizes, 0, buckets.count * sizeof(uint32_t))
    for index in range(work.num_candidates):
        buckets.sizes[_bucket_of(buckets, candidates[index])] += 1


cdef inline uint32_t _bucket_of(const Buckets* buckets, uint64_t candidate) noexcept nogil:
    return (<uint32_t>(candidate >> 32) - buckets.lowest) >> buckets.shift


cdef void _sort_into_buckets(Workspace work, Buckets* buckets) noexcept nogil:
    """Copy the candidates bucket by bucket, best first, to the second row."""
    cdef const uint64_t* candidates = &work.candidates[0, 0]
    cdef uint64_t* target = &work.candidates[1, 0]
    cdef Py_ssize_t bucket, index
    cdef uint32_t place, size
    _count(work, buckets)
    place = 0
    for bucket in range(buckets.count - 1, -1, -1):
        size = buckets.sizes[bucket]
        buckets.sizes[bucket] = place
        place += size
    for index in range(work.num_candidates):
        bucket = _bucket_of(buckets, candidates[index])
        target[buckets.sizes[bucket]] = candidates[index]
        buckets.sizes[bucket] += 1


cdef inline void _sift_down(uint64_t* heap, Py_ssize_t position, Py_ssize_t size) noexcept nogil:
    """Restore the max-heap below `position`."""
    cdef uint64_t value = heap[position] if position < size else 0
    cdef Py_ssize_t child = 2 * position + 1
    while child < size:
        if child + 1 < size and heap[child + 1] > heap[child]:
            child += 1
        if heap[child] <= value:
            break
        heap[position] = heap[child]
        position = child
        child = 2 * position + 1
    if position < size:
        heap[position] = value
