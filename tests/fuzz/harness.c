/* libFuzzer's two functions, around an embedded Python that holds the properties of a target.
 *
 * Embedding instead of preloading: the sanitizers' runtime and libFuzzer are in the program, so
 * that the extensions it loads find both, and one compiler makes all of it. What is instrumented
 * guides the fuzzer: the extensions are, Python is not.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <sanitizer/allocator_interface.h>
#include <sanitizer/lsan_interface.h>
#include <stdint.h>
#include <stdlib.h>

/* More often than Python's own caches grow in a row. */
enum { TIMES = 6 };

static PyObject *one_input;

static void give_up(void)
{
    PyErr_Print();
    fflush(stderr);
    abort();
}

static void check(PyStatus status)
{
    if (PyStatus_Exception(status))
        Py_ExitStatusException(status);
}

/* FUZZ_PYTHON is the interpreter whose packages are used, a virtual environment's for example;
 * FUZZ_BUILD the directory of the instrumented copy, FUZZ_TARGET the module that is fuzzed. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    PyPreConfig before;
    PyConfig config;
    PyObject *module;
    (void)argc;
    (void)argv;
    PyPreConfig_InitPythonConfig(&before);
    /* An allocation of Python's each has red zones, too, and none is handed out twice at once. */
    before.allocator = PYMEM_ALLOCATOR_MALLOC;
    check(Py_PreInitialize(&before));
    PyConfig_InitPythonConfig(&config);
    config.install_signal_handlers = 0; /* they are libFuzzer's */
    config.write_bytecode = 0;
    check(PyConfig_SetBytesString(&config, &config.program_name, getenv("FUZZ_PYTHON")));
    check(PyConfig_SetBytesString(&config, &config.pythonpath_env, getenv("FUZZ_BUILD")));
    check(Py_InitializeFromConfig(&config));
    PyConfig_Clear(&config);
    module = PyImport_ImportModule(getenv("FUZZ_TARGET"));
    if (module == NULL || (one_input = PyObject_GetAttrString(module, "one_input")) == NULL)
        give_up();
    /* What is there now is for good: collections need not go through it each time. */
    if (PyRun_SimpleString("import gc; gc.collect(); gc.freeze()") != 0)
        give_up();
    return 0;
}

static void run(const uint8_t *data, size_t size)
{
    PyObject *input = PyBytes_FromStringAndSize((const char *)data, (Py_ssize_t)size);
    PyObject *result = input == NULL ? NULL : PyObject_CallOneArg(one_input, input);
    if (result == NULL)
        give_up();
    Py_DECREF(result);
    Py_DECREF(input);
}

static size_t allocated_bytes(void)
{
    PyGC_Collect();
    /* Which holds names: where C asks for an attribute by text, another string each time. */
    PyType_ClearCache();
    return __sanitizer_get_current_allocated_bytes();
}

/* The same input again and again must not take more memory each time, be it lost or, which
 * LeakSanitizer does not mind, still pointed at. */
static void check_growth(const uint8_t *data, size_t size)
{
    size_t before = allocated_bytes();
    for (int time = 0; time < TIMES; time++) {
        size_t after;
        run(data, size);
        after = allocated_bytes();
        if (after <= before)
            return;
        before = after;
    }
    fprintf(stderr, "the same input takes more memory each of %d times\n", TIMES);
    __lsan_do_recoverable_leak_check();
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t before = __sanitizer_get_current_allocated_bytes();
    run(data, size);
    if (__sanitizer_get_current_allocated_bytes() > before)
        check_growth(data, size);
    return 0;
}
