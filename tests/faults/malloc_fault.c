/*
 * A library to preload: the n-th call of malloc, calloc or realloc returns NULL, optionally also the calls after it.
 *
 * Slots of the file $MALLOC_FAULT: the first call to fail (0: none), the number of calls to fail, whether only calls of
 * the program count (1) or also those of its libraries (0); then the number of calls and failures so far.
 */
#include "tests/faults/fault_slots.h"

#include <elf.h>
#include <errno.h>
#include <link.h>
#include <stdbool.h>
#include <sys/auxv.h>

enum { FAIL_CALL, FAIL_COUNT, OWN_ONLY, SEEN_CALLS, FAILED };

/* The functions of glibc, which it exports under these names for libraries that replace them. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *memory, size_t size);

static fault_slot *_Atomic slots;
static uintptr_t own_begin;
static uintptr_t own_end;

/* Finds the address range of the program's code in the program headers that the kernel passes. */
static void find_program(void)
{
    const ElfW(Phdr) *headers = (const ElfW(Phdr) *)getauxval(AT_PHDR);
    unsigned long n = getauxval(AT_PHNUM);
    uintptr_t base = 0;
    for (unsigned long i = 0; i < n; i++) {
        if (headers[i].p_type == PT_PHDR)
            base = (uintptr_t)headers - headers[i].p_vaddr;
    }
    for (unsigned long i = 0; i < n; i++) {
        if (headers[i].p_type == PT_LOAD && headers[i].p_flags & PF_X) {
            own_begin = base + headers[i].p_vaddr;
            own_end = own_begin + headers[i].p_memsz;
        }
    }
}

static __attribute__((constructor)) void start(void)
{
    find_program();
    atomic_store(&slots, fault_slots_map("MALLOC_FAULT"));
}

static bool fails(const void *caller)
{
    fault_slot *shared = atomic_load(&slots);
    if (!shared)
        return false;
    bool own = (uintptr_t)caller >= own_begin && (uintptr_t)caller < own_end;
    if (atomic_load(&shared[OWN_ONLY]) && !own)
        return false;
    int64_t now = atomic_fetch_add(&shared[SEEN_CALLS], 1) + 1;
    int64_t first = atomic_load(&shared[FAIL_CALL]);
    if (!first || now < first || now - first >= atomic_load(&shared[FAIL_COUNT]))
        return false;
    atomic_fetch_add(&shared[FAILED], 1);
    errno = ENOMEM;
    return true;
}

void *malloc(size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *memory, size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_realloc(memory, size);
}
