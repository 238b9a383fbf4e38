"""Heads -> boxes: decoding and per-class NMS of Darknet YOLO heads. C types only; `postprocess.py` owns the checks.

Every number follows Darknet (AlexeyAB): see `postprocess.py` for the formulas and their source.
"""

cimport cython
from cpython.buffer cimport (
    PyBUF_RECORDS_RO,
    PyBUF_WRITABLE,
    PyBuffer_IsContiguous,
    PyBuffer_Release,
    PyBuffer_ToContiguous,
    PyObject_GetBuffer,
)
from cpython.exc cimport PyErr_CheckSignals
from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Malloc
from libc.float cimport FLT_MIN
from libc.math cimport INFINITY, powf
from libc.stdint cimport int32_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from fastyolo.kernels._formulas cimport (
    DARKNET,
    NEW_COORDS,
    HeadType,
    exponential,
    gate_of,
    limited_size_term,
    quick_gate,
    size_in_anchors,
    unit,
)
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
    /* Which process this is: counted up in the child of every fork. A holder of another one is a thread that is not
       here and never gives back what it took. */
    static unsigned fastyolo_process = 1;
    static inline int fastyolo_take(unsigned *holder)
    {
        unsigned found = 0, own = fastyolo_process;
        if (__atomic_compare_exchange_n(holder, &found, own, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) return 1;
        return found != own
            && __atomic_compare_exchange_n(holder, &found, own, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
    }
    static inline void fastyolo_give(unsigned *holder) { __atomic_store_n(holder, 0, __ATOMIC_RELEASE); }
    static inline void fastyolo_count_process(void) { fastyolo_process++; }
    """
    bint take "fastyolo_take" (unsigned* holder) nogil
    void give "fastyolo_give" (unsigned* holder) nogil
    void count_process "fastyolo_count_process" () nogil

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
    # Between two looks at signals so many candidates are tried, and so many boxes compared, in eights: less than a
    # tenth of a second on a board.
    TRIED_AT_ONCE = 4096
    TRIED_UNSEEN = 64
    PATIENCE = 2000000
    # Candidates kept at first, for each detection wanted and at least: the best of them nearly always suffice.
    ROOM_PER_DETECTION = 8
    LEAST_ROOM = 4096

cdef enum:
    # The formats by which buffers name the types that heads may have; 0 for any other.
    FLOAT32 = 102  # f
    INT8 = 98      # b
    UINT8 = 66     # B


class Busy(Exception):
    """Another thread is in the workspace."""


def forked():
    """To be called in the child of a fork, before any thread begins there."""
    count_process()


cdef struct Transform:
    # image = network * scale + offset; the image's size for clipping.
    float scale_x, scale_y, offset_x, offset_y, width, height


cdef struct Buckets:
    # Candidates by score: bucket (bits of the score - lowest) >> shift.
    uint32_t lowest
    int shift
    Py_ssize_t count
    # How many lie in each; once they are sorted, where each ends.
    uint32_t sizes[BUCKETS]


cdef class Workspace
cdef struct Head

include "_tables.pxi"


@cython.final
cdef class Workspace:
    """All memory that decoding and NMS need, allocated once, and the options they follow."""

    cdef unsigned holder                # 0 while nobody is inside
    cdef Head* heads
    cdef Py_buffer* views               # one per head, in the order in which the arrays were passed
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
    cdef bint is_selecting              # candidates are collected and sorted, and NMS is under way
    cdef Buckets buckets
    cdef Py_ssize_t next_bucket         # the first of the sorted candidates that are in no heap yet
    cdef uint64_t* heap                 # the bucket at hand: those of its candidates that are left
    cdef Py_ssize_t heap_size
    cdef Py_ssize_t limit               # so many are tried before a look at signals
    cdef Py_ssize_t kept                # so many rows of the results are final
    cdef const unsigned char[::1] class_mask
    cdef boxes8* kept_boxes             # kept detections by class, in lists of blocks; at most one block for each
    cdef Py_ssize_t num_blocks
    cdef int32_t[::1] newest_of_class   # the last block of each class, -1 for none
    cdef float[:, ::1] xyxy
    cdef float[::1] confidence
    cdef int32_t[::1] class_id
    cdef object plan                    # heads -> position and quantisation of each head's array
    cdef object empty, float32, int32   # numpy.empty and the dtypes of results

    def __cinit__(self, Py_ssize_t num_heads, *_args):
        self.num_heads = num_heads
        self.heads = <Head*>PyMem_Calloc(num_heads, sizeof(Head))
        self.views = <Py_buffer*>PyMem_Calloc(num_heads, sizeof(Py_buffer))
        if self.heads == NULL or self.views == NULL:
            raise MemoryError

    def __dealloc__(self):
        cdef Py_ssize_t index
        if self.heads != NULL:
            for index in range(self.num_heads):
                PyMem_Free(self.heads[index].copy)
        PyMem_Free(self.heads)
        PyMem_Free(self.views)
        PyMem_Free(self.kept_boxes)

    def __init__(
        self, Py_ssize_t num_heads, float score_threshold, float iou_threshold,
        bint diou, bint class_agnostic, bint multi_label, bint clip,
        const float[:, ::1] anchors not None, float[:, ::1] boxes not None, uint64_t[:, ::1] candidates not None,
        const unsigned char[::1] class_mask not None,
        int32_t[::1] newest_of_class not None,
        float[:, ::1] xyxy not None, float[::1] confidence not None, int32_t[::1] class_id not None,
        plan, empty, float32, int32,
    ):
        if self.kept_boxes != NULL:
            raise TypeError("a Workspace is made once")
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
        self.kept_boxes = <boxes8*>PyMem_Calloc(self.max_detections, sizeof(boxes8))
        if self.kept_boxes == NULL:
            raise MemoryError
        self.plan = plan
        self.empty = empty
        self.float32 = float32
        self.int32 = int32

    def set_head(
        self, Py_ssize_t index, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t num_anchors,
        float stride, float scale_x_y, int type,
    ):
        """Describe one head; in order, for each follows on the one before. `type` is its place in `spec.HEAD_TYPES`."""
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
        head.type = <HeadType>type
        head.score_threshold = self.score_threshold
        head.float_gate = gate_of(self.score_threshold, head.type)

    def run(self, tuple heads not None, tuple transform not None):
        """Decode one frame and run NMS.

        `heads` are the arrays, in any order. When their order or types differ from the last frame's, `plan(heads)` says
        for each head of the network which of them is its own, as (position, scale, zero_point), or raises. `transform`
        holds scale_x, scale_y, offset_x, offset_y (image = network * scale + offset) and the image's width and height.

        Returns:
            Fresh arrays (xyxy, confidence, class_id).

        Raises:
            Busy: another thread is decoding.
            BufferError: an array's memory is not what the array says.
        """
        cdef Py_ssize_t kept
        if not take(&self.holder):
            raise Busy
        try:
            (
                self.transform.scale_x, self.transform.scale_y, self.transform.offset_x, self.transform.offset_y,
                self.transform.width, self.transform.height,
            ) = transform
            kept = self._decode(heads)
            return self._results(kept)
        finally:
            give(&self.holder)

    cdef Py_ssize_t _decode(self, tuple heads) except -1:
        """How many rows of the result arrays are filled."""
        cdef Py_ssize_t acquired = 0, position
        try:
            # A tuple: whatever code an array's __buffer__ runs, it cannot take the others away.
            if len(heads) == self.num_heads:
                for position in range(self.num_heads):
                    PyObject_GetBuffer(heads[position], &self.views[position], PyBUF_RECORDS_RO)
                    acquired += 1
            if acquired < self.num_heads or not self._as_planned():
                self._follow(self.plan(heads), acquired)
            self._find_terms()
            _begin(self)
            while not self._proceed():
                # Ctrl-C ends it here.
                PyErr_CheckSignals()
        finally:
            for position in range(acquired):
                PyBuffer_Release(&self.views[position])
        return self.kept

    cdef bint _proceed(self) noexcept:
        """`_detect` with the threads that wait for their turn let in."""
        cdef bint done
        with nogil:
            done = _detect(self)
        return done

    cdef bint _as_planned(self) noexcept:
        """True when the array that every head had in the last frame fits it again."""
        cdef Py_ssize_t index
        cdef const Head* head
        for index in range(self.num_heads):
            head = &self.heads[index]
            if head.format == 0 or _format_of(&self.views[head.position]) != head.format:
                return False
            if not _fits(head, &self.views[head.position]):
                return False
        return True

    cdef int _follow(self, tuple plan, Py_ssize_t acquired) except -1:
        """Take every head's array from where `plan` says, and load the tables of integer ones."""
        cdef Py_ssize_t index
        cdef Head* head
        cdef char format
        if acquired < self.num_heads or len(plan) != self.num_heads:
            raise BufferError
        for index in range(self.num_heads):
            head = &self.heads[index]
            head.format = 0
            position, scale, zero_point = plan[index]
            head.position = position
            if not 0 <= head.position < self.num_heads:
                raise IndexError(position)
            format = _format_of(&self.views[head.position])
            if format != FLOAT32 and format != 0:
                _load_tables(head, scale, zero_point, -128 if format == INT8 else 0)
            head.format = format
            head.scan = _scan_of(format)
        if not self._as_planned():
            raise BufferError
        return 0

    cdef int _find_terms(self) except -1:
        """Where the numbers of every head lie: in the array itself, or in a copy where they are not side by side."""
        cdef Py_ssize_t index
        cdef Head* head
        cdef Py_buffer* view
        for index in range(self.num_heads):
            head = &self.heads[index]
            view = &self.views[head.position]
            head.terms = view.buf
            if not PyBuffer_IsContiguous(view, b"C") or <size_t>view.buf % view.itemsize != 0:
                if head.copy == NULL:
                    head.copy = PyMem_Malloc(head.num_boxes * head.num_terms * sizeof(float))
                    if head.copy == NULL:
                        raise MemoryError
                PyBuffer_ToContiguous(head.copy, view, view.len, b"C")
                head.terms = head.copy
        return 0

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


include "_arrays.pxi"
include "_frame.pxi"
include "_scan.pxi"
include "_boxes.pxi"
include "_nms.pxi"
include "_candidates.pxi"
include "_suppress.pxi"
