/*
 * anemone from C: MIL programs on the Neural Engine of Apple's chips, and on the software engine where there is none.
 *
 *     ane_init();
 *     ane_kernel *kernel;
 *     if (ane_compile(&kernel, text, weights, 1) != ANE_OK) fprintf(stderr, "%s\n", ane_last_error());
 *     ane_write_input_f32(kernel, 0, x, n);
 *     ane_run(kernel);
 *     ane_read_output_f32(kernel, 0, y, m);
 *     ane_free(kernel);
 *
 * Every function may be called from any thread. Calls on one kernel take turns. Every function but ane_last_error gives
 * ANE_OK or one of the codes below; a call that fails has changed nothing but what ane_last_error says. A kernel that was
 * freed, or never was one, is an error and no crash. Sizes are counted in bytes, and lengths in elements.
 *
 * Link libanemone_c.a (on Linux with -lpthread -ldl -lm) or libanemone_c.so.
 */
#ifndef ANEMONE_H
#define ANEMONE_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a call came to. */
enum {
    ANE_OK = 0,
    ANE_ERROR_ARGUMENT = 1,        /* an argument makes no sense: NULL, a size, an index, a kernel that is none */
    ANE_ERROR_NOT_INITIALIZED = 2, /* ane_init has not been called, or has failed */
    ANE_ERROR_NO_ENGINE = 3,       /* the engine of this machine cannot be reached */
    ANE_ERROR_PROGRAM = 4,         /* the program is wrong: ane_last_error says where */
    ANE_ERROR_COMPILE = 5,         /* the engine's compiler refuses the program */
    ANE_ERROR_BUDGET = 6,          /* this process has compiled as many programs as the system lets it: start another */
    ANE_ERROR_LOAD = 7,            /* the engine does not load the program */
    ANE_ERROR_RUN = 8,             /* the engine does not run it */
    ANE_ERROR_MEMORY = 9,          /* memory for a tensor cannot be made, or is in use */
    ANE_ERROR_INTERNAL = 10        /* a fault of anemone's own: please report it */
};

/* A compiled and loaded program, with memory for its inputs and outputs. */
typedef struct ane_kernel ane_kernel;

/* A weight file, by the path with which the program names it, such as "@model_path/weights/weight.bin". */
typedef struct ane_weight {
    const char *path;
    const void *data;
    size_t size;
} ane_weight;

/* Opens the engine that there is: the hardware's, else the software engine. Calls after the first that succeeded do
 * nothing. */
int ane_init(void);

/* Compiles and loads a program of MIL text, and sets *kernel. The text ends with a zero byte; text and weights are copied.
 * Of a program with several functions it is the first. */
int ane_compile(ane_kernel **kernel, const char *mil_text, const ane_weight *weights, size_t weight_count);

/* Runs the program on what was written, and returns when the outputs are there. */
int ane_run(ane_kernel *kernel);

/* Unloads the program and gives its memory back. NULL is fine. A run of another thread ends first. */
int ane_free(ane_kernel *kernel);

/* What the last call of this thread that failed says, in UTF-8: an empty text if none has. It stays until another call of
 * this thread fails. */
const char *ane_last_error(void);

/* How many inputs and outputs there are. They are numbered in the order of the program. */
int ane_input_count(ane_kernel *kernel, size_t *count);
int ane_output_count(ane_kernel *kernel, size_t *count);

/* The bytes of all elements of an input or output, as the program declares them, without any padding. */
int ane_input_size(ane_kernel *kernel, size_t input, size_t *size);
int ane_output_size(ane_kernel *kernel, size_t output, size_t *size);

/* Writes an input and reads an output: the bytes of all elements, in the order of the tensor. */
int ane_write_input(ane_kernel *kernel, size_t input, const void *data, size_t size);
int ane_read_output(ane_kernel *kernel, size_t output, void *data, size_t size);

/* The same of tensors of fp16 or fp32, as float: each is rounded once when it is written. */
int ane_write_input_f32(ane_kernel *kernel, size_t input, const float *values, size_t length);
int ane_read_output_f32(ane_kernel *kernel, size_t output, float *values, size_t length);

#ifdef __cplusplus
}
#endif

#endif
