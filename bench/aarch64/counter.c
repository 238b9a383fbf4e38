/* A plugin for QEMU's user mode: how often every block of code of chosen libraries runs, and the cache misses of its
   data accesses on a small in-order core.

   -plugin libcounter.so,out=FILE,watch=TEXT[,watch=TEXT...][,cache=on]

   `watch` is part of the path of a library. The emulated program steers by closing files that no program has open:
   close(MARK + n) writes what was counted since the last mark, under the number n; close(EMPTY) empties the caches.
   Written against version 1 of the plugin interface, for which Debian ships no header: the part of it that is used
   stands below. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t plugin_id;
typedef uint32_t access_info;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef struct qemu_info qemu_info;
enum { INLINE_ADD_U64 = 0, CALLBACK_READS_NO_REGISTERS = 0, LOADS_AND_STORES = 3 };

void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, int operation, void *, uint64_t);
void qemu_plugin_register_vcpu_mem_cb(
    struct qemu_plugin_insn *, void (*)(unsigned, access_info, uint64_t, void *), int flags, int kinds, void *);
void qemu_plugin_register_vcpu_syscall_cb(
    plugin_id, void (*)(plugin_id, unsigned, int64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                        uint64_t, uint64_t));
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
unsigned qemu_plugin_mem_size_shift(access_info);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

enum { CLOSE = 57, MARK = 900000, EMPTY = 899999, MOST_WATCHED = 8, LINE = 64 };

/* A straight run of instructions inside one library. QEMU adds to `runs` itself. */
struct block {
    struct block *next;
    unsigned library;
    uint64_t offset, instructions, runs;
};

static struct block *blocks;
static const char *watched[MOST_WATCHED];
static unsigned num_watched;
static FILE *out;
static int with_caches;

/* Sets of `ways` lines, the most recently used first. */
struct cache {
    unsigned sets, ways;
    uint64_t *lines, misses;
};
/* Both as on the i.MX 8M Plus (its A53: 32 KiB, 4 ways; 512 KiB, 16 ways); no prefetching is modelled. */
static struct cache level1 = {128, 4, NULL, 0}, level2 = {512, 16, NULL, 0};

static int holds(struct cache *cache, uint64_t line)
{
    uint64_t *set = cache->lines + (line % cache->sets) * cache->ways;
    unsigned way = 0;
    while (way < cache->ways - 1 && set[way] != line)
        way++;
    int hit = set[way] == line;
    memmove(set + 1, set, way * sizeof(*set));
    set[0] = line;
    cache->misses += !hit;
    return hit;
}

static void empty(struct cache *cache)
{
    size_t size = (size_t)cache->sets * cache->ways * sizeof(*cache->lines);
    if (!cache->lines)
        cache->lines = malloc(size);
    memset(cache->lines, 0xff, size);
}

static void access_memory(unsigned cpu, access_info info, uint64_t address, void *unused)
{
    (void)cpu, (void)unused;
    uint64_t last = (address + (1u << qemu_plugin_mem_size_shift(info)) - 1) / LINE;
    for (uint64_t line = address / LINE; line <= last; line++)
        if (!holds(&level1, line))
            holds(&level2, line);
}

/* Which watched library an address lies in, and where in its file; -1 for none. Emulated addresses are our own. */
static int library_of(uint64_t address, uint64_t *offset)
{
    static uint64_t start, end, shift;
    static int found = -1;
    if (address < start || address >= end) {
        char text[4096];
        FILE *maps = fopen("/proc/self/maps", "r");
        start = end = 0;
        found = -1;
        while (maps && fgets(text, sizeof text, maps)) {
            uint64_t from, to, in_file;
            if (sscanf(text, "%" SCNx64 "-%" SCNx64 " %*s %" SCNx64, &from, &to, &in_file) != 3 || address < from
                || address >= to)
                continue;
            start = from, end = to, shift = in_file - from;
            for (unsigned index = 0; index < num_watched; index++)
                if (strstr(text, watched[index]))
                    found = (int)index;
            break;
        }
        if (maps)
            fclose(maps);
    }
    *offset = address + shift;
    return found;
}

static void translated(plugin_id id, struct qemu_plugin_tb *code)
{
    uint64_t offset;
    int library = library_of(qemu_plugin_tb_vaddr(code), &offset);
    (void)id;
    if (library < 0)
        return;
    struct block *block = calloc(1, sizeof *block);
    *block = (struct block){blocks, (unsigned)library, offset, qemu_plugin_tb_n_insns(code), 0};
    blocks = block;
    qemu_plugin_register_vcpu_tb_exec_inline(code, INLINE_ADD_U64, &block->runs, 1);
    for (size_t index = 0; with_caches && index < block->instructions; index++)
        qemu_plugin_register_vcpu_mem_cb(qemu_plugin_tb_get_insn(code, index), access_memory,
                                         CALLBACK_READS_NO_REGISTERS, LOADS_AND_STORES, NULL);
}

static void mark(uint64_t number)
{
    fprintf(out, "mark %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", number, level1.misses, level2.misses);
    level1.misses = level2.misses = 0;
    for (struct block *block = blocks; block; block = block->next) {
        if (block->runs)
            fprintf(out, "block %s %" PRIx64 " %" PRIu64 " %" PRIu64 "\n", watched[block->library], block->offset,
                    block->instructions, block->runs);
        block->runs = 0;
    }
    fflush(out);
}

static void called(plugin_id id, unsigned cpu, int64_t number, uint64_t file, uint64_t b, uint64_t c, uint64_t d,
                   uint64_t e, uint64_t f, uint64_t g, uint64_t h)
{
    (void)id, (void)cpu, (void)b, (void)c, (void)d, (void)e, (void)f, (void)g, (void)h;
    if (number == CLOSE && file == EMPTY) {
        empty(&level1);
        empty(&level2);
    } else if (number == CLOSE && file >= MARK) {
        mark(file - MARK);
    }
}

__attribute__((visibility("default"))) int qemu_plugin_install(
    plugin_id id, const qemu_info *info, int count, char **arguments)
{
    (void)info;
    for (int index = 0; index < count; index++) {
        const char *value = strchr(arguments[index], '=');
        if (value && !strncmp(arguments[index], "watch=", 6) && num_watched < MOST_WATCHED)
            watched[num_watched++] = strdup(value + 1);
        else if (value && !strncmp(arguments[index], "out=", 4))
            out = fopen(value + 1, "w");
        else if (!strcmp(arguments[index], "cache=on"))
            with_caches = 1;
        else
            return -1;
    }
    if (!out || !num_watched)
        return -1;
    empty(&level1);
    empty(&level2);
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_vcpu_syscall_cb(id, called);
    return 0;
}
