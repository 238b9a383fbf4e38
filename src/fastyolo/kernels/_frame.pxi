# One frame: candidates are collected, then some of them kept.

cdef inline void _begin(Workspace work) noexcept nogil:
    """Forget the last frame."""
    work.kept = 0
    work.num_blocks = 0
    # -1 each: there is no block yet.
    memset(&work.newest_of_class[0], 0xFF, work.newest_of_class.shape[0] * sizeof(int32_t))
    work.ceiling = INFINITY
    work.room = work.first_room
    work.is_selecting = False


cdef inline bint _detect(Workspace work) noexcept nogil:
    """Collect candidates and select among them. False where it is to be called again to go on.

    NMS takes the best candidates first and ends at max_detections, so the best few thousand nearly always suffice.
    While they are collected the score that still counts rises, and with it the gates of classes. Where they did not
    suffice, a second turn collects what was left out.
    """
    cdef Py_ssize_t index
    while True:
        if not work.is_selecting:
            work.floor = work.score_threshold
            work.num_candidates = 0
            for index in range(work.num_heads):
                work.heads[index].scan(work, &work.heads[index])
            _begin_selecting(work)
        if not _select(work):
            return False
        work.is_selecting = False
        if work.kept == work.max_detections or work.floor == work.score_threshold:
            if work.clip:
                _clip(work, work.kept)
            return True
        work.ceiling = work.floor
        work.room = work.candidates.shape[1]
