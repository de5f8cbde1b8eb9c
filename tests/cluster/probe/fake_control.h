/* The control file of the fake library (FAKE_CONTROL=file), read at every call.
 *
 * Each line of the control file is `VERB FUNCTION GPU [NUMBER]`. FUNCTION is the name in C, with or without
 * its version (nvmlDeviceGetCount, nvmlDeviceGetCount_v2), or * for all. GPU is an index, * for all GPUs, or
 * -1 for calls without a GPU. The first line that fits a call is obeyed; without the file, none.
 *   hang nvmlDeviceGetName 3        does not return as long as the file says so
 *   crash nvmlDeviceGetName 3       ends the process with SIGSEGV
 *   abort nvmlDeviceGetName 3       ends it with SIGABRT
 *   exit nvmlDeviceGetName 3 1      ends it with this exit status
 *   slow * * 50                     takes this many milliseconds longer; the next line that fits is obeyed too
 *   error nvmlDeviceGetName 3 999   answers this error code
 *   set temperature 3 91            a value: see control_value
 * Write another file and rename it over this one, so that no half line is read.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fits(const char *wanted, const char *function) {
    size_t length = strlen(wanted);
    if (strcmp(wanted, "*") == 0) return 1;
    if (strncmp(wanted, function, length) != 0) return 0;
    return function[length] == 0 || (function[length] == '_' && function[length + 1] == 'v');
}

static int gpu_fits(const char *wanted, int gpu) {
    return strcmp(wanted, "*") == 0 ? gpu >= 0 : atoi(wanted) == gpu;
}

/* The number of the first line of the control file with this verb for a function (or value) and GPU. */
static int controlled(const char *verb, const char *function, int gpu, long long *number_out) {
    const char *path = getenv("FAKE_CONTROL");
    FILE *file = path ? fopen(path, "r") : NULL;
    char line[256], its_verb[32], its_function[128], its_gpu[32];
    int found = 0;
    if (!file) return 0;
    while (!found && fgets(line, sizeof line, file)) {
        long long value = 0;
        int parts = sscanf(line, "%31s %127s %31s %lld", its_verb, its_function, its_gpu, &value);
        if (parts < 3 || strcmp(its_verb, verb) != 0) continue;
        if (!fits(its_function, function) || !gpu_fits(its_gpu, gpu)) continue;
        if (number_out) *number_out = value;
        found = 1;
    }
    fclose(file);
    return found;
}

/* A value that `set NAME GPU NUMBER` of the control file gives, else `otherwise`. */
static long long __attribute__((unused)) control_value(const char *name, int gpu, long long otherwise) {
    long long value;
    return controlled("set", name, gpu, &value) ? value : otherwise;
}

/* Do what the control file says; returns the error code to answer, 0 for none. */
static int obey_control(const char *function, int gpu) {
    long long number_given = 0;
    if (!getenv("FAKE_CONTROL")) return 0;
    if (controlled("slow", function, gpu, &number_given)) usleep((useconds_t)(number_given * 1000));
    while (controlled("hang", function, gpu, NULL)) usleep(10000);
    if (controlled("crash", function, gpu, NULL)) { signal(SIGSEGV, SIG_DFL); raise(SIGSEGV); }
    if (controlled("abort", function, gpu, NULL)) { signal(SIGABRT, SIG_DFL); abort(); }
    if (controlled("exit", function, gpu, &number_given)) exit((int)number_given);
    number_given = 0;
    controlled("error", function, gpu, &number_given);
    return (int)number_given;
}
