/* Uses every function of the header, as a program of somebody else's would. It ends with 0 if all is as the header says. */

#include "anemone.h"

#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void failed(int line, const char *what) {
    fprintf(stderr, "use.c:%d: %s; the last error is: %s\n", line, what, ane_last_error());
    exit(1);
}

#define CHECK(what) ((what) ? (void)0 : failed(__LINE__, #what))
#define OK(call) CHECK((call) == ANE_OK)
#define FAILS(call, code, word) \
    (CHECK((call) == (code)), CHECK(strstr(ane_last_error(), (word)) != NULL))

/* y = x * w + b, of which w and b lie in weight files, in rows that the engine fills up. */
static const char TEXT[] =
    "program(1.3) { func main<ios18>(tensor<fp16, [1, 2, 1, 3]> x) {\n"
    "    tensor<fp16, [1, 2, 1, 3]> w = const()[name = string(\"w\"), val = tensor<fp16, [1, 2, 1, 3]>(\n"
    "        BLOBFILE(path = string(\"@model_path/weights/w.bin\"), offset = uint64(64)))];\n"
    "    tensor<fp16, [1, 2, 1, 3]> b = const()[name = string(\"b\"), val = tensor<fp16, [1, 2, 1, 3]>(\n"
    "        BLOBFILE(path = string(\"@model_path/weights/b.bin\"), offset = uint64(64)))];\n"
    "    tensor<fp16, [1, 2, 1, 3]> z = mul(x = x, y = w);\n"
    "    tensor<fp16, [1, 2, 1, 3]> y = add(x = z, y = b); } -> (y, z); }";

/* A weight file of six fp16 numbers that are all this one. */
static void weight_file(unsigned char file[140], uint16_t number) {
    memset(file, 0, 140);
    file[0] = 1; /* one blob */
    file[4] = 2; /* the version */
    const unsigned char record[] = {0xef, 0xbe, 0xad, 0xde, 1, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 128};
    memcpy(file + 64, record, sizeof record);
    for (int i = 0; i < 6; i++) {
        file[128 + 2 * i] = (unsigned char)(number & 0xff);
        file[129 + 2 * i] = (unsigned char)(number >> 8);
    }
}

static ane_kernel *compile(void) {
    unsigned char w[140], b[140];
    weight_file(w, 0x4000); /* 2 */
    weight_file(b, 0x3800); /* 0.5 */
    const ane_weight weights[] = {
        {"@model_path/weights/w.bin", w, sizeof w},
        {"@model_path/weights/b.bin", b, sizeof b},
    };
    ane_kernel *kernel = NULL;
    OK(ane_compile(&kernel, TEXT, weights, 2));
    CHECK(kernel != NULL);
    /* They were copied. */
    memset(w, 0, sizeof w);
    return kernel;
}

static void before_the_beginning(void) {
    ane_kernel *kernel = (ane_kernel *)&kernel;
    CHECK(strcmp(ane_last_error(), "") == 0);
    FAILS(ane_compile(&kernel, TEXT, NULL, 0), ANE_ERROR_NOT_INITIALIZED, "ane_init");
    CHECK(kernel == (ane_kernel *)&kernel);
}

static void programs_are_run(void) {
    ane_kernel *kernel = compile();
    size_t inputs = 0, outputs = 0, in_size = 0, out_size = 0;
    OK(ane_input_count(kernel, &inputs));
    OK(ane_output_count(kernel, &outputs));
    OK(ane_input_size(kernel, 0, &in_size));
    OK(ane_output_size(kernel, 1, &out_size));
    CHECK(inputs == 1 && outputs == 2 && in_size == 12 && out_size == 12);
    for (int round = 0; round < 3; round++) {
        float x[6], y[6], z[6];
        for (int i = 0; i < 6; i++) x[i] = (float)(i + round);
        OK(ane_write_input_f32(kernel, 0, x, 6));
        OK(ane_run(kernel));
        OK(ane_read_output_f32(kernel, 0, y, 6));
        OK(ane_read_output_f32(kernel, 1, z, 6));
        for (int i = 0; i < 6; i++) CHECK(z[i] == 2 * x[i] && y[i] == 2 * x[i] + 0.5f);
    }
    /* As bytes: 1 in fp16 is 0x3c00. */
    uint16_t bits[6], result[6];
    for (int i = 0; i < 6; i++) bits[i] = 0x3c00;
    OK(ane_write_input(kernel, 0, bits, sizeof bits));
    OK(ane_run(kernel));
    OK(ane_read_output(kernel, 0, result, sizeof result));
    for (int i = 0; i < 6; i++) CHECK(result[i] == 0x4100); /* 2.5 */
    OK(ane_free(kernel));
}

