/* The figures of the fake library. Each has a name and a default; `set NAME GPU NUMBER` in the control file
 * changes it while the process runs, and a negative number means 'not supported by this GPU'.
 *
 * Now:     utilization memory_busy encoder decoder temperature memory_temperature fan power_mw power_limit_mw
 *          energy_mj sm_clock memory_clock performance_state throttle_reasons (a bit mask)
 * Fixed:   max_sm_clock max_memory_clock slowdown_temperature shutdown_temperature max_memory_temperature
 *          default_power_limit_mw max_power_limit_mw max_pcie_generation max_pcie_width links
 * Slow:    pcie_generation pcie_width pcie_replays pcie_received_kib pcie_sent_kib (per second)
 *          links_down (a bit mask) link_version link_mb_per_s link_received_kib link_sent_kib link_replays
 *          volatile_corrected volatile_uncorrected aggregate_corrected aggregate_uncorrected
 *          remapped_corrected remapped_uncorrected remap_pending remap_failed
 *          retired_pages retirement_pending recovery_action bar1_used_mib fabric_health (a bit mask)
 *          xid (reported once each time it changes; 0: none)
 * Process: pid process_sm process_mib
 */

/* Answer a figure of a GPU under its name. */
static int figure(const char *name, Handle *handle, long long otherwise, unsigned *out) {
    long long value = control_value(name, handle->gpu, otherwise);
    if (value < 0) return NOT_SUPPORTED;
    *out = (unsigned)value;
    return SUCCESS;
}

static int wide_figure(const char *name, Handle *handle, long long otherwise, unsigned long long *out) {
    long long value = control_value(name, handle->gpu, otherwise);
    if (value < 0) return NOT_SUPPORTED;
    *out = (unsigned long long)value;
    return SUCCESS;
}

/* ---- the node ---- */

int nvmlSystemGetDriverVersion(char *version, unsigned length) {
    ENTER_NODE();
    snprintf(version, length, "%s", word("FAKE_DRIVER", "550.163.01"));
    return SUCCESS;
}

int nvmlSystemGetCudaDriverVersion_v2(int *version) {
    ENTER_NODE();
    *version = number("FAKE_CUDA", 12040);
    return SUCCESS;
}

int nvmlSystemGetCudaDriverVersion(int *version) { return nvmlSystemGetCudaDriverVersion_v2(version); }

/* ---- now ---- */

int nvmlDeviceGetUtilizationRates(Handle *handle, unsigned *rates) {
    ENTER(handle);
    if (handle->slice >= 0) return NOT_SUPPORTED;
    int failed = figure("utilization", handle, 40 + handle->gpu, &rates[0]);
    return failed ? failed : figure("memory_busy", handle, 5, &rates[1]);
}

int nvmlDeviceGetEncoderUtilization(Handle *handle, unsigned *percent, unsigned *period_us) {
    ENTER(handle);
    *period_us = 167000;
    return handle->slice >= 0 ? NOT_SUPPORTED : figure("encoder", handle, 2, percent);
}

int nvmlDeviceGetDecoderUtilization(Handle *handle, unsigned *percent, unsigned *period_us) {
    ENTER(handle);
    *period_us = 167000;
    return handle->slice >= 0 ? NOT_SUPPORTED : figure("decoder", handle, 3, percent);
}

int nvmlDeviceGetTemperature(Handle *handle, int sensor, unsigned *celsius) {
    ENTER(handle);
    (void)sensor;
    int placeholder = handle->gpu == number("FAKE_PLACEHOLDERS", -1);
    return figure("temperature", handle, placeholder ? 0xFFFFFFFFll : 50 + handle->gpu, celsius);
}

int nvmlDeviceGetFanSpeed(Handle *handle, unsigned *percent) {
    ENTER(handle);
    return figure("fan", handle, -1, percent);
}

int nvmlDeviceGetPowerUsage(Handle *handle, unsigned *milliwatts) {
    ENTER(handle);
    int placeholder = handle->gpu == number("FAKE_PLACEHOLDERS", -1);
    return figure("power_mw", handle, placeholder ? 0xFFFFFFFFll : 123456, milliwatts);
}

int nvmlDeviceGetEnforcedPowerLimit(Handle *handle, unsigned *milliwatts) {
    ENTER(handle);
    return figure("power_limit_mw", handle, 400000, milliwatts);
}

int nvmlDeviceGetTotalEnergyConsumption(Handle *handle, unsigned long long *millijoules) {
    ENTER(handle);
    return wide_figure("energy_mj", handle, 987654321000ll + handle->gpu, millijoules);
}

int nvmlDeviceGetPerformanceState(Handle *handle, unsigned *state) {
    ENTER(handle);
    return figure("performance_state", handle, 0, state);
}

