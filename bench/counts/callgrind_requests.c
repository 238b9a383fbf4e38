/* What frames.py asks of callgrind; each call does nothing where no valgrind is listening. */

#include <valgrind/callgrind.h>

int valgrind_is_listening(void) { return RUNNING_ON_VALGRIND; }

void start_counting(void) {
  CALLGRIND_START_INSTRUMENTATION;
  CALLGRIND_ZERO_STATS;
}

/* Write what was counted since the last dump under this name, and begin again at 0. */
void dump_counts(const char *name) { CALLGRIND_DUMP_STATS_AT(name); }
