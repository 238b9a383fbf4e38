"""Heads -> boxes: decoding and per-class NMS of Darknet YOLO heads. C types only; `postprocess.py` owns the checks.

Every number follows Darknet (AlexeyAB): see `postprocess.py` for the formulas and their source.
"""

cimport cython
from libc.float cimport FLT_MIN
from libc.math cimport INFINITY, fabs, log, powf
from libc.stdint cimport int32_t, uint32_t, uint64_t
from libc.string cimport memcpy

ctypedef fused head_t:
    float
    signed char
    unsigned char

cdef enum:
    # Terms of one box ahead of its class logits: tx ty tw th objectness.
    OBJECTNESS = 4
    CLASSES = 5
    BYTES = 256
    # exp() of a size term stops here (7.9e13 anchors), so that areas and distances stay finite in float32.
    MAX_SIZE_TERM = 32

# Relative room that makes a gate safe against the last bits of _exp: it may let through, never drop.
cdef double GATE_SLACK = 1e-6


cdef inline float _exp(float x) noexcept nogil:
    """e**x within 2e-7 relative; 0 < result, inf above 88.4. The same bits on every machine, unlike libm's expf.

    x = n ln 2 + r with |r| <= ln 2 / 2; 2**n is built from exponent bits, e**r is a Taylor polynomial.
    """
    cdef float magic = 12582912.0  # 1.5 * 2**23: adding it rounds to a whole number
    cdef float n, r, p, power
    cdef uint32_t bits
    x = x if x < <float>89.0 else <float>89.0  # NaN too becomes 89, so that it never reaches a cast
    x = x if x > <float>-87.0 else <float>-87.0
    n = x * <float>1.44269504 + magic
    n = n - magic
    # ln 2 in two parts: the first has so few bits that n times it is exact.
    r = x - n * <float>0.693359375
    r = r + n * <float>2.12194440e-4
    p = <float>(1.0 / 5040)
    p = p * r + <float>(1.0 / 720)
    p = p * r + <float>(1.0 / 120)
    p = p * r + <float>(1.0 / 24)
    p = p * r + <float>(1.0 / 6)
    p = p * r + <float>0.5
    p = p * r + <float>1.0
    p = p * r + <float>1.0
    bits = <uint32_t>(<int32_t>n + 127) << 23
    memcpy(&power, &bits, sizeof(power))
    return p * power


cdef inline float _unit(float x, bint new_coords) noexcept nogil:
    """What Darknet calls the activated term, in 0..1: sigmoid(x), or x itself where the network ends in sigmoids."""
    if new_coords:
        x = x if x > <float>0.0 else <float>0.0
        return x if x < <float>1.0 else <float>1.0
    return <float>1.0 / (<float>1.0 + _exp(-x))


cdef inline float _size(float x, bint new_coords) noexcept nogil:
    """Width or height in anchors."""
    cdef float doubled
    if new_coords:
        doubled = <float>2.0 * _unit(x, True)
        return doubled * doubled
    return _exp(x if x < <float>MAX_SIZE_TERM else <float>MAX_SIZE_TERM)


cdef float _gate(double score, bint new_coords) noexcept nogil:
    """The raw value below which no term can reach `score`: _unit(x) >= score implies x >= _gate(score)."""
    cdef double raw
    if score < FLT_MIN:
        return -INFINITY
    score = score * (1.0 - GATE_SLACK)
    if new_coords:
        return <float>(score * (1.0 - GATE_SLACK))
    raw = log(score / (1.0 - score))
    return <float>(raw - GATE_SLACK * (1.0 + fabs(raw)))


