/* A driver library that is none: enough of NVML's C interface to drive the real Python binding.
 *
 * What goes wrong is chosen by environment variables, read at every call:
 *   FAKE_GPUS=8             how many GPUs there are
 *   FAKE_PRODUCT=...        their product name, any bytes
 *   FAKE_UUID=a             their uuids are GPU-a-0, GPU-a-1 ... (fake unless said)
 *   FAKE_INIT=9             nvmlInit answers this error code
 *   FAKE_LOST=3             GPU 3 has fallen off the bus
 *   FAKE_UNIFIED=1          GPU 1 has no memory of its own
 *   FAKE_MIG=0              GPU 0 is cut into two slices
 *   FAKE_MIG_EMPTY=0        GPU 0 is in MIG mode and has no slice
 *   FAKE_PLACEHOLDERS=2     GPU 2 answers power and temperature with 'no value' numbers
 *   FAKE_GARBLED=4          GPU 4's process list has absurd pids
 *   FAKE_PID=1234           every GPU runs this process
 *   FAKE_BROKEN_ROWS=5      GPU 5 failed to remap a memory row
 *   FAKE_NVLINK=...         switch (default), cube, links (no P2P verdicts, links only), none
 *   FAKE_FABRIC=1           all GPUs belong to one NVLink fabric across nodes; 2: it is not ready
 *   FAKE_HANG=function:3    this call on GPU 3 never returns (GPU -1: a call without a GPU)
 *   FAKE_HANG_TOO=...       and another one
 *   FAKE_CRASH=function:3   this call on GPU 3 ends the process with SIGSEGV
 *   FAKE_CRASH_ONCE=file    ... only while this file does not exist; it is made first
 *   FAKE_AWAY=file          while this file exists the driver is not loaded
 *   FAKE_PRINTS=noise       nvmlInit prints this to stdout
 *   FAKE_CONTROL=file       this file says what goes wrong from now on; it is read at every call
 *
 * The control file is described in fake_control.h, the figures that it sets in fake_figures.h.
 *
 * -DWITHOUT_V3 leaves out what older drivers do not export.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fake_control.h"

enum { SUCCESS = 0, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, TIMEOUT = 10, DRIVER_NOT_LOADED = 9, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7, GPU_IS_LOST = 15 };
enum { MOST_GPUS = 128, SLICES = 2, LINKS = 12 };

typedef struct { int gpu, slice; } Handle;
static Handle gpus[MOST_GPUS], slices[MOST_GPUS][SLICES];

static const unsigned long long GIB = 1024ull * 1024 * 1024;

static int number(const char *name, int otherwise) {
    const char *text = getenv(name);
    return text ? atoi(text) : otherwise;
}

static const char *word(const char *name, const char *otherwise) {
    const char *text = getenv(name);
    return text ? text : otherwise;
}

static int aimed_at(const char *variable, const char *function, int gpu) {
    char aim[128];
    snprintf(aim, sizeof aim, "%s:%d", function, gpu);
    return strcmp(word(variable, ""), aim) == 0;
}

/* Returns the error code to answer, 0 for none. */
static int misbehave(const char *function, int gpu) {
    if (aimed_at("FAKE_HANG", function, gpu) || aimed_at("FAKE_HANG_TOO", function, gpu))
        for (;;) pause();
    if (aimed_at("FAKE_CRASH", function, gpu)) {
        const char *once = getenv("FAKE_CRASH_ONCE");
        if (once && access(once, F_OK) == 0) return SUCCESS;
        if (once) fclose(fopen(once, "w"));
        signal(SIGSEGV, SIG_DFL);
        raise(SIGSEGV);
    }
    return obey_control(function, gpu);
}

static int is_away(void) { return access(word("FAKE_AWAY", ""), F_OK) == 0; }

/* Every call on a device starts like this. */
#define ENTER(handle)                                          \
    do {                                                       \
        int wrong = misbehave(__func__, (handle)->gpu);        \
        if (wrong) return wrong;                               \
        if (is_away()) return DRIVER_NOT_LOADED;               \
        if ((handle)->gpu == number("FAKE_LOST", -1)) return GPU_IS_LOST; \
    } while (0)

/* And every call without a device like this. */
#define ENTER_NODE()                                           \
    do {                                                       \
        int wrong = misbehave(__func__, -1);                   \
        if (wrong) return wrong;                               \
    } while (0)

const char *nvmlErrorString(int code) { (void)code; return "an error"; }

int nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    ENTER_NODE();
    puts(word("FAKE_PRINTS", ""));
    fflush(stdout);
    for (int i = 0; i < MOST_GPUS; i++) {
        gpus[i] = (Handle){i, -1};
        for (int k = 0; k < SLICES; k++) slices[i][k] = (Handle){i, k};
    }
    return is_away() ? DRIVER_NOT_LOADED : number("FAKE_INIT", SUCCESS);
}

int nvmlShutdown(void) { return SUCCESS; }

int nvmlDeviceGetCount_v2(unsigned *count) {
    ENTER_NODE();
    *count = (unsigned)number("FAKE_GPUS", 8);
    return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, Handle **handle) {
    *handle = &gpus[index];
    ENTER(*handle);
    return SUCCESS;
}

int nvmlDeviceGetName(Handle *handle, char *name, unsigned length) {
    ENTER(handle);
    snprintf(name, length, "%s", word("FAKE_PRODUCT", "NVIDIA A100-SXM4-80GB"));
    return SUCCESS;
}

int nvmlDeviceGetUUID(Handle *handle, char *uuid, unsigned length) {
    const char *machine = word("FAKE_UUID", "fake");
    ENTER(handle);
    if (handle->slice >= 0) snprintf(uuid, length, "MIG-%s-%d-%d", machine, handle->gpu, handle->slice);
    else snprintf(uuid, length, "GPU-%s-%d", machine, handle->gpu);
    return SUCCESS;
}

