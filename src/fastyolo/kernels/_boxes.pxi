# The terms of a box -> its corners in image pixels.

cdef void _decode_boxes(
    Workspace work, const Head* head, const Py_ssize_t* boxes, Py_ssize_t count, const float* terms
) noexcept nogil:
    """Decode at most BATCH boxes of a float head, four at a time."""
    cdef float powers[BATCH]
    cdef float parts[BATCH]
    cdef const float* own
    cdef Py_ssize_t first, place, number
    memset(powers, 0, sizeof(powers))
    for first in range(0, count, 4):
        number = min(4, count - first)
        for place in range(number):
            own = terms + boxes[first + place] * head.num_terms
            if head.type == NEW_COORDS:
                parts[4 * place], parts[4 * place + 1] = unit(own[0], NEW_COORDS), unit(own[1], NEW_COORDS)
                parts[4 * place + 2] = size_in_anchors(own[2], NEW_COORDS)
                parts[4 * place + 3] = size_in_anchors(own[3], NEW_COORDS)
            else:
                powers[4 * place], powers[4 * place + 1] = -own[0], -own[1]
                powers[4 * place + 2], powers[4 * place + 3] = limited_size_term(own[2]), limited_size_term(own[3])
        if head.type == DARKNET:
            for place in range(BATCH):
                parts[place] = exponential(powers[place])
            for place in range(number):
                parts[4 * place] = <float>1.0 / (<float>1.0 + parts[4 * place])
                parts[4 * place + 1] = <float>1.0 / (<float>1.0 + parts[4 * place + 1])
        for place in range(number):
            _place_box(
                work, head, boxes[first + place],
                parts[4 * place], parts[4 * place + 1], parts[4 * place + 2], parts[4 * place + 3])


cdef inline void _place_box(
    Workspace work, const Head* head, Py_ssize_t box, float unit_x, float unit_y, float width, float height
) noexcept nogil:
    """Store one box as xyxy in image pixels. `box` counts from the head's first; width and height are in anchors."""
    cdef uint32_t cell = <uint32_t>box // <uint32_t>head.num_anchors
    cdef Py_ssize_t anchor = head.first_anchor + <uint32_t>box % <uint32_t>head.num_anchors
    cdef float* corners = &work.boxes[head.first_box + box, 0]
    cdef float column = <float><int>(cell % <uint32_t>head.columns)
    cdef float row = <float><int>(cell // <uint32_t>head.columns)
    cdef float shift = (head.scale_x_y - <float>1.0) * <float>0.5
    cdef float x = (unit_x * head.scale_x_y - shift + column) * head.stride
    cdef float y = (unit_y * head.scale_x_y - shift + row) * head.stride
    cdef float half_width = width * work.anchors[anchor, 0] * <float>0.5
    cdef float half_height = height * work.anchors[anchor, 1] * <float>0.5
    corners[0] = (x - half_width) * work.transform.scale_x + work.transform.offset_x
    corners[1] = (y - half_height) * work.transform.scale_y + work.transform.offset_y
    corners[2] = (x + half_width) * work.transform.scale_x + work.transform.offset_x
    corners[3] = (y + half_height) * work.transform.scale_y + work.transform.offset_y


cdef void _clip(Workspace work, Py_ssize_t kept) noexcept nogil:
    """Limit the kept boxes to the image."""
    cdef Py_ssize_t row
    for row in range(kept):
        work.xyxy[row, 0] = _limit(work.xyxy[row, 0], work.transform.width)
        work.xyxy[row, 1] = _limit(work.xyxy[row, 1], work.transform.height)
        work.xyxy[row, 2] = _limit(work.xyxy[row, 2], work.transform.width)
        work.xyxy[row, 3] = _limit(work.xyxy[row, 3], work.transform.height)


cdef inline float _limit(float value, float highest) noexcept nogil:
    value = value if value > <float>0.0 else <float>0.0
    return value if value < highest else highest