@cython.final
cdef class Head:
    """One head: its geometry, its gates, and for int8 and uint8 one table per kind of term."""

    cdef readonly Py_ssize_t first_box, rows, columns, num_anchors, num_classes, num_terms
    cdef float stride, scale_x_y, score_threshold
    cdef bint new_coords
    cdef const float[:, ::1] anchors
    cdef float float_gate
    # Tables are indexed by (byte - lowest), lowest being -128 for int8 and 0 for uint8.
    cdef int lowest
    cdef bint any_passes
    cdef int byte_gate
    cdef int class_gates[BYTES]
    cdef float units[BYTES]
    cdef float sizes[BYTES]

    def __init__(
        self, Py_ssize_t first_box, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t num_classes,
        const float[:, ::1] anchors not None, float stride, float scale_x_y, bint new_coords, float score_threshold,
    ):
        self.first_box = first_box
        self.rows = rows
        self.columns = columns
        self.num_classes = num_classes
        self.num_terms = CLASSES + num_classes
        self.num_anchors = anchors.shape[0]
        self.anchors = anchors
        self.stride = stride
        self.scale_x_y = scale_x_y
        self.new_coords = new_coords
        self.score_threshold = score_threshold
        self.float_gate = _gate(score_threshold, new_coords)

    def set_quantization(self, float scale, int zero_point, int lowest):
        """Build the tables for real = scale * (byte - zero_point) and bytes from `lowest` on."""
        cdef int index
        cdef float real
        self.lowest = lowest
        for index in range(BYTES):
            real = scale * <float>(index + lowest - zero_point)
            self.units[index] = _unit(real, self.new_coords)
            self.sizes[index] = _size(real, self.new_coords)
        self._set_byte_gates()

    cdef void _set_byte_gates(self) noexcept:
        """For every objectness byte the smallest class byte whose product of scores passes."""
        cdef int objectness, class_index
        self.any_passes = False
        for objectness in range(BYTES - 1, -1, -1):
            class_index = 0
            while class_index < BYTES and not (
                self.units[objectness] * self.units[class_index] >= self.score_threshold
            ):
                class_index += 1
            if class_index < BYTES:
                self.any_passes = True
                self.byte_gate = objectness + self.lowest
            # Where nothing passes the gate is the highest byte, and the product of scores then decides.
            self.class_gates[objectness] = min(class_index, BYTES - 1) + self.lowest


cdef inline float _unit_of(Head head, head_t raw) noexcept nogil:
    if head_t is float:
        return _unit(raw, head.new_coords)
    else:
        return head.units[<int>raw - head.lowest]


cdef inline float _size_of(Head head, head_t raw) noexcept nogil:
    if head_t is float:
        return _size(raw, head.new_coords)
    else:
        return head.sizes[<int>raw - head.lowest]


cdef inline head_t _class_gate(Head head, head_t objectness, float objectness_score) noexcept nogil:
    if head_t is float:
        if not objectness_score > 0:  # it passed, so the threshold is 0 and every class passes
            return -INFINITY
        return _gate(head.score_threshold / objectness_score, head.new_coords)
    else:
        return <head_t>head.class_gates[<int>objectness - head.lowest]


cdef inline bint _is_number(head_t raw) noexcept nogil:
    if head_t is float:
        return raw == raw
    else:
        return True


@cython.final
cdef class Workspace:
    """All memory that decoding and NMS need, allocated once, and the options they follow."""

    cdef Py_ssize_t num_classes, max_detections, num_candidates
    cdef float score_threshold, iou_threshold
    cdef bint diou, class_agnostic, multi_label
    cdef float scale_x, scale_y, offset_x, offset_y
    cdef float[:, ::1] boxes            # (boxes of all heads, 4) xyxy in image pixels, filled for survivors only
    cdef uint64_t[::1] candidates       # score bits above, inverted canonical index below
    cdef const unsigned char[::1] class_mask
    cdef int32_t[::1] newest_of_class   # last kept detection of each class, -1 for none
    cdef int32_t[::1] older_of_class    # for each kept detection the previous one of its class
    cdef float[:, ::1] xyxy
    cdef float[::1] confidence
    cdef int32_t[::1] class_id

    def __init__(
        self, float score_threshold, float iou_threshold, bint diou, bint class_agnostic, bint multi_label,
        float[:, ::1] boxes not None, uint64_t[::1] candidates not None, const unsigned char[::1] class_mask not None,
        int32_t[::1] newest_of_class not None, int32_t[::1] older_of_class not None,
        float[:, ::1] xyxy not None, float[::1] confidence not None, int32_t[::1] class_id not None,
    ):
        self.score_threshold = score_threshold
        self.iou_threshold = iou_threshold
        self.diou = diou
        self.class_agnostic = class_agnostic
        self.multi_label = multi_label
        self.boxes = boxes
        self.candidates = candidates
        self.class_mask = class_mask
        self.num_classes = class_mask.shape[0]
        self.newest_of_class = newest_of_class
        self.older_of_class = older_of_class
        self.xyxy = xyxy
        self.confidence = confidence
        self.class_id = class_id
        self.max_detections = confidence.shape[0]

    def begin(self, float scale_x, float scale_y, float offset_x, float offset_y):
        """Start a frame: image = network * scale + offset."""
        self.num_candidates = 0
        self.scale_x = scale_x
        self.scale_y = scale_y
        self.offset_x = offset_x
        self.offset_y = offset_y

    def scan_float32(self, Head head not None, const float[:, ::1] cells not None):
        _check_cells(head, cells.shape[0], cells.shape[1])
        with nogil:
            _scan(self, head, cells, head.float_gate)

    def scan_int8(self, Head head not None, const signed char[:, ::1] cells not None):
        _check_cells(head, cells.shape[0], cells.shape[1])
        if head.any_passes:
            with nogil:
                _scan(self, head, cells, <signed char>head.byte_gate)

    def scan_uint8(self, Head head not None, const unsigned char[:, ::1] cells not None):
        _check_cells(head, cells.shape[0], cells.shape[1])
        if head.any_passes:
            with nogil:
                _scan(self, head, cells, <unsigned char>head.byte_gate)

    def select(self):
        """Run NMS over what was scanned; returns how many rows of the result arrays are filled."""
        cdef Py_ssize_t kept
        with nogil:
            kept = _select(self)
        return kept