enum { SM = 1, MEMORY = 2 };

int nvmlDeviceGetClockInfo(Handle *handle, int kind, unsigned *mhz) {
    ENTER(handle);
    if (kind == MEMORY) return figure("memory_clock", handle, 1593, mhz);
    return figure("sm_clock", handle, 1275 + handle->gpu, mhz);
}

int nvmlDeviceGetCurrentClocksThrottleReasons(Handle *handle, unsigned long long *reasons) {
    ENTER(handle);
    return wide_figure("throttle_reasons", handle, 0, reasons);
}

#ifndef WITHOUT_V3
int nvmlDeviceGetCurrentClocksEventReasons(Handle *handle, unsigned long long *reasons) {
    ENTER(handle);
    return wide_figure("throttle_reasons", handle, 0, reasons);
}
#endif

/* ---- fixed ---- */

int nvmlDeviceGetMaxClockInfo(Handle *handle, int kind, unsigned *mhz) {
    ENTER(handle);
    if (kind == MEMORY) return figure("max_memory_clock", handle, 1593, mhz);
    return figure("max_sm_clock", handle, 1410, mhz);
}

int nvmlDeviceGetTemperatureThreshold(Handle *handle, int threshold, unsigned *celsius) {
    static const char *names[] = {"shutdown_temperature", "slowdown_temperature", "max_memory_temperature"};
    static const int defaults[] = {95, 92, 98};
    ENTER(handle);
    if (threshold < 0 || threshold > 2) return NOT_SUPPORTED;
    return figure(names[threshold], handle, defaults[threshold], celsius);
}

int nvmlDeviceGetPowerManagementDefaultLimit(Handle *handle, unsigned *milliwatts) {
    ENTER(handle);
    return figure("default_power_limit_mw", handle, 400000, milliwatts);
}

int nvmlDeviceGetPowerManagementLimit(Handle *handle, unsigned *milliwatts) {
    ENTER(handle);
    return figure("power_limit_mw", handle, 400000, milliwatts);
}

int nvmlDeviceGetPowerManagementLimitConstraints(Handle *handle, unsigned *least, unsigned *most) {
    ENTER(handle);
    *least = 100000;
    return figure("max_power_limit_mw", handle, 500000, most);
}

int nvmlDeviceGetMaxPcieLinkGeneration(Handle *handle, unsigned *generation) {
    ENTER(handle);
    return figure("max_pcie_generation", handle, 4, generation);
}

int nvmlDeviceGetMaxPcieLinkWidth(Handle *handle, unsigned *width) {
    ENTER(handle);
    return figure("max_pcie_width", handle, 16, width);
}

typedef struct {
    unsigned multiprocessors, copy_engines, decoders, encoders, jpeg, ofa, gpu_slices, compute_slices;
    unsigned long long memory_mb;
} Attributes;

int nvmlDeviceGetAttributes_v2(Handle *handle, Attributes *attributes) {
    ENTER(handle);
    if (handle->slice < 0) return NOT_SUPPORTED;
    memset(attributes, 0, sizeof *attributes);
    attributes->gpu_slices = 2;
    attributes->compute_slices = (unsigned)handle->slice + 1;
    attributes->memory_mb = 19968;
    return SUCCESS;
}

/* Two GPUs share a PCIe switch, four a host bridge, eight a machine of two sockets. */
int nvmlDeviceGetTopologyCommonAncestor(Handle *a, Handle *b, int *level) {
    ENTER(a);
    ENTER(b);
    *level = a->gpu / 2 == b->gpu / 2 ? 10 : a->gpu / 4 == b->gpu / 4 ? 30 : 50;
    return SUCCESS;
}

/* ---- slow: PCIe ---- */

int nvmlDeviceGetCurrPcieLinkGeneration(Handle *handle, unsigned *generation) {
    ENTER(handle);
    return figure("pcie_generation", handle, 4, generation);
}

int nvmlDeviceGetCurrPcieLinkWidth(Handle *handle, unsigned *width) {
    ENTER(handle);
    return figure("pcie_width", handle, 16, width);
}

int nvmlDeviceGetPcieReplayCounter(Handle *handle, unsigned *replays) {
    ENTER(handle);
    return figure("pcie_replays", handle, 0, replays);
}

int nvmlDeviceGetPcieThroughput(Handle *handle, int direction, unsigned *kib_per_s) {
    ENTER(handle);
    if (direction == 1) return figure("pcie_received_kib", handle, 2000, kib_per_s);
    return figure("pcie_sent_kib", handle, 1000, kib_per_s);
}

/* ---- slow: NVLink ---- */

