/* CUDA's run-time library on a machine without a GPU: device memory is the host's, copies are immediate. */
#include <stdlib.h>
#include <string.h>

static int live_blocks = 0;

int standin_live_blocks(void) { return live_blocks; }

int cudaGetDeviceCount(int *count) { *count = 1; return 0; }
int cudaGetDeviceProperties(void *properties, int device) {
    (void)device;
    strcpy((char *)properties, "Orin");
    return 0;
}
int cudaDeviceGetAttribute(int *value, int attribute, int device) {
    (void)device;
    *value = attribute == 75 ? 8 : attribute == 76 ? 7 : -1;
    return 0;
}
int cudaMalloc(void **address, size_t size) {
    if (size > ((size_t)1 << 30)) return 2;
    *address = calloc(1, size);
    ++live_blocks;
    return 0;
}
int cudaFree(void *address) { free(address); --live_blocks; return 0; }
int cudaMallocHost(void **address, size_t size) { return cudaMalloc(address, size); }
int cudaFreeHost(void *address) { return cudaFree(address); }
int cudaMemcpyAsync(void *target, const void *source, size_t size, int kind, void *stream) {
    if ((kind != 1 && kind != 2) || stream == NULL) return 1;
    memcpy(target, source, size);
    return 0;
}
int cudaStreamCreate(void **stream) { return cudaMalloc(stream, 1); }
int cudaStreamDestroy(void *stream) { return cudaFree(stream); }
int cudaStreamSynchronize(void *stream) { return stream == NULL; }
const char *cudaGetErrorString(int error) { return error == 2 ? "out of memory" : "invalid value"; }