typedef struct {
    char legacy[16];
    unsigned domain, bus, device, pci_device, subsystem;
    char bus_id[32];
} Pci;

static void fill_pci(int gpu, Pci *info) {
    memset(info, 0, sizeof *info);
    snprintf(info->bus_id, sizeof info->bus_id, "00000000:%02X:00.0", 0x10 + gpu);
}

int nvmlDeviceGetPciInfo_v3(Handle *handle, Pci *info) {
    ENTER(handle);
    fill_pci(handle->gpu, info);
    return SUCCESS;
}

int nvmlDeviceGetCudaComputeCapability(Handle *handle, int *major, int *minor) {
    ENTER(handle);
    *major = 8; *minor = 0;
    return SUCCESS;
}

typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } MemoryV2;

static unsigned long long total_of(Handle *handle) { return (handle->slice >= 0 ? 20 : 80) * GIB; }

int nvmlDeviceGetMemoryInfo(Handle *handle, Memory *memory) {
    ENTER(handle);
    if (handle->gpu == number("FAKE_UNIFIED", -1)) return NOT_SUPPORTED;
    memory->total = total_of(handle);
    memory->used = 3 * GIB;
    memory->free = memory->total - memory->used;
    return SUCCESS;
}

#ifndef WITHOUT_V3
int nvmlDeviceGetMemoryInfo_v2(Handle *handle, MemoryV2 *memory) {
    ENTER(handle);
    if (handle->gpu == number("FAKE_UNIFIED", -1)) return NOT_SUPPORTED;
    memory->total = total_of(handle);
    memory->reserved = 1 * GIB;
    memory->used = 2 * GIB;
    memory->free = memory->total - memory->used - memory->reserved;
    return SUCCESS;
}
#endif

typedef struct { unsigned pid; unsigned long long bytes; unsigned gpu_instance, compute_instance; } Process;

static int process_on(Handle *handle) { return (int)control_value("pid", handle->gpu, number("FAKE_PID", 0)); }

static int list_processes(Handle *handle, unsigned *room, Process *processes) {
    int pid = process_on(handle), garbled = handle->gpu == number("FAKE_GARBLED", -1);
    if (!pid && !garbled) { *room = 0; return SUCCESS; }
    if (*room < 1 || !processes) { *room = 1; return INSUFFICIENT_SIZE; }
    *room = 1;
    unsigned long long bytes = (unsigned long long)control_value("process_mib", handle->gpu, 2048) << 20;
    processes[0] = (Process){garbled ? 0x7FFFFFFFu : (unsigned)pid, bytes, 0xFFFFFFFFu, 0xFFFFFFFFu};
    return SUCCESS;
}

#ifndef WITHOUT_V3
int nvmlDeviceGetComputeRunningProcesses_v3(Handle *handle, unsigned *room, Process *processes) {
    ENTER(handle);
    return list_processes(handle, room, processes);
}

int nvmlDeviceGetGraphicsRunningProcesses_v3(Handle *handle, unsigned *room, Process *processes) {
    ENTER(handle);
    (void)processes;
    *room = 0;
    return SUCCESS;
}
#endif

int nvmlDeviceGetComputeRunningProcesses_v2(Handle *handle, unsigned *room, Process *processes) {
    ENTER(handle);
    return list_processes(handle, room, processes);
}

int nvmlDeviceGetMigMode(Handle *handle, unsigned *current, unsigned *pending) {
    ENTER(handle);
    *current = *pending = handle->gpu == number("FAKE_MIG", -1) || handle->gpu == number("FAKE_MIG_EMPTY", -1);
    return SUCCESS;
}

int nvmlDeviceGetMaxMigDeviceCount(Handle *handle, unsigned *count) {
    ENTER(handle);
    *count = 7;
    return SUCCESS;
}

int nvmlDeviceGetMigDeviceHandleByIndex(Handle *handle, unsigned index, Handle **slice) {
    ENTER(handle);
    if (handle->gpu == number("FAKE_MIG_EMPTY", -1)) return NOT_FOUND;
    /* Slices 0 and 2 exist: gaps are ordinary. */
    if (index != 0 && index != 2) return NOT_FOUND;
    *slice = &slices[handle->gpu][index / 2];
    return SUCCESS;
}

static int linked(int a, int b) {
    const char *kind = word("FAKE_NVLINK", "switch");
    if (strcmp(kind, "none") == 0) return 0;
    if (strcmp(kind, "cube") == 0) return a / 4 == b / 4 || a % 4 == b % 4;
    return 1;
}

int nvmlDeviceGetP2PStatus(Handle *a, Handle *b, int index, int *status) {
    ENTER(a);
    ENTER(b);
    if (index != 2 || strcmp(word("FAKE_NVLINK", ""), "links") == 0) return NOT_SUPPORTED;
    *status = linked(a->gpu, b->gpu) ? 0 : 5;
    return SUCCESS;
}

typedef struct {
    unsigned version;
    unsigned char cluster[16];
    unsigned status, clique;
    unsigned char state;
    unsigned health;
} Fabric;

int nvmlDeviceGetGpuFabricInfoV(Handle *handle, Fabric *fabric) {
    ENTER(handle);
    int kind = number("FAKE_FABRIC", 0);
    if (!kind) return NOT_SUPPORTED;
    memset(fabric->cluster, 0xAB, sizeof fabric->cluster);
    fabric->status = 0;
    fabric->clique = 7;
    fabric->state = kind == 1 ? 3 : 2;
    fabric->health = (unsigned)control_value("fabric_health", handle->gpu, 0);
    return SUCCESS;
}

#include "fake_figures.h"