static void wrong_arguments_are_errors(void) {
    ane_kernel *kernel = compile();
    float x[7] = {0};
    size_t n = 0;
    FAILS(ane_write_input_f32(kernel, 0, x, 5), ANE_ERROR_ARGUMENT, "takes 6, and 5 were given");
    FAILS(ane_write_input_f32(kernel, 0, x, 7), ANE_ERROR_ARGUMENT, "takes 6, and 7 were given");
    FAILS(ane_write_input_f32(kernel, 0, NULL, 6), ANE_ERROR_ARGUMENT, "NULL");
    FAILS(ane_write_input_f32(kernel, 1, x, 6), ANE_ERROR_ARGUMENT, "no input 1");
    FAILS(ane_write_input_f32(kernel, 0, x, SIZE_MAX), ANE_ERROR_ARGUMENT, "more than there can be");
    FAILS(ane_write_input_f32(kernel, 0, (const float *)((const char *)x + 1), 6), ANE_ERROR_ARGUMENT, "begin");
    FAILS(ane_write_input(kernel, 0, x, 11), ANE_ERROR_ARGUMENT, "takes 12, and 11 were given");
    FAILS(ane_write_input(kernel, 0, NULL, 12), ANE_ERROR_ARGUMENT, "NULL");
    FAILS(ane_write_input(kernel, 0, NULL, 0), ANE_ERROR_ARGUMENT, "takes 12, and 0 were given");
    FAILS(ane_read_output(kernel, 0, x, 13), ANE_ERROR_ARGUMENT, "takes 12, and 13 were given");
    FAILS(ane_read_output(kernel, 0, NULL, 12), ANE_ERROR_ARGUMENT, "NULL");
    FAILS(ane_read_output(kernel, 2, x, 12), ANE_ERROR_ARGUMENT, "no output 2");
    FAILS(ane_read_output_f32(kernel, 0, x, 5), ANE_ERROR_ARGUMENT, "takes 6, and 5 were given");
    FAILS(ane_read_output_f32(kernel, 0, NULL, 6), ANE_ERROR_ARGUMENT, "NULL");
    FAILS(ane_input_count(kernel, NULL), ANE_ERROR_ARGUMENT, "NULL");
    FAILS(ane_output_count(kernel, NULL), ANE_ERROR_ARGUMENT, "NULL");
    FAILS(ane_input_size(kernel, 9, &n), ANE_ERROR_ARGUMENT, "no input 9");
    FAILS(ane_output_size(kernel, 0, NULL), ANE_ERROR_ARGUMENT, "NULL");
    FAILS(ane_run(NULL), ANE_ERROR_ARGUMENT, "NULL");
    FAILS(ane_input_count(NULL, &n), ANE_ERROR_ARGUMENT, "NULL");
    OK(ane_free(NULL));
    OK(ane_free(kernel));
    FAILS(ane_free(kernel), ANE_ERROR_ARGUMENT, "was freed");
    FAILS(ane_run(kernel), ANE_ERROR_ARGUMENT, "was freed");
    FAILS(ane_run((ane_kernel *)x), ANE_ERROR_ARGUMENT, "never compiled");
    /* What fails later does not change what was said; what succeeds neither. */
    const char *said = ane_last_error();
    OK(ane_free(NULL));
    CHECK(said == ane_last_error());
}

static void wrong_programs_are_errors(void) {
    ane_kernel *kernel = NULL;
    unsigned char w[140];
    weight_file(w, 0);
    const ane_weight twice[] = {{"@model_path/w", w, sizeof w}, {"@model_path/w", w, sizeof w}};
    const ane_weight nameless = {NULL, w, sizeof w}, dataless = {"@model_path/w", NULL, 1};
    const ane_weight outside = {"@model_path/../w", w, sizeof w};
    FAILS(ane_compile(&kernel, "program(1.3) { func main<ios18>(tensor<fp16, [4]> x) {"
                               " tensor<fp16, [4]> y = rellu(x = x); } -> (y); }", NULL, 0),
          ANE_ERROR_PROGRAM, "rellu");
    FAILS(ane_compile(&kernel, "\xff", NULL, 0), ANE_ERROR_ARGUMENT, "UTF-8");
    FAILS(ane_compile(&kernel, "", NULL, 0), ANE_ERROR_ARGUMENT, "MIL text");
    FAILS(ane_compile(&kernel, NULL, NULL, 0), ANE_ERROR_ARGUMENT, "NULL");
    FAILS(ane_compile(NULL, TEXT, NULL, 0), ANE_ERROR_ARGUMENT, "NULL");
    FAILS(ane_compile(&kernel, TEXT, NULL, 1), ANE_ERROR_ARGUMENT, "NULL");
    FAILS(ane_compile(&kernel, TEXT, NULL, 0), ANE_ERROR_PROGRAM, "w.bin");
    FAILS(ane_compile(&kernel, TEXT, twice, 2), ANE_ERROR_ARGUMENT, "twice");
    FAILS(ane_compile(&kernel, TEXT, &nameless, 1), ANE_ERROR_ARGUMENT, "NULL");
    FAILS(ane_compile(&kernel, TEXT, &dataless, 1), ANE_ERROR_ARGUMENT, "NULL");
    FAILS(ane_compile(&kernel, TEXT, &outside, 1), ANE_ERROR_PROGRAM, "path");
    CHECK(kernel == NULL);
}

/* Threads share a kernel, have kernels of their own, and errors of their own. */
static void *work(void *shared) {
    ane_kernel *own = compile();
    CHECK(strcmp(ane_last_error(), "") == 0);
    for (int i = 0; i < 20; i++) {
        float x[6], y[6];
        for (int k = 0; k < 6; k++) x[k] = (float)i;
        OK(ane_write_input_f32(own, 0, x, 6));
        OK(ane_run(own));
        OK(ane_run(shared));
        OK(ane_read_output_f32(own, 0, y, 6));
        for (int k = 0; k < 6; k++) CHECK(y[k] == 2.0f * (float)i + 0.5f);
    }
    FAILS(ane_run(NULL), ANE_ERROR_ARGUMENT, "NULL");
    OK(ane_free(own));
    return NULL;
}

static void threads_do_not_disturb_each_other(void) {
    ane_kernel *shared = compile();
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) CHECK(pthread_create(&threads[i], NULL, work, shared) == 0);
    for (int i = 0; i < 4; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    OK(ane_free(shared));
}

int main(void) {
    before_the_beginning();
    OK(ane_init());
    OK(ane_init());
    programs_are_run();
    wrong_arguments_are_errors();
    wrong_programs_are_errors();
    threads_do_not_disturb_each_other();
    puts("all is as the header says");
    return 0;
}
