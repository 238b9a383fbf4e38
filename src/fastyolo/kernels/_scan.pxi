# Heads -> candidates: nearly every box ends at the test of its raw objectness.

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


cdef scan_head _scan_of(char format) noexcept nogil:
    """What collects the candidates of a head whose array has that format."""
    return _scan_float32 if format == FLOAT32 else _scan_int8 if format == INT8 else _scan_uint8


cdef void _scan_float32(Workspace work, const Head* head) noexcept nogil:
    _scan(work, head, <const float*>head.terms, head.float_gate)


cdef void _scan_int8(Workspace work, const Head* head) noexcept nogil:
    if head.any_passes:
        _scan(work, head, <const signed char*>head.terms, <signed char>head.byte_gate)


cdef void _scan_uint8(Workspace work, const Head* head) noexcept nogil:
    if head.any_passes:
        _scan(work, head, <const unsigned char*>head.terms, <unsigned char>head.byte_gate)


cdef inline void _scan(Workspace work, const Head* head, const head_t* terms, head_t gate) noexcept nogil:
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
    _units(batch.raw, head.type, batch.objectness)
    _class_gates(batch.objectness, work.floor, head.type, batch.class_gates)
    for place in range(batch.num_boxes):
        box = batch.boxes[place]
        if _add_box(
            work, head, batch, box, terms + box * head.num_terms, batch.objectness[place], batch.class_gates[place]
        ):
            batch.boxes[passed] = box
            passed += 1
    _decode_boxes(work, head, batch.boxes, passed, terms)
    batch.num_boxes = 0


cdef void _units(const float* raw, HeadType type, float* units) noexcept nogil:
    """unit of BATCH values at once, in vectors."""
    cdef Py_ssize_t index
    if type == NEW_COORDS:
        for index in range(BATCH):
            units[index] = unit(raw[index], NEW_COORDS)
    else:
        for index in range(BATCH):
            units[index] = unit(raw[index], DARKNET)


@cython.cdivision(True)  # x / 0 is infinite here, in every build
cdef void _class_gates(const float* objectness, float score, HeadType type, float* gates) noexcept nogil:
    """The gates of classes for BATCH objectness scores; what objectness alone already rules out gets anything."""
    cdef Py_ssize_t index
    if score < FLT_MIN:  # every class passes; dividing could be 0 / 0
        for index in range(BATCH):
            gates[index] = -INFINITY
    elif type == NEW_COORDS:
        for index in range(BATCH):
            gates[index] = quick_gate(score / objectness[index], NEW_COORDS)
    else:
        for index in range(BATCH):
            gates[index] = quick_gate(score / objectness[index], DARKNET)


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


cdef inline bint _is_number(head_t raw) noexcept nogil:
    if head_t is float:
        return raw == raw
    else:
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
    _units(batch.logits, head.type, batch.class_scores)
    for place in range(batch.num_pending):
        _append(work, batch.index[place], batch.box_scores[place] * batch.class_scores[place])
    batch.num_pending = 0