cdef int _check_cells(Head head, Py_ssize_t num_cells, Py_ssize_t num_terms) except -1:
    if num_cells != head.rows * head.columns or num_terms != head.num_anchors * head.num_terms:
        raise ValueError(f"cells of shape ({num_cells}, {num_terms}) do not fit the head")
    return 0


cdef void _scan(Workspace work, Head head, const head_t[:, ::1] cells, head_t gate) noexcept nogil:
    """Append every candidate of one head: boxes in canonical order (cell row-major, then anchor)."""
    cdef Py_ssize_t cell, anchor, box = head.first_box
    cdef const head_t* terms
    for cell in range(cells.shape[0]):
        for anchor in range(head.num_anchors):
            terms = &cells[cell, anchor * head.num_terms]
            # Cheapest test first: nearly every box ends here. NaN is never >= anything.
            if terms[OBJECTNESS] >= gate and _is_box(terms) and _push_classes(work, head, box, terms):
                _decode(work, head, box, cell, anchor, terms)
            box += 1


cdef inline bint _is_box(const head_t* terms) noexcept nogil:
    return _is_number(terms[0]) and _is_number(terms[1]) and _is_number(terms[2]) and _is_number(terms[3])


cdef inline bint _push_classes(Workspace work, Head head, Py_ssize_t box, const head_t* terms) noexcept nogil:
    """Append the candidates of one box; True when there was one."""
    cdef float objectness = _unit_of(head, terms[OBJECTNESS])
    cdef Py_ssize_t before = work.num_candidates
    cdef Py_ssize_t class_id
    cdef head_t gate
    # No class scores above 1, so objectness alone can already fail; this also keeps the gate below finite.
    if objectness < work.score_threshold:
        return False
    gate = _class_gate(head, terms[OBJECTNESS], objectness)
    if work.multi_label:
        for class_id in range(head.num_classes):
            if terms[CLASSES + class_id] >= gate:
                _push(work, box, class_id, objectness * _unit_of(head, terms[CLASSES + class_id]))
    else:
        class_id = _best_class(terms + CLASSES, head.num_classes)
        if terms[CLASSES + class_id] >= gate:
            _push(work, box, class_id, objectness * _unit_of(head, terms[CLASSES + class_id]))
    return work.num_candidates > before


cdef inline Py_ssize_t _best_class(const head_t* logits, Py_ssize_t num_classes) noexcept nogil:
    """The class of the highest raw value; ties keep the lower class, NaN never wins over a number."""
    cdef Py_ssize_t class_id, best = 0
    for class_id in range(1, num_classes):
        if logits[class_id] > logits[best] or not _is_number(logits[best]):
            best = class_id
    return best


cdef inline void _push(Workspace work, Py_ssize_t box, Py_ssize_t class_id, float score) noexcept nogil:
    """Append a candidate if its score really passes. Gates only spared us the hopeless ones."""
    cdef uint32_t score_bits, index
    if score >= work.score_threshold and work.class_mask[class_id]:
        # Scores are never negative, so their bits sort like the scores; the inverted index makes ties keep the lower.
        memcpy(&score_bits, &score, sizeof(score))
        index = <uint32_t>(box * work.num_classes + class_id)
        work.candidates[work.num_candidates] = (<uint64_t>score_bits << 32) | <uint32_t>~index
        work.num_candidates += 1


