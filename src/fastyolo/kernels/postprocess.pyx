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
from libc.math cimport INFINITY, powf
from libc.stdint cimport int32_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from fastyolo.kernels._formulas cimport exponential, gate_of, limited_size_term, quick_gate, size_in_anchors, unit
from fastyolo.kernels._overlap cimport boxes8, overlapping
from fastyolo.kernels._search cimport (
    any16_float,
    any16_int8,
    any16_uint8,
    highest_float,
    highest_int8,
    highest_uint8,
    hits,
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
    SCAN_BLOCK = 16
    CLASS_BLOCK = 16
    # Values whose sigmoids are computed at once, in vectors.
    BATCH = 16
    # Boxes compared at once in NMS: as many as _overlap.h takes.
    KEPT_BLOCK = 8
    # At most so many ranges of scores into which candidates are sorted.
    BUCKETS = 1024
    # Candidates kept at first, for each detection wanted and at least: the best of them nearly always suffice.
    ROOM_PER_DETECTION = 8
    LEAST_ROOM = 4096


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
        head.units[index] = unit(real, head.new_coords)
        head.sizes[index] = size_in_anchors(real, head.new_coords)
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


cdef inline bint _is_number(head_t raw) noexcept nogil:
    if head_t is float:
        return raw == raw
    else:
        return True


cdef struct Batch:
    # What a float head gathers, so that exponentials are computed many at a time.
    # Boxes whose objectness reached the gate: its raw value, its score, and the gate of classes that follows.
    Py_ssize_t num_boxes
    Py_ssize_t boxes[BATCH]
    float raw[BATCH]
    float objectness[BATCH]
    float class_gates[BATCH]
    # Candidates whose class scores are not computed yet.
    Py_ssize_t num_pending
    uint32_t index[BATCH]
    float box_scores[BATCH]
    float logits[BATCH]
    float class_scores[BATCH]


cdef struct Buckets:
    # Candidates by score: bucket (bits of the score - lowest) >> shift.
    uint32_t lowest
    int shift
    Py_ssize_t count
    # How many lie in each; once they are sorted, where each ends.
    uint32_t sizes[BUCKETS]


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
    cdef Py_ssize_t num_heads, num_classes, max_detections
    cdef float score_threshold, iou_threshold
    cdef bint diou, class_agnostic, multi_label, clip
    cdef Transform transform
    cdef const float[:, ::1] anchors    # of all heads, (width, height)
    cdef float[:, ::1] boxes            # (boxes of all heads, 4) xyxy in image pixels, filled for survivors only
    cdef uint64_t[:, ::1] candidates    # score bits above, inverted canonical index below; collected, and sorted
    cdef Py_ssize_t num_candidates
    cdef Py_ssize_t room, first_room    # so many are collected before the lower ones are left out; at first
    cdef float floor, ceiling           # collected are scores from `floor` on and below `ceiling`
    cdef const unsigned char[::1] class_mask
    cdef boxes8* kept_boxes             # kept detections by class, in lists of blocks; at most one block for each
    cdef Py_ssize_t num_blocks
    cdef int32_t[::1] newest_of_class   # the last block of each class, -1 for none
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
        const float[:, ::1] anchors not None, float[:, ::1] boxes not None, uint64_t[:, ::1] candidates not None,
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
        self.first_room = min(candidates.shape[1], max(LEAST_ROOM, ROOM_PER_DETECTION * confidence.shape[0]))
        self.class_mask = class_mask
        self.num_classes = class_mask.shape[0]
        self.newest_of_class = newest_of_class
        self.xyxy = xyxy
        self.confidence = confidence
        self.class_id = class_id
        self.max_detections = confidence.shape[0]
        if self.kept_boxes != NULL:
            raise TypeError("a Workspace is made once")
        self.kept_boxes = <boxes8*>PyMem_Calloc(self.max_detections, sizeof(boxes8))
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
        head.float_gate = gate_of(self.score_threshold, new_coords)
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
                    kept = _detect(self)
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


cdef Py_ssize_t _detect(Workspace work) noexcept nogil:
    """Collect candidates and select among them; returns how many detections were kept.

    NMS takes the best candidates first and ends at max_detections, so the best few thousand nearly always suffice.
    While they are collected the score that still counts rises, and with it the gates of classes. Where they did not
    suffice, a second turn collects what was left out.
    """
    cdef Py_ssize_t kept = 0, group
    work.num_blocks = 0
    for group in range(work.newest_of_class.shape[0]):
        work.newest_of_class[group] = -1
    work.ceiling = INFINITY
    work.room = work.first_room
    while True:
        work.floor = work.score_threshold
        work.num_candidates = 0
        _scan_heads(work)
        kept = _select(work, kept)
        if kept == work.max_detections or work.floor == work.score_threshold:
            return kept
        work.ceiling = work.floor
        work.room = work.candidates.shape[1]


cdef void _scan_heads(Workspace work) noexcept nogil:
    """Collect the candidates of all heads."""
    cdef Py_ssize_t index
    cdef const Head* head
    cdef const Py_buffer* view
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
    """Append every candidate of one head.

    Nearly every box ends at the test of its raw objectness. NaN is never >= anything.
    """
    cdef Py_ssize_t step = head.num_terms
    cdef Py_ssize_t box = 0, ahead
    cdef const head_t* objectness = terms + OBJECTNESS
    cdef Batch batch
    if head_t is float:
        memset(&batch, 0, sizeof(batch))
    # Sixteen loads that do not wait for each other, and one branch, where an in-order core would else stall on each.
    while box + SCAN_BLOCK <= head.num_boxes:
        if _any_reaches(objectness, step, gate):
            for ahead in range(SCAN_BLOCK):
                if objectness[ahead * step] >= gate:
                    _found_box(work, head, &batch, box + ahead, terms)
        objectness += SCAN_BLOCK * step
        box += SCAN_BLOCK
    while box < head.num_boxes:
        if terms[box * step + OBJECTNESS] >= gate:
            _found_box(work, head, &batch, box, terms)
        box += 1
    if head_t is float:
        _add_boxes(work, head, &batch, terms)
        _append_pending(work, head, &batch)


cdef inline bint _any_reaches(const head_t* objectness, Py_ssize_t step, head_t gate) noexcept nogil:
    """True when one of SCAN_BLOCK boxes may reach the gate."""
    if head_t is float:
        return any16_float(objectness, step, gate)
    elif head_t is schar:
        return any16_int8(objectness, step, gate)
    else:
        return any16_uint8(objectness, step, gate)


cdef inline void _found_box(
    Workspace work, const Head* head, Batch* batch, Py_ssize_t box, const head_t* terms
) noexcept nogil:
    """A box whose objectness reached the gate."""
    cdef const head_t* own = terms + box * head.num_terms
    cdef int objectness
    if head_t is float:
        batch.boxes[batch.num_boxes] = box
        batch.raw[batch.num_boxes] = own[OBJECTNESS]
        batch.num_boxes += 1
        if batch.num_boxes == BATCH:
            _add_boxes(work, head, batch, terms)
    else:
        objectness = <int>own[OBJECTNESS] - head.lowest
        if _add_box(work, head, batch, box, own, head.units[objectness], <head_t>head.class_gates[objectness]):
            _place_box(
                work, head, box,
                head.units[<int>own[0] - head.lowest], head.units[<int>own[1] - head.lowest],
                head.sizes[<int>own[2] - head.lowest], head.sizes[<int>own[3] - head.lowest])


cdef void _add_boxes(Workspace work, const Head* head, Batch* batch, const float* terms) noexcept nogil:
    """Append the candidates of all boxes of the batch, decode those that have any, and empty it."""
    cdef Py_ssize_t place, box
    cdef Py_ssize_t passed = 0
    if batch.num_boxes == 0:
        return
    _units(batch.raw, head.new_coords, batch.objectness)
    _class_gates(batch.objectness, work.floor, head.new_coords, batch.class_gates)
    for place in range(batch.num_boxes):
        box = batch.boxes[place]
        if _add_box(
            work, head, batch, box, terms + box * head.num_terms, batch.objectness[place], batch.class_gates[place]
        ):
            batch.boxes[passed] = box
            passed += 1
    _decode_boxes(work, head, batch.boxes, passed, terms)
    batch.num_boxes = 0


cdef void _units(const float* raw, bint new_coords, float* units) noexcept nogil:
    """unit of BATCH values at once, in vectors."""
    cdef Py_ssize_t index
    if new_coords:
        for index in range(BATCH):
            units[index] = unit(raw[index], True)
    else:
        for index in range(BATCH):
            units[index] = unit(raw[index], False)


@cython.cdivision(True)  # x / 0 is infinite here, in every build
cdef void _class_gates(const float* objectness, float score, bint new_coords, float* gates) noexcept nogil:
    """The gates of classes for BATCH objectness scores; what objectness alone already rules out gets anything."""
    cdef Py_ssize_t index
    if score < FLT_MIN:  # every class passes; dividing could be 0 / 0
        for index in range(BATCH):
            gates[index] = -INFINITY
    elif new_coords:
        for index in range(BATCH):
            gates[index] = quick_gate(score / objectness[index], True)
    else:
        for index in range(BATCH):
            gates[index] = quick_gate(score / objectness[index], False)


cdef inline bint _add_box(
    Workspace work, const Head* head, Batch* batch, Py_ssize_t box, const head_t* terms, float objectness, head_t gate
) noexcept nogil:
    """Append the candidates of one box whose objectness passed; True if there may be any."""
    cdef Py_ssize_t canonical = head.first_box + box
    cdef const head_t* logits = terms + CLASSES
    cdef head_t highest
    # No class scores above 1, so objectness alone can already fail.
    if objectness < work.floor or not (
        _is_number(terms[0]) and _is_number(terms[1]) and _is_number(terms[2]) and _is_number(terms[3])
    ):
        return False
    highest = _highest(logits, work.num_classes)
    if highest < gate:
        return False
    # The best class alone is searched for by its own value; ties keep the lower class.
    _add_classes(work, head, batch, canonical, objectness, logits, gate if work.multi_label else highest)
    return True


cdef inline head_t _highest(const head_t* logits, Py_ssize_t count) noexcept nogil:
    """The highest raw value; NaN never is."""
    if head_t is float:
        return highest_float(logits, count)
    elif head_t is schar:
        return highest_int8(logits, count)
    else:
        return highest_uint8(logits, count)


cdef inline void _add_classes(
    Workspace work, const Head* head, Batch* batch, Py_ssize_t box, float objectness, const head_t* logits, head_t gate
) noexcept nogil:
    """Append a candidate for every class that reaches the gate, or for the first of them."""
    cdef Py_ssize_t block = 0, class_id
    cdef hits found
    while block + CLASS_BLOCK <= work.num_classes:
        found = _classes_reaching(logits + block, gate)
        while found:
            class_id = block + hits_first(found)
            _add_class(work, head, batch, box, class_id, objectness, logits[class_id])
            if not work.multi_label:
                return
            found &= found - 1
        block += CLASS_BLOCK
    for class_id in range(block, work.num_classes):
        if logits[class_id] >= gate:
            _add_class(work, head, batch, box, class_id, objectness, logits[class_id])
            if not work.multi_label:
                return


cdef inline hits _classes_reaching(const head_t* logits, head_t gate) noexcept nogil:
    if head_t is float:
        return hits_float(logits, gate)
    elif head_t is schar:
        return hits_int8(logits, gate)
    else:
        return hits_uint8(logits, gate)


cdef inline void _add_class(
    Workspace work, const Head* head, Batch* batch, Py_ssize_t box, Py_ssize_t class_id, float objectness, head_t logit
) noexcept nogil:
    cdef uint32_t index
    if not work.class_mask[class_id]:
        return
    index = <uint32_t>(box * work.num_classes + class_id)
    if head_t is float:
        batch.index[batch.num_pending] = index
        batch.box_scores[batch.num_pending] = objectness
        batch.logits[batch.num_pending] = logit
        batch.num_pending += 1
        if batch.num_pending == BATCH:
            _append_pending(work, head, batch)
    else:
        _append(work, index, objectness * head.units[<int>logit - head.lowest])


cdef void _append_pending(Workspace work, const Head* head, Batch* batch) noexcept nogil:
    cdef Py_ssize_t place
    _units(batch.logits, head.new_coords, batch.class_scores)
    for place in range(batch.num_pending):
        _append(work, batch.index[place], batch.box_scores[place] * batch.class_scores[place])
    batch.num_pending = 0


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
            if head.new_coords:
                parts[4 * place], parts[4 * place + 1] = unit(own[0], True), unit(own[1], True)
                parts[4 * place + 2] = size_in_anchors(own[2], True)
                parts[4 * place + 3] = size_in_anchors(own[3], True)
            else:
                powers[4 * place], powers[4 * place + 1] = -own[0], -own[1]
                powers[4 * place + 2], powers[4 * place + 3] = limited_size_term(own[2]), limited_size_term(own[3])
        if not head.new_coords:
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


cdef Py_ssize_t _select(Workspace work, Py_ssize_t kept) noexcept nogil:
    """Greedy NMS, best candidate first, until max_detections are kept; returns how many are, of which `kept` already.

    Buckets and heaps instead of a full sort: only candidates ahead of the last kept one are ever put into order.
    """
    cdef Buckets buckets
    cdef Py_ssize_t size, position
    cdef Py_ssize_t first = 0
    cdef uint64_t* heap
    if work.num_candidates == 0:
        return kept
    _sort_into_buckets(work, &buckets)
    # Invariant: rows 0..kept-1 are final, and every candidate left scores no better than any of them.
    while first < work.num_candidates:
        heap = &work.candidates[1, 0] + first
        size = <Py_ssize_t>buckets.sizes[_bucket_of(&buckets, heap[0])] - first
        first += size
        for position in range(size // 2 - 1, -1, -1):
            _sift_down(heap, position, size)
        while size > 0:
            if _try_candidate(work, heap[0], kept):
                kept += 1
                if kept == work.max_detections:
                    return kept
            size -= 1
            heap[0] = heap[size]
            _sift_down(heap, 0, size)
    return kept


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
