/* libFuzzer's two functions, around an embedded Python that holds the properties of target.py.
 *
 * Embedding instead of preloading: the sanitizers' runtime and libFuzzer are in the program, so
 * that the extensions it loads find both, and one compiler makes all of it. What is instrumented
 * guides the fuzzer: the extensions are, Python is not.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <sanitizer/allocator_interface.h>
#include <stdint.h>
#include <stdlib.h>

enum {
    TIMES = 6,   /* more than Python's own caches grow in a row */
    FIRST = 500, /* about as many as there are seeds */
    ONE_IN = 64
};

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
 * FUZZ_BUILD the directory of the instrumented copy. */
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
    module = PyImport_ImportModule("fuzz.target");
    if (module == NULL || (one_input = PyObject_GetAttrString(module, "one_input")) == NULL)
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

/* Memory that something still points at is none that LeakSanitizer misses, but a recorder that
 * runs for months does: the same input again and again must not take more each time. */
static void check_growth(const uint8_t *data, size_t size)
{
    size_t before, after;
    int grown = 0;
    before = __sanitizer_get_current_allocated_bytes();
    while (grown < TIMES) {
        run(data, size);
        after = __sanitizer_get_current_allocated_bytes();
        if (after <= before)
            return;
        before = after;
        grown++;
    }
    fprintf(stderr, "the same input takes more memory each of %d times\n", TIMES);
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned long inputs;
    run(data, size);
    if (inputs++ < FIRST || inputs % ONE_IN == 0)
        check_growth(data, size);
    return 0;
}
