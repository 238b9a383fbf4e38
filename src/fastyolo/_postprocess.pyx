"""Heads -> boxes: decoding and per-class NMS of Darknet YOLO heads. C types only; `postprocess.py` owns the checks.

Every number follows Darknet (AlexeyAB): see `postprocess.py` for the formulas and their source.
"""

cimport cython
from cpython.buffer cimport (
    PyBUF_RECORDS_RO,
    PyBUF_WRITABLE,
    PyBuffer_IsContiguous,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.float cimport FLT_MIN
from libc.math cimport INFINITY, fabs, logf, powf
from libc.stdint cimport int32_t, uint32_t, uint64_t
from libc.string cimport memcpy

from fastyolo._overlap cimport boxes4, overlapping
from fastyolo._search cimport (
    any8_float,
    any8_int8,
    any8_uint8,
    hits,
    hits_are_many,
    hits_first,
    hits_float,
    hits_int8,
    hits_uint8,
)

cdef extern from *:
    """
    static inline int fastyolo_take(char *flag) { return !__atomic_test_and_set(flag, __ATOMIC_ACQUIRE); }
    static inline void fastyolo_give(char *flag) { __atomic_clear(flag, __ATOMIC_RELEASE); }
    """
    bint take "fastyolo_take" (char* flag) nogil
    void give "fastyolo_give" (char* flag) nogil

ctypedef signed char schar

ctypedef fused head_t:
    float
    schar
    unsigned char

cdef enum:
    # Terms of one box ahead of its class logits: tx ty tw th objectness.
    OBJECTNESS = 4
    CLASSES = 5
    BYTES = 256
    # Boxes tested at once while scanning, and classes: as many as _search.h takes.
    SCAN_BLOCK = 8
    CLASS_BLOCK = 16
    # Boxes compared at once in NMS: as many as _overlap.h takes.
    KEPT_BLOCK = 4
    # exp() of a size term stops here (7.9e13 anchors), so that areas and distances stay finite in float32.
    MAX_SIZE_TERM = 32


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
    """The raw value below which no term can reach `score`: _unit(x) >= score implies x >= _gate(score).

    Some room below makes it safe against the last bits of _exp: a gate may let through, never drop.
    """
    cdef double raw
    if score < FLT_MIN:
        return -INFINITY
    score = score * 0.999999
    if new_coords:
        return <float>score
    raw = logf(<float>(score / (1.0 - score)))
    return <float>(raw - 1e-5 * (1.0 + fabs(raw)))


cdef inline float _quick_gate(float score, bint new_coords) noexcept nogil:
    """A gate for `score` that lies up to 0.06 lower than need be, without a logarithm.

    Read as an integer, a float is a piecewise linear log2 that is nowhere above the true one.
    """
    cdef float odds
    cdef int32_t bits
    # Lowers the logit by 1e-5 / (1 - score) and so outweighs the rounding of 1 - score, 6e-8 / (1 - score), everywhere.
    score = score * <float>0.99999
    if new_coords:
        return score
    odds = score / (<float>1.0 - score)
    memcpy(&bits, &odds, sizeof(bits))
    return (<float>bits * <float>(1.0 / (1 << 23)) - <float>127.0001) * <float>0.6931472


class Busy(Exception):
    """Another thread is in the workspace."""


cdef struct Head:
    # One head: its geometry, its gates, and for int8 and uint8 one table per kind of term.
    Py_ssize_t rows, columns, num_anchors, num_terms
    Py_ssize_t first_box, num_boxes, first_anchor
    float stride, scale_x_y, score_threshold
    bint new_coords
    float float_gate
    # Tables are indexed by (byte - lowest), lowest being -128 for int8 and 0 for uint8.
    int lowest
    bint any_passes
    int byte_gate
    int class_gates[BYTES]
    float units[BYTES]
    float sizes[BYTES]
    # Whose quantisation the tables hold: the position of an array among those passed, and its buffer format.
    Py_ssize_t tables_position
    char tables_format


cdef void _load_tables(Head* head, float scale, int zero_point, int lowest) noexcept nogil:
    """Build the tables for real = scale * (byte - zero_point) and bytes from `lowest` on."""
    cdef int index
    cdef float real
    head.lowest = lowest
    for index in range(BYTES):
        real = scale * <float>(index + lowest - zero_point)
        head.units[index] = _unit(real, head.new_coords)
        head.sizes[index] = _size(real, head.new_coords)
    _set_byte_gates(head)


cdef void _set_byte_gates(Head* head) noexcept nogil:
    """For every objectness byte the smallest class byte whose product of scores passes."""
    cdef int objectness, class_index
    head.any_passes = False
    for objectness in range(BYTES - 1, -1, -1):
        class_index = 0
        while class_index < BYTES and not (
            head.units[objectness] * head.units[class_index] >= head.score_threshold
        ):
            class_index += 1
        if class_index < BYTES:
            head.any_passes = True
            head.byte_gate = objectness + head.lowest
        # Where nothing passes the gate is the highest byte, and the product of scores then decides.
        head.class_gates[objectness] = min(class_index, BYTES - 1) + head.lowest


cdef inline float _unit_of(const Head* head, head_t raw) noexcept nogil:
    if head_t is float:
        return _unit(raw, head.new_coords)
    else:
        return head.units[<int>raw - head.lowest]


cdef inline float _size_of(const Head* head, head_t raw) noexcept nogil:
    if head_t is float:
        return _size(raw, head.new_coords)
    else:
        return head.sizes[<int>raw - head.lowest]


cdef inline head_t _class_gate(const Head* head, head_t objectness, float objectness_score) noexcept nogil:
    if head_t is float:
        if head.score_threshold < FLT_MIN:  # every class passes; dividing could be 0 / 0
            return -INFINITY
        return _quick_gate(head.score_threshold / objectness_score, head.new_coords)
    else:
        return <head_t>head.class_gates[<int>objectness - head.lowest]


cdef inline bint _is_number(head_t raw) noexcept nogil:
    if head_t is float:
        return raw == raw
    else:
        return True


cdef struct Transform:
    # image = network * scale + offset; the image's size for clipping.
    float scale_x, scale_y, offset_x, offset_y, width, height


@cython.final
cdef class Workspace:
    """All memory that decoding and NMS need, allocated once, and the options they follow."""

    cdef char in_use
    cdef Head* heads
    cdef Py_buffer* views               # one per head, in the order in which the arrays were passed
    cdef Py_ssize_t* positions          # for each head of the spec the position of its array
    cdef Py_ssize_t num_heads, num_classes, max_detections, num_candidates
    cdef float score_threshold, iou_threshold
    cdef bint diou, class_agnostic, multi_label, clip
    cdef Transform transform
    cdef const float[:, ::1] anchors    # of all heads, (width, height)
    cdef float[:, ::1] boxes            # (boxes of all heads, 4) xyxy in image pixels, filled for survivors only
    cdef uint64_t[::1] candidates       # score bits above, inverted canonical index below
    cdef const unsigned char[::1] class_mask
    cdef boxes4* kept_boxes             # kept detections by class, in lists of fours; at most one four for each
    cdef Py_ssize_t num_fours
    cdef int32_t[::1] newest_of_class   # the last four of each class, -1 for none
    cdef float[:, ::1] xyxy
    cdef float[::1] confidence
    cdef int32_t[::1] class_id
    cdef object empty, float32, int32   # numpy.empty and the dtypes of results

    def __cinit__(self, Py_ssize_t num_heads, *_args):
        self.num_heads = num_heads
        self.heads = <Head*>PyMem_Calloc(num_heads, sizeof(Head))
        self.views = <Py_buffer*>PyMem_Calloc(num_heads, sizeof(Py_buffer))
        self.positions = <Py_ssize_t*>PyMem_Calloc(num_heads, sizeof(Py_ssize_t))
        if self.heads == NULL or self.views == NULL or self.positions == NULL:
            raise MemoryError

    def __dealloc__(self):
        PyMem_Free(self.heads)
        PyMem_Free(self.views)
        PyMem_Free(self.positions)
        PyMem_Free(self.kept_boxes)

    def __init__(
        self, Py_ssize_t num_heads, float score_threshold, float iou_threshold,
        bint diou, bint class_agnostic, bint multi_label, bint clip,
        const float[:, ::1] anchors not None, float[:, ::1] boxes not None, uint64_t[::1] candidates not None,
        const unsigned char[::1] class_mask not None,
        int32_t[::1] newest_of_class not None,
        float[:, ::1] xyxy not None, float[::1] confidence not None, int32_t[::1] class_id not None,
        empty, float32, int32,
    ):
        self.score_threshold = score_threshold
        self.iou_threshold = iou_threshold
        self.diou = diou
        self.class_agnostic = class_agnostic
        self.multi_label = multi_label
        self.clip = clip
        self.anchors = anchors
        self.boxes = boxes
        self.candidates = candidates
        self.class_mask = class_mask
        self.num_classes = class_mask.shape[0]
        self.newest_of_class = newest_of_class
        self.xyxy = xyxy
        self.confidence = confidence
        self.class_id = class_id
        self.max_detections = confidence.shape[0]
        if self.kept_boxes != NULL:
            raise TypeError("a Workspace is made once")
        self.kept_boxes = <boxes4*>PyMem_Calloc(self.max_detections, sizeof(boxes4))
        if self.kept_boxes == NULL:
            raise MemoryError
        self.empty = empty
        self.float32 = float32
        self.int32 = int32

    def set_head(
        self, Py_ssize_t index, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t num_anchors,
        float stride, float scale_x_y, bint new_coords,
    ):
        """Describe one head; in order, for each follows on the one before."""
        cdef Head* head = self._head(index)
        cdef Head* before
        head.rows = rows
        head.columns = columns
        head.num_anchors = num_anchors
        head.num_terms = CLASSES + self.num_classes
        head.num_boxes = rows * columns * num_anchors
        if index > 0:
            before = self._head(index - 1)
            head.first_box = before.first_box + before.num_boxes
            head.first_anchor = before.first_anchor + before.num_anchors
        if (
            head.first_box + head.num_boxes > self.boxes.shape[0]
            or head.first_anchor + num_anchors > self.anchors.shape[0]
        ):
            raise IndexError(index)
        head.stride = stride
        head.scale_x_y = scale_x_y
        head.new_coords = new_coords
        head.score_threshold = self.score_threshold
        head.float_gate = _gate(self.score_threshold, new_coords)
        head.tables_position = -1

    def set_quantization(self, Py_ssize_t index, Py_ssize_t position, float scale, int zero_point, bint signed):
        """Load the tables of head `index` for the array that will be passed at `position`.

        Raises:
            Busy: another thread is decoding.
        """
        cdef Head* head = self._head(index)
        if not take(&self.in_use):
            raise Busy
        _load_tables(head, scale, zero_point, -128 if signed else 0)
        head.tables_position = position
        head.tables_format = b"b" if signed else b"B"
        give(&self.in_use)

    def run(self, heads, tuple transform not None):
        """Decode one frame and run NMS.

        Returns fresh arrays (xyxy, confidence, class_id), or None where `heads` are not what this can read at once: a
        list or tuple of C-contiguous arrays, one per head, each float32 or of the integer type and position its tables
        were loaded for. `transform` holds scale_x, scale_y, offset_x, offset_y (image = network * scale + offset) and
        the image's width and height.

        Raises:
            Busy: another thread is decoding.
        """
        cdef Py_ssize_t kept
        if not take(&self.in_use):
            raise Busy
        try:
            (
                self.transform.scale_x, self.transform.scale_y, self.transform.offset_x, self.transform.offset_y,
                self.transform.width, self.transform.height,
            ) = transform
            kept = self._decode(heads)
            return None if kept < 0 else self._results(kept)
        finally:
            give(&self.in_use)

    cdef Py_ssize_t _decode(self, heads) except -2:
        """How many rows of the result arrays are filled; -1 where `heads` are not readable."""
        cdef Py_ssize_t kept = -1, acquired = 0, position
        if not isinstance(heads, (list, tuple)) or len(heads) != self.num_heads:
            return -1
        try:
            for position in range(self.num_heads):
                PyObject_GetBuffer(heads[position], &self.views[position], PyBUF_RECORDS_RO)
                acquired += 1
            if self._match():
                with nogil:
                    _scan_heads(self)
                    kept = _select(self)
                    if self.clip:
                        _clip(self, kept)
        except (TypeError, ValueError, BufferError):  # no array at all
            return -1
        finally:
            for position in range(acquired):
                PyBuffer_Release(&self.views[position])
        return kept

    cdef tuple _results(self, Py_ssize_t kept):
        rows = kept
        return (
            self._copied(self.empty((rows, 4), self.float32), &self.xyxy[0, 0], 4 * kept),
            self._copied(self.empty(rows, self.float32), &self.confidence[0], kept),
            self._copied(self.empty(rows, self.int32), &self.class_id[0], kept),
        )

    cdef object _copied(self, array, const void* source, Py_ssize_t count):
        """`array`, filled with `count` values of 4 bytes."""
        cdef Py_buffer view
        PyObject_GetBuffer(array, &view, PyBUF_WRITABLE)
        memcpy(view.buf, source, count * sizeof(float))
        PyBuffer_Release(&view)
        return array

    cdef Head* _head(self, Py_ssize_t index) except NULL:
        if not 0 <= index < self.num_heads:
            raise IndexError(index)
        return &self.heads[index]

    cdef bint _match(self) noexcept:
        """Find the array of every head; False where one is missing or not readable at once."""
        cdef Py_ssize_t index, position
        cdef bint taken
        for index in range(self.num_heads):
            for position in range(self.num_heads):
                taken = False
                for earlier in range(index):
                    taken = taken or self.positions[earlier] == position
                if not taken and _fits(&self.heads[index], &self.views[position]):
                    break
            else:
                return False
            if not _is_readable(&self.heads[index], &self.views[position], position):
                return False
            self.positions[index] = position
        return True


cdef inline bint _fits(const Head* head, const Py_buffer* view) noexcept nogil:
    """True for an array (rows, columns, anchors * terms), with or without a batch axis of 1."""
    cdef const Py_ssize_t* shape = view.shape
    if view.ndim == 4 and shape[0] == 1:
        shape += 1
    elif view.ndim != 3:
        return False
    return shape[0] == head.rows and shape[1] == head.columns and shape[2] == head.num_anchors * head.num_terms


cdef inline bint _is_readable(const Head* head, const Py_buffer* view, Py_ssize_t position) noexcept:
    cdef char kind = view.format[0] if view.format != NULL and view.format[1] == 0 else 0
    if not PyBuffer_IsContiguous(view, b"C"):
        return False
    if kind == b"f":
        return view.itemsize == sizeof(float) and <size_t>view.buf % sizeof(float) == 0
    return (kind == b"b" or kind == b"B") and head.tables_position == position and head.tables_format == kind


cdef void _scan_heads(Workspace work) noexcept nogil:
    """Collect the candidates of all heads in spec order."""
    cdef Py_ssize_t index
    cdef const Head* head
    cdef const Py_buffer* view
    work.num_candidates = 0
    for index in range(work.num_heads):
        head = &work.heads[index]
        view = &work.views[work.positions[index]]
        if view.format[0] == b"f":
            _scan(work, head, <const float*>view.buf, head.float_gate)
        elif not head.any_passes:
            continue
        elif view.format[0] == b"b":
            _scan(work, head, <const signed char*>view.buf, <signed char>head.byte_gate)
        else:
            _scan(work, head, <const unsigned char*>view.buf, <unsigned char>head.byte_gate)


cdef void _scan(Workspace work, const Head* head, const head_t* terms, head_t gate) noexcept nogil:
    """Append every candidate of one head: boxes in canonical order (cell row-major, then anchor).

    Nearly every box ends at the test of its raw objectness. NaN is never >= anything.
    """
    cdef Py_ssize_t step = head.num_terms
    cdef Py_ssize_t box = 0, ahead
    cdef const head_t* objectness = terms + OBJECTNESS
    # Eight loads that do not wait for each other, and one branch, where an in-order core would otherwise stall on each.
    while box + SCAN_BLOCK <= head.num_boxes:
        if _any_reaches(objectness, step, gate):
            for ahead in range(SCAN_BLOCK):
                if objectness[ahead * step] >= gate:
                    _add_box(work, head, box + ahead, terms + (box + ahead) * step)
        objectness += SCAN_BLOCK * step
        box += SCAN_BLOCK
    while box < head.num_boxes:
        if terms[box * step + OBJECTNESS] >= gate:
            _add_box(work, head, box, terms + box * step)
        box += 1


cdef inline bint _any_reaches(const head_t* objectness, Py_ssize_t step, head_t gate) noexcept nogil:
    """True when one of SCAN_BLOCK boxes may reach the gate."""
    if head_t is float:
        return any8_float(objectness, step, gate)
    elif head_t is schar:
        return any8_int8(objectness, step, gate)
    else:
        return any8_uint8(objectness, step, gate)


cdef void _add_box(Workspace work, const Head* head, Py_ssize_t box, const head_t* terms) noexcept nogil:
    """Append the candidates of one box whose objectness passed, and decode it if there are any."""
    cdef float objectness = _unit_of(head, terms[OBJECTNESS])
    cdef Py_ssize_t before = work.num_candidates
    cdef Py_ssize_t canonical = head.first_box + box
    cdef head_t gate
    # No class scores above 1, so objectness alone can already fail; this also keeps the class gate finite.
    if objectness < head.score_threshold or not (
        _is_number(terms[0]) and _is_number(terms[1]) and _is_number(terms[2]) and _is_number(terms[3])
    ):
        return
    gate = _class_gate(head, terms[OBJECTNESS], objectness)
    if work.multi_label:
        _push_classes(work, head, canonical, objectness, terms + CLASSES, gate)
    else:
        _push_best_class(work, head, canonical, objectness, terms + CLASSES, gate)
    if work.num_candidates > before:
        _decode(work, head, box, terms)


cdef inline void _push_classes(
    Workspace work, const Head* head, Py_ssize_t box, float objectness, const head_t* logits, head_t gate
) noexcept nogil:
    """Append a candidate for every class that passes."""
    cdef Py_ssize_t block = 0, class_id
    cdef hits found
    cdef float units[CLASS_BLOCK]
    while block + CLASS_BLOCK <= work.num_classes:
        found = _classes_reaching(logits + block, gate)
        if head_t is float and hits_are_many(found):
            _units(logits + block, head.new_coords, units)
            while found:
                class_id = hits_first(found)
                _push(work, box, block + class_id, objectness * units[class_id])
                found &= found - 1
        while found:
            class_id = block + hits_first(found)
            _push(work, box, class_id, objectness * _unit_of(head, logits[class_id]))
            found &= found - 1
        block += CLASS_BLOCK
    for class_id in range(block, work.num_classes):
        if logits[class_id] >= gate:
            _push(work, box, class_id, objectness * _unit_of(head, logits[class_id]))


cdef void _units(const head_t* logits, bint new_coords, float* units) noexcept nogil:
    """_unit of CLASS_BLOCK values at once, in vectors."""
    cdef Py_ssize_t index
    if new_coords:
        for index in range(CLASS_BLOCK):
            units[index] = _unit(logits[index], True)
    else:
        for index in range(CLASS_BLOCK):
            units[index] = _unit(logits[index], False)


cdef inline hits _classes_reaching(const head_t* logits, head_t gate) noexcept nogil:
    if head_t is float:
        return hits_float(logits, gate)
    elif head_t is schar:
        return hits_int8(logits, gate)
    else:
        return hits_uint8(logits, gate)


cdef inline void _push_best_class(
    Workspace work, const Head* head, Py_ssize_t box, float objectness, const head_t* logits, head_t gate
) noexcept nogil:
    """Append a candidate for the class of the highest raw value; ties keep the lower class, NaN never wins."""
    cdef Py_ssize_t block = 0, class_id, best = -1
    cdef hits found
    # A class that does not reach the gate cannot be the best of those that do, and few do.
    while block + CLASS_BLOCK <= work.num_classes:
        found = _classes_reaching(logits + block, gate)
        while found:
            class_id = block + hits_first(found)
            if best < 0 or logits[class_id] > logits[best]:
                best = class_id
            found &= found - 1
        block += CLASS_BLOCK
    for class_id in range(block, work.num_classes):
        if logits[class_id] >= gate and (best < 0 or logits[class_id] > logits[best]):
            best = class_id
    if best >= 0:
        _push(work, box, best, objectness * _unit_of(head, logits[best]))


cdef inline void _push(Workspace work, Py_ssize_t box, Py_ssize_t class_id, float score) noexcept nogil:
    """Append a candidate if its score really passes. Gates only spared us the hopeless ones."""
    cdef uint32_t score_bits, index
    if score >= work.score_threshold and work.class_mask[class_id]:
        # Scores are never negative, so their bits sort like the scores; the inverted index makes ties keep the lower.
        memcpy(&score_bits, &score, sizeof(score))
        index = <uint32_t>(box * work.num_classes + class_id)
        work.candidates[work.num_candidates] = (<uint64_t>score_bits << 32) | <uint32_t>~index
        work.num_candidates += 1


cdef inline void _decode(Workspace work, const Head* head, Py_ssize_t box, const head_t* terms) noexcept nogil:
    """Store one box as xyxy in image pixels; `box` counts from the head's first one."""
    cdef Py_ssize_t cell = box // head.num_anchors
    cdef Py_ssize_t anchor = head.first_anchor + box % head.num_anchors
    cdef float* corners = &work.boxes[head.first_box + box, 0]
    cdef float column = <float>(cell % head.columns)
    cdef float row = <float>(cell // head.columns)
    cdef float shift = (head.scale_x_y - <float>1.0) * <float>0.5
    cdef float x = (_unit_of(head, terms[0]) * head.scale_x_y - shift + column) * head.stride
    cdef float y = (_unit_of(head, terms[1]) * head.scale_x_y - shift + row) * head.stride
    cdef float half_width = _size_of(head, terms[2]) * work.anchors[anchor, 0] * <float>0.5
    cdef float half_height = _size_of(head, terms[3]) * work.anchors[anchor, 1] * <float>0.5
    corners[0] = (x - half_width) * work.transform.scale_x + work.transform.offset_x
    corners[1] = (y - half_height) * work.transform.scale_y + work.transform.offset_y
    corners[2] = (x + half_width) * work.transform.scale_x + work.transform.offset_x
    corners[3] = (y + half_height) * work.transform.scale_y + work.transform.offset_y


cdef Py_ssize_t _select(Workspace work) noexcept nogil:
    """Greedy NMS, best candidate first, until max_detections are kept; returns how many were.

    A heap instead of a full sort: with thousands of candidates only those ahead of the last kept one are ever sorted.
    """
    cdef Py_ssize_t remaining = work.num_candidates
    cdef Py_ssize_t kept = 0
    cdef Py_ssize_t position, box, class_id, group
    cdef uint64_t best
    cdef uint32_t index
    work.num_fours = 0
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
        _remember(work, &work.boxes[box, 0], group)
        kept += 1
    return kept


cdef inline void _keep(
    Workspace work, Py_ssize_t row, Py_ssize_t box, Py_ssize_t class_id, uint32_t score_bits
) noexcept nogil:
    memcpy(&work.xyxy[row, 0], &work.boxes[box, 0], 4 * sizeof(float))
    memcpy(&work.confidence[row], &score_bits, sizeof(score_bits))
    work.class_id[row] = <int32_t>class_id


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


cdef inline void _remember(Workspace work, const float* box, Py_ssize_t group) noexcept nogil:
    """Add a kept box to the list of its class."""
    cdef int32_t newest = work.newest_of_class[group]
    cdef boxes4* four
    cdef int32_t place
    if newest < 0 or work.kept_boxes[newest].used == KEPT_BLOCK:
        four = &work.kept_boxes[work.num_fours]
        four.used = 0
        four.older = newest
        for place in range(KEPT_BLOCK):
            four.x1[place] = four.y1[place] = INFINITY
            four.x2[place] = four.y2[place] = -INFINITY
            four.area[place] = 0
        work.newest_of_class[group] = <int32_t>work.num_fours
        work.num_fours += 1
    else:
        four = &work.kept_boxes[newest]
    place = four.used
    four.x1[place] = box[0]
    four.y1[place] = box[1]
    four.x2[place] = box[2]
    four.y2[place] = box[3]
    four.area[place] = _area(box)
    four.used += 1


cdef inline bint _is_suppressed(Workspace work, const float* box, Py_ssize_t group) noexcept nogil:
    """True when a kept box of the class overlaps more than the threshold allows."""
    cdef float area = _area(box)
    cdef int32_t index = work.newest_of_class[group]
    cdef const boxes4* four
    cdef int found
    while index >= 0:
        four = &work.kept_boxes[index]
        found = overlapping(four, box[0], box[1], box[2], box[3], area, work.iou_threshold)
        # The distance term only lowers the value, so it is needed only where plain IoU already passed.
        if found and (not work.diou or _any_stays_above(four, found, box, area, work.iou_threshold)):
            return True
        index = four.older
    return False


cdef inline float _area(const float* box) noexcept nogil:
    return (box[2] - box[0]) * (box[3] - box[1])


cdef bint _any_stays_above(
    const boxes4* four, int found, const float* box, float area, float threshold
) noexcept nogil:
    """True when IoU - (d2 / c2) ** 0.6 is above the threshold for one of the boxes that `found` names."""
    cdef float a[4]
    cdef float intersection
    cdef Py_ssize_t place
    for place in range(KEPT_BLOCK):
        if found >> place & 1:
            a[0], a[1], a[2], a[3] = four.x1[place], four.y1[place], four.x2[place], four.y2[place]
            intersection = (min(a[2], box[2]) - max(a[0], box[0])) * (min(a[3], box[3]) - max(a[1], box[1]))
            if intersection / (four.area[place] + (area - intersection)) - _distance_term(a, box) > threshold:
                return True
    return False


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
