/* Delegates that behave as accelerators were seen to, chosen with the option do=...: see `chosen` below.

   Operators that are taken are computed by the kernels they had on the CPU, so that a right answer is right for any
   model. The structs are TensorFlow Lite's (tensorflow/lite/core/c/common.h), declared here by hand. */
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct { int size; int data[]; } Ints;
typedef struct Context Context;
typedef struct Delegate Delegate;

typedef struct {
  int type;
  void *data;
  Ints *dims;
  struct { float scale; int32_t zero_point; } params;
  int allocation_type;
  size_t bytes;
  const void *allocation;
  const char *name;
  Delegate *delegate;
  int buffer_handle;
  bool data_is_stale, is_variable;
  struct { int type; void *params; } quantization;
  void *sparsity, *dims_signature;
} Tensor;

typedef struct {
  Ints *inputs, *outputs, *intermediates, *temporaries;
  void *user_data, *builtin_data;
  const void *custom_data;
  int custom_size;
  Delegate *delegate;
  bool side_effect;
} Node;

typedef struct {
  void *(*init)(Context *, const char *, size_t);
  void (*free)(Context *, void *);
  int (*prepare)(Context *, Node *);
  int (*invoke)(Context *, Node *);
  const char *(*profiling)(const Context *, const Node *);
  int32_t builtin_code;
  const char *name;
  int version;
  void *external;
  void *async_kernel;
  uint64_t inplace;
} Registration;

struct Context {
  size_t tensors_size;
  int (*execution_plan)(Context *, Ints **);
  Tensor *tensors;
  void *impl;
  int (*resize)(Context *, Tensor *, Ints *);
  void (*report)(Context *, const char *, ...);
  int (*add_tensors)(Context *, int, int *);
  int (*node)(Context *, int, Node **, Registration **);
  int (*replace)(Context *, Registration, const Ints *, Delegate *);
};

struct Delegate {
  void *data;
  int (*prepare)(Context *, Delegate *);
  void *copy_from, *copy_to, *free_handle;
  int64_t flags;
  void *opaque_builder;
};

typedef struct { Delegate *delegate; Ints *nodes, *inputs, *outputs; } Params;

/* nothing: takes no operator. right: takes all. off: every output `steps` too high. layer: one convolution in the
   middle is wrong. other: another answer every time. dies: a signal while it prepares. fails: an error there.
   half: takes only the first half. holes: leaves every fifth operator. cache: VX's graph cache. */
enum { NOTHING, RIGHT, OFF, LAYER, OTHER, DIES, FAILS, HALF, HOLES, CACHE, CHOICES };
static const char *const chosen[] = {"nothing", "right", "off",  "layer", "other",
                                     "dies",    "fails", "half", "holes", "cache"};

typedef struct {
  int choice, steps, slow_ms;
  bool cached;
  char file[4096];
} Settings;

typedef struct {
  int index;
  size_t bytes;
  void *data;
  Ints *dims;
} Own;

enum { MOST_OWNED = 1024 };

typedef struct {
  Settings *settings;
  int count, calls, owned;
  bool wrong_graph;
  Own own[MOST_OWNED];
  Node **nodes;
  Registration *kernels;
} Part;

static Ints *ints(int size) {
  Ints *array = malloc(sizeof(Ints) + sizeof(int) * (size_t)size);
  array->size = size;
  return array;
}

static Ints *copy(const Ints *from) {
  Ints *array = ints(from ? from->size : 0);
  for (int i = 0; i < array->size; i++) array->data[i] = from->data[i];
  return array;
}

static void *part_init(Context *context, const char *buffer, size_t length) {
  (void)length;
  const Params *params = (const Params *)buffer;
  Part *part = calloc(1, sizeof *part);
  part->settings = params->delegate->data;
  part->count = params->nodes->size;
  part->nodes = calloc((size_t)part->count, sizeof *part->nodes);
  part->kernels = calloc((size_t)part->count, sizeof *part->kernels);
  for (int i = 0; i < part->count; i++) {
    Registration *kernel;
    context->node(context, params->nodes->data[i], &part->nodes[i], &kernel);
    part->kernels[i] = *kernel;
  }
  return part;
}

