/* An external delegate that takes no operator: it only proves that it was loaded, with which options, and may refuse.
   The struct is TensorFlow Lite's TfLiteDelegate (tensorflow/lite/core/c/common.h), declared here by hand. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Delegate {
  void *data;
  int (*prepare)(void *context, struct Delegate *delegate);
  void *copy_from, *copy_to, *free_handle;
  int64_t flags;
  void *opaque_builder;
} Delegate;

static int prepare(void *context, Delegate *delegate) {
  (void)context;
  fputs("prepared\n", (FILE *)delegate->data);
  return 0;
}

Delegate *tflite_plugin_create_delegate(char **keys, char **values, size_t count, void (*report)(const char *)) {
  FILE *log = NULL;
  for (size_t i = 0; i < count; i++) {
    if (!strcmp(keys[i], "refuse")) {
      report(values[i]);
      return NULL;
    }
    if (!strcmp(keys[i], "log")) log = fopen(values[i], "w");
  }
  if (!log) return NULL;
  for (size_t i = 0; i < count; i++) fprintf(log, "%s=%s\n", keys[i], values[i]);
  Delegate *delegate = calloc(1, sizeof *delegate);
  delegate->data = log;
  delegate->prepare = prepare;
  return delegate;
}

void tflite_plugin_destroy_delegate(Delegate *delegate) {
  if (!delegate) return;
  fputs("destroyed\n", (FILE *)delegate->data);
  fclose((FILE *)delegate->data);
  free(delegate);
}