static int no_links(void) { return strcmp(word("FAKE_NVLINK", "switch"), "none") == 0; }

static int no_such_link(Handle *handle, unsigned link) {
    return (long long)link >= control_value("links", handle->gpu, LINKS);
}

int nvmlDeviceGetNvLinkState(Handle *handle, unsigned link, unsigned *active) {
    ENTER(handle);
    if (no_links()) return NOT_SUPPORTED;
    if (no_such_link(handle, link)) return INVALID_ARGUMENT;
    *active = !(control_value("links_down", handle->gpu, 0) >> link & 1);
    return SUCCESS;
}

int nvmlDeviceGetNvLinkVersion(Handle *handle, unsigned link, unsigned *version) {
    ENTER(handle);
    if (no_such_link(handle, link)) return INVALID_ARGUMENT;
    return figure("link_version", handle, 3, version);
}

/* By links alone: GPUs 0 and 1 are joined by a bridge, all others hang on a switch. */
int nvmlDeviceGetNvLinkRemoteDeviceType(Handle *handle, unsigned link, unsigned *type) {
    ENTER(handle);
    (void)link;
    *type = handle->gpu < 2 && strcmp(word("FAKE_NVLINK", ""), "links") == 0 ? 0 : 2;
    return SUCCESS;
}

int nvmlDeviceGetNvLinkRemotePciInfo_v2(Handle *handle, unsigned link, Pci *info) {
    ENTER(handle);
    (void)link;
    fill_pci(handle->gpu ^ 1, info);
    return SUCCESS;
}

int nvmlDeviceGetNvLinkErrorCounter(Handle *handle, unsigned link, int counter, unsigned long long *errors) {
    ENTER(handle);
    if (no_such_link(handle, link)) return INVALID_ARGUMENT;
    *errors = 0;
    return counter == 0 ? wide_figure("link_replays", handle, 0, errors) : SUCCESS;
}

/* ---- slow: fields ---- */

typedef struct {
    unsigned field, scope;
    long long timestamp_us, latency_us;
    unsigned type, result;
    union { double real; unsigned narrow; unsigned long long wide; } value;
} Field;

enum {
    MEMORY_TEMPERATURE = 82, LINK_SPEED_COMMON = 90, LINK_COUNT = 91, LINK_SENT = 138, LINK_RECEIVED = 139,
    LINK_REPLAY = 161, LINK_RECOVERY = 162, LINK_CRC = 163, LINK_SPEED = 164, RECOVERY_ACTION = 230,
};

static unsigned narrow(Field *field, const char *name, Handle *handle, long long otherwise) {
    field->type = 1;
    return (unsigned)figure(name, handle, otherwise, &field->value.narrow);
}

static unsigned wide(Field *field, const char *name, Handle *handle, long long otherwise) {
    field->type = 3;
    return (unsigned)wide_figure(name, handle, otherwise, &field->value.wide);
}

static unsigned answer_field(Handle *handle, Field *field) {
    int of_link = field->field >= LINK_SENT && field->field <= LINK_SPEED;
    if (of_link && (no_links() || no_such_link(handle, field->scope))) return INVALID_ARGUMENT;
    switch (field->field) {
    case MEMORY_TEMPERATURE: return narrow(field, "memory_temperature", handle, 60 + handle->gpu);
    case LINK_COUNT: return narrow(field, "links", handle, no_links() ? 0 : LINKS);
    case LINK_SPEED_COMMON:
    case LINK_SPEED: return narrow(field, "link_mb_per_s", handle, 25781);
    case LINK_SENT: return wide(field, "link_sent_kib", handle, 1000 + (long long)field->scope);
    case LINK_RECEIVED: return wide(field, "link_received_kib", handle, 2000 + (long long)field->scope);
    case LINK_REPLAY: return wide(field, "link_replays", handle, 0);
    case LINK_RECOVERY:
    case LINK_CRC: return wide(field, "link_other_errors", handle, 0);
    case RECOVERY_ACTION: return narrow(field, "recovery_action", handle, 0);
    default: return NOT_SUPPORTED;
    }
}

int nvmlDeviceGetFieldValues(Handle *handle, int count, Field *fields) {
    ENTER(handle);
    for (int i = 0; i < count; i++) fields[i].result = answer_field(handle, &fields[i]);
    return SUCCESS;
}

/* ---- slow: memory and its errors ---- */

int nvmlDeviceGetTotalEccErrors(Handle *handle, int kind, int counter, unsigned long long *errors) {
    static const char *names[2][2] = {{"volatile_corrected", "aggregate_corrected"},
                                      {"volatile_uncorrected", "aggregate_uncorrected"}};
    ENTER(handle);
    return wide_figure(names[kind == 1][counter == 1], handle, 0, errors);
}