static void part_free(Context *context, void *data) {
  (void)context;
  Part *part = data;
  for (int i = 0; i < part->owned; i++) {
    free(part->own[i].data);
    free(part->own[i].dims);
  }
  free(part->nodes);
  free(part->kernels);
  free(part);
}

/* The tensors between the operators that were taken belong to no node any more, so that the runtime gives them no
   memory; it gets its own. */
static int part_prepare(Context *context, Node *node) {
  Part *part = node->user_data;
  if (part->settings->choice == DIES) raise(SIGSEGV);
  if (part->settings->choice == FAILS) {
    context->report(context, "the device does not answer");
    return 1;
  }
  for (int i = 0; i < part->owned; i++) free(part->own[i].data);
  part->owned = 0;
  for (int i = 0; i < part->count; i++) {
    if (part->kernels[i].prepare && part->kernels[i].prepare(context, part->nodes[i])) return 1;
    const Ints *sets[] = {part->nodes[i]->outputs, part->nodes[i]->temporaries};
    for (int set = 0; set < 2; set++)
      for (int j = 0; sets[set] && j < sets[set]->size; j++) {
        const int index = sets[set]->data[j];
        bool outside = false;
        for (int k = 0; k < node->outputs->size; k++) outside |= node->outputs->data[k] == index;
        if (outside || part->owned == MOST_OWNED) continue;
        const Tensor *tensor = &context->tensors[index];
        part->own[part->owned++] = (Own){index, tensor->bytes, calloc(1, tensor->bytes + 64), copy(tensor->dims)};
      }
  }
  return 0;
}

static void give_memory(Context *context, const Part *part) {
  for (int i = 0; i < part->owned; i++) {
    Tensor *tensor = &context->tensors[part->own[i].index];
    tensor->data = part->own[i].data;
    tensor->bytes = part->own[i].bytes;
    if (!tensor->dims || !tensor->dims->size) tensor->dims = copy(part->own[i].dims);
  }
}

static void shift(Context *context, const Ints *tensors, int steps) {
  for (int i = 0; i < tensors->size; i++) {
    Tensor *tensor = &context->tensors[tensors->data[i]];
    if (tensor->type == 1)
      for (size_t j = 0; j < tensor->bytes / 4; j++) ((float *)tensor->data)[j] += 0.1f * (float)steps;
    else
      for (size_t j = 0; j < tensor->bytes; j++) {
        int value = ((int8_t *)tensor->data)[j] + steps;
        ((int8_t *)tensor->data)[j] = (int8_t)(value > 127 ? 127 : value < -128 ? -128 : value);
      }
  }
}

/* A "compiled graph" of 64 KB: 4 bytes of magic, then one byte, the model's, over and over. */
enum { GRAPH_BYTES = 65536 };

static uint8_t identity(Context *context, const Part *part) {
  uint32_t sum = 1;
  for (int i = 0; i < part->count; i++)
    for (int j = 0; j < part->nodes[i]->inputs->size; j++) {
      int index = part->nodes[i]->inputs->data[j];
      if (index < 0 || context->tensors[index].allocation_type != 1) continue;
      const uint8_t *bytes = context->tensors[index].data;
      for (size_t k = 0; k < context->tensors[index].bytes && k < 999; k++) sum = sum * 31 + bytes[k];
    }
  return (uint8_t)(sum % 97 + 1);
}

static int write_graph(const Settings *settings, uint8_t own) {
  static uint8_t graph[GRAPH_BYTES];
  FILE *file = fopen(settings->file, "wb");
  if (!file) return 0; /* it says nothing then */
  memset(graph, own, sizeof graph);
  memcpy(graph, "NBG1", 4);
  for (int i = 0; i < 16; i++) {
    fwrite(graph + i * GRAPH_BYTES / 16, 1, GRAPH_BYTES / 16, file);
    fflush(file);
    if (settings->slow_ms) usleep((useconds_t)settings->slow_ms * 1000 / 16);
  }
  fclose(file);
  return 0;
}