cdef inline void _decode(
    Workspace work, Head head, Py_ssize_t box, Py_ssize_t cell, Py_ssize_t anchor, const head_t* terms
) noexcept nogil:
    """Store one box as xyxy in image pixels."""
    cdef float column = <float>(cell % head.columns)
    cdef float row = <float>(cell // head.columns)
    cdef float shift = (head.scale_x_y - <float>1.0) * <float>0.5
    cdef float x = (_unit_of(head, terms[0]) * head.scale_x_y - shift + column) * head.stride
    cdef float y = (_unit_of(head, terms[1]) * head.scale_x_y - shift + row) * head.stride
    cdef float half_width = _size_of(head, terms[2]) * head.anchors[anchor, 0] * <float>0.5
    cdef float half_height = _size_of(head, terms[3]) * head.anchors[anchor, 1] * <float>0.5
    work.boxes[box, 0] = (x - half_width) * work.scale_x + work.offset_x
    work.boxes[box, 1] = (y - half_height) * work.scale_y + work.offset_y
    work.boxes[box, 2] = (x + half_width) * work.scale_x + work.offset_x
    work.boxes[box, 3] = (y + half_height) * work.scale_y + work.offset_y


cdef Py_ssize_t _select(Workspace work) noexcept nogil:
    """Greedy NMS, best candidate first, until max_detections are kept; returns how many were.

    A heap instead of a full sort: with thousands of candidates only those ahead of the last kept one are ever sorted.
    """
    cdef Py_ssize_t remaining = work.num_candidates
    cdef Py_ssize_t kept = 0
    cdef Py_ssize_t position, box, class_id, group
    cdef uint64_t best
    cdef uint32_t index
    for group in range(work.newest_of_class.shape[0]):
        work.newest_of_class[group] = -1
    for position in range(remaining // 2 - 1, -1, -1):
        _sift_down(&work.candidates[0], position, remaining)
    # Invariant: rows 0..kept-1 are final, and every candidate left scores no better than any of them.
    while remaining > 0 and kept < work.max_detections:
        best = work.candidates[0]
        remaining -= 1
        work.candidates[0] = work.candidates[remaining]
        _sift_down(&work.candidates[0], 0, remaining)
        index = ~<uint32_t>best
        box = index // work.num_classes
        class_id = index % work.num_classes
        group = 0 if work.class_agnostic else class_id
        if _is_suppressed(work, &work.boxes[box, 0], group):
            continue
        _keep(work, kept, box, class_id, <uint32_t>(best >> 32))
        work.older_of_class[kept] = work.newest_of_class[group]
        work.newest_of_class[group] = <int32_t>kept
        kept += 1
    return kept


cdef inline void _keep(
    Workspace work, Py_ssize_t row, Py_ssize_t box, Py_ssize_t class_id, uint32_t score_bits
) noexcept nogil:
    memcpy(&work.xyxy[row, 0], &work.boxes[box, 0], 4 * sizeof(float))
    memcpy(&work.confidence[row], &score_bits, sizeof(score_bits))
    work.class_id[row] = <int32_t>class_id


cdef inline bint _is_suppressed(Workspace work, const float* box, Py_ssize_t group) noexcept nogil:
    cdef Py_ssize_t kept = work.newest_of_class[group]
    while kept >= 0:
        if _overlaps(&work.xyxy[kept, 0], box, work.iou_threshold, work.diou):
            return True
        kept = work.older_of_class[kept]
    return False


cdef inline bint _overlaps(const float* a, const float* b, float threshold, bint diou) noexcept nogil:
    """True when IoU (or IoU - (d2 / c2) ** 0.6 with `diou`) of two xyxy boxes is above the threshold."""
    cdef float width = min(a[2], b[2]) - max(a[0], b[0])
    cdef float height = min(a[3], b[3]) - max(a[1], b[1])
    cdef float intersection, union_area
    # Most pairs lie apart. Neither criterion can then exceed a threshold of 0 or more.
    if not (width > 0 and height > 0):
        return False
    intersection = width * height
    # Added in this order the union is never below the intersection, whatever is rounded.
    union_area = (a[2] - a[0]) * (a[3] - a[1]) + ((b[2] - b[0]) * (b[3] - b[1]) - intersection)
    if not union_area > 0:
        return False
    if not intersection > threshold * union_area:
        return False
    # The distance term only lowers the value, so it is needed only where plain IoU already passed.
    return not diou or intersection / union_area - _distance_term(a, b) > threshold


cdef inline float _distance_term(const float* a, const float* b) noexcept nogil:
    """(d2 / c2) ** 0.6: squared centre distance over squared enclosing diagonal (Darknet's beta_nms exponent)."""
    cdef float dx = ((a[0] + a[2]) - (b[0] + b[2])) * <float>0.5
    cdef float dy = ((a[1] + a[3]) - (b[1] + b[3])) * <float>0.5
    cdef float width = max(a[2], b[2]) - min(a[0], b[0])
    cdef float height = max(a[3], b[3]) - min(a[1], b[1])
    return powf((dx * dx + dy * dy) / (width * width + height * height), <float>0.6)


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
