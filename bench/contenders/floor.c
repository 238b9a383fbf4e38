/* The least a decoder of these heads must do: look at every box's objectness. The clock is read inside, so that no call
 * from Python is in the time. */

#include <stddef.h>
#include <stdint.h>
#include <time.h>

static int64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

#define SCAN(NAME, TYPE)                                                                                      \
  /* Nanoseconds for counting the boxes of all heads whose objectness reaches the head's gate. */           \
  int64_t NAME(const TYPE *const *heads, const ptrdiff_t *num_boxes, const TYPE *gates, ptrdiff_t num_heads, \
               ptrdiff_t num_terms, ptrdiff_t *passed) {                                                      \
    int64_t started = now();                                                                                  \
    ptrdiff_t count = 0;                                                                                      \
    for (ptrdiff_t head = 0; head < num_heads; head++)                                                        \
      for (ptrdiff_t box = 0; box < num_boxes[head]; box++)                                                   \
        count += heads[head][box * num_terms + 4] >= gates[head];                                             \
    *passed = count;                                                                                          \
    return now() - started;                                                                                   \
  }

SCAN(scan_float32, float)
SCAN(scan_int8, int8_t)