static int cache(Context *context, Part *part) {
  const Settings *settings = part->settings;
  const uint8_t own = identity(context, part);
  static uint8_t graph[GRAPH_BYTES + 1];
  FILE *file = settings->cached ? fopen(settings->file, "rb") : NULL;
  if (!file) {
    if (!settings->cached) usleep((useconds_t)settings->slow_ms * 1000);
    return settings->cached ? write_graph(settings, own) : 0;
  }
  const size_t size = fread(graph, 1, sizeof graph, file);
  fclose(file);
  if (!size) raise(SIGSEGV);
  if (size <= GRAPH_BYTES / 10 * 9) abort();
  if (size < GRAPH_BYTES) pause();
  if (memcmp(graph, "NBG1", 4)) return 1;
  long wrong = 0;
  for (size_t i = 4; i < GRAPH_BYTES; i++) wrong += graph[i] != own;
  part->wrong_graph = wrong; /* it stays what was loaded */
  return 0;
}

static int part_invoke(Context *context, Node *node) {
  Part *part = node->user_data;
  const Settings *settings = part->settings;
  const int calls = part->calls++;
  give_memory(context, part);
  for (int i = 0; i < part->count; i++) {
    if (part->kernels[i].invoke(context, part->nodes[i])) return 1;
    if (settings->choice == LAYER && i == part->count / 2) shift(context, part->nodes[i]->outputs, 60);
  }
  if (!calls && settings->choice != CACHE && settings->slow_ms) usleep((useconds_t)settings->slow_ms * 1000);
  if (settings->choice == OFF) shift(context, node->outputs, settings->steps);
  if (settings->choice == OTHER) shift(context, node->outputs, calls % 7);
  if (settings->choice == CACHE && !calls && cache(context, part)) return 1;
  if (part->wrong_graph) shift(context, node->outputs, 40);
  return 0;
}

static int prepare(Context *context, Delegate *delegate) {
  const Settings *settings = delegate->data;
  Ints *plan;
  if (settings->choice == NOTHING) return 0;
  if (context->execution_plan(context, &plan)) return 1;
  Ints *taken = ints(plan->size);
  taken->size = 0;
  for (int i = 0; i < plan->size; i++) {
    if (settings->choice == HALF && i >= plan->size / 2) break;
    if (settings->choice == HOLES && i % 5 == 4) {
      fprintf(stderr, "WARNING: the test device has no operator for node %d\n", plan->data[i] % 10);
      continue;
    }
    taken->data[taken->size++] = plan->data[i];
  }
  Registration part = {.init = part_init, .free = part_free, .prepare = part_prepare, .invoke = part_invoke,
                       .name = "TestDevice", .version = 1};
  const int status = context->replace(context, part, taken, delegate);
  free(taken);
  return status;
}

Delegate *tflite_plugin_create_delegate(char **keys, char **values, size_t count, void (*report)(const char *)) {
  Settings *settings = calloc(1, sizeof *settings);
  settings->choice = RIGHT;
  settings->steps = 3;
  for (size_t i = 0; i < count; i++) {
    if (!strcmp(keys[i], "refuse")) {
      report(values[i]);
      free(settings);
      return NULL;
    }
    if (!strcmp(keys[i], "do"))
      for (int choice = 0; choice < CHOICES; choice++)
        if (!strcmp(values[i], chosen[choice])) settings->choice = choice;
    if (!strcmp(keys[i], "steps")) settings->steps = atoi(values[i]);
    if (!strcmp(keys[i], "slow")) settings->slow_ms = atoi(values[i]);
    if (!strcmp(keys[i], "allowed_cache_mode")) settings->cached = !strcmp(values[i], "true");
    if (!strcmp(keys[i], "cache_file_path")) snprintf(settings->file, sizeof settings->file, "%s", values[i]);
  }
  Delegate *delegate = calloc(1, sizeof *delegate);
  delegate->data = settings;
  delegate->prepare = prepare;
  return delegate;
}

void tflite_plugin_destroy_delegate(Delegate *delegate) {
  if (!delegate) return;
  free(delegate->data);
  free(delegate);
}