int nvmlDeviceGetRemappedRows(Handle *handle, unsigned *corrected, unsigned *uncorrected, unsigned *pending,
                              unsigned *failed) {
    ENTER(handle);
    figure("remapped_uncorrected", handle, 0, uncorrected);
    figure("remap_pending", handle, 0, pending);
    figure("remap_failed", handle, handle->gpu == number("FAKE_BROKEN_ROWS", -1), failed);
    return figure("remapped_corrected", handle, 0, corrected);
}

int nvmlDeviceGetRetiredPages(Handle *handle, int cause, unsigned *count, unsigned long long *addresses) {
    unsigned pages;
    ENTER(handle);
    int failed = figure("retired_pages", handle, -1, &pages);
    if (failed) return failed;
    if (cause != 0) pages = 0;
    if (*count < pages) { *count = pages; return INSUFFICIENT_SIZE; }
    for (unsigned i = 0; i < pages && addresses; i++) addresses[i] = i;
    *count = pages;
    return SUCCESS;
}

int nvmlDeviceGetRetiredPagesPendingStatus(Handle *handle, unsigned *pending) {
    ENTER(handle);
    return figure("retirement_pending", handle, -1, pending);
}

int nvmlDeviceGetBAR1MemoryInfo(Handle *handle, unsigned long long *sizes) {
    unsigned used;
    ENTER(handle);
    int failed = figure("bar1_used_mib", handle, 7, &used);
    if (failed) return failed;
    sizes[0] = 128 * GIB;
    sizes[2] = used * 1024ull * 1024;
    sizes[1] = sizes[0] - sizes[2];
    return SUCCESS;
}

/* ---- processes ---- */

typedef struct { unsigned pid; unsigned long long timestamp_us; unsigned sm, memory, encoder, decoder; } Use;

int nvmlDeviceGetProcessUtilization(Handle *handle, Use *uses, unsigned *count, unsigned long long since_us) {
    unsigned sm;
    ENTER(handle);
    (void)since_us;
    if (handle->slice >= 0) return NOT_SUPPORTED;
    int pid = process_on(handle), failed = figure("process_sm", handle, 30 + handle->gpu, &sm);
    if (failed) return failed;
    if (!pid || !sm) return NOT_FOUND;
    if (*count < 1 || !uses) { *count = 1; return INSUFFICIENT_SIZE; }
    *count = 1;
    uses[0] = (Use){(unsigned)pid, 1000000ull * (unsigned long long)time(NULL), sm, 4, 0, 0};
    return SUCCESS;
}

/* ---- Xids ---- */

typedef struct { Handle *device; unsigned long long type, data; unsigned gpu_instance, compute_instance; } Event;
enum { XID = 8 };
static int watched[MOST_GPUS], reported[MOST_GPUS];

int nvmlEventSetCreate(void **set) {
    ENTER_NODE();
    *set = &watched;
    return SUCCESS;
}

int nvmlEventSetFree(void *set) { (void)set; return SUCCESS; }

int nvmlDeviceRegisterEvents(Handle *handle, unsigned long long types, void *set) {
    ENTER(handle);
    (void)set;
    if (control_value("xid", handle->gpu, 0) < 0) return NOT_SUPPORTED;
    watched[handle->gpu] = (types & XID) != 0;
    return SUCCESS;
}

int nvmlEventSetWait_v2(void *set, Event *event, unsigned timeout_ms) {
    ENTER_NODE();
    (void)set;
    for (int gpu = 0; gpu < MOST_GPUS; gpu++) {
        int xid = watched[gpu] ? (int)control_value("xid", gpu, 0) : 0;
        if (xid == reported[gpu]) continue;
        reported[gpu] = xid;
        if (!xid) continue;
        *event = (Event){&gpus[gpu], XID, (unsigned long long)xid, 0xFFFFFFFFu, 0xFFFFFFFFu};
        return SUCCESS;
    }
    usleep(timeout_ms * 1000);
    return TIMEOUT;
}

/* ---- what the probe does not ask, but other readers do ---- */

#define NOT_OF_THIS_GPU(name) \
    int name(Handle *handle, void *first, void *second) { ENTER(handle); (void)first; (void)second; return NOT_SUPPORTED; }

NOT_OF_THIS_GPU(nvmlDeviceGetComputeMode)
NOT_OF_THIS_GPU(nvmlDeviceGetDisplayActive)
NOT_OF_THIS_GPU(nvmlDeviceGetDisplayMode)
NOT_OF_THIS_GPU(nvmlDeviceGetDriverModel)
NOT_OF_THIS_GPU(nvmlDeviceGetPersistenceMode)
